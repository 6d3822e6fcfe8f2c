package onnx

import (
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// conv1D is a convolution along one axis, of x [N,C,L] with weights [K,C/group,R]: here the elements are rows of one column, [N,C,L,1].
func (m *importer) conv1D(node *proto.Node, weight constant) error {
	name := input(node, 0)
	x, err := m.unshaped(name)
	if err != nil {
		return err
	}
	d := x.dims()
	if len(d) != 3 || x.order() != nil {
		return fmt.Errorf("input %s: want [N,C,L] for weights %v, got %d", quote(name), weight.tensor.Type.Shape, d)
	}
	if rows := graph.NewShape(d[0], d[1], d[2], 1); x.v.Type.Shape != rows {
		if x.v, err = m.step(nodeName(node)+".rows", graph.Reshape{To: [3]int{d[1], d[2], 1}}, x.v); err != nil {
			return err
		}
	}
	s := weight.tensor.Type.Shape
	shape, err := graph.MakeShape(append(s.Dims(), 1))
	if err == nil {
		weight, err = m.derive(weight, "as "+shape.String(), shape, weight.tensor.Bound(), weight.tensor.ReadFloat32s)
	}
	if err != nil {
		return err
	}
	attrs, err := withColumns(node)
	if err != nil {
		return err
	}
	k := s.Dim(0)
	own := bias{name: input(node, 2), factor: 1, shapes: [][]int{{k}}, added: [][]int{{k, 1}, {1, k, 1}, {}, {1}, {1, 1}, {1, 1, 1}}}
	if err := m.convolution(node, attrs, value{v: x.v}, weight, own); err != nil {
		return err
	}
	out := m.resultOf(node)
	y := m.values[out]
	y.by, y.view = node, &view{dims: y.v.Type.Shape.Dims()[:3]}
	m.values[out] = y
	return nil
}

// withColumns returns a convolution along one axis as one along two, of which the second changes nothing.
func withColumns(node *proto.Node) (*proto.Node, error) {
	n := *node
	n.Attrs = slices.Clone(node.Attrs)
	for i, a := range n.Attrs {
		if len(a.Ints) == 0 {
			continue
		}
		switch a.Name {
		case "kernel_shape", "strides", "dilations":
			if len(a.Ints) != 1 {
				return nil, fmt.Errorf("attribute %s: want 1 number, got %d", a.Name, a.Ints)
			}
			n.Attrs[i].Ints = []int64{a.Ints[0], 1}
		case "pads":
			if len(a.Ints) != 2 {
				return nil, fmt.Errorf("attribute pads: want 2 numbers, got %d", a.Ints)
			}
			n.Attrs[i].Ints = []int64{a.Ints[0], 0, a.Ints[1], 0}
		}
	}
	return &n, nil
}
