package onnx

import (
	"errors"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// Arithmetic with a constant for each channel, such as a normalisation of the picture or a batch norm in its parts, is a
// [graph.BatchNorm]: y = x·weight + bias with a mean of 0 and a variance of 1, beside which no float64 sees the epsilon.
const noEpsilon = 1e-30

// isChannelwise reports whether one operand of a node is computed and the other one constant.
func (m *importer) isChannelwise(node *proto.Node) bool {
	if len(node.Inputs) != 2 {
		return false
	}
	a, b := m.isConstant(node.Inputs[0]), m.isConstant(node.Inputs[1])
	return a != b && !m.isInts(node.Inputs[0]) && !m.isInts(node.Inputs[1])
}

// channelwise adds x + c, x - c, c - x, x·c or x/c.
func (m *importer) channelwise(node *proto.Node) error {
	first := m.isConstant(node.Inputs[0])
	name, from := node.Inputs[0], node.Inputs[1]
	if first {
		name, from = from, name
	}
	x, err := m.computed(name)
	if n := x.norm; err == nil && (n == nil || x.view != nil || x.gate) {
		x, err = m.picture(name)
	}
	if err != nil {
		return err
	}
	if x.v.Type.Shape.Rank() != 4 {
		return fmt.Errorf("input %s: want 4 dimensions for arithmetic with a constant, got %v", quote(name), x.v.Type.Shape)
	}
	channels := x.v.Type.Shape.Dim(1)
	shapes := perChannel(channels)
	if x.channelsLast {
		shapes = [][]int{{channels}, {1, channels}, {1, 1, channels}, {1, 1, 1, channels}, {}, {1}, {1, 1, 1}, {1, 1, 1, 1}}
	}
	c, err := m.constant(from, "constant")
	if err == nil {
		c, err = m.vector(c, channels, shapes)
	}
	if err != nil {
		return err
	}
	if x.norm != nil {
		if n, ok := x.norm.goOn(node.Op, c); ok {
			x.norm, x.by = n, node
			m.values[node.Outputs[0]] = x
			return nil
		}
		if x, err = m.finish(name, x); err != nil {
			return err
		}
	}
	weight, bias := m.same(channels, 1), m.same(channels, 0)
	switch {
	case node.Op == "Mul":
		weight = c
	case node.Op == "Add":
		bias = c
	case node.Op == "Sub" && first:
		weight, bias = m.same(channels, -1), c
	case node.Op == "Sub":
		bias, err = m.scaled(c, -1)
	case first:
		err = errors.New("want a division by a constant, got one of a constant")
	default:
		weight, err = m.reciprocal(c)
	}
	if err != nil {
		return err
	}
	in := []*graph.Value{x.v}
	for _, p := range []constant{weight, bias, m.same(channels, 0), m.same(channels, 1)} {
		v, err := m.param(p, "constant", channels)
		if err != nil {
			return err
		}
		in = append(in, v)
	}
	return m.setIn(node, x.channelsLast, graph.BatchNorm{Epsilon: noEpsilon}, in...)
}

// same is a vector whose elements are all v.
func (m *importer) same(n int, v float32) constant {
	c, err := m.repeat(fmt.Sprintf("%v.for.%d", v, n), "repeated", graph.NewShape(n), v)
	if err != nil {
		panic("onnx: bug: " + err.Error()) // only what is read from a file can fail
	}
	return c
}

// reciprocal makes 1/c, rounded to float32.
func (m *importer) reciprocal(c constant) (constant, error) {
	read := func(dst []float32) error {
		err := c.tensor.ReadFloat32s(dst)
		for i, v := range dst {
			dst[i] = float32(1 / float64(v))
		}
		return err
	}
	all := make([]float32, c.tensor.Type.Shape.Elems())
	if err := read(all); err != nil {
		return c, err
	}
	bound := 0.0
	for i, v := range all {
		if bound = max(bound, math.Abs(float64(v))); math.IsInf(bound, 1) {
			return c, fmt.Errorf("constant %s: want numbers whose reciprocal is finite, element %d has another", quote(c.name), i)
		}
	}
	return m.derive(c, "reciprocal", c.tensor.Type.Shape, bound, read)
}
