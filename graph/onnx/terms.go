package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// The authors of split attention split the picture and the shares into branches, multiply each with its own and add the products.

// terms are products of a branch and its share, which their sum waits for.
type terms struct {
	shares value // of all branches
	list   []term
}

// term is x [N,C,H,W] times shares that stand in this order in their vector.
type term struct {
	x     *graph.Value
	order []int
}

// splitShares gives each result of a Split its part of a softmax [N,K,1,1].
func (m *importer) splitShares(node *proto.Node, x value) error {
	dims := x.dims()
	if axis := axisAttr(node, 0, len(dims)); len(dims) != 4 || dims[2] != 1 || dims[3] != 1 || axis != 1 {
		return fmt.Errorf("want axis 1 of a softmax [N,C,1,1], got axis %d of %d", axis, dims)
	}
	sizes, err := m.partSizes(node, dims[1])
	if err != nil {
		return err
	}
	at := 0
	for i, out := range node.Outputs {
		order := make([]int, sizes[i])
		for j := range order {
			order[j] = x.place(at + j)
		}
		at += len(order)
		part := x
		part.by, part.view = node, &view{dims: []int{dims[0], len(order), 1, 1}, order: order}
		m.values[out] = part
	}
	return nil
}

// place returns which element of a vector stands at a place of its view.
func (x value) place(i int) int {
	if order := x.order(); order != nil {
		return order[i]
	}
	return i
}

// weighOne waits for the Add that reads the product of a branch and its share.
func (m *importer) weighOne(node *proto.Node, name string, a value) error {
	x, err := m.picture(name)
	if err == nil {
		err = channelsFirst(x, name)
	}
	if err != nil {
		return err
	}
	s, d := x.v.Type.Shape, a.dims()
	if s.Rank() != 4 || !slices.Equal(d, []int{s.Dim(0), s.Dim(1), 1, 1}) {
		return fmt.Errorf("want a softmax [N,C,1,1] for a branch %v, got %d", s, d)
	}
	t := term{x: x.v}
	for i := range d[1] {
		t.order = append(t.order, a.place(i))
	}
	a.view = nil
	m.values[node.Outputs[0]] = value{v: x.v, by: node, terms: &terms{a, []term{t}}}
	return nil
}

// sumOfTerms adds what waits for its sum, and does it when that has a term for each branch.
func (m *importer) sumOfTerms(node *proto.Node) error {
	var all terms
	for i, name := range node.Inputs {
		t := m.values[name].terms
		if t == nil || i > 0 && (t.shares.v != all.shares.v || t.shares.shares != all.shares.shares) {
			return errors.New("want a sum of branches times their shares of one softmax, got another operand")
		}
		all.shares = t.shares
		all.list = append(slices.Clip(all.list), t.list...)
	}
	if len(all.list) < all.shares.shares.of {
		m.values[node.Outputs[0]] = value{v: all.list[0].x, by: node, terms: &all}
		return nil
	}
	slices.SortFunc(all.list, func(a, b term) int { return cmp.Compare(a.order[0], b.order[0]) })
	var order []int
	var in []*graph.Value
	for _, t := range all.list {
		if t.x.Type != all.list[0].x.Type {
			return fmt.Errorf("want branches of one shape, got %v and %v", all.list[0].x.Type, t.x.Type)
		}
		order, in = append(order, t.order...), append(in, t.x)
	}
	channels := len(all.list[0].order)
	a := all.shares
	a.view = &view{dims: []int{in[0].Type.Shape.Dim(0), len(order), 1, 1}, order: order}
	op, ok := a.attention(len(in), channels)
	if !ok {
		return errNoShares
	}
	scores, err := m.scoresOf(a, len(order))
	if err != nil {
		return err
	}
	x := whole(in)
	if x == nil {
		if x, err = m.step(nodeName(node)+".branches", graph.Concat{}, in...); err != nil {
			return err
		}
	}
	return m.set(node, op, x, scores)
}

// whole returns the value that these are all parts of, in order, nil when there is none.
func whole(parts []*graph.Value) *graph.Value {
	var x *graph.Value
	at := 0
	for _, p := range parts {
		if p.Node == nil {
			return nil
		}
		s, ok := p.Node.Op.(graph.ChannelSlice)
		if !ok || s.Begin != at || x != nil && p.Node.Inputs[0] != x {
			return nil
		}
		x, at = p.Node.Inputs[0], s.End
	}
	if x == nil || at != x.Type.Shape.Dim(1) {
		return nil
	}
	return x
}
