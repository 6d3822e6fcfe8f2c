package plan

import (
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// kernel is a node lowered to a dispatch whose tensors have no place yet.
type kernel struct {
	variant *shaders.Variant
	spec    []uint32
	push    []uint32
	groups  [3]uint32
	args    []arg // by binding; the last is the result
	weights *Packed
	reason  string // see Step.Reason
}

// arg is one binding: a value of the graph, or the node's packed weights when value is nil.
type arg struct{ value *graph.Value }

// Packed is the weights of one node in the order that its kernel wants.
type Packed struct {
	Node  string
	Elems int // float32 elements
	// Fill writes the packed weights to dst, of Elems elements. It reads the data of the node's parameters.
	Fill func(dst []float32)
}

func (p *Packed) sizeBytes() uint64 { return 4 * uint64(p.Elems) }

// lower chooses the kernel of a node. A nil kernel without an error is a node that needs none (flatten).
// The error wraps backend.ErrUnsupported and names the attribute in the way.
func lower(lim Limits, opt Options, n *graph.Node) (*kernel, error) {
	if err := checkOperands(n); err != nil {
		return nil, err
	}
	if err := checkTensors(lim, n); err != nil {
		return nil, err
	}
	k, err := lowerOp(lim, opt, n)
	if err != nil || k == nil {
		return nil, err
	}
	if limit := min(lim.MaxStorageBufferRange, lim.MaxMemoryAllocationSize); k.weights != nil && k.weights.sizeBytes() > limit {
		return nil, backend.Unsupported("weights", fmt.Sprintf("at most %d bytes (maxStorageBufferRange, maxMemoryAllocationSize)", limit), fmt.Sprint(k.weights.sizeBytes()))
	}
	for i, g := range k.groups {
		if g > lim.MaxComputeWorkGroupCount[i] {
			return nil, backend.Unsupported("workgroup count", fmt.Sprintf("at most %v (maxComputeWorkGroupCount)", lim.MaxComputeWorkGroupCount), fmt.Sprint(k.groups))
		}
	}
	return k, nil
}

// Supports reports whether the node can run on such a device. A batch that is too large is no obstacle, since it is
// split, so the node is looked at with a batch of one.
func Supports(lim Limits, opt Options, n *graph.Node) error {
	if err := checkOperands(n); err != nil { // first: a parameter has no batch that could be changed
		return err
	}
	one, err := withBatch(n, 1)
	if err != nil {
		return fmt.Errorf("%w: %w", backend.ErrUnsupported, err)
	}
	_, err = lower(lim, opt, one)
	return err
}

// withBatch copies a node with the first dimension of its activations set to batch, where the op treats the
// elements of that dimension alike.
func withBatch(n *graph.Node, batch int) (*graph.Node, error) {
	c := *n
	c.Inputs = make([]*graph.Value, len(n.Inputs))
	types := make([]graph.TensorType, len(n.Inputs))
	for i, v := range n.Inputs {
		w := *v
		if v.Kind != graph.ParamValue && v.Type.Shape.Rank() > 1 {
			w.Type.Shape = v.Type.Shape.WithDim(0, batch)
		}
		c.Inputs[i], types[i] = &w, w.Type
	}
	t, err := graph.Infer(n.Op, types...)
	if err != nil {
		return nil, err
	}
	out := *n.Output
	out.Type, out.Node = t, &c
	c.Output = &out
	return &c, nil
}

// checkOperands keeps the two kinds of operands apart: weights are packed when the graph is compiled, so they must be
// parameters; everything else is bound from inputs, outputs and the arena, where parameters have no place.
func checkOperands(n *graph.Node) error {
	isWeight := func(int) bool { return false }
	switch op := n.Op.(type) {
	case graph.Conv2D:
		bias, _ := op.Inputs()
		isWeight = func(i int) bool { return i == 1 || i == bias }
	case graph.Linear, graph.BatchNorm:
		isWeight = func(i int) bool { return i > 0 }
	}
	for i, v := range n.Inputs {
		want := "an input or the result of a node"
		if isWeight(i) {
			want = "a parameter"
		}
		if isWeight(i) != (v.Kind == graph.ParamValue) {
			return backend.Unsupported(fmt.Sprintf("input %d", i), want, fmt.Sprintf("%v %q", v.Kind, v.Name))
		}
	}
	return nil
}

// checkTensors holds the activations of a node against what a binding can hold and an index can reach.
func checkTensors(lim Limits, n *graph.Node) error {
	check := func(what string, v *graph.Value) error {
		if v.Type.DType != graph.Float32 {
			return backend.Unsupported(what, "float32", v.Type.DType.String())
		}
		if size := uint64(v.Type.SizeBytes()); size > lim.MaxStorageBufferRange || v.Type.Shape.Elems() > math.MaxInt32 {
			return fmt.Errorf("%w", &sizeError{what, v.Type, min(lim.MaxStorageBufferRange, 4*math.MaxInt32)})
		}
		return nil
	}
	for i, v := range n.Inputs {
		if err := check(fmt.Sprintf("input %d", i), v); err != nil {
			return err
		}
	}
	return check("result", n.Output)
}

// sizeError is a tensor too large for one binding; it is a refusal, and may be met by splitting the batch.
type sizeError struct {
	what  string
	typ   graph.TensorType
	limit uint64
}

func (e *sizeError) Error() string {
	return fmt.Sprintf("%v: %s: want at most %d bytes (maxStorageBufferRange), got %v of %d", backend.ErrUnsupported, e.what, e.limit, e.typ, e.typ.SizeBytes())
}

func (e *sizeError) Unwrap() error { return backend.ErrUnsupported }

// lowerOp is the table from ops to kernels.
func lowerOp(lim Limits, opt Options, n *graph.Node) (*kernel, error) {
	out := n.Output.Type.Shape
	switch op := n.Op.(type) {
	case graph.Conv2D:
		return lowerConv(lim, opt, n, op)
	case graph.Linear:
		return lowerLinear(lim, n, op)
	case graph.BatchNorm:
		return lowerBatchNorm(lim, n, op)
	case graph.ReLU:
		return flat(lim, n, "relu_f32", nil, nil, n.Inputs[0])
	case graph.Add:
		return flat(lim, n, "add_f32", nil, nil, n.Inputs[0], n.Inputs[1])
	case graph.MaxPool:
		return lowerPool(lim, n, "max_pool_f32", op.Kernel, op.Stride, op.Padding, false)
	case graph.AvgPool:
		return lowerPool(lim, n, "avg_pool_f32", op.Kernel, op.Stride, op.Padding, op.CountIncludePad)
	case graph.GlobalAvgPool:
		_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
		return flat(lim, n, "global_avg_pool_f32", nil, []uint32{u32(h * w)}, n.Inputs[0])
	case graph.ChannelPad:
		return lowerShortcut(lim, n, op.Before, [2]int{1, 1})
	case graph.Subsample:
		return lowerShortcut(lim, n, 0, op.Stride)
	case graph.Softmax:
		rows, k := out.Elems()/out.Dim(-1), out.Dim(-1)
		groups, err := spread(lim, rows)
		return &kernel{
			variant: variant("softmax_f32"), push: []uint32{u32(rows), u32(k)}, groups: groups,
			args: []arg{{n.Inputs[0]}, {n.Output}},
		}, err
	case graph.Flatten:
		return nil, nil
	}
	return nil, backend.Unsupported("op", "one of "+fmt.Sprint(graph.OpNames()), n.Op.Name())
}

// flat lowers to a kernel with one invocation for each element of the result. push comes after the count.
func flat(lim Limits, n *graph.Node, name string, spec, push []uint32, inputs ...*graph.Value) (*kernel, error) {
	v, count := variant(name), n.Output.Type.Shape.Elems()
	wg := workgroupSize(lim)
	groups, err := spread(lim, ceilDiv(count, int(wg)))
	k := &kernel{
		variant: v, spec: append([]uint32{wg}, spec...), push: append([]uint32{u32(count)}, push...), groups: groups,
	}
	for _, in := range inputs {
		k.args = append(k.args, arg{in})
	}
	k.args = append(k.args, arg{n.Output})
	return k, err
}

func lowerPool(lim Limits, n *graph.Node, name string, kernel, stride [2]int, pad graph.Padding, include bool) (*kernel, error) {
	if err := checkWindow(n, pad); err != nil {
		return nil, err
	}
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	_, _, p, q := n.Output.Type.Shape.NCHW()
	spec := []uint32{
		u32(kernel[0]), u32(kernel[1]), u32(stride[0]), u32(stride[1]),
		u32(pad.Top), u32(pad.Left), u32(pad.Bottom), u32(pad.Right), flag(include),
	}
	return flat(lim, n, name, spec, []uint32{u32(h), u32(w), u32(p), u32(q)}, n.Inputs[0])
}

// checkWindow keeps the rows and columns that a window can reach within a 32-bit number with a sign.
func checkWindow(n *graph.Node, pad graph.Padding) error {
	const limit = 1 << 29
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	if h+pad.Top+pad.Bottom > limit || w+pad.Left+pad.Right > limit {
		return backend.Unsupported("input 0", fmt.Sprintf("at most %d padded rows and columns", limit), fmt.Sprintf("%v with padding %v", n.Inputs[0].Type, pad))
	}
	return nil
}

func lowerShortcut(lim Limits, n *graph.Node, before int, stride [2]int) (*kernel, error) {
	_, c, h, w := n.Inputs[0].Type.Shape.NCHW()
	_, k, p, q := n.Output.Type.Shape.NCHW()
	push := []uint32{u32(c), u32(h), u32(w), u32(k), u32(p), u32(q), u32(before), u32(stride[0]), u32(stride[1])}
	return flat(lim, n, "shortcut_pad_f32", nil, push, n.Inputs[0])
}

func lowerBatchNorm(lim Limits, n *graph.Node, op graph.BatchNorm) (*kernel, error) {
	_, c, h, w := n.Inputs[0].Type.Shape.NCHW()
	k, err := flat(lim, n, "batch_norm_f32", nil, []uint32{u32(c), u32(h * w)}, n.Inputs[0], nil)
	if err == nil {
		k.weights = packBatchNorm(n, op)
	}
	return k, err
}

func lowerLinear(lim Limits, n *graph.Node, op graph.Linear) (*kernel, error) {
	c, k := n.Inputs[1].Type.Shape.Dim(1), n.Inputs[1].Type.Shape.Dim(0)
	kern, err := flat(lim, n, "linear_f32", nil, []uint32{u32(c), u32(k)}, n.Inputs[0], nil)
	if err == nil {
		kern.weights = packLinear(n, op)
	}
	return kern, err
}

func variant(name string) *shaders.Variant {
	v := shaders.Lookup(name)
	if v == nil {
		panic("plan: bug: no shader variant " + name)
	}
	return v
}

// workgroupSize is the local size of the kernels with one invocation an element.
func workgroupSize(lim Limits) uint32 {
	return min(64, lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0])
}

// spread lays n workgroups over x and y.
func spread(lim Limits, n int) ([3]uint32, error) {
	x := min(n, int(lim.MaxComputeWorkGroupCount[0]))
	if x == 0 {
		return [3]uint32{}, nil
	}
	y := ceilDiv(n, x)
	if y > int(lim.MaxComputeWorkGroupCount[1]) {
		return [3]uint32{}, backend.Unsupported("workgroup count", fmt.Sprintf("at most %v (maxComputeWorkGroupCount)", lim.MaxComputeWorkGroupCount), fmt.Sprint(n))
	}
	return [3]uint32{uint32(x), uint32(y), 1}, nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

func u32(n int) uint32 {
	if n < 0 || n > math.MaxInt32 {
		panic(fmt.Sprintf("plan: bug: %d is no extent", n)) // tensors were held against MaxInt32 before
	}
	return uint32(n)
}

func flag(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
