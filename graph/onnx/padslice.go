package onnx

import (
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// operand returns numbers that are an attribute in early versions of an operator and an input in later ones; nil when
// they are left out.
func (m *importer) operand(node *proto.Node, attr string, in int) ([]int64, error) {
	if a := node.Attr(attr); a != nil {
		return a.Ints, nil
	}
	name := input(node, in)
	if name == "" {
		return nil, nil
	}
	return m.list(name, attr)
}

// withZeros adds the zeros round a picture for readers that have no padding of their own, or none that does the same.
func (m *importer) withZeros(name string, x value) (value, error) {
	var err error
	if x.v, err = m.step(name+".padded", graph.SpatialPad{Padding: x.pad}, x.v); err != nil {
		return x, err
	}
	x.pad = graph.Padding{}
	m.values[name] = x
	return x, nil
}

// padOp adds zeros: to the channels at once, to rows and columns when something reads the result, since a convolution or a pool
// can do it by itself; or it mirrors the picture.
func (m *importer) padOp(node *proto.Node) error {
	x, err := m.padded(input(node, 0))
	if err != nil {
		return err
	}
	pads, err := m.pads(node, x)
	if err != nil {
		return err
	}
	rows := graph.Padding{Top: pads[2][0], Left: pads[3][0], Bottom: pads[2][1], Right: pads[3][1]}
	mode := ""
	if a := node.Attr("mode"); a != nil {
		mode = a.String
	}
	switch {
	case mode == "reflect" && pads[1] != [2]int{}:
		return fmt.Errorf("pads: want none of the channels to reflect, got %v", pads[1])
	case mode == "reflect" && rows == graph.Padding{}:
		return m.alias(node, node.Inputs[0])
	case mode == "reflect":
		if x, err = m.picture(node.Inputs[0]); err != nil {
			return err
		}
		return m.setIn(node, x.channelsLast, graph.SpatialPad{Padding: rows, Reflect: true}, x.v)
	case mode != "" && mode != "constant":
		return fmt.Errorf("attribute mode: want constant or reflect, got %s", quote(mode))
	}
	if err := m.wantZero(node); err != nil {
		return err
	}
	if c := pads[1]; c != [2]int{} {
		if x.v, err = m.add(node, graph.ChannelPad{Before: c[0], After: c[1]}, x.v); err != nil {
			return err
		}
	}
	x.pad.Top += rows.Top
	x.pad.Bottom += rows.Bottom
	x.pad.Left += rows.Left
	x.pad.Right += rows.Right
	m.values[node.Outputs[0]] = x
	return nil
}

// wantZero checks that what is padded with is zero.
func (m *importer) wantZero(node *proto.Node) error {
	v := floatAttr(node, "value", 0)
	if name := input(node, 2); name != "" {
		c, err := m.constant(name, "constant_value")
		if err != nil {
			return err
		}
		if c.tensor.Type.Shape.Elems() != 1 {
			return fmt.Errorf("constant_value: want one number, got %v", c.tensor.Type.Shape)
		}
		var one [1]float32
		if err := c.tensor.ReadFloat32s(one[:]); err != nil {
			return err
		}
		v = one[0]
	}
	if v != 0 {
		return fmt.Errorf("constant_value: want 0, got %v", v)
	}
	return nil
}

// pads returns what is added before and after along each dimension of x [N,C,H,W].
func (m *importer) pads(node *proto.Node, x value) (pads [4][2]int, err error) {
	rank := x.v.Type.Shape.Rank()
	attr := "pads"
	if node.Attr("paddings") != nil { // opset 1
		attr = "paddings"
	}
	list, err := m.operand(node, attr, 1)
	if err != nil {
		return pads, err
	}
	axes := []int64{0, 1, 2, 3}
	if given, err := m.operand(node, "axes", 3); err != nil {
		return pads, err
	} else if given != nil {
		axes = given
	}
	if rank != 4 || len(list) != 2*len(axes) {
		return pads, fmt.Errorf("pads: want two numbers for each of the axes %d of four dimensions, got %d of %d dimensions", axes, list, rank)
	}
	for i, axis := range axes {
		if axis < 0 {
			axis += 4
		}
		if axis < 0 || axis > 3 {
			return pads, fmt.Errorf("axes: want numbers below 4, got %d", axes)
		}
		before, after := list[i], list[i+len(axes)]
		if before < 0 || after < 0 || max(before, after) > math.MaxInt32 {
			return pads, fmt.Errorf("pads: want numbers of at least 0, got %d", list)
		}
		pads[axis] = [2]int{int(before), int(after)}
	}
	if x.channelsLast {
		pads = [4][2]int{pads[0], pads[3], pads[1], pads[2]}
	}
	if pads[0] != [2]int{} {
		err = fmt.Errorf("pads: want none of the batch, got %v", pads[0])
	}
	return pads, err
}

// slice keeps every n-th row and column of a picture, or some of a list of numbers.
func (m *importer) slice(node *proto.Node) error {
	var given [4][]int64
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		var err error
		if given[i], err = m.operand(node, name, i+1); err != nil {
			return err
		}
	}
	starts, ends, axes, steps := given[0], given[1], given[2], given[3]
	for i := range starts {
		if len(axes) == i && given[2] == nil {
			axes = append(axes, int64(i))
		}
		if len(steps) == i && given[3] == nil {
			steps = append(steps, 1)
		}
	}
	if n := len(starts); n == 0 || len(ends) != n || len(axes) != n || len(steps) != n {
		return fmt.Errorf("want as many starts as ends, axes and steps, got %d, %d, %d and %d", len(starts), len(ends), len(axes), len(steps))
	}
	if name := input(node, 0); m.isInts(name) {
		return m.sliceInts(node, starts, ends, axes, steps)
	}
	x, err := m.activation(input(node, 0))
	if err != nil {
		return err
	}
	return m.slicePicture(node, x, starts, ends, axes, steps)
}

// slicePicture keeps neighbouring channels, and every n-th row and column.
func (m *importer) slicePicture(node *proto.Node, x *graph.Value, starts, ends, axes, steps []int64) error {
	s := x.Type.Shape
	stride := [4]int{1, 1, 1, 1}
	channels := graph.ChannelSlice{}
	for i, axis := range axes {
		if axis < 0 {
			axis += int64(s.Rank())
		}
		if s.Rank() != 4 || axis < 0 || axis > 3 {
			return fmt.Errorf("axes: want axes of four dimensions, got %d of %v", axes, s)
		}
		n := s.Dim(int(axis))
		if steps[i] < 1 || steps[i] > math.MaxInt32 {
			return fmt.Errorf("steps: want numbers of at least 1, got %d", steps)
		}
		from, to := span(starts[i], ends[i], n)
		step := int(steps[i])
		if axis == 1 && step == 1 && from < to {
			channels = graph.ChannelSlice{Begin: from, End: to}
			continue
		}
		if from != 0 || (to+step-1)/step != (n+step-1)/step || axis < 2 && step != 1 {
			return fmt.Errorf("want neighbouring channels, and every n-th row or column from the first to the last, got %d to %d in steps of %d of axis %d of %v", starts[i], ends[i], steps[i], axis, s)
		}
		stride[axis] = step
	}
	some, strided := channels.End != 0 && channels.End-channels.Begin != s.Dim(1), stride != [4]int{1, 1, 1, 1}
	subsample := graph.Subsample{Stride: [2]int{stride[2], stride[3]}}
	switch {
	case some && strided:
		part, err := m.step(nodeName(node)+".channels", channels, x)
		if err != nil {
			return err
		}
		return m.set(node, subsample, part)
	case some:
		return m.set(node, channels, x)
	case strided:
		return m.set(node, subsample, x)
	}
	return m.alias(node, node.Inputs[0])
}
