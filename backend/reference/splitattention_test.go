package reference_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// splitted is a split attention in float32 of two pictures, three branches and two groups of two channels, each of four elements. Where
// branch r of channel c lies in x and its score in s, in a picture of 12 channels, is for the caller to say, and what its score is taken less.
func splitted(x, s []float32, plane, score func(r, c int) int, less float32) []float32 {
	var y []float32
	for p := range 2 {
		for c := range 4 {
			var e [3]float32
			var sum float32
			for r := range e {
				e[r] = float32(math.Exp(float64(s[p*12+score(r, c)] - less)))
				sum += e[r]
			}
			for j := range 4 {
				var v float32
				for r := range e {
					v += e[r] / sum * x[(p*12+plane(r, c))*4+j]
				}
				y = append(y, v)
			}
		}
	}
	return y
}

func TestWrongSplitAttentionsAreFoundOut(t *testing.T) {
	n := node(t, "input %x : float32[2,12,2,2]", "input %s : float32[2,12,1,1]", "%y = split_attention(%x, %s) radix=3 groups=2")
	random := rand.New(rand.NewPCG(1, 2))
	in := [][]float32{make([]float32, 96), make([]float32, 24)}
	for i, list := range in {
		for j := range list {
			list[j] = float32(random.NormFloat64()) + 100*float32(i)
		}
	}
	branches := func(r, c int) int { return r*4 + c }
	scores := func(r, c int) int { return (c/2*3+r)*2 + c%2 }
	want, bound := bounds(t, n, in)
	if err := reference.Compare(splitted(in[0], in[1], branches, scores, 100), want, bound).Err(); err != nil {
		t.Fatal(err)
	}
	for name, y := range map[string][]float32{
		"scores in the order of x":   splitted(in[0], in[1], branches, branches, 100),
		"branches in that of scores": splitted(in[0], in[1], scores, scores, 100),
		"branches side by side":      splitted(in[0], in[1], func(r, c int) int { return c*3 + r }, scores, 100),
		"softmax of the channels":    splitted(in[0], in[1], branches, func(r, c int) int { return scores(c%3, r) }, 100),
		"no maximum subtracted":      splitted(in[0], in[1], branches, scores, 0),
	} {
		if reference.Compare(y, want, bound).OK() {
			t.Errorf("%s: let pass", name)
		}
	}
}

// TestWeightsThatMayVanish: a branch whose weight float32 may flush meets an infinity, or a number so large that its product is none to ignore.
func TestWeightsThatMayVanish(t *testing.T) {
	inf := float32(math.Inf(1))
	n := node(t, "input %x : float32[1,2,1,3]", "input %s : float32[1,2,1,1]", "%y = split_attention(%x, %s) radix=2 groups=1 act=relu")
	const far = -87.6 // e^far is subnormal
	value, bound := bounds(t, n, [][]float32{{1, 1, 1, inf, -inf, 1e38}, {0, far}})
	if value[0] != math.Inf(1) || !math.IsInf(bound[0], 1) || value[1] != 0 || !math.IsInf(bound[1], 1) {
		t.Errorf("infinities: got %v ± %v, want bounds without an end", value[:2], bound[:2])
	}
	if part := 1e38 * math.Exp(far); !(bound[2] >= part) || bound[2] > 3*part {
		t.Errorf("a large number: got a bound of %g, want at least the %g that may be lost", bound[2], part)
	}
	value, bound = bounds(t, n, [][]float32{{1, 1, 1, inf, -inf, 1e38}, {0, -80}})
	if value[0] != math.Inf(1) || bound[0] != 0 {
		t.Errorf("a weight that float32 has: got %v ± %v", value[0], bound[0])
	}
}

// TestSplitAttentionBoundIsTheFormula: two equal scores have weights that are off by 9u (see the softmax), and two products and a shortcut
// have three terms.
func TestSplitAttentionBoundIsTheFormula(t *testing.T) {
	n := node(t, "input %x : float32[1,2,1,1]", "input %s : float32[1,2,1,1]", "input %z : float32[1,1,1,1]", "%y = split_attention(%x, %s, %z) radix=2 groups=1 add=true")
	value, bound := bounds(t, n, [][]float32{{6, -2}, {3, 3}, {5}})
	const u = 0x1p-24
	if want := 9*u*(6+2) + 3*u*(3+1+5); value[0] != 7 || math.Abs(bound[0]/want-1) > 1e-5 {
		t.Errorf("got %v ± %v, want 7 ± %v", value[0], bound[0], want)
	}
	value, bound = bounds(t, n, [][]float32{{3e38, 3e38}, {3, 3}, {3e38}})
	if math.Abs(value[0]/6e38-1) > 1e-6 || !math.IsInf(bound[0], 1) {
		t.Errorf("beyond float32: got %v ± %v", value[0], bound[0])
	}
	one := node(t, "input %x : float32[1,3,1,1]", "input %s : float32[1,3,1,1]", "%y = split_attention(%x, %s) radix=1 groups=3")
	value, bound = bounds(t, one, [][]float32{{3, -2, 0}, {-1000, 88, 0}})
	for i, want := range []float64{3, -2, 0} {
		if value[i] != want || bound[i] > 20*u*3 {
			t.Errorf("one branch, channel %d: got %v ± %v, want %v", i, value[i], bound[i], want)
		}
	}
	if got := n.Op.(graph.SplitAttention).Score(1, 0, 1); got != 1 {
		t.Errorf("score of branch 1: got %d", got)
	}
}
