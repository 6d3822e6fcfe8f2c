package reference_test

import (
	"math"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

var f2, f4 = []float64{0, 1, -1}, []float64{0, 1, -1, 2, -2}

func winogradBounds(t *testing.T, n *graph.Node, in [][]float32, w backend.Winograd) (value, bound []float64) {
	t.Helper()
	wide := make([][]float64, len(in))
	for i, x := range in {
		wide[i] = reference.Widen(x)
	}
	value, bound, err := reference.WinogradBounds(t.Context(), n, wide, w)
	if err != nil {
		t.Fatal(err)
	}
	return value, bound
}

// TestClassBBoundIsTheFormula: one channel, all ones. For F(2,3) along rows, |G|·|w| is 1, 3/2, 3/2, 1 and |B|·|x| is 2 each within the picture, so
// that E is 8 for each of the three columns' taps that are summed directly.
func TestClassBBoundIsTheFormula(t *testing.T) {
	n := node(t, "input %x : float32[1,1,6,3]", "param @w : float32[1,1,3,3]", "param @b : float32[1]", "%y = conv2d(%x, @w, @b) bias=true")
	ones := make([]float32, 18)
	for i := range ones {
		ones[i] = 1
	}
	value, bound := winogradBounds(t, n, [][]float32{ones, ones[:9], {5}}, backend.Winograd{Rows: f2})
	// Roundings: kernel 3+1, input 4+1, output 4+1 along rows; 3 direct columns; the product; one channel; the bias.
	const terms = 4 + 5 + 5 + 3 + 1 + 1 + 1
	u := 1.0/(1<<24) + 1.0/(1<<53)
	want := terms * u / (1 - terms*u) * (8*3 + 5)
	for i := range value {
		if value[i] != 14 || math.Abs(bound[i]-want) > 1e-6*want {
			t.Errorf("element %d: value %g, bound %g, want 14 and %g", i, value[i], bound[i], want)
		}
	}
}

// TestClassBCoversClassA: whatever the points, a device may compute directly instead, and a sharper transform of fewer points too.
func TestClassBCoversClassA(t *testing.T) {
	n := node(t, "input %x : float32[2,6,7,9]", "param @w : float32[4,3,3,3]", "param @b : float32[4]", "input %s : float32[2,4,8,7]",
		"%y = conv2d(%x, @w, @b, %s) groups=2 padding=2,0,1,0 bias=true add=true act=relu")
	var in [][]float32
	for _, v := range n.Inputs {
		in = append(in, seeded.Uniform(9, v.Name, v.Type.Shape.Elems(), 1))
	}
	plain, direct := bounds(t, n, in)
	least := direct
	for _, w := range []backend.Winograd{{Rows: f2}, {Rows: f2, Columns: f2}, {Rows: f4, Columns: f2}, {Rows: f4, Columns: f4}} {
		value, bound := winogradBounds(t, n, in, w)
		for i := range bound {
			if value[i] != plain[i] || !(bound[i] > least[i]) || bound[i] > 1e4*direct[i] {
				t.Fatalf("%v: element %d: value %g, bound %g, want %g and more than %g", w, i, value[i], bound[i], plain[i], least[i])
			}
		}
		least = bound
	}
}

// TestClassBOfNumbersThatAreNotFinite: what shares a tile with one may be anything, what has one in its window must not be finite, all
// else has a bound. F(2,3) along columns alone: tiles have four columns and a row.
func TestClassBOfNumbersThatAreNotFinite(t *testing.T) {
	n := node(t, "input %x : float32[1,1,2,9]", "param @w : float32[2,1,1,3]", "%y = conv2d(%x, @w)")
	inf := float32(math.Inf(1))
	x := make([]float32, 18)
	x[4] = inf // of the first row: in the windows of results 2 to 4, and in a tile with 1 to 5
	value, bound := winogradBounds(t, n, [][]float32{x, {1, 2, 3, -1, 1, 1}}, backend.Winograd{Columns: f2})
	for i := range bound {
		column, row := i%7, i/7%2
		either, free := row == 0 && column >= 2 && column <= 4, row == 0 && column >= 1 && column <= 5
		if (value[i]-value[i] != 0) != either || math.IsInf(bound[i], 1) != free {
			t.Errorf("element %d (row %d, column %d): value %g, bound %g", i, row, column, value[i], bound[i])
		}
	}
	_, bound = winogradBounds(t, n, [][]float32{make([]float32, 18), {1, inf, 3, -1, 1, 1}}, backend.Winograd{Columns: f2})
	for i := range bound {
		if math.IsInf(bound[i], 1) != (i < 14) {
			t.Errorf("a weight of the first filter: element %d has bound %g", i, bound[i])
		}
	}
}

// TestWeightsThatAreNotFiniteMayMeetPaddingOrNot: both ways of computing pass at the edge, and only there.
func TestWeightsThatAreNotFiniteMayMeetPaddingOrNot(t *testing.T) {
	n := node(t, "input %x : float32[1,1,1,4]", "param @w : float32[2,1,1,3]", "%y = conv2d(%x, @w) padding=0,1,0,1")
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	value, bound := bounds(t, n, [][]float32{{1, -1, 1, -1}, {inf, 1, 1, 1, 1, 1}})
	for _, c := range []struct {
		name string
		got  []float32
		ok   bool
	}{
		{"left out", []float32{0, inf, -inf, inf, 0, 1, -1, 0}, true},
		{"multiplied by zero", []float32{nan, inf, -inf, inf, 0, 1, -1, 0}, true},
		{"NaN in the middle", []float32{nan, nan, -inf, inf, 0, 1, -1, 0}, false},
		{"a number in the middle", []float32{nan, inf, 1, inf, 0, 1, -1, 0}, false},
		{"NaN at the edge of the other filter", []float32{nan, inf, -inf, inf, nan, 1, -1, 0}, false},
		{"NaN at the other edge, where the weight is finite", []float32{nan, inf, -inf, nan, 0, 1, -1, 0}, false},
	} {
		if r := reference.Compare(c.got, value, bound); r.OK() != c.ok {
			t.Errorf("%s: got %+v, want ok %v; values %v, bounds %v", c.name, r, c.ok, value, bound)
		}
	}
}

func TestWinogradBoundsRefusesWhatDoesNotFit(t *testing.T) {
	n := node(t, "input %x : float32[1,1,5,5]", "param @w : float32[2,1,3,3]", "%y = conv2d(%x, @w) stride=2,1")
	in := [][]float64{make([]float64, 25), make([]float64, 18)}
	if _, _, err := reference.WinogradBounds(t.Context(), n, in, backend.Winograd{Rows: f2}); err == nil {
		t.Error("rows with a stride: got no error")
	}
	if _, _, err := reference.WinogradBounds(t.Context(), n, in[:1], backend.Winograd{Columns: f2}); err == nil {
		t.Error("no weights: got no error")
	}
}
