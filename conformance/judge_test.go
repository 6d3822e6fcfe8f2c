package conformance_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// TestPatterns damages a right result in the ways in which kernels are wrong, and asks for the name of each.
func TestPatterns(t *testing.T) {
	shape := graph.NewShape(2, 12, 7, 9)
	n, c, h, w := shape.NCHW()
	right := seeded.Uniform(1, "right", shape.Elems(), 1)
	want, bound := make([]float64, len(right)), make([]float64, len(right))
	for i, v := range right {
		want[i], bound[i] = float64(v), 1e-6
	}
	each := func(f func(i, in, ic, ih, iw int) (float32, bool)) []float32 {
		y := slices.Clone(right)
		for i := range y {
			if v, ok := f(i, i/(c*h*w), i/(h*w)%c, i/w%h, i%w); ok {
				y[i] = v
			}
		}
		return y
	}
	at := func(in, ic, ih, iw int) float32 { return right[((in%n*c+ic%c)*h+ih%h)*w+iw%w] }
	noise := func(i int) float32 { return right[i] + 1 + float32(i%7) }
	for _, d := range []struct {
		want string
		y    []float32
	}{
		{"", right},
		{"one element", each(func(i, _, _, _, _ int) (float32, bool) { return noise(i), i == 100 })},
		{"NaN, one element", each(func(i, _, _, _, _ int) (float32, bool) { return float32(math.NaN()), i == 0 })},
		{"all zero", make([]float32, len(right))},
		{"all NaN", each(func(int, int, int, int, int) (float32, bool) { return float32(math.NaN()), true })},
		{"all constant offset 0.25", each(func(i, _, _, _, _ int) (float32, bool) { return right[i] + 0.25, true })},
		{"all constant factor -1", each(func(i, _, _, _, _ int) (float32, bool) { return -right[i], true })},
		{"infinity, tail of rows from 5 of 7", each(func(i, _, _, ih, _ int) (float32, bool) { return float32(math.Inf(1)), ih >= 5 })},
		{"zero, tail of channels from 8 of 12", each(func(_, _, ic, _, _ int) (float32, bool) { return 0, ic >= 8 })},
		{"tail of columns from 8 of 9", each(func(i, _, _, _, iw int) (float32, bool) { return noise(i), iw >= 8 })},
		{"tail of batch from 1 of 2", each(func(i, in, _, _, _ int) (float32, bool) { return noise(i), in == 1 })},
		{"every 3. of channels from 1", each(func(i, _, ic, _, _ int) (float32, bool) { return noise(i), ic%3 == 1 })},
		{"every 2. of rows from 0", each(func(i, _, _, ih, _ int) (float32, bool) { return noise(i), ih%2 == 0 })},
		{"tile-shaped in [0:1,4:8,0:4,4:8]", each(func(i, in, ic, ih, iw int) (float32, bool) {
			return noise(i), in == 0 && ic >= 4 && ic < 8 && ih < 4 && iw >= 4 && iw < 8
		})},
		{"a block in [0:1,1:4,2:5,1:6]", each(func(i, in, ic, ih, iw int) (float32, bool) {
			return noise(i), in == 0 && ic >= 1 && ic < 4 && ih >= 2 && ih < 5 && iw >= 1 && iw < 6
		})},
		{"scattered in [", each(func(i, _, _, _, _ int) (float32, bool) { return noise(i), i%101 == 3 })},
		{"rows shifted by one", each(func(i, in, ic, ih, iw int) (float32, bool) { return at(in, ic, ih+1, iw), true })},
		{"rows shifted by minus one", each(func(i, in, ic, ih, iw int) (float32, bool) { return at(in, ic, ih+h-1, iw), true })},
		{"columns shifted by one", each(func(i, in, ic, ih, iw int) (float32, bool) { return at(in, ic, ih, iw+1), true })},
		{"columns shifted by minus one", each(func(i, in, ic, ih, iw int) (float32, bool) { return at(in, ic, ih, iw+w-1), true })},
		{"channels shifted by one", each(func(i, in, ic, ih, iw int) (float32, bool) { return at(in, ic+1, ih, iw), true })},
		{"channels shifted by minus one", each(func(i, in, ic, ih, iw int) (float32, bool) { return at(in, ic+c-1, ih, iw), true })},
		{"rows and columns swapped", each(func(i, in, ic, ih, iw int) (float32, bool) {
			j := ih*w + iw
			return at(in, ic, j%h, j/h), true
		})},
		{"batch and channels swapped", each(func(i, in, ic, ih, iw int) (float32, bool) {
			j := in*c + ic
			return at(j%n, j/n, ih, iw), true
		})},
	} {
		f := conformance.Judge("y", "conv2d", shape, d.y, want, bound)
		if !strings.Contains(f.Pattern, d.want) || (f.Failed == 0) != (d.want == "") || (f.Err() == nil) != (d.want == "") {
			t.Errorf("got %q, %d failed, want %q", f.Pattern, f.Failed, d.want)
		}
		if f.Failed > 0 && !strings.Contains(f.Err().Error(), f.Pattern) {
			t.Errorf("error %v does not name the pattern", f.Err())
		}
	}
}

func TestJudgeTellsPlaceAndULP(t *testing.T) {
	shape := graph.NewShape(2, 3)
	for _, c := range []struct {
		got         float32
		want, bound float64
		ulp         float64
	}{
		{1, 1, 0, 0},
		{1 + 0x1p-23, 1, 1, 1},
		{1, 1 + 0x1p-23, 0, 1},
		{float32(math.Copysign(0, -1)), 0, 0, 0},
		{0, 0x1p-149, 0, 1},
		{0x1p-126, 0, 0, 1 << 23},
		{1024 + 0x1p-12, 1024, 1, 2},
		{float32(math.NaN()), 1, 1, math.Inf(1)},
		{float32(math.Inf(1)), math.Inf(-1), 1, math.Inf(1)},
		{float32(math.NaN()), math.NaN(), 0, 0},
	} {
		got, want, bound := make([]float32, 6), make([]float64, 6), make([]float64, 6)
		got[4], want[4], bound[4] = c.got, c.want, c.bound
		f := conformance.Judge("y", "linear", shape, got, want, bound)
		if f.Fraction > 0 && (f.ULP != c.ulp || !slices.Equal(f.Place, []int{1, 1})) {
			t.Errorf("got %g for %g: %+v, want %g ULP at [1 1]", c.got, c.want, f, c.ulp)
		}
		if f.Fraction == 0 && c.ulp != 0 {
			t.Errorf("got %g for %g: no error, want %g ULP", c.got, c.want, c.ulp)
		}
	}
	f := conformance.Judge("y", "linear", shape, make([]float32, 5), make([]float64, 6), make([]float64, 6))
	if f.Failed != 1 || f.Pattern != "another number of elements" {
		t.Errorf("a result that is too short: %+v", f)
	}
}
