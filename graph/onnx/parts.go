package onnx

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// Split, Concat and Slice of the channels of a picture.

// split gives each result its channels: so many as an attribute or, since opset 13, an input says, or all alike.
func (m *importer) split(node *proto.Node) error {
	x, err := m.picture(input(node, 0))
	if err != nil {
		return err
	}
	dims := x.dims()
	axis, err := m.channelAxis(node, x)
	if err != nil {
		return err
	}
	sizes, err := m.operand(node, "split", 1)
	if err != nil {
		return err
	}
	if len(sizes) == 0 {
		sizes = evenParts(dims[axis], len(node.Outputs))
	}
	sum := int64(0)
	for _, s := range sizes {
		if s < 1 || s > int64(dims[axis]) {
			return fmt.Errorf("split: want parts of 1 to %d channels, got %d", dims[axis], sizes)
		}
		sum += s
	}
	if sum != int64(dims[axis]) || len(sizes) != len(node.Outputs) {
		return fmt.Errorf("split: want %d parts of %d channels in all, got %d", len(node.Outputs), dims[axis], sizes)
	}
	at := 0
	for i, out := range node.Outputs {
		end := at + int(sizes[i])
		if m.reads(out) {
			v, err := m.step(out, graph.ChannelSlice{Begin: at, End: end}, x.v)
			if err != nil {
				return err
			}
			m.values[out] = value{v: v, channelsLast: x.channelsLast}
		}
		at = end
	}
	return nil
}

// evenParts returns n parts of one size but for the last, which may be smaller.
func evenParts(channels, n int) []int64 {
	size := (channels + n - 1) / n
	var parts []int64
	for range n {
		parts = append(parts, int64(min(size, channels)))
		channels -= min(size, channels)
	}
	return parts
}

// channelAxis returns the axis of a node, which must be that of the channels.
func (m *importer) channelAxis(node *proto.Node, x value) (int, error) {
	dims, want := x.dims(), 1
	if x.channelsLast {
		want = 3
	}
	axis := intAttr(node, "axis", 0)
	if axis < 0 {
		axis += int64(len(dims))
	}
	if len(dims) < 4 || axis != int64(want) {
		return 0, fmt.Errorf("attribute axis: want the channels of [N,C,H,W] or [N,H,W,C], got %d of %d", axis, dims)
	}
	return want, nil
}

// concat puts whole numbers, channels, or branches seen as [N,R,C,H,W] one after the other.
func (m *importer) concat(node *proto.Node) error {
	if len(node.Inputs) == 0 {
		return errors.New("inputs: want at least one, got none")
	}
	if m.isInts(node.Inputs[0]) {
		return m.concatInts(node)
	}
	var dims []int
	var in []*graph.Value
	var first value
	for i, name := range node.Inputs {
		x, err := m.unshaped(name)
		if err != nil {
			return err
		}
		axis, err := m.channelAxis(node, x)
		if err != nil {
			return err
		}
		d := x.dims()
		if i == 0 {
			first, dims = x, d
		} else if err := joinable(first, x, dims, d, axis); err != nil {
			return fmt.Errorf("input %s: %w", quote(name), err)
		} else {
			dims[axis] += d[axis]
		}
		in = append(in, x.v)
	}
	v, err := m.add(node, graph.Concat{}, in...)
	if err != nil {
		return err
	}
	m.see(node, value{v: v, channelsLast: first.channelsLast}, dims, nil)
	return nil
}

// joinable refuses a value that differs from the first one of a Concat in more than what is joined. Views of pictures of one
// extent are joined as those are, along the channels.
func joinable(first, x value, dims, d []int, axis int) error {
	switch {
	case first.order() != nil || x.order() != nil || first.channelsLast != x.channelsLast:
		return errors.New("want all with their channels in the same place")
	case len(d) != len(dims):
		return fmt.Errorf("want %d dimensions as the first, got %d", len(dims), d)
	}
	for i := range d {
		if i != axis && d[i] != dims[i] {
			return fmt.Errorf("want %d as the first but for axis %d, got %d", dims, axis, d)
		}
	}
	return nil
}
