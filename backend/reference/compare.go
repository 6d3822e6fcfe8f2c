package reference

import (
	"fmt"
	"math"
)

// Report is the outcome of a comparison.
type Report struct {
	Elements  int     // how many were compared
	Failed    int     // how many are not within their bound
	Unbounded int     // how many were let pass because float32 may overflow there (infinite bound)
	Worst     int     // the element with the greatest Fraction, -1 when there is none
	Fraction  float64 // |got - want|/bound there: above 1 is a failure; infinite when the bound is 0, or NaN or infinity is not matched
	Got       float32 // at Worst, as are the next two; zero when that index is beyond the slice
	Want      float64
	Bound     float64
}

// Compare holds float32 results against float64 references with a bound for each element.
//
// An element passes when |got - want| ≤ bound. NaN in want asks for NaN and infinity for the same infinity. An element
// with an infinite bound passes with any value where want is a number, and with NaN or any infinity where it is none.
// -0 equals +0. When the slices differ in length, what one of them lacks has failed.
func Compare(got []float32, want, bound []float64) Report {
	r := Report{Elements: max(len(got), len(want), len(bound)), Worst: -1}
	common := min(len(got), len(want), len(bound))
	for i := range common {
		f := fraction(float64(got[i]), want[i], bound[i])
		if !(f <= 1) {
			r.Failed++
		} else if math.IsInf(bound[i], 1) {
			r.Unbounded++
		}
		if r.Worst < 0 || f > r.Fraction {
			r.Worst, r.Fraction, r.Got, r.Want, r.Bound = i, f, got[i], want[i], bound[i]
		}
	}
	if missing := r.Elements - common; missing > 0 {
		r.Failed += missing
		if !math.IsInf(r.Fraction, 1) {
			r.Worst, r.Fraction = common, math.Inf(1)
			r.Got, r.Want, r.Bound = at(got, common), at(want, common), at(bound, common)
		}
	}
	return r
}

// fraction is the error as a part of the bound; never NaN.
func fraction(got, want, bound float64) float64 {
	switch {
	case math.IsInf(bound, 1) && want-want != 0:
		return pass(got-got != 0)
	case math.IsNaN(want):
		return pass(math.IsNaN(got))
	case math.IsInf(want, 0):
		return pass(got == want)
	case math.IsInf(bound, 1):
		return 0
	}
	err := math.Abs(got - want)
	if !(err <= bound) { // also when err or bound is NaN
		if f := err / bound; f > 1 {
			return f
		}
		return math.Inf(1)
	}
	if err == 0 {
		return 0
	}
	return err / bound
}

func pass(ok bool) float64 {
	if ok {
		return 0
	}
	return math.Inf(1)
}

func at[T any](s []T, i int) (v T) {
	if i < len(s) {
		v = s[i]
	}
	return v
}

// OK reports whether every element is within its bound.
func (r Report) OK() bool { return r.Failed == 0 }

// Err returns nil when r is OK, else an error that tells how many elements failed and the worst of them.
func (r Report) Err() error {
	if r.OK() {
		return nil
	}
	return fmt.Errorf("compare: %d of %d elements are out of bounds; worst at %d: got %g, want %g, error is %.3g of the bound %g",
		r.Failed, r.Elements, r.Worst, r.Got, r.Want, r.Fraction, r.Bound)
}
