package onnx

import (
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// intAttr returns an attribute that is a number, and what it is when it is left out.
func intAttr(node *proto.Node, name string, otherwise int64) int64 {
	if a := node.Attr(name); a != nil {
		return a.Int
	}
	return otherwise
}

// axisAttr returns attribute axis, which counts from behind where it is negative. It may lie outside of the dimensions.
func axisAttr(node *proto.Node, otherwise int64, dimensions int) int {
	axis := intAttr(node, "axis", otherwise)
	if axis < 0 {
		axis += int64(dimensions)
	}
	return small(axis)
}

func floatAttr(node *proto.Node, name string, otherwise float32) float32 {
	if a := node.Attr(name); a != nil {
		return a.Float
	}
	return otherwise
}

// wantInt refuses a node whose attribute has another value than the one that is understood.
func wantInt(node *proto.Node, name string, want int64) error {
	if got := intAttr(node, name, want); got != want {
		return fmt.Errorf("attribute %s: want %d, got %d", name, want, got)
	}
	return nil
}

// small makes an int of a number that is an attribute; the IR refuses those that are too large.
func small(v int64) int { return int(max(min(v, math.MaxInt32), math.MinInt32)) }

// pair returns an attribute of two numbers, for rows and columns.
func pair(node *proto.Node, name string, otherwise [2]int) ([2]int, error) {
	a := node.Attr(name)
	if a == nil || len(a.Ints) == 0 {
		return otherwise, nil
	}
	if len(a.Ints) != 2 {
		return otherwise, fmt.Errorf("attribute %s: want 2 numbers, got %d", name, a.Ints)
	}
	return [2]int{small(a.Ints[0]), small(a.Ints[1])}, nil
}

// window is what Conv and the pools have in common.
type window struct {
	kernel, stride, dilation [2]int
	pad                      graph.Padding
}

// window reads the attributes of a convolution or a pool of x, whose own zeros come on top.
func (m *importer) window(node *proto.Node, x value, kernel [2]int) (w window, err error) {
	if w.kernel, err = pair(node, "kernel_shape", kernel); err != nil {
		return w, err
	}
	if w.stride, err = pair(node, "strides", [2]int{1, 1}); err != nil {
		return w, err
	}
	if w.dilation, err = pair(node, "dilations", [2]int{1, 1}); err != nil {
		return w, err
	}
	if x.v.Type.Shape.Rank() != 4 {
		return w, fmt.Errorf("input %s: want 4 dimensions, got %v", quote(input(node, 0)), x.v.Type.Shape)
	}
	for i := range 2 {
		if w.kernel[i] < 1 || w.stride[i] < 1 || w.dilation[i] < 1 {
			return w, fmt.Errorf("attributes: want a kernel, strides and dilations of at least 1, got %v, %v and %v", w.kernel, w.stride, w.dilation)
		}
	}
	if err = w.readPads(node, x); err != nil {
		return w, err
	}
	w.pad.Top += x.pad.Top
	w.pad.Left += x.pad.Left
	w.pad.Bottom += x.pad.Bottom
	w.pad.Right += x.pad.Right
	return w, nil
}

// readPads reads pads or auto_pad. SAME gives ceil(size/stride) windows, with the odd row or column of zeros at the end or,
// for SAME_LOWER, at the beginning.
func (w *window) readPads(node *proto.Node, x value) error {
	auto := ""
	if a := node.Attr("auto_pad"); a != nil {
		auto = a.String
	}
	switch auto {
	case "", "NOTSET":
		a := node.Attr("pads")
		if a == nil || len(a.Ints) == 0 {
			return nil
		}
		if len(a.Ints) != 4 {
			return fmt.Errorf("attribute pads: want 4 numbers, got %d", a.Ints)
		}
		w.pad = graph.Padding{Top: small(a.Ints[0]), Left: small(a.Ints[1]), Bottom: small(a.Ints[2]), Right: small(a.Ints[3])}
	case "VALID":
	case "SAME_UPPER", "SAME_LOWER":
		_, _, height, width := x.v.Type.Shape.NCHW()
		sizes := [2]int{height + x.pad.Top + x.pad.Bottom, width + x.pad.Left + x.pad.Right}
		var before, after [2]int
		for i, size := range sizes {
			steps := (size + w.stride[i] - 1) / w.stride[i]
			all := max(0, (steps-1)*w.stride[i]+w.dilation[i]*(w.kernel[i]-1)+1-size)
			before[i], after[i] = all/2, all-all/2
			if auto == "SAME_LOWER" {
				before[i], after[i] = after[i], before[i]
			}
		}
		w.pad = graph.Padding{Top: before[0], Left: before[1], Bottom: after[0], Right: after[1]}
	default:
		return fmt.Errorf("attribute auto_pad: want NOTSET, VALID, SAME_UPPER or SAME_LOWER, got %s", quote(auto))
	}
	return nil
}
