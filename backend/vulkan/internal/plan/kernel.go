package plan

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// Packed is the weights of one node in the order that its kernel wants: blocks of the same size, so that they can be packed
// a few at a time.
type Packed struct {
	Node  string
	Elems int
	Block int  // elements of a block; Elems is a multiple
	Half  bool // the elements are to be stored as float16, else as float32
	// Open reads the node's parameters, once for all blocks: to read them may be to convert what a file holds.
	Open func() Filler
}

// Filler writes the blocks from number first on to dst, as many as it is long. Several goroutines may call it at once.
type Filler func(dst []float32, first int)

// packedBlocks is where a Filler puts blocks of size elements, from number first on.
type packedBlocks struct {
	dst         []float32
	first, size int
}

// at is block number i, nil where it is not among them.
func (b packedBlocks) at(i int) []float32 {
	if i -= b.first; i < 0 || i >= len(b.dst)/b.size {
		return nil
	}
	return b.dst[i*b.size : (i+1)*b.size]
}

// ElemBytes is the size of an element.
func (p *Packed) ElemBytes() uint64 {
	if p.Half {
		return 2
	}
	return 4
}

func (p *Packed) sizeBytes() uint64 { return p.ElemBytes() * uint64(p.Elems) }

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
	case graph.Linear, graph.BatchNorm, graph.GroupNorm:
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

// candidatesOf is the table from ops to candidates.
func candidatesOf(lim Limits, opt Options, n *graph.Node) ([]Candidate, error) {
	out := n.Output.Type.Shape
	switch op := n.Op.(type) {
	case graph.Conv2D:
		return convCandidates(lim, opt, n, op)
	case graph.Linear:
		return linearCandidates(lim, opt, n, op)
	case graph.BatchNorm:
		return inFormats(lim, n, batchNormKernels(lim, n, op), Dense, Packed4)
	case graph.GroupNorm:
		return inFormats(lim, n, groupNormKernels(lim, n, op), Dense, Packed4)
	case graph.Gate:
		return inFormats(lim, n, gateKernels(lim, n, op), Dense, Packed4)
	case graph.SplitAttention:
		return inFormats(lim, n, splitAttentionKernels(lim, n, op), Dense, Packed4)
	case graph.ReLU:
		return elementwise(lim, n, "relu_f32", 0)
	case graph.Add:
		return elementwise(lim, n, "add_f32", 0, 1)
	case graph.MaxPool:
		return poolCandidates(lim, n, "max_pool", op.Kernel, op.Stride, op.Padding, false, false)
	case graph.AvgPool:
		return poolCandidates(lim, n, "avg_pool", op.Kernel, op.Stride, op.Padding, op.CountIncludePad, false)
	case graph.GlobalAvgPool:
		return globalPoolCandidates(lim, n)
	case graph.ChannelPad, graph.ChannelSlice, graph.Concat:
		return inFormats(lim, n, channelKernels(lim, n), Dense, Packed4)
	case graph.SpatialPad:
		return inFormats(lim, n, spatialPadKernels(lim, n, op), Dense, Packed4)
	case graph.Subsample:
		return inFormats(lim, n, subsampleKernels(lim, n, op), Dense, Packed4)
	case graph.Softmax:
		rows, k := out.Elems()/out.Dim(-1), out.Dim(-1)
		groups, err := spread(lim, rows)
		return only(candidate(Dense, Dense, &kernel{
			variant: variant("softmax_f32"), push: []uint32{u32(rows), u32(k)}, groups: groups, args: []operand{0, result},
		})), err
	}
	return nil, backend.Unsupported("op", "one of "+fmt.Sprint(graph.OpNames()), n.Op.Name())
}

func only(c Candidate) []Candidate { return []Candidate{c} }

// flat is a kernel with one invocation for each of count elements or vectors. push comes after the count.
func flat(lim Limits, name string, count int, spec, push []uint32, args ...operand) (*kernel, error) {
	wg := workgroupSize(lim)
	groups, err := spread(lim, ceilDiv(count, int(wg)))
	return &kernel{
		variant: variant(name), spec: append([]uint32{wg}, spec...), push: append([]uint32{u32(count)}, push...), groups: groups, args: args,
	}, err
}

// elementwise lists an op that does the same to every element, whatever the format.
func elementwise(lim Limits, n *graph.Node, name string, inputs ...operand) ([]Candidate, error) {
	var list []Candidate
	for _, f := range []Format{Dense, Packed4} {
		if !f.holds(n.Output.Type) || f.sizeBytes(n.Output.Type) > lim.MaxStorageBufferRange {
			continue
		}
		k, err := flat(lim, name, f.elems(n.Output.Type), nil, nil, append(inputs[:len(inputs):len(inputs)], result)...)
		if err != nil {
			return nil, err
		}
		c := candidate(f, f, k)
		if f != Dense {
			c.Name += "/" + f.String() // the same kernel: candidates have names of their own
		}
		list = append(list, c.costs(lim, n, 1))
	}
	return list, nil
}

// costs sets the estimate of a candidate that is limited by memory, times a factor.
func (c Candidate) costs(lim Limits, n *graph.Node, factor float64) Candidate {
	bytes := c.Out.sizeBytes(n.Output.Type)
	for _, v := range n.Inputs {
		if v.Kind != graph.ParamValue {
			bytes += c.In.sizeBytes(v.Type)
		}
	}
	c.cost = factor * float64(bytes) / lim.bandwidth()
	return c
}

// poolCandidates lists the kernels of a pool over windows, of the dense and the packed format or, when half is set, of packed float16.
func poolCandidates(lim Limits, n *graph.Node, name string, window, stride [2]int, pad graph.Padding, include, half bool) ([]Candidate, error) {
	if err := checkWindow(n, pad); err != nil {
		return nil, err
	}
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	batch, ch, p, q := n.Output.Type.Shape.NCHW()
	spec := []uint32{
		u32(window[0]), u32(window[1]), u32(stride[0]), u32(stride[1]),
		u32(pad.Top), u32(pad.Left), u32(pad.Bottom), u32(pad.Right), flag(include),
	}
	push := []uint32{u32(h), u32(w), u32(p), u32(q)}
	var list []Candidate
	format, typ := Packed4, "f32"
	if half {
		format, typ = Packed4Half, "f16"
	} else {
		k, err := flat(lim, name+"_f32", batch*ch*p*q, spec, push, 0, result)
		if err != nil {
			return nil, err
		}
		list = append(list, candidate(Dense, Dense, k).costs(lim, n, 2))
	}
	for i, name := range []string{name + "_packed_", name + "_packed_ssbo_"} {
		if k, err := flat(lim, name+typ, batch*vectors(ch)*p*q, spec, push, 0, result); err == nil {
			list = append(list, candidate(format, format, k).costs(lim, n, 1+float64(i)/4))
		}
	}
	return list, nil
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

func globalPoolCandidates(lim Limits, n *graph.Node) ([]Candidate, error) {
	batch, c, h, w := n.Inputs[0].Type.Shape.NCHW()
	k, err := flat(lim, "global_avg_pool_f32", batch*c, nil, []uint32{u32(h * w)}, 0, result)
	if err != nil {
		return nil, err
	}
	list := only(candidate(Dense, Dense, k).costs(lim, n, 2))
	if k, err = flat(lim, "global_avg_pool_packed_f32", batch*vectors(c), nil, []uint32{u32(h * w), u32(c)}, 0, result); err == nil {
		list = append(list, candidate(Packed4, Dense, k).costs(lim, n, 1))
	}
	return list, nil
}

func linearCandidates(lim Limits, opt Options, n *graph.Node, op graph.Linear) ([]Candidate, error) {
	c, k := n.Inputs[1].Type.Shape.Dim(1), n.Inputs[1].Type.Shape.Dim(0)
	kern, err := flat(lim, "linear_f32", n.Output.Type.Shape.Elems(), nil, []uint32{u32(c), u32(k)}, 0, theWeight, result)
	if err != nil {
		return nil, err
	}
	kern.weights = packLinear(n, op)
	serial := candidate(Dense, Dense, kern)
	serial.Why = "rule: a driver on the CPU, where an invocation sums as fast as several"
	list := only(serial)
	rows := n.Output.Type.Shape.Elems() / k
	const shared = "linear_split_f32"
	if v := variant(shared); fits(lim, v) {
		split := candidate(Dense, Dense, &kernel{
			variant: v, push: []uint32{u32(rows), u32(c), u32(k)}, groups: [3]uint32{u32(ceilDiv(k, 8)), u32(ceilDiv(rows, 4)), 1},
			args: []operand{0, theWeight, result}, weights: packLinear(n, op),
		})
		split.Why = "rule: a GPU has many more invocations than there are results, so they share one"
		list = append(list, split)
	}
	if lim.kind() == gpu || slices.Contains(opt.Variants, shared) {
		slices.Reverse(list)
	}
	for i := range list { // a rough guess is enough: formats do not depend on it
		list[i].cost = float64(i+1) * float64(4*c*k) / lim.bandwidth()
	}
	return list, nil
}

// converters are the kernels between formats.
var converters = map[[2]Format]string{
	{Dense, Packed4}: "pack_f32", {Packed4, Dense}: "unpack_f32", {Dense, Packed4Half}: "pack_f16", {Packed4Half, Dense}: "unpack_f16",
	{Packed4, Packed4Half}: "narrow_f16", {Packed4Half, Packed4}: "widen_f16",
}

var converterNames = slices.Collect(maps.Values(converters))

// ChangesFormat reports whether a kernel brings a value to another format, and computes nothing.
func ChangesFormat(v *shaders.Variant) bool { return slices.Contains(converterNames, v.Name) }

// isConversion reports whether a kernel changes the type of packed vectors.
func isConversion(v *shaders.Variant) bool {
	return v.Name == converters[[2]Format{Packed4, Packed4Half}] || v.Name == converters[[2]Format{Packed4Half, Packed4}]
}

// convert is the kernel that brings a value from one format to another.
func convert(lim Limits, t graph.TensorType, from, to Format) (*kernel, error) {
	n, c, h, w := t.Shape.NCHW()
	return flat(lim, converters[[2]Format{from, to}], n*vectors(c)*h*w, nil, []uint32{u32(c), u32(h * w)}, 0, result)
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
