package onnx

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/resnet-run/resnet-run/graph"
)

// made is a source whose elements are those of another tensor, or none, changed.
type made struct {
	read  func(dst []float32) error
	bound float64
	id    any
}

func (s *made) ReadFloat32s(dst []float32) error { return s.read(dst) }
func (s *made) Bound() float64                   { return s.bound }
func (s *made) Key() any                         { return s.id }

// derive makes a parameter from another, once for all graphs.
func (m *importer) derive(c constant, how string, shape graph.Shape, bound float64, read func(dst []float32) error) (constant, error) {
	if c.how != "" {
		how = c.how + ", " + how
	}
	k := key{c.name, how}
	t, err := m.n.keep(k, func() (*graph.Tensor, error) {
		return graph.NewLazy(shape, &made{read, bound, graph.NewSourceKey()}), nil
	})
	return constant{k, t, c.reads}, err
}

// transposed exchanges the axes of a matrix.
func (m *importer) transposed(c constant) (constant, error) {
	s := c.tensor.Type.Shape
	rows, columns := s.Dim(0), s.Dim(1)
	return m.derive(c, "transposed", graph.NewShape(columns, rows), c.tensor.Bound(), func(dst []float32) error {
		src := make([]float32, len(dst))
		if err := c.tensor.ReadFloat32s(src); err != nil {
			return err
		}
		for i, v := range src {
			dst[i%columns*rows+i/columns] = v
		}
		return nil
	})
}

// scaled multiplies all elements.
func (m *importer) scaled(c constant, factor float32) (constant, error) {
	if factor == 1 {
		return c, nil
	}
	bound := c.tensor.Bound() * math.Abs(float64(factor))
	if !(bound <= math.MaxFloat32) {
		return c, fmt.Errorf("constant %s: want finite numbers after multiplication by %v, got up to %v", quote(c.name), factor, bound)
	}
	how := "scaled by " + strconv.FormatFloat(float64(factor), 'g', -1, 32)
	return m.derive(c, how, c.tensor.Type.Shape, bound, func(dst []float32) error {
		err := c.tensor.ReadFloat32s(dst)
		for i := range dst {
			dst[i] *= factor
		}
		return err
	})
}

// vector makes [k] of a constant that has one of the shapes, of which one of a single element is repeated.
func (m *importer) vector(c constant, k int, shapes [][]int) (constant, error) {
	s := c.tensor.Type.Shape
	if !slices.ContainsFunc(shapes, func(dims []int) bool { return graph.NewShape(dims...) == s }) {
		return c, fmt.Errorf("bias %s: want one of the shapes %v, got %v", quote(c.name), shapes, s)
	}
	if s == graph.NewShape(k) {
		return c, nil
	}
	return m.derive(c, "for "+strconv.Itoa(k)+" channels", graph.NewShape(k), c.tensor.Bound(), func(dst []float32) error {
		if s.Elems() == len(dst) {
			return c.tensor.ReadFloat32s(dst)
		}
		var one [1]float32
		err := c.tensor.ReadFloat32s(one[:])
		for i := range dst {
			dst[i] = one[0]
		}
		return err
	})
}

// filled makes a constant whose elements are all the same, for the result of a node.
func (m *importer) filled(name string, shape graph.Shape, v float32) (constant, error) {
	if v-v != 0 {
		return constant{}, fmt.Errorf("value: want a finite number, got %v", v)
	}
	return m.repeat(name, "filled", shape, v)
}

func (m *importer) repeat(name, how string, shape graph.Shape, v float32) (constant, error) {
	return m.derive(constant{key: key{name: name}}, how, shape, math.Abs(float64(v)), func(dst []float32) error {
		for i := range dst {
			dst[i] = v
		}
		return nil
	})
}
