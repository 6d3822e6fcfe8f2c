package conformance

import (
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// Finding is the comparison of one tensor with what it should be.
type Finding struct {
	Node     string  `json:"node"`
	Op       string  `json:"op"`
	Elements int     `json:"elements"`
	Failed   int     `json:"failed"`
	Place    []int   `json:"place"`    // the indices of the worst element, by dimension
	Fraction float64 `json:"fraction"` // its error as a part of the bound: above 1 is a failure
	ULP      float64 `json:"ulp"`      // its error in units of the last place of the wanted number
	Got      float64 `json:"got"`
	Want     float64 `json:"want"`
	Bound    float64 `json:"bound"`
	Pattern  string  `json:"pattern,omitempty"` // what the failed elements have in common
	// Transform is the transform through which the device computes the node, as it says itself; the bound is then that of class B.
	Transform string `json:"transform,omitempty"`
	// Precision is how the device stores the node's tensors, as it says itself, where that is not float32; the bound has those roundings.
	Precision string `json:"precision,omitempty"`
}

// Judge compares the float32 result of a node with float64 values, within a bound for each element. It is
// [reference.Compare] that also tells where the worst element is, its error in ULP, and the pattern of a failure.
func Judge(node, op string, shape graph.Shape, got []float32, want, bound []float64) Finding {
	r := reference.Compare(got, want, bound)
	f := Finding{
		Node: node, Op: op, Elements: r.Elements, Failed: r.Failed, Fraction: r.Fraction,
		Got: float64(r.Got), Want: r.Want, Bound: r.Bound, ULP: ulps(float64(r.Got), r.Want),
	}
	if r.Worst >= 0 && r.Worst < shape.Elems() {
		f.Place = place(shape, r.Worst)
	}
	if r.Failed > 0 {
		f.Pattern = pattern(shape, got, want, bound)
	}
	return f
}

// Err returns nil when every element is within its bound, else all that f knows.
func (f Finding) Err() error {
	if f.Failed == 0 {
		return nil
	}
	op := f.Op
	if f.Transform != "" {
		op += ", " + f.Transform
	}
	if f.Precision != "" {
		op += ", " + f.Precision
	}
	return fmt.Errorf("node %q (%s): %d of %d elements are out of bounds: %s; worst at %v: got %g, want %g: error is %.3g of the bound %g, %.3g ULP",
		f.Node, op, f.Failed, f.Elements, f.Pattern, f.Place, f.Got, f.Want, f.Fraction, f.Bound, f.ULP)
}

// place is the index of an element by dimension.
func place(s graph.Shape, i int) []int {
	at := make([]int, s.Rank())
	for d := s.Rank() - 1; d >= 0; d-- {
		at[d] = i % s.Dim(d)
		i /= s.Dim(d)
	}
	return at
}

// ulps is the distance in units of the last place that float32 has at want: 0 for -0 and +0, infinite for NaN and
// infinities that do not match.
func ulps(got, want float64) float64 {
	switch {
	case got == want, math.IsNaN(got) && math.IsNaN(want):
		return 0
	case math.IsNaN(got), math.IsNaN(want), math.IsInf(got, 0), math.IsInf(want, 0):
		return math.Inf(1)
	}
	exp := -126
	if a := math.Abs(want); a >= 0x1p-126 {
		exp = math.Ilogb(a)
	}
	return math.Abs(got-want) / math.Ldexp(1, exp-23)
}
