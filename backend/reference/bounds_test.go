package reference_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// TestFloat32ArithmeticStaysWithinTheBounds lets imaginary devices compute every golden op as badly as they may, on
// inputs of ordinary size and on inputs so small that products and sums are subnormal.
func TestFloat32ArithmeticStaysWithinTheBounds(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	worst := map[string]float64{}
	for _, c := range cases {
		for _, scale := range []float32{1, 0x1p-64, 0x1p-126} {
			n := c.Graph.Nodes[len(c.Graph.Nodes)-1]
			in, ok := operands(c, n, scale)
			if !ok {
				continue
			}
			want, bound := bounds(t, n, in)
			for _, d := range devices32 {
				got := d.run(n, in)
				if got == nil {
					continue
				}
				r := reference.Compare(got, want, bound)
				if err := r.Err(); err != nil {
					t.Errorf("%s, inputs times %g, device %s: %v", c.Name, scale, d.name, err)
				}
				if r.Unbounded > 0 {
					t.Errorf("%s, inputs times %g: %d bounds are infinite", c.Name, scale, r.Unbounded)
				}
				if scale == 1 {
					worst[n.Op.Name()] = max(worst[n.Op.Name()], r.Fraction)
				}
			}
		}
	}
	t.Logf("largest errors as part of the bound: %v", worst)
	// A bound that is never nearly reached would let wrong results pass.
	for op, least := range map[string]float64{"conv2d": 0.3, "linear": 0.2, "add": 0.9, "batch_norm": 0.3, "avg_pool": 0.3, "global_avg_pool": 0.3, "softmax": 0.2, "gate": 0.3, "group_norm": 0.1, "split_attention": 0.2} {
		if !(worst[op] >= least) {
			t.Errorf("%s: the largest error is %.3f of its bound, want at least %g for the bound to mean something", op, worst[op], least)
		}
	}
}

// operands returns the float32 operands of the node, activations times scale. Nodes that read another node's result
// are left out.
func operands(c golden.Case, n *graph.Node, scale float32) ([][]float32, bool) {
	byName := map[string][]float32{}
	for i, v := range c.Graph.Inputs {
		for _, x := range c.Inputs[i] {
			byName[v.Name] = append(byName[v.Name], x*scale)
		}
	}
	var in [][]float32
	for _, v := range n.Inputs {
		switch v.Kind {
		case graph.ParamValue:
			in = append(in, v.Data.Float32s())
		case graph.InputValue:
			in = append(in, byName[v.Name])
		default:
			return nil, false
		}
	}
	return in, true
}

func bounds(t *testing.T, n *graph.Node, in [][]float32) (value, bound []float64) {
	t.Helper()
	wide := make([][]float64, len(in))
	for i, x := range in {
		wide[i] = reference.Widen(x)
	}
	value, bound, err := reference.Bounds(t.Context(), n, wide)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := reference.Node(t.Context(), n, wide)
	if err != nil {
		t.Fatal(err)
	}
	for i := range plain {
		if math.Float64bits(plain[i]) != math.Float64bits(value[i]) {
			t.Fatalf("%v: element %d is %v without bounds and %v with them", n, i, plain[i], value[i])
		}
		if isNumber := value[i]-value[i] == 0; isNumber && !(bound[i] >= 0) {
			t.Fatalf("%v: element %d is %v with bound %v", n, i, value[i], bound[i])
		}
	}
	return value, bound
}

// node parses the one node "y" of a graph given as its lines after the header.
func node(t *testing.T, lines ...string) *graph.Node {
	t.Helper()
	g, err := graph.Parse(strings.NewReader("graph g\n" + strings.Join(lines, "\n") + "\noutput %y\n"))
	if err != nil {
		t.Fatal(err)
	}
	return g.Nodes[0]
}

// TestClassABoundIsTheFormula checks numbers that can be done by hand.
func TestClassABoundIsTheFormula(t *testing.T) {
	const image, twelve = "input %x : float32[1,2,2,3]", "param @w : float32[1,2,2,3]"
	ones := slices.Repeat([]float32{1}, 12)
	minus := slices.Repeat([]float32{-1}, 12)
	for _, c := range []struct {
		lines      []string
		in         [][]float32
		value      float64
		terms, sum float64
	}{
		{[]string{"input %x : float32[1,2,1,1]", "param @w : float32[1,2,1,1]", "param @b : float32[1]", "input %s : float32[1,1,1,1]",
			"%y = conv2d(%x, @w, @b, %s) bias=true add=true"}, [][]float32{{1, 3}, {2, -4}, {5}, {6}}, 2 - 12 + 5 + 6, 4, 2 + 12 + 5 + 6},
		{[]string{image, twelve, "%y = conv2d(%x, @w)"}, [][]float32{ones, minus}, -12, 12, 12},
		{[]string{image, twelve, "%y = conv2d(%x, @w) act=relu"}, [][]float32{ones, minus}, 0, 12, 12},
		{[]string{"input %x : float32[1,12]", "param @w : float32[1,12]", "param @b : float32[1]", "%y = linear(%x, @w, @b) bias=true"},
			[][]float32{ones, minus, {-3}}, -15, 13, 15},
	} {
		n := node(t, c.lines...)
		value, bound := bounds(t, n, c.in)
		u := 1.0/(1<<24) + 1.0/(1<<53)
		want := c.terms * u / (1 - c.terms*u) * c.sum
		if value[0] != c.value || math.Abs(bound[0]-want) > 1e-12*want {
			t.Errorf("%v: value %v, bound %v, want %v and %v", n, value[0], bound[0], c.value, want)
		}
	}
}

// TestSoftmaxBoundIsTheFormula: two equal inputs. An exponential is off by 6u at most, the sum of two by 12u and its
// own rounding 2u, so half the sum by 7u; with 5u of the division that makes 18u of one half.
func TestSoftmaxBoundIsTheFormula(t *testing.T) {
	n := node(t, "input %x : float32[2]", "%y = softmax(%x)")
	_, bound := bounds(t, n, [][]float32{{3, 3}})
	if u := 1.0 / (1 << 24); math.Abs(bound[0]-9*u) > 1e-5*u || bound[1] != bound[0] {
		t.Errorf("bounds %v, want 9u = %v", bound, 9*u)
	}
	// An exponential far below float32's range may be flushed, and so may the quotient.
	if _, bound = bounds(t, n, [][]float32{{0, -200}}); math.Abs(bound[1]-2*0x1p-126) > 1e-3*0x1p-126 {
		t.Errorf("bound of e^-200: %v, want 2·2^-126 = %v", bound[1], 2*0x1p-126)
	}
}

// TestSubnormalOperandsMayVanish gives imaginary devices operands that are subnormal, or become so on the way, beside
// large ones, so that flushing them changes results that are not subnormal at all.
func TestSubnormalOperandsMayVanish(t *testing.T) {
	const tiny, big = 0x1p-127, 0x1p60
	image := "input %x : float32[1,1,1,2]"
	norm := []string{image, "param @g : float32[1]", "param @b : float32[1]", "param @m : float32[1]", "param @v : float32[1]",
		"%y = batch_norm(%x, @g, @b, @m, @v) epsilon=1e-30"}
	for _, c := range []struct {
		name  string
		lines []string
		in    [][]float32
	}{
		{"conv2d input", []string{image, "param @w : float32[1,1,1,1]", "%y = conv2d(%x, @w)"}, [][]float32{{tiny, 1}, {big}}},
		{"conv2d weight", []string{image, "param @w : float32[1,1,1,1]", "%y = conv2d(%x, @w)"}, [][]float32{{big, 1}, {tiny}}},
		{"conv2d bias", []string{image, "param @w : float32[1,1,1,1]", "param @b : float32[1]", "%y = conv2d(%x, @w, @b) bias=true"}, [][]float32{{0, 0}, {1}, {tiny}}},
		{"linear input", []string{"input %x : float32[1,2]", "param @w : float32[1,2]", "%y = linear(%x, @w)"}, [][]float32{{tiny, -tiny}, {big, big / 2}}},
		{"add", []string{image, "input %z : float32[1,1,1,2]", "%y = add(%x, %z)"}, [][]float32{{tiny, tiny}, {tiny, 0x1p-126}}},
		{"avg_pool", []string{image, "%y = avg_pool(%x) kernel=1,2"}, [][]float32{{tiny, tiny}}},
		{"batch_norm input", norm, [][]float32{{tiny, -tiny}, {big}, {0}, {0}, {0}}},
		{"batch_norm mean", norm, [][]float32{{0, 0}, {big}, {0}, {tiny}, {0}}},
		{"batch_norm weight", norm, [][]float32{{big, -big}, {tiny}, {0}, {0}, {0}}},
		{"batch_norm scale", norm, [][]float32{{big, 0}, {0x1p-120}, {0}, {0}, {0x1p20}}},
		{"batch_norm bias", norm, [][]float32{{0, 0}, {1}, {tiny}, {0}, {1}}},
	} {
		n := node(t, c.lines...)
		want, bound := bounds(t, n, c.in)
		changed := false
		for _, d := range devices32 {
			got := d.run(n, c.in)
			if err := reference.Compare(got, want, bound).Err(); err != nil {
				t.Errorf("%s, device %s: %v", c.name, d.name, err)
			}
			changed = changed || got[0] == 0 && want[0] != 0
		}
		if !changed {
			t.Errorf("%s: no device flushed anything, so nothing was tested", c.name)
		}
	}
}

// TestBatchNormBoundGrowsWithCancellation: a variance close to -epsilon magnifies the rounding of epsilon.
func TestBatchNormBoundGrowsWithCancellation(t *testing.T) {
	n := node(t, "input %x : float32[1,1,1,1]", "param @g : float32[1]", "param @b : float32[1]", "param @m : float32[1]", "param @v : float32[1]",
		"%y = batch_norm(%x, @g, @b, @m, @v) epsilon=0.1")
	in := [][]float32{{1}, {1}, {0}, {0}, {-0.09999}}
	want, bound := bounds(t, n, in)
	for _, d := range devices32 {
		if err := reference.Compare(d.run(n, in), want, bound).Err(); err != nil {
			t.Errorf("device %s: %v", d.name, err)
		}
	}
}

func TestExactOpsHaveBoundZero(t *testing.T) {
	x := append(seeded.Uniform(1, "x", 30, 1), 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, 0x1p-126, -1)
	for _, op := range []string{"relu(%x)", "max_pool(%x) kernel=2,3 padding=1,0,0,2", "flatten(%x)", "channel_pad(%x) before=1 after=2", "subsample(%x) stride=2,1",
		"reshape(%x) to=3,4,3", "concat(%x, %x, %x)", "channel_slice(%x) begin=1 end=2", "spatial_pad(%x) padding=2,0,1,5 reflect=true", "spatial_pad(%x) padding=0,3,1,2"} {
		n := node(t, "input %x : float32[1,2,3,6]", "%y = "+op)
		value, bound := bounds(t, n, slices.Repeat([][]float32{x}, len(n.Inputs)))
		for i := range bound {
			if bound[i] != 0 || float64(float32(value[i])) != value[i] {
				t.Errorf("%s: element %d is %v with bound %v, want a float32 number and 0", op, i, value[i], bound[i])
			}
		}
	}
	// A subnormal number may be flushed by an op that computes, but not by one that copies; and where a comparison takes
	// it for zero, a negative one may pass a ReLU or be the maximum.
	for _, c := range []struct {
		op   string
		x    [2]float32
		want float64
	}{
		{"relu(%x)", [2]float32{0x1p-130, 0}, 0x1p-130},
		{"relu(%x)", [2]float32{-0x1p-130, 0}, 0x1p-130},
		{"max_pool(%x) kernel=1,1", [2]float32{0x1p-130, 0}, 0x1p-130},
		{"max_pool(%x) kernel=1,2", [2]float32{-0x1p-129, 0x1p-130}, 3 * 0x1p-130},
		{"max_pool(%x) kernel=1,2", [2]float32{-0x1p-129, 0}, 0x1p-129},
		{"max_pool(%x) kernel=1,2", [2]float32{-0x1p-129, 1}, 0},
		{"max_pool(%x) kernel=1,2", [2]float32{-0x1p-129, -1}, 0x1p-129},
		{"subsample(%x)", [2]float32{0x1p-130, 0}, 0},
		{"spatial_pad(%x) padding=0,0,0,1", [2]float32{0x1p-130, 0}, 0},
		{"concat(%x, %x)", [2]float32{0x1p-130, 0}, 0},
	} {
		n := node(t, "input %x : float32[1,1,1,2]", "%y = "+c.op)
		if _, bound := bounds(t, n, slices.Repeat([][]float32{c.x[:]}, len(n.Inputs))); bound[0] != c.want {
			t.Errorf("%s of %v: bound %v, want %v", c.op, c.x, bound[0], c.want)
		}
	}
}

func TestAddBoundIsHalfAnULP(t *testing.T) {
	n := node(t, "input %a : float32[7]", "input %b : float32[7]", "%y = add(%a, %b)")
	a := []float32{1, 1, 1.5, -3, 0, 0x1p-126, 0x1p100}
	b := []float32{0x1p-24, 0, 0.25, 0x1p-30, 0, 0, 0x1p76}
	value, bound := bounds(t, n, [][]float32{a, b})
	// Floats are 2^-23 apart in [1, 2), 2^-22 in [2, 4), and 2^-149 up to 2^-125.
	for i, want := range []float64{0x1p-24, 0x1p-24, 0x1p-24, 0x1p-23, 0x1p-150, 0x1p-150, 0x1p76} {
		if bound[i] != want {
			t.Errorf("%g + %g: bound %g, want %g", a[i], b[i], bound[i], want)
		}
	}
	if r := reference.Compare(reference.Narrow(value), value, bound); !r.OK() {
		t.Error(r.Err())
	}
	next := reference.Narrow(value)
	for i := range next {
		next[i] = math.Nextafter32(math.Nextafter32(next[i], 0x1p127), 0x1p127)
	}
	if r := reference.Compare(next, value, bound); r.Failed != len(next) {
		t.Errorf("two ULP off: %d of %d failed, want all", r.Failed, len(next))
	}
}

func TestBoundIsInfiniteWhereFloat32MayOverflow(t *testing.T) {
	n := node(t, "input %x : float32[1,3]", "param @w : float32[1,3]", "%y = linear(%x, @w)")
	value, bound := bounds(t, n, [][]float32{{3e38, 3e38, -3e38}, {1, 1, 1}})
	if math.Abs(value[0]-3e38) > 1e32 || !math.IsInf(bound[0], 1) {
		t.Errorf("value %v, bound %v, want 3e38 and infinity: the first two terms overflow", value[0], bound[0])
	}
	if _, bound = bounds(t, n, [][]float32{{1e38, 1e38, -1e38}, {1, 1, 1}}); math.IsInf(bound[0], 1) {
		t.Error("1e38 + 1e38 - 1e38 cannot overflow, but the bound is infinite")
	}
}

// TestNaNAndInfinityAppearWhereMathematicsPutsThem, and nowhere else.
func TestNaNAndInfinityAppearWhereMathematicsPutsThem(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	image := "input %x : float32[1,1,2,3]"
	for _, c := range []struct {
		lines []string
		in    [][]float32
		want  []float64
	}{
		{[]string{image, "%y = relu(%x)"}, [][]float32{{nan, inf, -inf, -1, 2, 0}}, []float64{math.NaN(), math.Inf(1), 0, 0, 2, 0}},
		{[]string{image, "%y = max_pool(%x) kernel=2,2"}, [][]float32{{nan, 5, 7, 6, -inf, -inf}}, []float64{math.NaN(), 7}},
		{[]string{image, "%y = max_pool(%x) kernel=1,2"}, [][]float32{{1, nan, 3, -inf, -inf, inf}}, []float64{math.NaN(), math.NaN(), math.Inf(-1), math.Inf(1)}},
		{[]string{image, "%y = avg_pool(%x) kernel=1,2"}, [][]float32{{1, nan, 3, -inf, 4, inf}}, []float64{math.NaN(), math.NaN(), math.Inf(-1), math.Inf(1)}},
		{[]string{image, "%y = global_avg_pool(%x)"}, [][]float32{{1, inf, 3, -inf, 4, 5}}, []float64{math.NaN()}},
		{[]string{image, "param @w : float32[1,1,1,2]", "%y = conv2d(%x, @w) padding=0,1,0,0"}, [][]float32{{1, nan, 3, 4, 5, inf}, {2, 3}},
			[]float64{3, math.NaN(), math.NaN(), 12, 23, math.Inf(1)}},
		{[]string{image, "param @w : float32[1,1,1,2]", "%y = conv2d(%x, @w)"}, [][]float32{{1, inf, 3, -inf, 5, 6}, {0, 1}},
			[]float64{math.Inf(1), math.NaN(), math.NaN(), 6}}, // zero times infinity
		{[]string{image, "%y = add(%x, %x)"}, [][]float32{{nan, inf, -inf, 1, 2, 3}, {1, 1, inf, 1, 1, 1}}, []float64{math.NaN(), math.Inf(1), math.NaN(), 2, 3, 4}},
		{[]string{image, "%y = softmax(%x)"}, [][]float32{{1, nan, 3, -inf, 0, -inf}}, []float64{math.NaN(), math.NaN(), math.NaN(), 0, 1, 0}},
		// A group that has one has only NaN; the other knows nothing of it.
		{[]string{"input %x : float32[1,2,1,2]", "param @g : float32[2]", "param @b : float32[2]", "%y = group_norm(%x, @g, @b) groups=2 epsilon=1 act=relu"},
			[][]float32{{inf, 1, 3, 3}, {1, 1}, {0, 7}}, []float64{math.NaN(), math.NaN(), 7, 7}},
		{[]string{"input %x : float32[2,2,1,1]", "param @g : float32[2]", "param @b : float32[2]", "%y = group_norm(%x, @g, @b) groups=1 epsilon=1"},
			[][]float32{{5, 5, nan, 1}, {1, 1}, {inf, -inf}}, []float64{math.Inf(1), math.Inf(-1), math.NaN(), math.NaN()}},
		// Two branches of two channels. Scores that are NaN, or infinite, make NaN of their channel, but a branch of -∞ is left out unless it is infinite itself.
		{[]string{"input %x : float32[1,4,1,2]", "input %s : float32[1,4,1,1]", "%y = split_attention(%x, %s) radix=2 groups=1"},
			[][]float32{{1, 2, 3, inf, 5, 6, -3, 8}, {nan, 0, 1, 0}}, []float64{math.NaN(), math.NaN(), 0, math.Inf(1)}},
		{[]string{"input %x : float32[1,4,1,2]", "input %s : float32[1,4,1,1]", "%y = split_attention(%x, %s) radix=2 groups=1 act=relu"},
			[][]float32{{1, inf, 3, -inf, 5, 6, -3, 8}, {-inf, 0, 1, inf}}, []float64{5, math.NaN(), math.NaN(), math.NaN()}},
		{[]string{"input %x : float32[1,2,1,2]", "%y = spatial_pad(%x) padding=0,1,0,1 reflect=true"}, [][]float32{{inf, 1, 2, nan}},
			[]float64{1, math.Inf(1), 1, math.Inf(1), math.NaN(), 2, math.NaN(), 2}},
		{[]string{"input %x : float32[1,2,1,2]", "%y = channel_slice(%x) begin=1 end=2"}, [][]float32{{inf, 1, 2, nan}}, []float64{2, math.NaN()}},
	} {
		n := node(t, c.lines...)
		value, bound := bounds(t, n, c.in)
		if r := reference.Compare(reference.Narrow(value), c.want, make([]float64, len(c.want))); !r.OK() {
			t.Errorf("%v: got %v, want %v", n, value, c.want)
		}
		if r := reference.Compare(reference.Narrow(value), value, bound); !r.OK() {
			t.Errorf("%v: the rounded reference is refused: %v", n, r.Err())
		}
	}
}
