package onnx

import (
	"errors"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// Exporters of frameworks that have their channels last put a Transpose before and behind each convolution. Here every picture is
// [N,C,H,W]; of one that the file has as [N,H,W,C] the importer remembers that, and a Transpose between the two does nothing.

// The permutations of Transpose from [N,H,W,C] and to it.
var toNCHW, toNHWC = []int64{0, 3, 1, 2}, []int64{0, 2, 3, 1}

// layoutKeeping are operators whose result has the layout of its operands.
var layoutKeeping = []string{"Add", "Cast", "Div", "Dropout", "Identity", "Mul", "Pad", "Relu", "Sub", "Sum"}

// findLayout finds out whether the input is [N,H,W,C]: when the way from it ends at Transposes to [N,C,H,W] only.
func (n *Network) findLayout() error {
	seen := map[string]bool{n.input.Name: true}
	transposes := 0
	for list := []string{n.input.Name}; len(list) > 0; list = list[1:] {
		for _, r := range n.readers[list[0]] {
			switch perm := r.Attr("perm"); {
			case r.Op == "Transpose" && perm != nil && slices.Equal(perm.Ints, toNCHW):
				transposes++
			case !slices.Contains(layoutKeeping, r.Op):
				return nil
			case len(r.Outputs) > 0 && !seen[r.Outputs[0]]:
				seen[r.Outputs[0]] = true
				list = append(list, r.Outputs[0])
			}
		}
	}
	n.channelsLast = transposes > 0
	return nil
}

// picture returns a value that the network computes, in either layout, which nothing else remains to be done to.
func (m *importer) picture(name string) (value, error) {
	x, err := m.padded(name)
	if err == nil && x.pad != (graph.Padding{}) {
		return m.withZeros(name, x)
	}
	return x, err
}

// channelsFirst refuses a picture that the file has as [N,H,W,C].
func channelsFirst(x value, name string) error {
	if x.channelsLast {
		return fmt.Errorf("input %s: want a Transpose from [N,H,W,C] to [N,C,H,W] first", quote(name))
	}
	return nil
}

// transpose is of a picture between the two layouts, or of a constant matrix.
func (m *importer) transpose(node *proto.Node) error {
	name := input(node, 0)
	if m.isInts(name) {
		return m.transposeInts(node)
	}
	var perm []int64
	if a := node.Attr("perm"); a != nil {
		perm = a.Ints
	}
	if m.isConstant(name) {
		return m.transposeConstant(node, perm)
	}
	x, err := m.computed(name)
	if err != nil {
		return err
	}
	switch {
	case x.view == nil && x.v.Type.Shape.Rank() == 4 && x.channelsLast && slices.Equal(perm, toNCHW):
		x.channelsLast = false
	case x.view == nil && x.v.Type.Shape.Rank() == 4 && !x.channelsLast && slices.Equal(perm, toNHWC):
		x.channelsLast = true
	default:
		return m.transposeView(node, perm)
	}
	m.values[node.Outputs[0]] = x
	return nil
}

// transposeConstant permutes the dimensions of a constant, such as filters [R,S,C,K]; left out, perm turns them round.
func (m *importer) transposeConstant(node *proto.Node, perm []int64) error {
	c, err := m.constant(input(node, 0), "input")
	if err != nil {
		return err
	}
	s := c.tensor.Type.Shape
	if perm == nil {
		for i := s.Rank() - 1; i >= 0; i-- {
			perm = append(perm, int64(i))
		}
	}
	if !isPermutation(perm, s.Rank()) {
		return fmt.Errorf("want a constant and a permutation of its dimensions, got %v and %d", s, perm)
	}
	if s.Rank() == 2 && perm[0] == 1 {
		c, err = m.transposed(c) // as Gemm does it
		m.values[node.Outputs[0]] = value{constant: &c}
		return err
	}
	dims, strides := permuted(s.Dims(), perm)
	made, err := m.derive(c, fmt.Sprintf("permuted %d", perm), graph.NewShape(dims...), c.tensor.Bound(), func(dst []float32) error {
		src := make([]float32, len(dst))
		if err := c.tensor.ReadFloat32s(src); err != nil {
			return err
		}
		i := 0
		each(dims, strides, 0, func(at int) {
			dst[i] = src[at]
			i++
		})
		return nil
	})
	m.values[node.Outputs[0]] = value{constant: &made}
	return err
}

// reshapeConstant gives a constant other dimensions.
func (m *importer) reshapeConstant(node *proto.Node, c constant, dims []int) error {
	shape, err := graph.MakeShape(dims)
	if err == nil && shape.Elems() == 0 {
		err = errors.New("want at least one element, got none")
	}
	if err != nil {
		return fmt.Errorf("shape: %w", err)
	}
	c, err = m.derive(c, "as "+shape.String(), shape, c.tensor.Bound(), c.tensor.ReadFloat32s)
	m.values[node.Outputs[0]] = value{constant: &c}
	return err
}
