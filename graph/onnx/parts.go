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
	if x := m.values[input(node, 0)]; x.shares != nil {
		return m.splitShares(node, x)
	}
	x, err := m.picture(input(node, 0))
	if err != nil {
		return err
	}
	axis, err := m.channelAxis(node, x)
	if err != nil {
		return err
	}
	sizes, err := m.partSizes(node, x.dims()[axis])
	if err != nil {
		return err
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

// partSizes returns how many channels each result of a Split has.
func (m *importer) partSizes(node *proto.Node, channels int) ([]int64, error) {
	sizes, err := m.operand(node, "split", 1)
	if err != nil {
		return nil, err
	}
	if len(sizes) == 0 {
		sizes = evenParts(channels, len(node.Outputs))
	}
	sum := int64(0)
	for _, s := range sizes {
		if s < 1 || s > int64(channels) {
			return nil, fmt.Errorf("split: want parts of 1 to %d channels, got %d", channels, sizes)
		}
		sum += s
	}
	if sum != int64(channels) || len(sizes) != len(node.Outputs) {
		return nil, fmt.Errorf("split: want %d parts of %d channels in all, got %d", len(node.Outputs), channels, sizes)
	}
	return sizes, nil
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
	axis := axisAttr(node, 0, len(dims))
	if len(dims) < 4 || axis != want {
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
