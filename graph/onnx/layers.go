package onnx

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// importers has what makes nodes of a graph of a node of the file, by operator.
var importers map[string]func(*importer, *proto.Node) error

func init() { // the functions look into the table, through New
	importers = map[string]func(*importer, *proto.Node) error{
		"Conv": (*importer).conv, "BatchNormalization": (*importer).batchNorm, "Relu": (*importer).relu, "Softmax": (*importer).softmax,
		"Add": (*importer).sum, "Sum": (*importer).sum, "Gemm": (*importer).gemm, "MatMul": (*importer).gemm,
		"MaxPool": (*importer).maxPool, "AveragePool": (*importer).avgPool, "GlobalAveragePool": (*importer).globalAvgPool, "ReduceMean": (*importer).reduceMean,
		"Flatten": (*importer).flatten, "Reshape": (*importer).reshape, "Squeeze": (*importer).squeeze, "Pad": (*importer).padOp, "Slice": (*importer).slice,
		"Transpose": (*importer).transpose, "Identity": (*importer).identity, "Dropout": (*importer).dropout, "Cast": (*importer).cast,
		"Constant": (*importer).constantOp, "ConstantOfShape": (*importer).constantOfShape, "Shape": (*importer).shape, "Gather": (*importer).gather,
		"Concat": (*importer).concat, "Unsqueeze": (*importer).unsqueeze,
		"Sigmoid": (*importer).sigmoid, "Mul": (*importer).mul,
		"Sub": (*importer).arithmetic, "Div": (*importer).arithmetic, "Sqrt": (*importer).sqrt,
		"GroupNormalization": (*importer).groupNormalization, "InstanceNormalization": (*importer).instanceNorm,
		"Split": (*importer).split, "ReduceSum": (*importer).reduceSum, "Expand": (*importer).expand,
	}
}

func (m *importer) conv(node *proto.Node) error {
	weight, err := m.constant(input(node, 1), "weights")
	if err != nil {
		return err
	}
	s := weight.tensor.Type.Shape
	if s.Rank() == 3 {
		return m.conv1D(node, weight)
	}
	x, err := m.padded(input(node, 0))
	if err == nil {
		err = channelsFirst(x, input(node, 0))
	}
	if err != nil {
		return err
	}
	if s.Rank() != 4 {
		return fmt.Errorf("weights %s: want [K,C,R,S], got %v", quote(weight.name), s)
	}
	k, _, _, _ := s.NCHW()
	own := bias{name: input(node, 2), factor: 1, shapes: [][]int{{k}}, added: perChannel(k)}
	return m.convolution(node, node, x, weight, own)
}

// convolution adds a convolution whose attributes are those of another node.
func (m *importer) convolution(node, attrs *proto.Node, x value, weight constant, own bias) error {
	s := weight.tensor.Type.Shape
	k, _, height, width := s.NCHW()
	w, err := m.window(attrs, x, [2]int{height, width})
	if err != nil {
		return err
	}
	if w.kernel != [2]int{height, width} {
		return fmt.Errorf("attribute kernel_shape: want %d,%d, the extent of the weights, got %v", height, width, w.kernel)
	}
	op := graph.Conv2D{Stride: w.stride, Dilation: w.dilation, Padding: w.pad, Groups: small(intAttr(node, "group", 1))}
	p, err := m.param(weight, "weights", s.Dims()...)
	if err != nil {
		return err
	}
	return m.biased(node, own, k, func(bias *graph.Value) (graph.Op, []*graph.Value) {
		if op.Bias = bias != nil; op.Bias {
			return op, []*graph.Value{x.v, p, bias}
		}
		return op, []*graph.Value{x.v, p}
	})
}

// bias says what a layer adds to each channel.
type bias struct {
	name          string  // the input, empty when there is none
	factor        float32 // of the input
	shapes, added [][]int // what the input may have as its shape, and what a constant that is added afterwards may
}

// perChannel are the shapes of constants with a number for each of k channels of [N,K,P,Q], or one for all.
func perChannel(k int) [][]int {
	return [][]int{{k, 1, 1}, {1, k, 1, 1}, {}, {1}, {1, 1, 1}, {1, 1, 1, 1}}
}

// biased adds a convolution or linear layer of k channels with its bias: its own, or one that the only reader of its result
// adds.
func (m *importer) biased(node *proto.Node, own bias, k int, layer func(bias *graph.Value) (graph.Op, []*graph.Value)) error {
	out, shapes := node.Outputs[0], own.shapes
	if own.name == "" {
		if add, name := m.addOf(out); add != nil {
			own.name, own.factor, shapes = name, 1, own.added
			for n := m.n.readers[out][0]; ; n = m.n.readers[out][0] { // up to it
				m.taken[n] = true
				if out = n.Outputs[0]; n == add {
					break
				}
			}
		}
	}
	var p *graph.Value
	if own.name != "" {
		c, err := m.constant(own.name, "bias")
		if err == nil {
			c, err = m.vector(c, k, shapes)
		}
		if err == nil {
			c, err = m.scaled(c, own.factor)
		}
		if err == nil {
			p, err = m.param(c, "bias", k)
		}
		if err != nil {
			return err
		}
	}
	op, in := layer(p)
	v, err := m.add(node, op, in...)
	if err == nil {
		m.values[out] = value{v: v}
	}
	return err
}

// addOf finds the Add of a constant that is the only reader of a value: the way in which some exporters write a bias. Between
// them there may be an Identity or a Cast.
func (m *importer) addOf(name string) (add *proto.Node, constant string) {
	for {
		readers := m.n.readers[name]
		if len(readers) != 1 || len(readers[0].Outputs) != 1 || m.n.outputs[name] {
			return nil, ""
		}
		if add = readers[0]; add.Op == "Add" && len(add.Inputs) == 2 {
			break
		}
		if to := proto.DType(small(intAttr(add, "to", 0))); add.Op != "Identity" && (add.Op != "Cast" || !isFloat(to)) {
			return nil, ""
		}
		name = add.Outputs[0]
	}
	for i, in := range add.Inputs {
		if other := add.Inputs[1-i]; in == name && other != name && m.isConstant(other) {
			return add, other
		}
	}
	return nil, ""
}

func (m *importer) batchNorm(node *proto.Node) error {
	if m.isConstant(input(node, 0)) {
		return m.foldBatchNorm(node)
	}
	x, err := m.activation(input(node, 0))
	if err != nil {
		return err
	}
	if err := errors.Join(wantInt(node, "training_mode", 0), wantInt(node, "spatial", 1)); err != nil {
		return err
	}
	if x.Type.Shape.Rank() != 4 {
		return fmt.Errorf("input %s: want 4 dimensions, got %v", quote(input(node, 0)), x.Type.Shape)
	}
	in := []*graph.Value{x}
	for i, what := range []string{"scale", "bias", "mean", "variance"} {
		c, err := m.constant(input(node, i+1), what)
		if err != nil {
			return err
		}
		p, err := m.param(c, what, x.Type.Shape.Dim(1))
		if err != nil {
			return err
		}
		in = append(in, p)
	}
	return m.set(node, graph.BatchNorm{Epsilon: float64(floatAttr(node, "epsilon", 1e-5))}, in...)
}

func (m *importer) relu(node *proto.Node) error {
	x, err := m.picture(input(node, 0))
	if err != nil {
		return err
	}
	return m.setIn(node, x.channelsLast, graph.ReLU{}, x.v)
}

// sigmoid waits for the Mul that reads it: the IR has no gates without what they let through.
func (m *importer) sigmoid(node *proto.Node) error {
	x, err := m.unshaped(input(node, 0))
	if err != nil {
		return err
	}
	x.gate, x.by = true, node
	m.values[node.Outputs[0]] = x
	return nil
}

// sum adds its operands one by one.
func (m *importer) sum(node *proto.Node) error {
	if len(node.Inputs) == 0 {
		return errors.New("inputs: want at least one, got none")
	}
	switch {
	case m.isInts(node.Inputs[0]), m.bothConstant(node):
		return m.arithmetic(node)
	case m.isChannelwise(node):
		return m.channelwise(node)
	case m.values[node.Inputs[0]].terms != nil:
		return m.sumOfTerms(node)
	}
	total, err := m.picture(node.Inputs[0])
	if err != nil {
		return err
	}
	for i, name := range node.Inputs[1:] {
		x, err := m.picture(name)
		if err == nil && x.channelsLast != total.channelsLast {
			err = errors.New("inputs: want all with their channels in the same place")
		}
		if err != nil {
			return err
		}
		if last := i+2 == len(node.Inputs); last {
			return m.setIn(node, x.channelsLast, graph.Add{}, total.v, x.v)
		}
		if total.v, err = m.step(fmt.Sprintf("%s.part%d", nodeName(node), i+1), graph.Add{}, total.v, x.v); err != nil {
			return err
		}
	}
	m.values[node.Outputs[0]] = total // of one
	return nil
}

// gemm is alpha·x·B + beta·C with a constant B, or MatMul; a Linear's weights are B's transpose.
func (m *importer) gemm(node *proto.Node) error {
	x, err := m.activation(input(node, 0))
	if err != nil {
		return err
	}
	if err := wantInt(node, "transA", 0); err != nil {
		return err
	}
	b, err := m.constant(input(node, 1), "matrix")
	if err != nil {
		return err
	}
	if s := b.tensor.Type.Shape; s.Rank() != 2 || x.Type.Shape.Rank() != 2 {
		return fmt.Errorf("want two dimensions of both, got %v and %v", x.Type.Shape, s)
	}
	if intAttr(node, "transB", 0) == 0 {
		if b, err = m.transposed(b); err != nil {
			return err
		}
	}
	if b, err = m.scaled(b, floatAttr(node, "alpha", 1)); err != nil {
		return err
	}
	s := b.tensor.Type.Shape
	p, err := m.param(b, "matrix", s.Dims()...)
	if err != nil {
		return err
	}
	k := s.Dim(0)
	own := bias{name: input(node, 2), factor: floatAttr(node, "beta", 1), shapes: [][]int{{k}, {1, k}, {1}, {1, 1}, {}}, added: [][]int{{k}, {1, k}, {}, {1}, {1, 1}}}
	return m.biased(node, own, k, func(bias *graph.Value) (graph.Op, []*graph.Value) {
		if bias == nil {
			return graph.Linear{}, []*graph.Value{x, p}
		}
		return graph.Linear{Bias: true}, []*graph.Value{x, p, bias}
	})
}

// identity lets another name stand for a value.
func (m *importer) identity(node *proto.Node) error { return m.alias(node, input(node, 0)) }

func (m *importer) alias(node *proto.Node, name string) error {
	if v, ok := m.values[name]; ok {
		m.values[node.Outputs[0]] = v
		return nil
	}
	if m.isInts(name) {
		x, err := m.ints(name, "input")
		if err != nil {
			return err
		}
		return m.setInts(node, x)
	}
	if !m.isParam(name) {
		return fmt.Errorf("input %s: want the picture, a constant or the result of a node before this one, got a name of none of them", quote(name))
	}
	c, err := m.constant(name, "input")
	m.values[node.Outputs[0]] = value{constant: &c}
	return err
}

// dropout does nothing unless it is told to train.
func (m *importer) dropout(node *proto.Node) error {
	if name := input(node, 2); name != "" {
		if training, known := m.flag(name); !known || training {
			return errors.New("training_mode: want a constant false")
		}
	}
	return m.alias(node, input(node, 0))
}

// cast changes no number between floating-point types, since activations have the precision that a device is told; whole
// numbers of shapes stay whole.
func (m *importer) cast(node *proto.Node) error {
	to := proto.DType(small(intAttr(node, "to", 0)))
	x := m.values[input(node, 0)]
	if whole := to == proto.Int64 || to == proto.Int32; x.v != nil && !isFloat(to) || x.v == nil && !isFloat(to) && !whole {
		return fmt.Errorf("attribute to: want a floating-point type, or int32 or int64 for shapes, got %v", to)
	}
	return m.alias(node, input(node, 0))
}
