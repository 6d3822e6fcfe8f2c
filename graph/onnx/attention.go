package onnx

import (
	"errors"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// Networks with split attention and selective kernels see the channels of a picture as branches, [N,R,C,H,W]. What they do with those is
// a sum over them, and one that is weighed by a softmax over them, [N,R,C,1,1].

// maxBranches bounds R, far above the four of ResNeSt.
const maxBranches = 64

// shares is a softmax of a vector of each picture.
type shares struct {
	of  int   // the elements of a set, which add up to 1
	set []int // the set that each element of the vector is in
}

// weighted are branches times shares, before their sum.
type weighted struct {
	op     graph.SplitAttention
	scores *graph.Value
}

// branchesOf returns how many branches a value is seen as.
func branchesOf(x value) (int, error) {
	d := x.dims()
	s := x.v.Type.Shape
	if len(d) != 5 || x.order() != nil || s.Rank() != 4 || d[3] != s.Dim(2) || d[4] != s.Dim(3) {
		return 0, fmt.Errorf("want branches [N,R,C,H,W] of the channels of a picture, got %d of %v", d, s)
	}
	if d[1] > maxBranches {
		return 0, fmt.Errorf("want at most %d branches, got %d", maxBranches, d[1])
	}
	return d[1], nil
}

// softmax is over the last of two dimensions, where all versions of the operator mean the same, or over branches.
func (m *importer) softmax(node *proto.Node) error {
	name := input(node, 0)
	if x, err := m.computed(name); err == nil && x.view != nil && len(x.view.dims) > 2 {
		return m.softmaxOverBranches(node)
	}
	x, err := m.activation(name)
	if err != nil {
		return err
	}
	if axis := axisAttr(node, -1, x.Type.Shape.Rank()); x.Type.Shape.Rank() != 2 || axis != 1 {
		return fmt.Errorf("want two dimensions and axis 1, got %v and axis %d", x.Type.Shape, axis)
	}
	return m.set(node, graph.Softmax{}, x)
}

// errNoShares is about a softmax that branches are multiplied by.
var errNoShares = errors.New("want a softmax over the branches of each channel, got one over something else")

// softmaxOverBranches waits for the Mul that reads it.
func (m *importer) softmaxOverBranches(node *proto.Node) error {
	x, err := m.viewed(input(node, 0))
	if err == nil {
		err = x.refuse(input(node, 0))
	}
	if err == nil {
		x, err = m.finish(input(node, 0), x)
	}
	if err != nil {
		return err
	}
	dims := x.dims()
	otherwise := int64(1)
	if m.opset() >= 13 {
		otherwise = -1
	}
	axis := axisAttr(node, otherwise, len(dims))
	if axis < 1 || axis >= len(dims) || !isVector(x.v) {
		return fmt.Errorf("want an axis behind the first of a vector of each picture, got axis %d of %d", axis, dims)
	}
	stride := product(dims[axis+1:])
	if m.opset() < 13 && stride != 1 { // then it is over all dimensions from the axis on
		return fmt.Errorf("want the last axis before opset 13, got axis %d of %d", axis, dims)
	}
	s := &shares{of: dims[axis], set: make([]int, product(dims[1:]))}
	for i := range s.set {
		s.set[x.place(i)] = i - i/stride%s.of*stride
	}
	x.shares = s
	m.see(node, x, dims, x.order())
	return nil
}

// opset is the version of ONNX's own operators in the file.
func (m *importer) opset() int64 { return m.n.model.Opsets[""] }

// mul lets a picture through gates, one for each channel, or branches through the shares of a softmax, in either order. With a
// constant or of whole numbers it is arithmetic.
func (m *importer) mul(node *proto.Node) error {
	if len(node.Inputs) != 2 {
		return fmt.Errorf("inputs: want 2, got %d", len(node.Inputs))
	}
	switch {
	case m.isInts(node.Inputs[0]), m.bothConstant(node):
		return m.arithmetic(node)
	case m.isChannelwise(node):
		return m.channelwise(node)
	}
	x, s := node.Inputs[0], node.Inputs[1]
	if a := m.values[s]; !a.gate && a.shares == nil {
		x, s = s, x
	}
	switch a := m.values[s]; {
	case a.shares != nil:
		return m.weigh(node, x, a)
	case a.gate:
		return m.gate(node, x, a)
	}
	return errors.New("want a product with the result of a Sigmoid or a Softmax, with a constant for each channel, or of whole numbers that a shape is computed with")
}

// gate lets a picture through gates, which the file may have as [N,C,1,1] by a view of a vector.
func (m *importer) gate(node *proto.Node, name string, gate value) error {
	x, err := m.picture(name)
	if err == nil && gate.view == nil && x.channelsLast != gate.channelsLast {
		err = errors.New("inputs: want both with their channels in the same place")
	}
	if err != nil {
		return err
	}
	if gate.view == nil {
		return m.setIn(node, x.channelsLast, graph.Gate{}, x.v, gate.v)
	}
	dims, got := x.dims(), gate.dims()
	want := slices.Clone(dims)
	for i := range want { // all but the batch and the channels
		if channel := i == 1 && !x.channelsLast || i == 3 && x.channelsLast; i > 0 && !channel {
			want[i] = 1
		}
	}
	if !slices.Equal(gate.view.dims, want) || !slices.Equal(got, want) && !slices.Equal(got, dims) || gate.order() != nil || len(want) != 4 {
		return fmt.Errorf("want gates %d for %d, got %d", want, dims, got)
	}
	channels := x.v.Type.Shape.Dim(1)
	if s := gate.v.Type.Shape; s != graph.NewShape(dims[0], channels, 1, 1) {
		if gate.v, err = m.step(nodeName(gate.by)+".channels", graph.Reshape{To: [3]int{channels, 1, 1}}, gate.v); err != nil {
			return err
		}
	}
	return m.setIn(node, x.channelsLast, graph.Gate{}, x.v, gate.v)
}

// weigh waits for the ReduceSum that reads the product of branches and their shares.
func (m *importer) weigh(node *proto.Node, name string, a value) error {
	if len(a.dims()) == 4 {
		return m.weighOne(node, name, a)
	}
	x, err := m.unshaped(name)
	if err == nil {
		err = channelsFirst(x, name)
	}
	if err != nil {
		return err
	}
	radix, err := branchesOf(x)
	if err != nil {
		return fmt.Errorf("input %s: %w", quote(name), err)
	}
	d, s := x.dims(), a.dims()
	if len(s) != 5 || s[1] != d[1] || s[2] != d[2] || s[3] != 1 || s[4] != 1 {
		return fmt.Errorf("want a softmax over branches [%d,%d,%d,1,1], got %d", d[0], d[1], d[2], s)
	}
	op, ok := a.attention(radix, d[2])
	if !ok {
		return errNoShares
	}
	scores, err := m.scoresOf(a, radix*d[2])
	if err != nil {
		return err
	}
	x.by, x.weighted = node, &weighted{op, scores}
	m.values[node.Outputs[0]] = x
	return nil
}

// scoresOf returns what a softmax is of as [N,K,1,1].
func (m *importer) scoresOf(a value, k int) (*graph.Value, error) {
	if a.v.Type.Shape.Rank() == 4 {
		return a.v, nil
	}
	return m.step(nodeName(a.by)+".scores", graph.Reshape{To: [3]int{k, 1, 1}}, a.v)
}

// attention returns the operation that weighs radix branches of so many channels by the shares, if there is one.
func (x value) attention(radix, channels int) (graph.SplitAttention, bool) {
	at := func(r, c int) int { return x.place(r*channels + c) }
	op := graph.SplitAttention{Radix: radix, Groups: 1}
	if radix > 1 {
		size := at(1, 0) - at(0, 0) // the channels of a group
		if size < 1 || channels%size != 0 {
			return op, false
		}
		op.Groups = channels / size
	}
	if x.shares.of != radix {
		return op, false
	}
	for c := range channels {
		for r := range radix {
			if at(r, c) != op.Score(r, c, channels) || x.shares.set[at(r, c)] != x.shares.set[at(0, c)] {
				return op, false
			}
		}
	}
	return op, true
}

// reduceSum is over branches: the axes are an attribute, since opset 13 an input.
func (m *importer) reduceSum(node *proto.Node) error {
	name := input(node, 0)
	x, err := m.computed(name)
	if err == nil && x.weighted == nil {
		x, err = m.unshaped(name)
	}
	if err != nil {
		return err
	}
	dims := x.dims()
	axes, err := m.axes(node, 1, len(dims))
	if err != nil {
		return err
	}
	radix, err := branchesOf(x)
	if err == nil && (len(axes) != 1 || !axes[1]) {
		err = fmt.Errorf("want the sum over axis 1 of branches [N,R,C,H,W], got axes %v of %d", sorted(axes), dims)
	}
	if err == nil && intAttr(node, "keepdims", 1) != 0 {
		err = errors.New("attribute keepdims: want 0, got 1")
	}
	if err != nil {
		return err
	}
	if w := x.weighted; w != nil {
		return m.set(node, w.op, x.v, w.scores)
	}
	m.values[node.Outputs[0]] = value{v: x.v, by: node, branches: radix}
	return nil
}

// sumOfBranches adds the branches of a value, for the result of a node.
func (m *importer) sumOfBranches(node *proto.Node, x *graph.Value, radix int) (*graph.Value, error) {
	c := x.Type.Shape.Dim(1) / radix
	var total *graph.Value
	for r := range radix {
		part, err := m.step(fmt.Sprintf("%s.branch%d", nodeName(node), r), graph.ChannelSlice{Begin: r * c, End: (r + 1) * c}, x)
		switch {
		case err != nil:
		case total == nil:
			total = part
		case r == radix-1:
			total, err = m.add(node, graph.Add{}, total, part)
		default:
			total, err = m.step(fmt.Sprintf("%s.part%d", nodeName(node), r), graph.Add{}, total, part)
		}
		if err != nil {
			return nil, err
		}
	}
	return total, nil
}
