package resnet

import (
	"math"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// standardEpsilon is added to the variance of a filter. Source: timm, models/resnetv2.py; transformers, models/bit/modeling_bit.py.
const standardEpsilon = 1e-8

// Parameter makes the parameter of the given name from the tensor that files hold for it, of the same type. They are the same unless c is
// Standardized: then the weights w of each filter of a convolution become
//
//	(w - mean)/sqrt(variance + 1e-8)
//
// where mean and variance are those of the filter (the variance is divided by the number of weights), computed in float64 and rounded to
// float32 once. Weights that are read lazily are read and standardised whenever they are asked for.
//
// Errors: those of reading t.
func (c Config) Parameter(name string, t *graph.Tensor) (*graph.Tensor, error) {
	if !c.Standardized || t.Type.Shape.Rank() != 4 || !strings.HasSuffix(name, ".weight") {
		return t, nil
	}
	s := &standardized{weights: t, filters: t.Type.Shape.Dim(0)}
	if t.IsLazy() {
		return graph.NewLazy(t.Type.Shape, s), nil
	}
	weights := make([]float32, t.Type.Shape.Elems())
	if err := s.ReadFloat32s(weights); err != nil {
		return nil, err
	}
	return graph.FromFloat32s(t.Type.Shape, weights)
}

// standardized is the source of the standardised weights [K,...] of a convolution.
type standardized struct {
	weights *graph.Tensor
	filters int
}

func (s *standardized) ReadFloat32s(dst []float32) error {
	if err := s.weights.ReadFloat32s(dst); err != nil {
		return err
	}
	size := len(dst) / max(1, s.filters)
	for k := range s.filters {
		standardize(dst[k*size:][:size])
	}
	return nil
}

func standardize(filter []float32) {
	var sum, squares float64
	for _, v := range filter {
		sum += float64(v)
	}
	n := float64(len(filter))
	mean := sum / n
	for _, v := range filter {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	scale := 1 / math.Sqrt(squares/n+standardEpsilon)
	for i, v := range filter {
		filter[i] = float32((float64(v) - mean) * scale)
	}
}

// Bound: no deviation is larger than that of one weight from n-1 equal ones, sqrt(n-1) standard deviations. Where weights are not
// finite, their filter is not either.
func (s *standardized) Bound() float64 {
	if b := s.weights.Bound(); math.IsNaN(b) || math.IsInf(b, 0) {
		return math.Inf(1)
	}
	const rounding = 1 + 1.0/(1<<20)
	return math.Sqrt(float64(s.weights.Type.Shape.Elems()/max(1, s.filters))) * rounding
}

// standardizedKey makes two standardisations of the same tensor known as one.
type standardizedKey struct{ weights any }

func (s *standardized) Key() any {
	if k := s.weights.Key(); k != nil {
		return standardizedKey{k}
	}
	return nil
}
