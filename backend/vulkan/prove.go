package vulkan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
)

// A proof holds one candidate of a node against backend/reference on this very device: on small shapes with the whole
// result, once for a kernel, and on the node's own shape. There every element takes part in a checksum of whole numbers, which
// float32 holds without rounding, and some thousand elements are held to their bounds.

// verdict is what a proof found.
type verdict struct {
	worst float64 // the largest error as a fraction of its bound
	wrong string  // what is wrong, empty when nothing is
	// everywhere: what is wrong is a matter of the kernel and not of the shape.
	everywhere bool
	lost       int // elements that should be NaN or infinity and are not
}

// take adds a comparison, and reports whether all is well.
func (v *verdict) take(what string, r reference.Report) bool {
	v.worst = max(v.worst, r.Fraction)
	if err := r.Err(); err != nil {
		v.wrong = fmt.Sprintf("%s: %v", what, err)
	}
	return v.wrong == ""
}

// failed makes a verdict of an error of a trial, or hands on those that say nothing about the kernel.
func (v *verdict) failed(err error) error {
	for _, other := range []error{context.Canceled, context.DeadlineExceeded, backend.ErrOutOfMemory, backend.ErrClosed} {
		if errors.Is(err, other) {
			return err
		}
	}
	v.wrong, v.everywhere = err.Error(), true
	if errors.Is(err, backend.ErrDeviceLost) {
		return err
	}
	return nil
}

// awkwardConv is a convolution of an input and weights.
type awkwardConv struct {
	op   graph.Conv2D
	x, w graph.TensorType
}

// awkward are small convolutions that kernels get wrong: rows unlike columns, tails of channels, filters and pixels for every
// tile, few and many filters, groups, several pictures, all epilogues. There are three sets of specialization constants, two of
// them those of real layers, since drivers take long to compile a pipeline.
var awkward = []awkwardConv{
	{pointwise, graph.F32(3, 70, 9, 11), graph.F32(67, 70, 1, 1)},
	{pointwise, graph.F32(2, 5, 17, 9), graph.F32(3, 5, 1, 1)},
	{graph.Conv2D{
		Stride: [2]int{2, 1}, Padding: graph.Padding{Top: 1, Bottom: 2, Right: 1}, Dilation: [2]int{1, 2}, Groups: 1, Bias: true, Add: true, Act: graph.ActReLU,
	}, graph.F32(2, 6, 9, 11), graph.F32(37, 6, 3, 2)},
	{threeByThree(1), graph.F32(2, 9, 13, 10), graph.F32(20, 9, 3, 3)},
	{threeByThree(2), graph.F32(1, 24, 6, 5), graph.F32(40, 12, 3, 3)},
}

// awkwardDepthwise are the same for kernels that take nothing else.
var awkwardDepthwise = []awkwardConv{
	{threeByThree(6), graph.F32(3, 6, 9, 11), graph.F32(6, 1, 3, 3)},
	{graph.Conv2D{
		Stride: [2]int{2, 1}, Padding: graph.Padding{Top: 1, Bottom: 2, Right: 1}, Dilation: [2]int{1, 2}, Groups: 21, Bias: true, Add: true, Act: graph.ActReLU,
	}, graph.F32(2, 21, 9, 11), graph.F32(21, 1, 3, 2)},
}

var pointwise = graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1, Bias: true, Act: graph.ActReLU}

func threeByThree(groups int) graph.Conv2D {
	return graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: groups, Bias: true, Act: graph.ActReLU}
}

// proveSmall proves a kernel on the awkward shapes that it takes.
func (d *device) proveSmall(ctx context.Context, n *graph.Node, candidate string) (v verdict, err error) {
	list, err := d.smallNodes(n.Op, candidate)
	if err != nil {
		return v, err
	}
	for _, small := range list {
		if err := d.proveWhole(ctx, small, candidate, &v); err != nil || v.wrong != "" {
			v.everywhere = true
			return v, err
		}
	}
	return v, nil
}

// offers reports whether a candidate is among those of a node.
func (d *device) offers(n *graph.Node, candidate string) bool {
	opt := d.planOptions()
	is := func(c plan.Candidate) bool { return c.Name == candidate }
	list, err := plan.Candidates(d.limits, opt, n)
	if opt.Half && !slices.ContainsFunc(list, is) {
		opt.Half = false
		list, err = plan.Candidates(d.limits, opt, n)
	}
	return err == nil && slices.ContainsFunc(list, is)
}

func convNode(op graph.Conv2D, x, w graph.TensorType) (*graph.Node, error) {
	b := graph.NewBuilder("awkward")
	in := []*graph.Value{b.Input("x", x), b.Param("w", w, nil)}
	filters := w.Shape.Dim(0)
	if op.Bias {
		in = append(in, b.Param("bias", graph.F32(filters), nil))
	}
	if op.Add {
		plain := op
		plain.Bias, plain.Add = false, false
		t, err := graph.Infer(plain, x, w)
		if err != nil {
			return nil, err
		}
		in = append(in, b.Input("shortcut", t))
	}
	b.Output(b.Node("y", op, in...))
	g, err := b.Build()
	if err != nil {
		return nil, err
	}
	return g.Nodes[0], nil
}

// proveWhole compares the whole result of a small node, for numbers of several kinds.
func (d *device) proveWhole(ctx context.Context, n *graph.Node, candidate string, v *verdict) error {
	bell := bellData(n)
	t, err := d.newTrial(ctx, n, candidate, bell)
	if err != nil {
		return v.failed(err)
	}
	defer t.close()
	return t.allOf(ctx, bell, v)
}

// allOf compares the whole result for numbers of several kinds. Where the trial has parameters, bell has them too.
func (t *trial) allOf(ctx context.Context, bell [][]float32, v *verdict) error {
	what := shapeOf(t.node)
	for _, kind := range []struct {
		name   string
		wide   bool
		change func([]float32)
	}{
		{"bell-shaped numbers", false, func([]float32) {}},
		{"numbers of sizes from 2^-16 to 2^15", true, func(x []float32) {
			for i := range x {
				x[i] = float32(math.Ldexp(float64(x[i]), i*7%32-16))
			}
		}},
		{"NaN and infinity", false, func(x []float32) {
			x[len(x)/3], x[len(x)/2] = float32(math.NaN()), float32(math.Inf(1))
		}},
	} {
		if kind.wide && t.precision() != nil {
			continue // float16 does not hold their sums
		}
		data := slices.Clone(bell)
		for _, i := range t.inputs {
			data[i] = slices.Clone(bell[i])
			kind.change(data[i])
		}
		if err := t.set(ctx, data); err != nil {
			return v.failed(err)
		}
		got, err := t.replayed(ctx)
		if err != nil {
			return v.failed(err)
		}
		want, bound, err := t.bounds(ctx)
		if err != nil {
			return err
		}
		got, want, bound, lost := numbers(got, want, bound)
		v.lost += lost
		if !v.take(what+" with "+kind.name, reference.Compare(got, want, bound)) {
			return nil
		}
	}
	return nil
}

// numbers leaves out the elements that must be NaN or infinity, and counts those of them that are not. Vulkan promises neither (without
// shaderSignedZeroInfNanPreserveFloat32), so that is told and strikes no kernel off; that all the others are right, though such a
// number stands beside them, is asked for.
func numbers(got []float32, want, bound []float64) (g []float32, w, b []float64, lost int) {
	for i, x := range want {
		if x-x == 0 {
			g, w, b = append(g, got[i]), append(w, x), append(b, bound[i])
		} else if !reference.Compare(got[i:i+1], want[i:i+1], bound[i:i+1]).OK() {
			lost++
		}
	}
	return g, w, b, lost
}

// bounds is the reference's result for the data of the trial.
func (t *trial) bounds(ctx context.Context) (want, bound []float64, err error) {
	wide := make([][]float64, len(t.data))
	for i, x := range t.data {
		wide[i] = reference.Widen(x)
	}
	if w := t.transform(); w != nil {
		want, bound, err = reference.WinogradBounds(ctx, t.node, wide, *w)
	} else {
		want, bound, err = reference.Bounds(ctx, t.node, wide)
	}
	if p := t.precision(); p != nil && err == nil {
		err = reference.WidenBounds(ctx, t.node, wide, want, bound, *p)
	}
	return want, bound, err
}

// precision is how the node's tensors are stored, nil for float32.
func (t *trial) precision() *backend.Precision {
	if p, ok := t.exe.Precisions()[t.node.Name]; ok {
		return &p
	}
	return nil
}

// transform is how the node is computed, nil for a plain sum.
func (t *trial) transform() *backend.Winograd {
	if w, ok := t.exe.Transforms()[t.node.Name]; ok {
		return &w
	}
	return nil
}

// bellData is bell-shaped data for a node; variances are positive.
func bellData(n *graph.Node) [][]float32 {
	data := make([][]float32, len(n.Inputs))
	for i, v := range n.Inputs {
		data[i] = cutFrom(pools().bell, v.Type.Shape.Elems(), i+1)
		if _, ok := n.Op.(graph.BatchNorm); ok && i == 4 {
			for j, x := range data[i] {
				data[i][j] = x*x + 0.5
			}
		}
	}
	return data
}
