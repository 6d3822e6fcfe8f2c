package plan

import (
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// TestTermsInFloat16OnlyWhereAskedFor plans a network for GPUs with and without float16 arithmetic: kernels that multiply in it run where the caller
// allows them, the device has them, and the layer's sums fit.
func TestTermsInFloat16OnlyWhereAskedFor(t *testing.T) {
	shape := MatrixShape{16, 16, 16}
	plain := func(float16 bool, half ...MatrixShape) Limits {
		lim := matrixDevice(32)
		lim.Float16, lim.HalfMatrices = float16, half
		return lim
	}
	both := matrixDevice(32, shape)
	both.Float16, both.HalfMatrices = true, []MatrixShape{shape}
	wide := map[string]bool{"layer1.0.relu1": true}
	for _, c := range []struct {
		name  string
		lim   Limits
		opt   Options
		terms int // of most convolutions
	}{
		{"not asked for", plain(true), Options{Half: true}, 0},
		{"asked for", plain(true), Options{Half: true, HalfTerms: true}, 16},
		{"wide sums", plain(true), Options{Half: true, HalfTerms: true, WideSums: wide}, 16},
		{"a device without the arithmetic", plain(false), Options{Half: true, HalfTerms: true}, 0},
		{"in float32", plain(true), Options{HalfTerms: true}, 0},
		{"matrices of float16 alone", plain(true, shape), Options{Half: true, HalfTerms: true}, 32},
		{"matrices of float16, not asked for", plain(true, shape), Options{Half: true}, 0},
		{"matrices of both", both, Options{Half: true, HalfTerms: true}, 0}, // that it pays is for tuning to find
	} {
		t.Run(c.name, func(t *testing.T) {
			g := network(t, "resnet18", 16)
			p := build(t, c.lim, c.opt, g)
			checkPlan(t, c.lim, p)
			most, other := 0, 0
			for _, n := range g.Nodes {
				if _, ok := n.Op.(graph.Conv2D); !ok {
					continue
				}
				got := p.Precisions[n.Name].HalfTerms
				if c.opt.WideSums[n.Name] && got != 0 {
					t.Errorf("node %q, whose sums may leave float16: got %d terms in float16", n.Name, got)
				}
				if got == c.terms {
					most++
				} else if other++; got > c.terms {
					t.Errorf("node %q: got %d terms in float16, want at most %d", n.Name, got, c.terms)
				}
			}
			if c.terms == 0 && other > 0 || most <= other {
				t.Errorf("%d convolutions with %d terms in float16, %d with others", most, c.terms, other)
			}
			for _, s := range p.Steps {
				if v := s.Variant; v.HalfTerms > p.Precisions[s.Node].HalfTerms {
					t.Errorf("node %q: %s adds %d terms in float16, and the plan tells %v", s.Node, v.Name, v.HalfTerms, p.Precisions[s.Node])
				}
			}
		})
	}
}
