package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// ints are whole numbers that are known at import, a scalar or a tensor. Exporters compute shapes and paddings with them.
type ints struct {
	dims []int
	v    []int64
}

func scalar(v int64) ints   { return ints{nil, []int64{v}} }
func listOf(v []int64) ints { return ints{[]int{len(v)}, v} }

// maxInts bounds such a tensor: there is one number a dimension, two for paddings.
const maxInts = 1 << 10

// ints returns whole numbers that are known.
func (m *importer) ints(name, what string) (ints, error) {
	x, ok := m.values[name]
	switch {
	case ok && x.ints != nil:
		return *x.ints, nil
	case ok && x.constant != nil:
		name = x.constant.name
	case ok:
		return ints{}, fmt.Errorf("%s %s: want constant whole numbers, got what the network computes", what, quote(name))
	}
	info, found := m.n.file.Info(name)
	if !found || info.Shape.Elems() > maxInts {
		return ints{}, fmt.Errorf("%s %s: want at most %d constant whole numbers, got %v", what, quote(name), maxInts, info.Shape)
	}
	v, err := m.n.file.Int64s(name)
	return ints{info.Shape.Dims(), v}, err
}

// list returns whole numbers of one dimension.
func (m *importer) list(name, what string) ([]int64, error) {
	x, err := m.ints(name, what)
	if err == nil && len(x.dims) != 1 {
		err = fmt.Errorf("%s %s: want a list of whole numbers, got %v", what, quote(name), x.dims)
	}
	return x.v, err
}

func (m *importer) setInts(node *proto.Node, x ints) error {
	if len(x.v) > maxInts {
		return fmt.Errorf("want at most %d whole numbers, got %d", maxInts, len(x.v))
	}
	m.values[node.Outputs[0]] = value{ints: &x}
	return nil
}

// isInts reports whether a value is one of whole numbers.
func (m *importer) isInts(name string) bool {
	if x, ok := m.values[name]; ok {
		return x.ints != nil
	}
	info, ok := m.n.file.Info(name)
	return ok && (info.DType == "int64" || info.DType == "int32")
}

// flag returns a constant truth value.
func (m *importer) flag(name string) (set, known bool) {
	info, ok := m.n.file.Info(name)
	if !ok || info.DType != "bool" || info.Shape.Elems() != 1 {
		return false, false
	}
	set, err := m.n.file.Bool(name)
	return set, err == nil
}

// axes returns the axes of an operator, which are an attribute or, in later versions, an input, counted from the front.
func (m *importer) axes(node *proto.Node, in, rank int) (map[int]bool, error) {
	var list []int64
	if a := node.Attr("axes"); a != nil {
		list = a.Ints
	} else if name := input(node, in); name != "" {
		var err error
		if list, err = m.list(name, "axes"); err != nil {
			return nil, err
		}
	}
	axes := map[int]bool{}
	for _, a := range list {
		if a < 0 {
			a += int64(rank)
		}
		if a < 0 || a >= int64(rank) {
			return nil, fmt.Errorf("axes: want numbers below %d, got %d", rank, list)
		}
		axes[int(a)] = true
	}
	return axes, nil
}

// constantOp sets a constant of the node's own; a tensor is among those of the file.
func (m *importer) constantOp(node *proto.Node) error {
	if a := node.Attr("value_ints"); a != nil {
		return m.setInts(node, listOf(a.Ints))
	}
	if a := node.Attr("value_int"); a != nil {
		return m.setInts(node, scalar(a.Int))
	}
	if a := node.Attr("value_float"); a != nil {
		c, err := m.filled(node.Outputs[0], graph.Shape{}, a.Float)
		m.values[node.Outputs[0]] = value{constant: &c}
		return err
	}
	if m.isParam(node.Outputs[0]) {
		return nil
	}
	return errors.New("want a tensor or whole numbers as the value, got something else")
}

func (m *importer) constantOfShape(node *proto.Node) error {
	dims, err := m.list(input(node, 0), "shape")
	if err != nil {
		return err
	}
	list := make([]int, len(dims))
	for i, d := range dims {
		list[i] = small(d)
	}
	shape, err := graph.MakeShape(list)
	if err != nil {
		return err
	}
	t := &proto.Tensor{DType: proto.Float, Data: make([]byte, 4)} // what stands for a value that is left out
	if a := node.Attr("value"); a != nil && a.Tensor != nil {
		t = a.Tensor
	}
	switch {
	case t.DType == proto.Float && len(t.Data) == 4:
		c, err := m.filled(node.Outputs[0], shape, math.Float32frombits(binary.LittleEndian.Uint32(t.Data)))
		m.values[node.Outputs[0]] = value{constant: &c}
		return err
	case t.DType == proto.Int64 && len(t.Data) == 8 && shape.Elems() <= maxInts:
		v := slices.Repeat([]int64{int64(binary.LittleEndian.Uint64(t.Data))}, shape.Elems())
		return m.setInts(node, ints{shape.Dims(), v})
	}
	return fmt.Errorf("value: want one float32, or one int64 for a few, got %d bytes of %v for %v", len(t.Data), t.DType, shape)
}

// reshaped gives the input of a node the dimensions that are made of those that it has: another view of what is computed, or another
// constant.
func (m *importer) reshaped(node *proto.Node, make func(have []int) ([]int, error)) error {
	name := input(node, 0)
	if m.isConstant(name) {
		c, err := m.constant(name, "input")
		if err != nil {
			return err
		}
		dims, err := make(c.tensor.Type.Shape.Dims())
		if err != nil {
			return err
		}
		return m.reshapeConstant(node, c, dims)
	}
	x, err := m.viewed(name)
	if err != nil {
		return err
	}
	have := x.dims()
	dims, err := make(slices.Clone(have))
	if err != nil {
		return err
	}
	if slices.Equal(dims, have) {
		return m.alias(node, name)
	}
	m.see(node, x, dims, x.order())
	return nil
}

func (m *importer) flatten(node *proto.Node) error {
	return m.reshaped(node, func(have []int) ([]int, error) {
		axis := axisAttr(node, 1, len(have))
		if axis != 1 || len(have) < 2 {
			return nil, fmt.Errorf("attribute axis: want 1, got %d for %d", axis, have)
		}
		return []int{have[0], product(have[1:])}, nil
	})
}

// reshape keeps the batch and gives the rest of each picture other dimensions.
func (m *importer) reshape(node *proto.Node) error {
	var want []int64
	if a := node.Attr("shape"); a != nil { // before opset 5
		want = a.Ints
	} else {
		var err error
		if want, err = m.list(input(node, 1), "shape"); err != nil {
			return err
		}
	}
	name := input(node, 0)
	if m.isInts(name) {
		return m.reshapeInts(node, want)
	}
	return m.reshaped(node, func(have []int) ([]int, error) {
		if m.isConstant(name) {
			return resolve(want, product(have))
		}
		return m.regrouped(node, have, want)
	})
}

// squeeze takes away dimensions of one element.
func (m *importer) squeeze(node *proto.Node) error {
	if m.isInts(input(node, 0)) {
		return m.squeezeInts(node)
	}
	return m.reshaped(node, func(have []int) ([]int, error) {
		axes, err := m.axes(node, 1, len(have))
		if err != nil {
			return nil, err
		}
		return withoutOnes(have, axes)
	})
}

// unsqueeze adds dimensions of one element, or makes a list of a number.
func (m *importer) unsqueeze(node *proto.Node) error {
	if m.isInts(input(node, 0)) {
		return m.unsqueezeInts(node)
	}
	return m.reshaped(node, func(have []int) ([]int, error) {
		list, err := m.operand(node, "axes", 1)
		if err != nil {
			return nil, err
		}
		axes, err := m.axes(node, 1, len(have)+len(list))
		if err != nil {
			return nil, err
		}
		if len(axes) != len(list) || axes[0] && !m.isConstant(input(node, 0)) {
			return nil, fmt.Errorf("axes: want different ones behind the batch, got %d", list)
		}
		return withOnes(have, axes), nil
	})
}
