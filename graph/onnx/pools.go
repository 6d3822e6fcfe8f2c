package onnx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

func (m *importer) maxPool(node *proto.Node) error {
	x, w, err := m.pool(node, func(x value) bool { return isPositive(x.v) })
	if err != nil {
		return err
	}
	return m.set(node, graph.MaxPool{Kernel: w.kernel, Stride: w.stride, Padding: w.pad, CeilMode: intAttr(node, "ceil_mode", 0) != 0}, x.v)
}

// isPositive reports whether a value has no number below 0: then zeros round it never win a maximum.
func isPositive(v *graph.Value) bool {
	if v.Node == nil {
		return false
	}
	switch v.Node.Op.(type) {
	case graph.ReLU:
		return true
	case graph.MaxPool, graph.AvgPool, graph.Subsample, graph.ChannelPad, graph.ChannelSlice, graph.SpatialPad:
		return isPositive(v.Node.Inputs[0])
	}
	return false
}

func (m *importer) avgPool(node *proto.Node) error {
	include := intAttr(node, "count_include_pad", 0) != 0
	x, w, err := m.pool(node, func(value) bool { return include || !padsItself(node) })
	if err != nil {
		return err
	}
	include = include || x.pad != graph.Padding{} // the zeros of a Pad count as any number
	return m.set(node, graph.AvgPool{Kernel: w.kernel, Stride: w.stride, Padding: w.pad, CeilMode: intAttr(node, "ceil_mode", 0) != 0, CountIncludePad: include}, x.v)
}

// padsItself reports whether a pool has a padding of its own.
func padsItself(node *proto.Node) bool {
	if a := node.Attr("auto_pad"); a != nil && strings.HasPrefix(a.String, "SAME") {
		return true
	}
	a := node.Attr("pads")
	return a != nil && slices.ContainsFunc(a.Ints, func(n int64) bool { return n != 0 })
}

// pool reads what a pool is of; takes says whether its own padding can be that of a Pad before it.
func (m *importer) pool(node *proto.Node, takes func(x value) bool) (value, window, error) {
	x, err := m.padded(input(node, 0))
	if err == nil {
		err = channelsFirst(x, input(node, 0))
	}
	if err == nil && x.pad != (graph.Padding{}) && !takes(x) {
		x, err = m.withZeros(input(node, 0), x)
	}
	if err != nil {
		return x, window{}, err
	}
	w, err := m.window(node, x, [2]int{})
	if err == nil && w.dilation != [2]int{1, 1} {
		err = fmt.Errorf("attribute dilations: want 1,1, got %v", w.dilation)
	}
	return x, w, err
}

func (m *importer) globalAvgPool(node *proto.Node) error {
	x, err := m.unadded(input(node, 0))
	if err == nil {
		err = channelsFirst(x, input(node, 0))
	}
	if err != nil {
		return err
	}
	v, err := m.mean(node, "", x)
	m.values[node.Outputs[0]] = value{v: v}
	return err
}

// unadded is [importer.picture] for a reader that a sum of branches may remain to be done for.
func (m *importer) unadded(name string) (value, error) {
	x, err := m.computed(name)
	if err == nil && x.branches > 0 {
		return x, nil
	}
	return m.picture(name)
}

// mean adds a mean over rows and columns; that of a sum of branches is the sum of their means, which are fewer numbers.
func (m *importer) mean(node *proto.Node, suffix string, x value) (*graph.Value, error) {
	switch {
	case x.branches > 0:
		v, err := m.step(nodeName(node)+".mean", graph.GlobalAvgPool{}, x.v)
		if err != nil {
			return nil, err
		}
		return m.sumOfBranches(node, v, x.branches)
	case suffix != "":
		return m.step(nodeName(node)+suffix, graph.GlobalAvgPool{}, x.v)
	}
	return m.add(node, graph.GlobalAvgPool{}, x.v)
}

// reduceMean is a mean over rows and columns: the axes are an attribute, since opset 18 an input.
func (m *importer) reduceMean(node *proto.Node) error {
	if m.isConstant(input(node, 0)) && !m.isInts(input(node, 0)) {
		return m.foldMean(node)
	}
	x, err := m.unadded(input(node, 0))
	if err != nil {
		return err
	}
	s := x.v.Type.Shape
	axes, err := m.axes(node, 1, s.Rank())
	if err != nil {
		return err
	}
	rows := 2
	if x.channelsLast {
		rows = 1
	}
	if s.Rank() != 4 || len(axes) != 2 || !axes[rows] || !axes[rows+1] {
		return fmt.Errorf("want the mean over axes 2 and 3 of [N,C,H,W], or 1 and 2 of [N,H,W,C], got axes %v of %d", sorted(axes), x.dims())
	}
	keeps := intAttr(node, "keepdims", 1) != 0
	suffix := ".mean"
	if keeps {
		suffix = ""
	}
	v, err := m.mean(node, suffix, x)
	if err != nil {
		return err
	}
	if keeps {
		m.values[node.Outputs[0]] = value{v: v, channelsLast: x.channelsLast}
		return nil
	}
	m.see(node, value{v: v}, v.Type.Shape.Dims()[:2], nil)
	return nil
}
