package reference_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// normCase is a group norm of two pictures with channels that lie round mean, and what a device makes of it that has its own idea of the
// moments and of the formula.
type normCase struct {
	n            *graph.Node
	in           [][]float32
	groups       int
	perGroup, hw int
	epsilon      float64
}

func newNormCase(t *testing.T, groups, perGroup, hw int, mean, epsilon float64) normCase {
	t.Helper()
	c := groups * perGroup
	n := node(t, fmt.Sprintf("input %%x : float32[2,%d,1,%d]", c, hw), fmt.Sprintf("param @g : float32[%d]", c), fmt.Sprintf("param @b : float32[%d]", c),
		fmt.Sprintf("%%y = group_norm(%%x, @g, @b) groups=%d epsilon=%g", groups, epsilon))
	random := rand.New(rand.NewPCG(7, uint64(c*hw)))
	in := make([][]float32, 3)
	for i := range 2 * c * hw {
		ch := i / hw % c
		in[0] = append(in[0], float32(mean+(1+0.3*float64(ch))*random.NormFloat64()))
	}
	for i := range c {
		in[1], in[2] = append(in[1], 1+0.1*float32(i)), append(in[2], 0.2*float32(i)-0.3)
	}
	return normCase{n, in, groups, perGroup, hw, epsilon}
}

// run normalises every group by the moments that f says.
func (c normCase) run(f func(x []float32) (mean, variance float32), formula func(x, mean, variance, weight, bias float32) float32) []float32 {
	var y []float32
	size := c.perGroup * c.hw
	for i := 0; i < len(c.in[0]); i += size {
		x := c.in[0][i:][:size]
		mean, variance := f(x)
		for j, v := range x {
			ch := (i + j) / c.hw % (c.groups * c.perGroup)
			y = append(y, formula(v, mean, variance, c.in[1][ch], c.in[2][ch]))
		}
	}
	return y
}

// asWritten is the formula as its documentation has it, folded as a product and a sum.
func (c normCase) asWritten(x, mean, variance, weight, bias float32) float32 {
	root := float32(math.Sqrt(float64(variance + float32(c.epsilon))))
	return (x-mean)/root*weight + bias
}

func (c normCase) folded(x, mean, variance, weight, bias float32) float32 {
	scale := weight * float32(1/math.Sqrt(float64(variance+float32(c.epsilon))))
	return x*scale + (bias - mean*scale)
}

func inTurn(x []float32) float32 {
	var s float32
	for _, v := range x {
		s += v
	}
	return s
}

func inPairs(x []float32) float32 {
	if len(x) == 1 {
		return x[0]
	}
	return inPairs(x[:len(x)/2]) + inPairs(x[len(x)/2:])
}

// twoPasses are the moments by definition, with sums in some order.
func twoPasses(sum func([]float32) float32) func(x []float32) (mean, variance float32) {
	return func(x []float32) (mean, variance float32) {
		mean = sum(x) / float32(len(x))
		squares := make([]float32, len(x))
		for i, v := range x {
			squares[i] = (v - mean) * (v - mean)
		}
		return mean, sum(squares) / float32(len(x))
	}
}

// welford updates both moments with every element (Welford 1962).
func welford(x []float32) (mean, variance float32) {
	var m2 float32
	for i, v := range x {
		d := v - mean
		mean += d / float32(i+1)
		m2 += d * (v - mean)
	}
	return mean, m2 / float32(len(x))
}

// merged has the moments of eight lanes by Welford's rule and merges them in pairs (Chan, Golub and LeVeque 1979).
func merged(x []float32) (mean, variance float32) {
	type part struct{ n, mean, m2 float32 }
	parts := make([]part, 8)
	for i, v := range x {
		p := &parts[i%8]
		p.n++
		d := v - p.mean
		p.mean += d / p.n
		p.m2 += d * (v - p.mean)
	}
	for len(parts) > 1 {
		half := len(parts) / 2
		for i := range half {
			a, b := parts[i], parts[i+half]
			n, d := a.n+b.n, b.mean-a.mean
			if n > 0 {
				parts[i] = part{n, a.mean + d*b.n/n, a.m2 + b.m2 + d*d*a.n*b.n/n}
			}
		}
		parts = parts[:half]
	}
	return parts[0].mean, parts[0].m2 / parts[0].n
}

func TestGroupNormsInAnyOrderStayWithinTheBounds(t *testing.T) {
	backwards := func(x []float32) float32 {
		x = slices.Clone(x)
		slices.Reverse(x)
		return inTurn(x)
	}
	for _, size := range [][3]int{{2, 1, 1}, {2, 3, 5}, {1, 7, 33}, {3, 2, 700}} {
		for _, mean := range []float64{0, -20, 1000} {
			c := newNormCase(t, size[0], size[1], size[2], mean, 1e-5)
			want, bound := bounds(t, c.n, c.in)
			for name, moments := range map[string]func([]float32) (float32, float32){
				"in turn": twoPasses(inTurn), "backwards": twoPasses(backwards), "in pairs": twoPasses(inPairs), "Welford": welford, "merged": merged,
			} {
				for i, y := range [][]float32{c.run(moments, c.asWritten), c.run(moments, c.folded)} {
					r := reference.Compare(y, want, bound)
					if r.Err() != nil || r.Unbounded > 0 {
						t.Errorf("%v round %g, %s, formula %d: %d without a bound, %v", size, mean, name, i, r.Unbounded, r.Err())
					}
				}
			}
		}
	}
}

func TestWrongGroupNormsAreFoundOut(t *testing.T) {
	onePass := func(x []float32) (mean, variance float32) {
		var sum, squares float32
		for _, v := range x {
			sum += v
			squares += v * v
		}
		n := float32(len(x))
		return sum / n, max(0, squares/n-sum/n*(sum/n))
	}
	right := twoPasses(inPairs)
	unbiased := func(x []float32) (mean, variance float32) {
		mean, variance = right(x)
		return mean, variance * float32(len(x)) / float32(len(x)-1)
	}
	first := func(x []float32) (mean, variance float32) { return right(x[:len(x)-1]) }
	c, far := newNormCase(t, 3, 4, 5, 1, 1e-3), newNormCase(t, 3, 4, 5, 1000, 1e-3)
	epsilonOutside := func(x, mean, variance, weight, bias float32) float32 {
		return (x-mean)/float32(math.Sqrt(float64(variance))+c.epsilon)*weight + bias
	}
	noEpsilon := func(x, mean, variance, weight, bias float32) float32 {
		return (x-mean)/float32(math.Sqrt(float64(variance)))*weight + bias
	}
	interleaved := c // group g of the channels g, g+3, g+6, ...
	interleaved.in = [][]float32{turned(c.in[0], 3, 4, 5), turned(append(c.in[1], c.in[1]...), 3, 4, 1)[:12], turned(append(c.in[2], c.in[2]...), 3, 4, 1)[:12]}
	whole := c
	whole.groups, whole.perGroup = 1, 12
	each := c
	each.groups, each.perGroup = 12, 1
	want, bound := bounds(t, far.n, far.in)
	if r := reference.Compare(far.run(onePass, far.asWritten), want, bound); r.OK() {
		t.Errorf("the square of the mean less the mean of squares: let pass, the worst error is %.3g of the bound", r.Fraction)
	}
	want, bound = bounds(t, c.n, c.in)
	if r := reference.Compare(c.run(right, c.folded), want, bound); !r.OK() {
		t.Fatal(r.Err())
	}
	for name, y := range map[string][]float32{
		"unbiased variance":    c.run(unbiased, c.asWritten),
		"an element too few":   c.run(first, c.asWritten),
		"epsilon beyond root":  c.run(right, epsilonOutside),
		"no epsilon":           c.run(right, noEpsilon),
		"all channels a group": whole.run(right, c.asWritten),
		"each channel a group": each.run(right, c.asWritten),
		"groups interleaved":   turned(interleaved.run(right, c.asWritten), 4, 3, 5),
	} {
		if r := reference.Compare(y, want, bound); r.OK() {
			t.Errorf("%s: let pass, the worst error is %.3g of the bound", name, r.Fraction)
		}
	}
}

// turned swaps the two numbers that a channel's is made of, channel = i·b + j, in two pictures of a·b channels of hw elements.
func turned(x []float32, b, a, hw int) []float32 {
	y := make([]float32, len(x))
	for p := range 2 {
		for i := range a {
			for j := range b {
				copy(y[((p*b+j)*a+i)*hw:][:hw], x[((p*a+i)*b+j)*hw:][:hw])
			}
		}
	}
	return y
}

func TestGroupNormAtTheEndsOfTheRange(t *testing.T) {
	group := func(epsilon string) *graph.Node {
		return node(t, "input %x : float32[1,1,1,4]", "param @g : float32[1]", "param @b : float32[1]", "%y = group_norm(%x, @g, @b) groups=1 epsilon="+epsilon)
	}
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name      string
		epsilon   string
		in        [][]float32
		unbounded bool
	}{
		{"squares beyond float32", "1e-5", [][]float32{{1e20, -1e20, 0, 1}, {1}, {0}}, true},
		{"squares within float32", "1e-5", [][]float32{{1e18, -1e18, 0, 1}, {1}, {0}}, false},
		{"sums beyond float32", "1e-5", [][]float32{{3e38, 3e38, 3e38, 3e38}, {1}, {0}}, true},
		{"equal values", "1e-5", [][]float32{{0.1, 0.1, 0.1, 0.1}, {1}, {0.5}}, false},
		{"equal values and an epsilon that float32 has not", "1e-60", [][]float32{{0.1, 0.1, 0.1, 0.1}, {1}, {0.5}}, true},
		{"an epsilon beyond float32", "1e60", [][]float32{{1, 2, 3, 4}, {1}, {0.5}}, true},
		{"a scale beyond float32", "1e-12", [][]float32{{1, 1, 1, 1}, {1e36}, {0}}, true},
		{"an infinite weight", "1e-5", [][]float32{{1, 2, 3, 2}, {inf}, {0}}, true},
		{"an infinite bias", "1e-5", [][]float32{{1, 2, 3, 2}, {1}, {inf}}, false},
		{"a subnormal weight", "1e-5", [][]float32{{1e3, 2e3, 3e3, 2e3}, {0x1p-130}, {0}}, false},
	} {
		_, bound := bounds(t, group(c.epsilon), c.in)
		for i, b := range bound {
			if math.IsInf(b, 1) != c.unbounded {
				t.Errorf("%s: element %d has the bound %g", c.name, i, b)
			}
		}
	}
	// Four equal values have a mean that float32 may be off by 10u of it, and 1/sqrt(epsilon) magnifies that and the 20 roundings of both products.
	value, bound := bounds(t, group("1e-4"), [][]float32{{0.125, 0.125, 0.125, 0.125}, {1}, {0.5}})
	const u = 0x1p-24
	if want := 0.125*10*u*100 + 20*u*(2*0.125*100+0.5); value[0] != 0.5 || math.Abs(bound[0]/want-1) > 1e-3 {
		t.Errorf("equal values: got %g ± %g, want 0.5 ± %g", value[0], bound[0], want)
	}
}
