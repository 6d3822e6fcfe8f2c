package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// add adds an operator with one result of that name, or of one near it when it is taken, and returns the name.
func (e *exporter) add(op, name string, in []string, attrs ...proto.Attr) string {
	if name != e.node.Name {
		name = e.name(name)
	}
	e.m.Graph.Nodes = append(e.m.Graph.Nodes, proto.Node{Name: name, Op: op, Inputs: in, Outputs: []string{name}, Attrs: attrs})
	return name
}

// step adds an operator of a node that takes several, which has the node's name with an ending.
func (e *exporter) step(op, ending string, in []string, attrs ...proto.Attr) string {
	return e.add(op, e.node.Name+"."+ending, in, attrs...)
}

// last adds the operator whose result is the node's.
func (e *exporter) last(op string, in []string, attrs ...proto.Attr) {
	e.add(op, e.node.Name, in, attrs...)
}

// epilogue adds an operator and what is added to its result and applied to that; shortcut is empty for nothing.
func (e *exporter) epilogue(op, ending string, in []string, shortcut string, act graph.Activation, attrs ...proto.Attr) {
	if shortcut == "" && act == graph.NoActivation {
		e.last(op, in, attrs...)
		return
	}
	y := e.step(op, ending, in, attrs...)
	switch {
	case act == graph.NoActivation:
		e.last("Add", []string{y, shortcut})
		return
	case shortcut != "":
		y = e.step("Add", "add", []string{y, shortcut})
	}
	e.last("Relu", []string{y})
}

func intOf(name string, v int) proto.Attr {
	return proto.Attr{Name: name, Type: proto.AttrInt, Int: int64(v)}
}

func intsOf(name string, v ...int) proto.Attr {
	return proto.Attr{Name: name, Type: proto.AttrInts, Ints: int64s(v...)}
}

func padsOf(p graph.Padding) proto.Attr { return intsOf("pads", p.Top, p.Left, p.Bottom, p.Right) }

// epsilonOf is an epsilon in float32, which is what the format has.
func epsilonOf(v float64) (proto.Attr, error) {
	f := float32(v)
	if f == 0 || math.IsInf(float64(f), 0) {
		return proto.Attr{}, fmt.Errorf("epsilon: want a number that is finite and above 0 in float32, got %v", v)
	}
	return proto.Attr{Name: "epsilon", Type: proto.AttrFloat, Float: f}, nil
}

// constant returns the name of a tensor that is not a parameter; those of the same elements are one.
func (e *exporter) constant(name string, d proto.DType, data []byte) string {
	key := fmt.Sprintf("%v %x", d, data)
	if e.constants[key] == "" {
		e.constants[key] = e.name(name)
		e.m.Graph.Tensors = append(e.m.Graph.Tensors, proto.Tensor{Name: e.constants[key], DType: d, Dims: int64s(len(data) / d.Size()), Data: data})
	}
	return e.constants[key]
}

// numbers is a constant of whole numbers, such as a shape. Its name has the numbers.
func (e *exporter) numbers(list ...int) string {
	var data []byte
	for _, v := range list {
		data = binary.LittleEndian.AppendUint64(data, uint64(v))
	}
	name := strings.NewReplacer("[", "", "]", "", " ", "_").Replace(fmt.Sprint(list))
	return e.constant("numbers."+name, proto.Int64, data)
}

// repeated is a constant vector whose elements are all v.
func (e *exporter) repeated(v float32, n int) string {
	data := make([]byte, 0, 4*n)
	for range n {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	return e.constant(fmt.Sprintf("%v.for.%d", v, n), proto.Float, data)
}

// lower adds the operators of a node.
func (e *exporter) lower(n *graph.Node) error {
	in := make([]string, len(n.Inputs))
	for i, v := range n.Inputs {
		if _, isNorm := n.Op.(graph.GroupNorm); isNorm && i > 0 {
			break // its vectors need another shape
		}
		var err error
		if in[i], err = e.value(v); err != nil {
			return err
		}
	}
	switch op := n.Op.(type) {
	case graph.Conv2D:
		e.conv2D(op, in)
	case graph.Linear:
		e.last("Gemm", in, intOf("transB", 1))
	case graph.BatchNorm:
		epsilon, err := epsilonOf(op.Epsilon)
		if err != nil {
			return err
		}
		e.last("BatchNormalization", in, epsilon)
	case graph.GroupNorm:
		return e.groupNorm(op, in[0])
	case graph.Gate:
		s := e.step("Sigmoid", "sigmoid", in[1:2])
		e.epilogue("Mul", "gate", []string{in[0], s}, shortcutOf(op.Add, in), op.Act)
	case graph.SplitAttention:
		e.splitAttention(op, in)
	case graph.ReLU:
		e.last("Relu", in)
	case graph.Add:
		e.last("Add", in)
	case graph.Softmax:
		e.last("Softmax", in, intOf("axis", -1))
	case graph.MaxPool:
		_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
		e.pool("MaxPool", in[0], [2]int{h, w}, window{kernel: op.Kernel, stride: op.Stride, pad: op.Padding}, op.CeilMode)
	case graph.AvgPool:
		e.avgPool(op, in[0])
	default:
		return e.layout(n, in)
	}
	return nil
}

// layout adds the operators of a node that computes nothing, and of those of the mean over all places.
func (e *exporter) layout(n *graph.Node, in []string) error {
	switch op := n.Op.(type) {
	case graph.GlobalAvgPool:
		e.last("GlobalAveragePool", in)
	case graph.Flatten:
		e.last("Flatten", in, intOf("axis", 1))
	case graph.Reshape:
		e.last("Reshape", []string{in[0], e.numbers(0, op.To[0], op.To[1], op.To[2])}) // 0 keeps the batch
	case graph.Concat:
		e.last("Concat", in, intOf("axis", 1))
	case graph.ChannelSlice:
		e.last("Slice", []string{in[0], e.numbers(op.Begin), e.numbers(op.End), e.numbers(1)})
	case graph.ChannelPad:
		e.last("Pad", []string{in[0], e.numbers(0, op.Before, 0, 0, 0, op.After, 0, 0)})
	case graph.SpatialPad:
		mode := proto.Attr{Name: "mode", Type: proto.AttrString, String: "constant"}
		if op.Reflect {
			mode.String = "reflect"
		}
		e.last("Pad", []string{in[0], e.around(op.Padding)}, mode)
	case graph.Subsample:
		const all = math.MaxInt // however many rows and columns there are
		e.last("Slice", []string{in[0], e.numbers(0, 0), e.numbers(all, all), e.numbers(2, 3), e.numbers(op.Stride[0], op.Stride[1])})
	default:
		return errors.New("want an op that ONNX has operators for")
	}
	return nil
}

// shortcutOf is the last input when the epilogue adds it, empty otherwise.
func shortcutOf(add bool, in []string) string {
	if !add {
		return ""
	}
	return in[len(in)-1]
}

// around are the pads of rows and columns.
func (e *exporter) around(p graph.Padding) string {
	return e.numbers(0, 0, p.Top, p.Left, 0, 0, p.Bottom, p.Right)
}

func (e *exporter) conv2D(op graph.Conv2D, in []string) {
	own := in
	if op.Add {
		own = in[:len(in)-1]
	}
	_, _, r, s := e.node.Inputs[1].Type.Shape.NCHW()
	e.epilogue("Conv", "conv", own, shortcutOf(op.Add, in), op.Act, intsOf("kernel_shape", r, s), intsOf("strides", op.Stride[:]...), padsOf(op.Padding),
		intsOf("dilations", op.Dilation[:]...), intOf("group", op.Groups))
}

// groupNorm is an InstanceNormalization of the groups seen as channels, which there is in every opset. Opset 18 has an operator, but
// ONNX Runtime's subtracts the square of the mean from the mean of the squares.
func (e *exporter) groupNorm(op graph.GroupNorm, x string) error {
	epsilon, err := epsilonOf(op.Epsilon)
	if err != nil {
		return err
	}
	_, c, h, w := e.node.Output.Type.Shape.NCHW()
	groups := e.step("Reshape", "groups", []string{x, e.numbers(0, op.Groups, c/op.Groups*h*w)})
	normal := e.step("InstanceNormalization", "norm", []string{groups, e.repeated(1, op.Groups), e.repeated(0, op.Groups)}, epsilon)
	y := e.step("Reshape", "channels", []string{normal, e.numbers(0, c, h, w)})
	var params [2]string
	for i, v := range e.node.Inputs[1:] {
		if params[i], err = e.shaped(v, graph.NewShape(c, 1, 1)); err != nil {
			return err
		}
	}
	y = e.step("Mul", "scaled", []string{y, params[0]})
	e.epilogue("Add", "shifted", []string{y, params[1]}, "", op.Act)
	return nil
}

// splitAttention sees channels as branches [N,R,C,H,W], and the scores, which have the branches of a group side by side, as well.
func (e *exporter) splitAttention(op graph.SplitAttention, in []string) {
	_, c, h, w := e.node.Output.Type.Shape.NCHW()
	scores := in[1]
	if op.Groups > 1 && op.Radix > 1 {
		scores = e.step("Reshape", "groups", []string{scores, e.numbers(0, op.Groups, op.Radix, c/op.Groups)})
		scores = e.step("Transpose", "turned", []string{scores}, intsOf("perm", 0, 2, 1, 3))
	}
	scores = e.step("Reshape", "scores", []string{scores, e.numbers(0, op.Radix, c, 1, 1)})
	shares := e.step("Softmax", "shares", []string{scores}, intOf("axis", 1))
	branches := e.step("Reshape", "branches", []string{in[0], e.numbers(0, op.Radix, c, h, w)})
	weighed := e.step("Mul", "weighed", []string{branches, shares})
	e.epilogue("ReduceSum", "sum", []string{weighed, e.numbers(1)}, shortcutOf(op.Add, in), op.Act, intOf("keepdims", 0))
}

// avgPool counts zeros that stand for a padding as any number, so that no runtime need know which of them count in ceil mode.
func (e *exporter) avgPool(op graph.AvgPool, x string) {
	_, _, h, w := e.node.Inputs[0].Type.Shape.NCHW()
	p := op.Padding
	windows := window{kernel: op.Kernel, stride: op.Stride, pad: p}
	switch {
	case p == graph.Padding{} || !op.CountIncludePad:
		e.pool("AveragePool", x, [2]int{h, w}, windows, op.CeilMode)
	case !op.CeilMode:
		e.pool("AveragePool", x, [2]int{h, w}, windows, false, intOf("count_include_pad", 1))
	default:
		x = e.step("Pad", "pad", []string{x, e.around(p)})
		windows.pad = graph.Padding{}
		e.pool("AveragePool", x, [2]int{p.Top + h + p.Bottom, p.Left + w + p.Right}, windows, true)
	}
}

// pool adds a pool of pictures of that extent. A window that ceil mode makes begin in the padding does not count here, and does in
// some runtimes; then the padding says how far the windows reach.
func (e *exporter) pool(op, x string, extent [2]int, w window, ceil bool, attrs ...proto.Attr) {
	_, _, p, q := e.node.Output.Type.Shape.NCHW()
	if ceil {
		rows, plain := beyond(extent[0], w.kernel[0], w.stride[0], w.pad.Top, w.pad.Bottom, p)
		columns, plain2 := beyond(extent[1], w.kernel[1], w.stride[1], w.pad.Left, w.pad.Right, q)
		if plain && plain2 {
			attrs = append(attrs, intOf("ceil_mode", 1))
		} else {
			w.pad.Bottom += rows
			w.pad.Right += columns
		}
	}
	attrs = append(attrs, intsOf("kernel_shape", w.kernel[:]...), intsOf("strides", w.stride[:]...), padsOf(w.pad))
	e.last(op, []string{x}, attrs...)
}

// beyond returns how far the last of count windows reaches beyond the padding, and whether count is what rounding up gives.
func beyond(size, kernel, stride, before, after, count int) (reach int, simple bool) {
	span := size + before + after - kernel
	reach = max(0, (count-1)*stride-span)
	return reach, span >= 0 && count == (span+stride-1)/stride+1
}
