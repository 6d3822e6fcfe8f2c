package reference_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// convCase is a convolution with a result of 2×6×7×9, its float32 result as a device would give it, and the bounds.
func convCase(t *testing.T) (shape graph.Shape, got []float32, want, bound []float64) {
	t.Helper()
	n := node(t, "input %x : float32[2,5,7,9]", "param @w : float32[6,5,3,3]", "param @b : float32[6]", "%y = conv2d(%x, @w, @b) padding=1,1,1,1 bias=true")
	var in [][]float32
	for _, v := range n.Inputs {
		in = append(in, seeded.Uniform(9, v.Name, v.Type.Shape.Elems(), 1))
	}
	want, bound = bounds(t, n, in)
	return n.Output.Type.Shape, devices32[0].run(n, in), want, bound
}

// TestCompareCatchesWhatGoesWrongInKernels damages a right result in the ways in which kernels are wrong.
func TestCompareCatchesWhatGoesWrongInKernels(t *testing.T) {
	shape, right, want, bound := convCase(t)
	if r := reference.Compare(right, want, bound); !r.OK() || r.Elements != len(want) || !(r.Fraction > 0 && r.Fraction <= 1) {
		t.Fatalf("the right result: %+v", r)
	}
	_, c, h, w := shape.NCHW()
	plane := h * w
	for _, d := range []struct {
		name   string
		least  int // how many failures at least
		damage func(y []float32)
	}{
		{"rows shifted by one", 500, func(y []float32) { copy(y, y[w:]) }},
		{"columns shifted by one in one plane", plane / 2, func(y []float32) { copy(y[:plane-1], y[1:plane]) }},
		{"rows and columns swapped", 500, func(y []float32) {
			for p := range len(y) / plane {
				for i := range plane {
					y[p*plane+i] = right[p*plane+i%h*w+i/h]
				}
			}
		}},
		{"channels and batch swapped", 500, func(y []float32) {
			for p := range len(y) / plane {
				copy(y[p*plane:][:plane], right[(p%2*c+p/2)*plane:][:plane])
			}
		}},
		{"the last channels left zero", 2 * plane, func(y []float32) {
			clear(y[(c-2)*plane : c*plane])
		}},
		{"one element off by 1e-4", 1, func(y []float32) { y[123] += 1e-4 }},
		{"one sign", 1, func(y []float32) { y[17] = -y[17] }},
		{"one NaN", 1, func(y []float32) { y[len(y)-1] = float32(math.NaN()) }},
		{"one infinity", 1, func(y []float32) { y[0] = float32(math.Inf(-1)) }},
		{"all zero", 700, func(y []float32) { clear(y) }},
		{"all NaN", len(right), func(y []float32) {
			for i := range y {
				y[i] = float32(math.NaN())
			}
		}},
		{"a constant offset", 700, func(y []float32) {
			for i := range y {
				y[i] += 1e-3
			}
		}},
	} {
		y := slices.Clone(right)
		d.damage(y)
		r := reference.Compare(y, want, bound)
		if r.OK() || r.Failed < d.least || !(r.Fraction > 1) {
			t.Errorf("%s: %d failed, fraction %g, want at least %d failures", d.name, r.Failed, r.Fraction, d.least)
		}
		if r.Worst < 0 || math.Float32bits(r.Got) != math.Float32bits(y[r.Worst]) || r.Want != want[r.Worst] || r.Bound != bound[r.Worst] {
			t.Errorf("%s: the report is not about element %d: %+v", d.name, r.Worst, r)
		}
	}
}

func TestCompareFindsTheOneWrongElementInAMillion(t *testing.T) {
	const n, bad = 1_000_000, 765_432
	got := seeded.Uniform(4, "million", n, 1)
	want, bound := reference.Widen(got), make([]float64, n)
	for i := range bound {
		bound[i] = 1e-6
	}
	if r := reference.Compare(got, want, bound); !r.OK() || r.Fraction != 0 {
		t.Fatalf("before: %+v", r)
	}
	want[bad] += 3e-6
	r := reference.Compare(got, want, bound)
	if r.Failed != 1 || r.Worst != bad || math.Abs(r.Fraction-3) > 1e-6 {
		t.Errorf("got %+v, want one failure at %d, 3 times the bound", r, bad)
	}
	err := r.Err()
	if err == nil || !strings.Contains(err.Error(), "1 of 1000000 elements") || !strings.Contains(err.Error(), "worst at 765432") {
		t.Errorf("error %v does not tell the number and the place", err)
	}
}

func TestCompareOfSingleElements(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name        string
		got         float32
		want, bound float64
		ok          bool
		fraction    float64
	}{
		{"equal", 1, 1, 0, true, 0},
		{"zero and minus zero", float32(math.Copysign(0, -1)), 0, 0, true, 0},
		{"on the bound", 1.5, 1, 0.5, true, 1},
		{"half the bound", 1.25, 1, 0.5, true, 0.5},
		{"above the bound", 1.75, 1, 0.5, false, 1.5},
		{"different with bound zero", 1, 1.0000001, 0, false, inf},
		{"NaN for a number", float32(nan), 1, 1e30, false, inf},
		{"NaN for NaN", float32(nan), nan, 0, true, 0},
		{"a number for NaN", 0, nan, inf, false, inf},
		{"infinity for infinity", float32(inf), inf, 0, true, 0},
		{"the other infinity", float32(-inf), inf, 0, false, inf},
		{"NaN for infinity", float32(nan), inf, 1, false, inf},
		{"NaN for infinity where that is allowed", float32(nan), inf, inf, true, 0},
		{"the other infinity where that is allowed", float32(-inf), inf, inf, true, 0},
		{"a number for infinity", math.MaxFloat32, inf, inf, false, inf},
		{"infinity for a number", float32(inf), 1, 1e300, false, inf},
		{"anything where float32 overflows", float32(nan), 3e38, inf, true, 0},
		{"a bound that is NaN", 1, 1, nan, false, inf},
		{"a negative bound", 1, 1, -1, false, inf},
	} {
		r := reference.Compare([]float32{c.got}, []float64{c.want}, []float64{c.bound})
		if r.OK() != c.ok || r.Fraction != c.fraction || r.Worst != 0 || (r.Err() == nil) != c.ok {
			t.Errorf("%s: got %+v, want ok %v and fraction %v", c.name, r, c.ok, c.fraction)
		}
		if unbounded := c.ok && math.IsInf(c.bound, 1); (r.Unbounded == 1) != unbounded {
			t.Errorf("%s: %d unbounded", c.name, r.Unbounded)
		}
	}
}

func TestCompareOfDifferentLengthsFails(t *testing.T) {
	one, two := []float64{1}, []float64{1, 1}
	for _, c := range []struct {
		got         []float32
		want, bound []float64
		failed      int
	}{
		{[]float32{1}, two, two, 1},
		{[]float32{1, 1}, one, one, 1},
		{[]float32{1, 1}, two, one, 1},
		{nil, two, two, 2},
		{[]float32{5}, two, two, 2},
	} {
		r := reference.Compare(c.got, c.want, c.bound)
		if r.Failed != c.failed || r.OK() || r.Elements != 2 || !math.IsInf(r.Fraction, 1) {
			t.Errorf("%v, %v, %v: got %+v, want %d failures", c.got, c.want, c.bound, r, c.failed)
		}
	}
	if r := reference.Compare(nil, nil, nil); !r.OK() || r.Worst != -1 {
		t.Errorf("nothing with nothing: %+v", r)
	}
}
