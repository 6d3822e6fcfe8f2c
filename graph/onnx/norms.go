package onnx

import (
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// norm is a group norm that waits for its parameters. Before the operator GroupNormalization exporters write one as an
// InstanceNormalization of the groups, seen as channels of one row, with Mul and Add of a constant for each channel behind it.
type norm struct {
	op           graph.GroupNorm
	weight, bias *constant // for each channel, nil as long as there is none
}

// instanceNorm normalises each channel of a picture, or each group of them where the picture is seen as [N,groups,...].
func (m *importer) instanceNorm(node *proto.Node) error {
	name := input(node, 0)
	x, err := m.unshaped(name)
	if err == nil {
		err = channelsFirst(x, name)
	}
	if err != nil {
		return err
	}
	s, dims := x.v.Type.Shape, x.dims()
	if s.Rank() != 4 || len(dims) < 3 || x.order() != nil || dims[1] < 1 || s.Dim(1)%dims[1] != 0 {
		return fmt.Errorf("input %s: want [N,C,...], or [N,groups,...] of the channels of a picture, got %d of %v", quote(name), dims, s)
	}
	if x.norm, err = m.normOf(node, s.Dim(1), dims[1], dims[1]); err != nil {
		return err
	}
	m.see(node, x, dims, nil)
	return nil
}

// groupNormalization has parameters for each group until opset 20, for each channel since opset 21.
func (m *importer) groupNormalization(node *proto.Node) error {
	x, err := m.activation(input(node, 0))
	if err != nil {
		return err
	}
	s, groups := x.Type.Shape, small(intAttr(node, "num_groups", 0))
	if s.Rank() != 4 || groups < 1 || s.Dim(1)%groups != 0 {
		return fmt.Errorf("want [N,C,H,W] and num_groups that C is a multiple of, got %v and %d", s, groups)
	}
	params := groups
	if m.opset() >= 21 {
		params = s.Dim(1)
	}
	n, err := m.normOf(node, s.Dim(1), groups, params)
	if err != nil {
		return err
	}
	v, err := m.groupNorm(value{v: x, by: node, norm: n})
	m.values[node.Outputs[0]] = value{v: v}
	return err
}

// normOf reads the rest of a norm: an epsilon, and so many numbers to multiply with and to add.
func (m *importer) normOf(node *proto.Node, channels, groups, params int) (*norm, error) {
	n := &norm{op: graph.GroupNorm{Groups: groups, Epsilon: float64(floatAttr(node, "epsilon", 1e-5))}}
	for i, p := range []struct {
		what    string
		neutral float32
		c       **constant
	}{{"scale", 1, &n.weight}, {"bias", 0, &n.bias}} {
		c, err := m.constant(input(node, i+1), p.what)
		if err != nil {
			return nil, err
		}
		if want := graph.NewShape(params); c.tensor.Type.Shape != want {
			return nil, fmt.Errorf("%s %s: want %v, got %v", p.what, quote(c.name), want, c.tensor.Type.Shape)
		}
		all := make([]float32, params)
		if err := c.tensor.ReadFloat32s(all); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(v float32) bool { return v != p.neutral }) {
			continue
		}
		if c, err = m.forEachChannel(c, channels); err != nil {
			return nil, err
		}
		*p.c = &c
	}
	return n, nil
}

// forEachChannel repeats each number of a vector for the channels of its group.
func (m *importer) forEachChannel(c constant, channels int) (constant, error) {
	groups := c.tensor.Type.Shape.Elems()
	if groups == channels {
		return c, nil
	}
	return m.derive(c, fmt.Sprintf("for each of %d channels", channels), graph.NewShape(channels), c.tensor.Bound(), func(dst []float32) error {
		src := make([]float32, groups)
		err := c.tensor.ReadFloat32s(src)
		for i := range dst {
			dst[i] = src[i/(channels/groups)]
		}
		return err
	})
}

// goOn lets a norm without a parameter take it from a Mul or an Add, and reports whether it did.
func (n *norm) goOn(op string, c constant) (*norm, bool) {
	next := *n
	switch {
	case op == "Mul" && n.weight == nil && n.bias == nil:
		next.weight = &c
	case op == "Add" && n.bias == nil:
		next.bias = &c
	default:
		return n, false
	}
	return &next, true
}

// groupNorm adds the norm of a value that waits for one.
func (m *importer) groupNorm(x value) (*graph.Value, error) {
	channels := x.v.Type.Shape.Dim(1)
	in := []*graph.Value{x.v}
	for _, p := range []struct {
		what    string
		neutral float32
		c       *constant
	}{{"scale", 1, x.norm.weight}, {"bias", 0, x.norm.bias}} {
		c := m.same(channels, p.neutral)
		if p.c != nil {
			c = *p.c
		}
		v, err := m.param(c, p.what, channels)
		if err != nil {
			return nil, err
		}
		in = append(in, v)
	}
	if x.view != nil {
		return m.step(nodeName(x.by)+".norm", x.norm.op, in...)
	}
	return m.add(x.by, x.norm.op, in...)
}
