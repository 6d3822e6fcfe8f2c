package onnx

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// The operators that exporters compute shapes and paddings with, as far as they need them.

func sorted(axes map[int]bool) []int { return slices.Sorted(maps.Keys(axes)) }

func (m *importer) shape(node *proto.Node) error {
	dims, err := m.dimsOf(input(node, 0))
	if err != nil {
		return err
	}
	from, to := span(intAttr(node, "start", 0), intAttr(node, "end", math.MaxInt64), len(dims))
	list := []int64{}
	for _, d := range dims[from:to] {
		list = append(list, int64(d))
	}
	return m.setInts(node, listOf(list))
}

// dimsOf returns the dimensions of a value of any kind.
func (m *importer) dimsOf(name string) ([]int, error) {
	if m.isInts(name) {
		x, err := m.ints(name, "input")
		return x.dims, err
	}
	if m.isConstant(name) {
		c, err := m.constant(name, "input")
		if err != nil {
			return nil, err
		}
		return c.tensor.Type.Shape.Dims(), nil
	}
	x, err := m.computed(name)
	if err != nil {
		return nil, err
	}
	return x.dims(), nil
}

// span clamps a range to n elements, as numpy does for steps above 0; numbers below 0 count from the end.
func span(start, end int64, n int) (from, to int) {
	for _, b := range []*int64{&start, &end} {
		if *b < 0 {
			*b += int64(n)
		}
		*b = max(0, min(*b, int64(n)))
	}
	return int(start), int(max(start, end))
}

func (m *importer) gather(node *proto.Node) error {
	data, err := m.list(input(node, 0), "data")
	if err != nil {
		return err
	}
	index, err := m.ints(input(node, 1), "indices")
	if err != nil {
		return err
	}
	if err := wantInt(node, "axis", 0); err != nil {
		return err
	}
	out := ints{dims: index.dims}
	for _, i := range index.v {
		if i < 0 {
			i += int64(len(data))
		}
		if i < 0 || i >= int64(len(data)) {
			return fmt.Errorf("indices: want numbers below %d, got %d", len(data), index.v)
		}
		out.v = append(out.v, data[i])
	}
	return m.setInts(node, out)
}

func (m *importer) concatInts(node *proto.Node) error {
	out := []int64{}
	for _, name := range node.Inputs {
		x, err := m.list(name, "input")
		if err != nil {
			return err
		}
		if out = append(out, x...); len(out) > maxInts {
			return fmt.Errorf("want at most %d whole numbers in all, got more", maxInts)
		}
	}
	return m.setInts(node, listOf(out))
}

// unsqueezeInts makes a list of a scalar.
func (m *importer) unsqueezeInts(node *proto.Node) error {
	x, err := m.ints(input(node, 0), "input")
	if err != nil {
		return err
	}
	axes, err := m.axes(node, 1, len(x.dims)+1)
	if err != nil {
		return err
	}
	if len(x.dims) != 0 || len(axes) != 1 {
		return fmt.Errorf("want a whole number and axis 0, got %v and axes %v", x.dims, sorted(axes))
	}
	return m.setInts(node, listOf(x.v))
}

// squeezeInts makes a scalar of a list of one.
func (m *importer) squeezeInts(node *proto.Node) error {
	x, err := m.ints(input(node, 0), "input")
	if err == nil && len(x.v) != 1 {
		err = fmt.Errorf("want one whole number, got %d", x.v)
	}
	if err != nil {
		return err
	}
	return m.setInts(node, scalar(x.v[0]))
}

// resolve returns the dimensions of so many elements that are wanted of a constant, of which -1 stands for what is left.
func resolve(want []int64, elems int) ([]int, error) {
	dims, open, n := make([]int, len(want)), -1, 1
	for i, d := range want {
		if d == -1 && open < 0 {
			open = i
			continue
		}
		if d < 1 || d > graph.MaxElems/int64(n) {
			return nil, fmt.Errorf("shape: want numbers of at least 1 and one -1 at most, got %d", want)
		}
		dims[i] = int(d)
		n *= dims[i]
	}
	if open >= 0 {
		dims[open] = elems / n
		n *= dims[open]
	}
	if n != elems {
		return nil, fmt.Errorf("shape: want %d elements, got %d", elems, want)
	}
	return dims, nil
}

func (m *importer) reshapeInts(node *proto.Node, want []int64) error {
	x, err := m.ints(input(node, 0), "input")
	if err != nil {
		return err
	}
	dims, err := resolve(want, len(x.v))
	if err != nil {
		return err
	}
	return m.setInts(node, ints{dims, x.v})
}

// transposeInts exchanges the axes of a matrix.
func (m *importer) transposeInts(node *proto.Node) error {
	x, err := m.ints(input(node, 0), "input")
	if err != nil {
		return err
	}
	if a := node.Attr("perm"); len(x.dims) != 2 || a != nil && !slices.Equal(a.Ints, []int64{1, 0}) {
		return fmt.Errorf("want two dimensions and perm 1,0, got %v", x.dims)
	}
	rows, columns := x.dims[0], x.dims[1]
	out := ints{[]int{columns, rows}, make([]int64, len(x.v))}
	for i, v := range x.v {
		out.v[i%columns*rows+i/columns] = v
	}
	return m.setInts(node, out)
}

// sliceInts keeps some of the first dimension, forwards or backwards.
func (m *importer) sliceInts(node *proto.Node, starts, ends, axes, steps []int64) error {
	x, err := m.ints(input(node, 0), "data")
	if err != nil {
		return err
	}
	if len(x.dims) == 0 || len(axes) != 1 || axes[0] != 0 && axes[0] != -int64(len(x.dims)) || steps[0] != 1 && steps[0] != -1 {
		return errors.New("of whole numbers: want axis 0 and steps of 1 or -1, got others")
	}
	n := x.dims[0]
	row := len(x.v) / max(n, 1)
	var out []int64
	if steps[0] == 1 {
		from, to := span(starts[0], ends[0], n)
		out = slices.Clone(x.v[from*row : to*row])
	} else {
		from, to := starts[0], ends[0]
		if from < 0 {
			from += int64(n)
		}
		if to < 0 {
			to += int64(n)
		}
		for i := min(from, int64(n)-1); i > to && i >= 0; i-- {
			out = append(out, x.v[int(i)*row:int(i+1)*row]...)
		}
	}
	dims := slices.Clone(x.dims)
	dims[0] = len(out) / max(row, 1)
	return m.setInts(node, ints{dims, out})
}

// arithmetic is with whole numbers, of one shape or a scalar and others, or of a picture and a constant for each channel.
func (m *importer) arithmetic(node *proto.Node) error {
	switch {
	case m.isChannelwise(node):
		return m.channelwise(node)
	case m.bothConstant(node):
		return m.foldArithmetic(node)
	}
	if len(node.Inputs) != 2 || !m.isInts(node.Inputs[0]) || !m.isInts(node.Inputs[1]) {
		return errors.New("want a constant for each channel, or whole numbers that a shape is computed with, got what the network computes")
	}
	a, err := m.ints(node.Inputs[0], "input")
	if err != nil {
		return err
	}
	b, err := m.ints(node.Inputs[1], "input")
	if err != nil {
		return err
	}
	out := a
	if len(a.v) == 1 {
		out = b
	}
	if len(a.v) != 1 && len(b.v) != 1 && !slices.Equal(a.dims, b.dims) {
		return fmt.Errorf("want the same shapes, got %v and %v", a.dims, b.dims)
	}
	out.v = slices.Clone(out.v)
	for i := range out.v {
		x, y := a.v[i%len(a.v)], b.v[i%len(b.v)]
		switch {
		case node.Op == "Add":
			out.v[i] = x + y
		case node.Op == "Sub":
			out.v[i] = x - y
		case node.Op == "Mul":
			out.v[i] = x * y
		case y == 0:
			return errors.New("division by zero")
		default:
			out.v[i] = x / y
		}
	}
	return m.setInts(node, out)
}
