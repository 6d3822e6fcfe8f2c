package reference

import "github.com/resnet-run/resnet-run/graph"

// tensor is a tensor of float64, row-major.
type tensor struct {
	shape graph.Shape
	data  []float64
}

// row returns the i-th of the equal parts of size elements.
func (t tensor) row(i, size int) []float64 { return t.data[i*size:][:size] }

// result is what an op writes: the values and, unless nil, the bounds. Both are zero before.
type result struct {
	tensor
	bound []float64
}

// boundRow is row for the bounds; nil when they are not wanted.
func (r result) boundRow(i, size int) []float64 {
	if r.bound == nil {
		return nil
	}
	return r.bound[i*size:][:size]
}

// Widen converts float32 numbers to float64, which is exact.
func Widen(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// Narrow rounds float64 numbers to the nearest float32.
func Narrow(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}
