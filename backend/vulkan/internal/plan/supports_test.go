package plan

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// TestSupportsBindsBothWays draws nodes of all ops and odd shapes for devices so small that about half are refused.
// What Supports accepts, Build must plan soundly with any batch, or find one allocation too small for its tensors;
// what Supports refuses, Build must refuse.
func TestSupportsBindsBothWays(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	accepted, refused := map[string]int{}, map[string]int{}
	for i := range 4000 {
		lim := Floor()
		lim.MaxStorageBufferRange = 1 << (8 + rng.IntN(10))
		lim.MaxMemoryAllocationSize = lim.MaxStorageBufferRange * uint64(1+rng.IntN(8)) / 2
		lim.MinStorageBufferOffsetAlignment = 1 << (2 + rng.IntN(7))
		lim.MaxComputeWorkGroupCount = [3]uint32{uint32(1 + rng.IntN(40)), uint32(1 + rng.IntN(6)), uint32(1 + rng.IntN(8))}
		lim.SoftwareDriver = rng.IntN(2) == 0
		op, types := drawNode(rng)
		b := graph.NewBuilder("g")
		var ins []*graph.Value
		for j, typ := range types {
			if j > 0 && !slices.Contains([]string{"add", "concat", "gate", "split_attention"}, op.Name()) {
				ins = append(ins, b.Param(fmt.Sprint("w", j), typ, nil))
			} else {
				ins = append(ins, b.Input(fmt.Sprint("x", j), typ))
			}
		}
		b.Output(b.Node("y", op, ins...))
		g, err := b.Build()
		if err != nil {
			continue // the window does not fit
		}
		said := Supports(lim, Options{}, g.Nodes[0])
		p, err := Build(lim, Options{}, g)
		name := op.Name()
		switch {
		case said == nil && err == nil:
			accepted[name]++
			if len(p.Commands) > 0 {
				checkPlan(t, lim, p)
			}
		case said == nil && errors.Is(err, backend.ErrOutOfMemory):
		case said != nil && errors.Is(said, backend.ErrUnsupported) && errors.Is(err, backend.ErrUnsupported):
			refused[name]++
		default:
			t.Errorf("case %d: %s of %v with %+v:\nSupports: %v\nBuild: %v", i, graph.OpText(op), types, lim, said, err)
		}
		if t.Failed() {
			t.Fatalf("case %d: %s of %v with %+v", i, graph.OpText(op), types, lim)
		}
	}
	for _, name := range graph.OpNames() {
		if accepted[name] < 10 || refused[name] < 10 {
			t.Errorf("%s: accepted %d times, refused %d times: too few to mean something", name, accepted[name], refused[name])
		}
	}
}

// divisor draws a divisor of n.
func divisor(rng *rand.Rand, n int) int {
	d := 1
	for i := 2; i <= n; i++ {
		if n%i == 0 && rng.IntN(2) == 0 {
			d = i
		}
	}
	return d
}

// drawNode draws an op with the types of its inputs, which need not fit.
func drawNode(rng *rand.Rand) (graph.Op, []graph.TensorType) {
	upTo := func(n int) int { return 1 + rng.IntN(n) }
	pair := func(n int) [2]int { return [2]int{upTo(n), upTo(n)} }
	x := graph.F32(rng.IntN(7), upTo(20), upTo(30), upTo(30))
	c := x.Shape.Dim(1)
	dims := make([]int, rng.IntN(6))
	for i := range dims {
		dims[i] = rng.IntN(12)
	}
	odd := graph.F32(dims...)
	pad := graph.Padding{Top: rng.IntN(3), Left: rng.IntN(3), Bottom: rng.IntN(3), Right: rng.IntN(3)}
	switch rng.IntN(20) {
	case 0:
		groups := divisor(rng, c)
		o := graph.Conv2D{Stride: pair(3), Dilation: pair(3), Padding: pad, Groups: groups, Bias: rng.IntN(2) == 0}
		types := []graph.TensorType{x, graph.F32(groups*upTo(40), c/groups, upTo(5), upTo(5))}
		if o.Bias {
			types = append(types, graph.F32(types[1].Shape.Dim(0)))
		}
		return o, types
	case 1:
		n, k := upTo(200), upTo(50)
		return graph.Linear{}, []graph.TensorType{graph.F32(rng.IntN(9), n), graph.F32(k, n)}
	case 2:
		return graph.BatchNorm{Epsilon: 1e-5}, []graph.TensorType{x, graph.F32(c), graph.F32(c), graph.F32(c), graph.F32(c)}
	case 3:
		return graph.ReLU{}, []graph.TensorType{odd}
	case 4:
		return graph.Add{}, []graph.TensorType{odd, odd}
	case 5:
		return graph.MaxPool{Kernel: pair(5), Stride: pair(4), Padding: pad, CeilMode: rng.IntN(2) == 0}, []graph.TensorType{x}
	case 6:
		return graph.AvgPool{Kernel: pair(5), Stride: pair(4), Padding: pad, CeilMode: rng.IntN(2) == 0}, []graph.TensorType{x}
	case 7:
		return graph.GlobalAvgPool{}, []graph.TensorType{x}
	case 8:
		return graph.Flatten{}, []graph.TensorType{odd}
	case 9:
		return graph.Softmax{}, []graph.TensorType{odd}
	case 10:
		return graph.ChannelPad{Before: rng.IntN(9), After: rng.IntN(9)}, []graph.TensorType{x}
	case 12:
		return graph.GroupNorm{Groups: divisor(rng, c), Epsilon: 1e-5, Act: graph.Activation(rng.IntN(2))}, []graph.TensorType{x, graph.F32(c), graph.F32(c)}
	case 13:
		o := graph.SplitAttention{Radix: upTo(4), Groups: divisor(rng, c), Add: rng.IntN(2) == 0, Act: graph.Activation(rng.IntN(2))}
		branches := x.Shape.WithDim(1, o.Radix*c)
		types := []graph.TensorType{graph.F32(branches.Dims()...), graph.F32(x.Shape.Dim(0), o.Radix*c, 1, 1)}
		if o.Add {
			types = append(types, x)
		}
		return o, types
	case 14:
		types := []graph.TensorType{x}
		for range rng.IntN(4) {
			types = append(types, graph.F32(x.Shape.WithDim(1, upTo(20)).Dims()...))
		}
		return graph.Concat{}, types
	case 15:
		o := graph.ChannelSlice{Begin: rng.IntN(c)}
		o.End = o.Begin + upTo(c-o.Begin)
		return o, []graph.TensorType{x}
	case 16:
		return graph.SpatialPad{Padding: pad, Reflect: rng.IntN(2) == 0}, []graph.TensorType{x}
	case 17:
		return graph.Reshape{To: [3]int{x.Shape.Dim(2), c, x.Shape.Dim(3)}}, []graph.TensorType{x}
	case 11:
		o := graph.Gate{Add: rng.IntN(2) == 0, Act: graph.Activation(rng.IntN(2))}
		types := []graph.TensorType{x, graph.F32(x.Shape.Dim(0), c, 1, 1)}
		if o.Add {
			types = append(types, x)
		}
		return o, types
	}
	return graph.Subsample{Stride: pair(4)}, []graph.TensorType{x}
}
