package cpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

func TestNaNAndInfinityAppearWhereTheyBelong(t *testing.T) {
	g := parse(t, "graph g\ninput %x : float32[1,1,1,6]\n%m = max_pool(%x) kernel=1,2 stride=1,2\n%a = avg_pool(%x) kernel=1,2 stride=1,2\n%r = relu(%x)\noutput %m\noutput %a\noutput %r\n")
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachSet(t, 2, func(t *testing.T, d *device) {
		got := runGraph(t, d, g, [][]float32{{nan, 1, 2, nan, -inf, inf}})
		want := [][]float32{{nan, nan, inf}, {nan, nan, nan}, {nan, 1, 2, nan, 0, inf}}
		for i := range want {
			checkSame(t, fmt.Sprintf("output %d", i), got[i], want[i])
		}
	})
}

func checkSame(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for j, w := range want {
		if v := got[j]; v != w && !(v != v && w != w) {
			t.Errorf("%s: element %d: got %g, want %g", what, j, v, w)
		}
	}
}

// TestConvolutionOfNumbersThatAreNotFinite: neither a ReLU nor a vector nor the halo may swallow or spread them.
func TestConvolutionOfNumbersThatAreNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, bad := range []struct{ x, w float32 }{{nan, 1}, {inf, 1}, {1, nan}, {1, inf}, {1, -inf}} {
		for _, filters := range []int{1, 5, 21, 70} {
			g := convGraph(t, 1, 3, 5, 4, filters, [2]int{3, 2}, graph.Conv2D{Stride: [2]int{1, 2}, Padding: graph.Padding{Top: 1, Left: 1, Bottom: 2}, Dilation: [2]int{1, 1}, Groups: 1, Act: graph.ActReLU})
			in := seededInput(g)
			in[0][17] *= bad.x
			g.Params[0].Data.Float32s()[9] *= bad.w // of the first filter: the tensor is ours
			want, err := reference.Eval(context.Background(), g, map[string][]float64{"x": reference.Widen(in[0])}, "y")
			if err != nil {
				t.Fatal(err)
			}
			eachSet(t, 2, func(t *testing.T, d *device) {
				for i, v := range runGraph(t, d, g, in)[0] {
					w := want["y"][i]
					if (v-v == 0) != (w-w == 0) || math.IsInf(w, 0) && float64(v) != w {
						t.Fatalf("x·%g, w·%g, %d filters: element %d: got %g, want %g", bad.x, bad.w, filters, i, v, w)
					}
				}
			})
		}
	}
}

// convGraph is a convolution with seeded weights and bias.
func convGraph(t testing.TB, n, c, h, w, k int, kernel [2]int, op graph.Conv2D) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("conv")
	param := func(name string, typ graph.TensorType) *graph.Value {
		x, err := graph.FromFloat32s(typ.Shape, seeded.Uniform(1, name, typ.Shape.Elems(), 0.1))
		if err != nil {
			t.Fatal(err)
		}
		return b.Param(name, typ, x)
	}
	inputs := []*graph.Value{b.Input("x", graph.F32(n, c, h, w)), param("w", graph.F32(k, c/op.Groups, kernel[0], kernel[1]))}
	if op.Bias {
		inputs = append(inputs, param("bias", graph.F32(k)))
	}
	if op.Add {
		types := make([]graph.TensorType, len(inputs))
		for i, v := range inputs {
			types[i] = v.Type
		}
		plain := op
		plain.Add = false
		typ, err := graph.Infer(plain, types...)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, b.Input("shortcut", typ))
	}
	b.Output(b.Node("y", op, inputs...))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// wrong runs a graph and holds its outputs, all of its nodes, against the reference.
func wrong(t *testing.T, d *device, g *graph.Graph, in [][]float32) error {
	t.Helper()
	values := map[string][]float32{}
	for i, v := range g.Inputs {
		values[v.Name] = in[i]
	}
	for i, v := range runGraph(t, d, g, in) {
		values[g.Outputs[i].Name] = v
	}
	reports, err := reference.Check(context.Background(), g, values)
	if err != nil {
		t.Fatal(err)
	}
	var all []error
	for _, r := range reports {
		all = append(all, r.Err())
	}
	return errors.Join(all...)
}

// TestEveryTail runs convolutions whose filters, pixels and products leave every rest of a tile, a vector and a block.
func TestEveryTail(t *testing.T) {
	filters := []int{1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 50, 63, 64, 65, 79, 80, 96, 113, 127, 128, 130}
	for i, k := range filters {
		for _, pixels := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 100} {
			if testing.Short() && (i+pixels)%5 != 0 {
				continue
			}
			op := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Padding{Left: pixels % 2}, Dilation: [2]int{1, 1 + i%2}, Groups: 1, Bias: pixels%3 > 0, Add: i%3 > 0, Act: graph.Activation(i / 3 % 2)}
			channels := 1 + (i*37+pixels*11)%140
			g := convGraph(t, 1, channels, 1, pixels+2, k, [2]int{1, 2}, op)
			in := seededInput(g)
			eachSet(t, 2, func(t *testing.T, d *device) {
				if err := wrong(t, d, g, in); err != nil {
					t.Errorf("%d filters, %d pixels, %d channels: %v", k, pixels, channels, err)
				}
			})
		}
	}
}

// TestTensorsOfOtherRanks: the inside of the backend is NHWC for rank 4 only.
func TestTensorsOfOtherRanks(t *testing.T) {
	for _, shape := range []graph.Shape{graph.NewShape(), graph.NewShape(5), graph.NewShape(2, 3), graph.NewShape(2, 3, 4), graph.NewShape(2, 3, 2, 5), graph.NewShape(2, 1, 3, 2, 5), graph.NewShape(1, 2, 3, 1, 2, 3)} {
		typ := graph.TensorType{DType: graph.Float32, Shape: shape}
		b := graph.NewBuilder("g")
		x := b.Input("x", typ)
		outputs := []*graph.Value{b.Node("r", graph.ReLU{}, x), b.Node("a", graph.Add{}, x, b.Input("z", typ))}
		if shape.Rank() > 0 {
			outputs = append(outputs, b.Node("s", graph.Softmax{}, x), b.Node("f", graph.Flatten{}, x))
		}
		b.Output(outputs...)
		g, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		in := seededInput(g)
		d := open(t, Options{Threads: 2})
		if err := wrong(t, d, g, in); err != nil {
			t.Errorf("shape %v: %v", shape, err)
		}
	}
}

func TestEmptyTensors(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 0, 32)
	d := open(t, Options{Threads: 2})
	if got := runGraph(t, d, g, [][]float32{{}}); len(got) != 1 || len(got[0]) != 0 {
		t.Errorf("a batch of none: got %v, want one empty output", got)
	}
	g = parse(t, "graph g\ninput %x : float32[2,0,3,3]\n%r = relu(%x)\n%f = flatten(%r)\noutput %f\n")
	if got := runGraph(t, d, g, [][]float32{{}}); len(got[0]) != 0 {
		t.Errorf("no channels: got %v", got)
	}
}

// TestAValueWithReadersOfDifferentPadding has one halo for all of them.
func TestAValueWithReadersOfDifferentPadding(t *testing.T) {
	g := parse(t, `graph g
input %x : float32[2,3,5,4]
param @a : float32[4,3,3,3]
param @b : float32[4,3,1,1]
param @c : float32[3,1,2,5]
%p = conv2d(%x, @a) padding=1,1,1,1
%q = conv2d(%x, @b) stride=2,1
%r = conv2d(%x, @c) padding=0,3,2,1 groups=3
%m = max_pool(%x) kernel=2,2 stride=1,1 padding=1,1,1,1
output %p
output %q
output %r
output %m
output %x
`)
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		data[p.Name] = seededParam(t, p)
	}
	g, err := g.Bind(data)
	if err != nil {
		t.Fatal(err)
	}
	in := seededInput(g)
	eachSet(t, 2, func(t *testing.T, d *device) {
		values := map[string][]float32{}
		for i, v := range runGraph(t, d, g, in) {
			values[g.Outputs[i].Name] = v
		}
		if !slices.Equal(values["x"], in[0]) {
			t.Error("an input given out is not what was put in")
		}
		reports, err := reference.Check(context.Background(), g, values)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reports {
			if err := r.Err(); err != nil {
				t.Error(err)
			}
		}
	})
}
