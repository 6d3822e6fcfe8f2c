package onnx

import (
	"errors"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// view is how the file sees a value that has other dimensions here. Exporters put channels into rows, and groups and branches of
// channels into dimensions of their own; nothing is moved for that until a node reads the value that has to have it so.
type view struct {
	dims   []int // with the batch
	order  []int // for a vector of each picture, the element of it that stands at each place; nil for one after the other
	spread []int // what Expand repeats it to, nil for nothing
}

// dims returns the dimensions that a value has in the file.
func (x value) dims() []int {
	switch {
	case x.view != nil && x.view.spread != nil:
		return x.view.spread
	case x.view != nil:
		return x.view.dims
	}
	dims := x.v.Type.Shape.Dims()
	if x.branches > 0 {
		dims[1] /= x.branches
	}
	if len(dims) == 4 {
		dims[2] += x.pad.Top + x.pad.Bottom
		dims[3] += x.pad.Left + x.pad.Right
	}
	if x.channelsLast {
		dims = []int{dims[0], dims[2], dims[3], dims[1]}
	}
	return dims
}

// order is the order of the elements of a value's view, nil for one after the other.
func (x value) order() []int {
	if x.view == nil {
		return nil
	}
	return x.view.order
}

// see makes x the result of a node, which sees it with these dimensions.
func (m *importer) see(node *proto.Node, x value, dims, order []int) {
	x.by, x.view = node, nil
	if order != nil || !slices.Equal(dims, x.dims()) {
		x.view = &view{dims: dims, order: order}
	}
	m.values[node.Outputs[0]] = x
}

// viewed returns a value for a node that sees it otherwise. A gate, a softmax and a group norm are what they are in any dimensions
// and may remain to be done.
func (m *importer) viewed(name string) (value, error) {
	x, err := m.computed(name)
	switch {
	case err != nil:
		return x, err
	case x.weighted != nil, x.terms != nil, x.view != nil && x.view.spread != nil:
		return x, x.refuse(name)
	case x.pad != graph.Padding{}:
		x, err = m.withZeros(name, x)
	case x.branches > 0:
		x, err = m.finish(name, x)
	}
	if err != nil || !x.channelsLast {
		return x, err
	}
	if _, _, height, width := x.v.Type.Shape.NCHW(); height != 1 || width != 1 { // one pixel alone has the same order
		return x, channelsFirst(x, name)
	}
	dims := x.dims()
	x.channelsLast, x.view = false, &view{dims: dims}
	return x, nil
}

// refuse says why a value cannot be read by any node.
func (x value) refuse(name string) error {
	switch {
	case x.gate:
		return fmt.Errorf("input %s: want the result of a Sigmoid before Mul only", quote(name))
	case x.shares != nil:
		return fmt.Errorf("input %s: want the result of a Softmax over branches before Mul only", quote(name))
	case x.terms != nil:
		return fmt.Errorf("input %s: want a branch times its share of a Softmax before Add only", quote(name))
	case x.weighted != nil:
		return fmt.Errorf("input %s: want branches times a Softmax over them before ReduceSum only", quote(name))
	}
	return nil
}

// finish adds what remains to be computed of a value, but for zeros and its view.
func (m *importer) finish(name string, x value) (value, error) {
	var err error
	switch {
	case x.branches > 0:
		x.v, err = m.sumOfBranches(x.by, x.v, x.branches)
		x.branches = 0
	case x.norm != nil:
		x.v, err = m.groupNorm(x)
		x.norm = nil
	default:
		return x, nil
	}
	if err == nil {
		m.values[name] = x
	}
	return x, err
}

// shaped gives a value the dimensions of its view, if those are ones that a layer can have.
func (m *importer) shaped(name string, x value) (value, error) {
	if x.view == nil {
		return x, nil
	}
	d := x.view.dims
	var op graph.Op
	switch {
	case x.view.order != nil:
		return x, fmt.Errorf("input %s: want its elements one after the other, got them transposed", quote(name))
	case len(d) == 2:
		op = graph.Flatten{}
	case len(d) == 4:
		op = graph.Reshape{To: [3]int{d[1], d[2], d[3]}}
	default:
		return x, fmt.Errorf("input %s: want [N,C,H,W] or [N,K], got %d", quote(name), d)
	}
	v, err := m.add(x.by, op, x.v)
	if err != nil {
		return x, err
	}
	x.v, x.view = v, nil
	m.values[name] = x
	return x, nil
}

// unshaped returns a value that may have a view, to which nothing else remains to be done.
func (m *importer) unshaped(name string) (value, error) {
	x, err := m.computed(name)
	if err == nil {
		err = x.refuse(name)
	}
	if err == nil && x.pad != (graph.Padding{}) {
		return m.withZeros(name, x)
	}
	if err == nil {
		x, err = m.finish(name, x)
	}
	return x, err
}

// regrouped returns the dimensions that a Reshape gives to a value. A batch size that the file has fixed, which tracers of PyTorch do
// to 1 even where the file leaves it open, becomes that of the graph.
func (m *importer) regrouped(node *proto.Node, have []int, want []int64) ([]int, error) {
	elems := product(have[1:])
	fail := fmt.Errorf("shape: want [N,...] with the %d elements of each of %d pictures, got %d of %d", elems, have[0], want, have)
	to := slices.Clone(want)
	for i, d := range to {
		if d == 0 && intAttr(node, "allowzero", 0) == 0 && i < len(have) {
			to[i] = int64(have[i])
		}
	}
	if len(to) == 0 || !m.isBatch(to[0], have[0]) || to[0] == -1 && slices.Contains(to[1:], -1) {
		return nil, fail
	}
	rest, err := resolve(to[1:], elems)
	if err != nil {
		return nil, fail
	}
	return append([]int{have[0]}, rest...), nil
}

// isBatch reports whether a number of a file means the batch size.
func (m *importer) isBatch(n int64, batch int) bool {
	return n == int64(batch) || n == -1 || n == 1 || n > 0 && n == m.n.input.Dims[0]
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// withoutOnes returns dimensions without some of one element.
func withoutOnes(dims []int, axes map[int]bool) ([]int, error) {
	var out []int
	for i, d := range dims {
		switch {
		case len(axes) == 0 && (i == 0 || d != 1), len(axes) > 0 && !axes[i]:
			out = append(out, d)
		case i == 0 || d != 1:
			return nil, fmt.Errorf("want axes of one element and not the batch, got axes %d of %d", sorted(axes), dims)
		}
	}
	return out, nil
}

// withOnes returns dimensions with some of one element more.
func withOnes(dims []int, axes map[int]bool) []int {
	out := make([]int, len(dims)+len(axes))
	at := 0
	for i := range out {
		if out[i] = 1; !axes[i] {
			out[i] = dims[at]
			at++
		}
	}
	return out
}

// maxOrder bounds the vectors whose elements can be transposed, far above the channels of a network.
const maxOrder = 1 << 16

// isVector reports whether each picture of a value is one pixel of not too many channels.
func isVector(v *graph.Value) bool {
	s := v.Type.Shape
	if s.Rank() == 4 && (s.Dim(2) != 1 || s.Dim(3) != 1) {
		return false
	}
	return s.Dim(1) <= maxOrder
}

// transposeView transposes what is no picture: dimensions of one element, which moves nothing, and those of a vector.
func (m *importer) transposeView(node *proto.Node, perm []int64) error {
	x, err := m.viewed(input(node, 0))
	if err != nil {
		return err
	}
	dims := x.dims()
	if !isPermutation(perm, len(dims)) || perm[0] != 0 {
		return fmt.Errorf("attribute perm: want a permutation of %d dimensions that leaves the first, got %d", len(dims), perm)
	}
	to, strides := permuted(dims, perm)
	if !isVector(x.v) {
		if !movesOnesOnly(dims, perm) {
			return fmt.Errorf("want a picture that is turned from [N,H,W,C] to [N,C,H,W] or back, a vector of each picture, or a constant, got perm %d of %d", perm, dims)
		}
		m.see(node, x, to, x.order())
		return nil
	}
	order := make([]int, 0, product(to[1:]))
	inOrder := true
	each(to[1:], strides[1:], 0, func(at int) {
		at = x.place(at)
		inOrder = inOrder && at == len(order)
		order = append(order, at)
	})
	if inOrder {
		order = nil
	}
	m.see(node, x, to, order)
	return nil
}

func isPermutation(perm []int64, n int) bool {
	if len(perm) != n {
		return false
	}
	seen := map[int64]bool{}
	for _, p := range perm {
		if p < 0 || p >= int64(n) || seen[p] {
			return false
		}
		seen[p] = true
	}
	return true
}

// movesOnesOnly reports whether a permutation keeps the order of the dimensions that have more than one element.
func movesOnesOnly(dims []int, perm []int64) bool {
	last := int64(-1)
	for _, p := range perm {
		if dims[p] == 1 {
			continue
		}
		if p < last {
			return false
		}
		last = p
	}
	return true
}

// permuted returns the dimensions of a transposed tensor and how far apart the elements along each were before.
func permuted(dims []int, perm []int64) (to, strides []int) {
	before := stridesOf(dims)
	for _, p := range perm {
		to, strides = append(to, dims[p]), append(strides, before[p])
	}
	return to, strides
}

// stridesOf returns how far apart the elements along each dimension are, row-major.
func stridesOf(dims []int) []int {
	strides := make([]int, len(dims))
	n := 1
	for i := len(dims) - 1; i >= 0; i-- {
		strides[i] = n
		n *= dims[i]
	}
	return strides
}

// each calls visit with the places of the elements of a tensor that begins at a place and has these strides, row-major.
func each(dims, strides []int, at int, visit func(at int)) {
	if len(dims) == 0 {
		visit(at)
		return
	}
	for range dims[0] {
		each(dims[1:], strides[1:], at, visit)
		at += strides[0]
	}
}

// expand repeats gates for each row and column: a Mul does that by itself.
func (m *importer) expand(node *proto.Node) error {
	name := input(node, 0)
	want, err := m.list(input(node, 1), "shape")
	if err != nil {
		return err
	}
	if m.isConstant(name) || m.isInts(name) {
		return errors.New("want what the network computes from the picture, got a constant")
	}
	x, err := m.viewed(name)
	if err != nil {
		return err
	}
	have := x.dims()
	to := slices.Clone(have)
	fail := fmt.Errorf("shape: want one that %d can be repeated to, got %d", have, want)
	for i := range want {
		at := len(have) - 1 - i // from the last, as in numpy
		d := want[len(want)-1-i]
		switch {
		case at < 0, at == 0 && !m.isBatch(d, have[0]), d < 1 || d > graph.MaxElems:
			return fail
		case at == 0 || d == 1 || d == int64(have[at]):
		case have[at] == 1:
			to[at] = int(d)
		default:
			return fail
		}
	}
	if slices.Equal(to, have) {
		return m.alias(node, name)
	}
	if !x.gate || x.order() != nil {
		return fmt.Errorf("want the result of a Sigmoid to repeat, got %d to repeat to %d", have, to)
	}
	x.by, x.view = node, &view{dims: have, spread: to}
	m.values[node.Outputs[0]] = x
	return nil
}
