package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// Arithmetic of constants, as far as a network's standardised weights need it that an exporter has left in the file (Qiao et al. 2019,
// "Weight standardization"). It is done whenever the weights are read, so that no more than those of one layer are in memory.

// maxReads bounds how often the file is read for one such constant: five or six times for standardised weights.
const maxReads = 64

// bothConstant reports whether a node computes with two constants of numbers that are not whole.
func (m *importer) bothConstant(node *proto.Node) bool {
	return len(node.Inputs) == 2 && !slices.ContainsFunc(node.Inputs, func(name string) bool { return !m.isConstant(name) || m.isInts(name) })
}

// fold makes the result of a node a constant that is computed of others.
func (m *importer) fold(node *proto.Node, dims []int, bound float64, in []constant, compute func(dst []float32, in [][]float32)) error {
	shape, err := graph.MakeShape(dims)
	if err != nil {
		return err
	}
	if shape.Elems() == 0 {
		return fmt.Errorf("want at least one element, got %v", shape)
	}
	reads := 0
	var hows []string
	for i, c := range in {
		if i == 0 || c.key != in[0].key {
			reads += max(c.reads, 1)
		}
		hows = append(hows, c.how)
	}
	if reads > maxReads {
		return fmt.Errorf("want constants that at most %d others are needed for, got more", maxReads)
	}
	name := node.Outputs[0]
	read := func(dst []float32) error {
		operands := make([][]float32, len(in))
		for i, c := range in {
			if i > 0 && c.key == in[0].key {
				operands[i] = operands[0]
				continue
			}
			operands[i] = make([]float32, c.tensor.Type.Shape.Elems())
			if err := c.tensor.ReadFloat32s(operands[i]); err != nil {
				return err
			}
		}
		compute(dst, operands)
		for i, v := range dst {
			if v-v != 0 {
				return fmt.Errorf("constant %s: want finite numbers, element %d is %v", quote(name), i, v)
			}
		}
		return nil
	}
	c := constant{key: key{name, "computed of (" + strings.Join(hows, "; ") + ")"}, reads: reads}
	if c.tensor, err = m.n.keep(c.key, func() (*graph.Tensor, error) {
		return graph.NewLazy(shape, &made{read, bound, graph.NewSourceKey()}), nil
	}); err != nil {
		return err
	}
	m.values[name] = value{constant: &c}
	return nil
}

// operands returns the inputs of a node, which are constants.
func (m *importer) operands(node *proto.Node) ([]constant, error) {
	var in []constant
	for _, name := range node.Inputs {
		c, err := m.constant(name, "input")
		if err != nil {
			return nil, err
		}
		in = append(in, c)
	}
	return in, nil
}

// foldArithmetic is Add, Sub, Mul and Div, one operand repeated to the shape of the other.
func (m *importer) foldArithmetic(node *proto.Node) error {
	in, err := m.operands(node)
	if err != nil {
		return err
	}
	a, b := in[0].tensor, in[1].tensor
	dims := a.Type.Shape.Dims()
	if b.Type.Shape.Elems() > a.Type.Shape.Elems() || b.Type.Shape.Rank() > len(dims) {
		dims = b.Type.Shape.Dims()
	}
	var strides [2][]int
	for i, c := range in {
		if strides[i] = repeating(c.tensor.Type.Shape.Dims(), dims); strides[i] == nil {
			return fmt.Errorf("want constants of which one can be repeated to the shape of the other, got %v and %v", a.Type.Shape, b.Type.Shape)
		}
	}
	var bound float64
	var f func(x, y float64) float64
	switch node.Op {
	case "Add":
		bound, f = a.Bound()+b.Bound(), func(x, y float64) float64 { return x + y }
	case "Sub":
		bound, f = a.Bound()+b.Bound(), func(x, y float64) float64 { return x - y }
	case "Mul":
		bound, f = a.Bound()*b.Bound(), func(x, y float64) float64 { return x * y }
	case "Div":
		bound, f = math.Inf(1), func(x, y float64) float64 { return x / y }
	default:
		return errors.New("want Add, Sub, Mul or Div of constants")
	}
	return m.fold(node, dims, bound, in, func(dst []float32, in [][]float32) {
		i := 0
		each(dims, strides[0], 0, func(at int) {
			dst[i] = in[0][at]
			i++
		})
		i = 0
		each(dims, strides[1], 0, func(at int) {
			dst[i] = float32(f(float64(dst[i]), float64(in[1][at])))
			i++
		})
	})
}

// repeating returns the strides with which a tensor is repeated to other dimensions, nil when it cannot be.
func repeating(have, to []int) []int {
	if len(have) > len(to) {
		return nil
	}
	missing := len(to) - len(have)
	strides := make([]int, len(to))
	for i, s := range stridesOf(have) {
		switch d := have[i]; {
		case d == to[missing+i]:
			strides[missing+i] = s
		case d != 1:
			return nil
		}
	}
	return strides
}

// foldMean is ReduceMean.
func (m *importer) foldMean(node *proto.Node) error {
	c, err := m.constant(node.Inputs[0], "input")
	if err != nil {
		return err
	}
	dims := c.tensor.Type.Shape.Dims()
	axes, err := m.axes(node, 1, len(dims))
	if err != nil {
		return err
	}
	var to, strides []int // those of the result for each element of the constant
	n := 1
	for i := len(dims) - 1; i >= 0; i-- {
		if len(axes) == 0 || axes[i] {
			strides = append(strides, 0)
			if n *= dims[i]; intAttr(node, "keepdims", 1) != 0 {
				to = append(to, 1)
			}
			continue
		}
		strides = append(strides, product(to))
		to = append(to, dims[i])
	}
	slices.Reverse(to)
	slices.Reverse(strides)
	return m.fold(node, to, c.tensor.Bound(), []constant{c}, func(dst []float32, in [][]float32) {
		sums := make([]float64, len(dst))
		i := 0
		each(dims, strides, 0, func(at int) {
			sums[at] += float64(in[0][i])
			i++
		})
		for i, s := range sums {
			dst[i] = float32(s / float64(n))
		}
	})
}

// sqrt is of a constant.
func (m *importer) sqrt(node *proto.Node) error {
	c, err := m.constant(input(node, 0), "input")
	if err != nil {
		return err
	}
	return m.fold(node, c.tensor.Type.Shape.Dims(), math.Inf(1), []constant{c}, func(dst []float32, in [][]float32) {
		for i, v := range in[0] {
			dst[i] = float32(math.Sqrt(float64(v)))
		}
	})
}

// foldBatchNorm normalises a constant along its second axis: with the mean and the variance that are given, or when it trains with
// those of the constant.
func (m *importer) foldBatchNorm(node *proto.Node) error {
	in, err := m.operands(node)
	if err != nil {
		return err
	}
	s := in[0].tensor.Type.Shape
	if len(in) != 5 || s.Rank() < 2 {
		return fmt.Errorf("want 5 inputs, of which the first has two dimensions, got %d and %v", len(in), s)
	}
	if err := wantInt(node, "spatial", 1); err != nil {
		return err
	}
	for _, c := range in[1:] {
		if want := graph.NewShape(s.Dim(1)); c.tensor.Type.Shape != want {
			return fmt.Errorf("constant %s: want %v, got %v", quote(c.name), want, c.tensor.Type.Shape)
		}
	}
	epsilon := float64(floatAttr(node, "epsilon", 1e-5))
	if !(epsilon > 0) {
		return fmt.Errorf("attribute epsilon: want a number above 0, got %v", epsilon)
	}
	inner := product(s.Dims()[2:])
	largest := (in[0].tensor.Bound() + in[3].tensor.Bound()) / math.Sqrt(epsilon)
	trains := intAttr(node, "training_mode", 0) != 0
	if trains {
		largest = math.Sqrt(float64(s.Dim(0) * inner)) // one number that differs from all others
		in = in[:3]
	}
	return m.fold(node, s.Dims(), largest*in[1].tensor.Bound()+in[2].tensor.Bound(), in, func(dst []float32, in [][]float32) {
		for k := range s.Dim(1) {
			var mean, variance float64
			if trains {
				mean, variance = moments(in[0], s.Dim(0), s.Dim(1), inner, k)
			} else {
				mean, variance = float64(in[3][k]), float64(in[4][k])
			}
			if variance < 0 {
				variance = math.NaN() // which fold refuses
			}
			scale := float64(in[1][k]) / math.Sqrt(variance+epsilon)
			for n := range s.Dim(0) {
				from := (n*s.Dim(1) + k) * inner
				for i, v := range in[0][from : from+inner] {
					dst[from+i] = float32((float64(v)-mean)*scale + float64(in[2][k]))
				}
			}
		}
	})
}

// moments returns the mean and the variance of channel k of x [n,channels,inner].
func moments(x []float32, n, channels, inner, k int) (mean, variance float64) {
	all := func(visit func(v float64)) {
		for i := range n {
			from := (i*channels + k) * inner
			for _, v := range x[from : from+inner] {
				visit(float64(v))
			}
		}
	}
	count := float64(n * inner)
	all(func(v float64) { mean += v / count })
	all(func(v float64) { variance += (v - mean) * (v - mean) / count })
	return mean, variance
}
