package reference

import (
	"math"
	"testing"
)

// pointSets are those in use, and one that nobody would use.
var pointSets = [][]float64{{0, 1, -1}, {0, 1, -1, 2, -2}, {0, 1, -1, 2, -0.5}, {0, 1, -1, 2, -2, 0.5, -0.5}, {3, 0.25}, {0, 1, -1, 0.5, -2, -0.5, 2, 4}}

// TestToomCookIsConvolution multiplies the matrices out: the factor of w_k·x_l in result i must be 1 where l = i + k, else 0.
func TestToomCookIsConvolution(t *testing.T) {
	for _, points := range append(pointSets, nil) {
		for r := 1; r <= len(points)+1 || points == nil && r < 5; r++ {
			a, g, b := toomCook(points, r)
			for i := range a[0] {
				for k := range g[0] {
					for l := range b[0] {
						sum, want := 0.0, 0.0
						for p := range a {
							sum += a[p][i] * g[p][k] * b[p][l]
						}
						if l == i+k {
							want = 1
						}
						if math.Abs(sum-want) > 1e-9 {
							t.Errorf("points %v, kernel %d: factor of w%d·x%d in y%d: got %g, want %g", points, r, k, l, i, sum, want)
						}
					}
				}
			}
		}
	}
}

// TestGrowth checks the constants of the package comment, for two axes, by hand: the rows of G and B of F(2,3) add up to 1, 3/2, 3/2, 1
// and to 2 each, so that each result has 8 along an axis.
func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		points []float64
		want   float64
	}{{nil, 3}, {[]float64{0, 1, -1}, 8}, {[]float64{0, 1, -1, 2, -2}, 48}} {
		x := newAxis(c.points, 3, window{})
		growth := 0.0
		for i := range x.results {
			sum := 0.0
			for p := range x.points {
				sum += x.a[p][i] * greatest(x.g[p:p+1]) * greatest(x.b[p:p+1])
			}
			growth = max(growth, sum)
		}
		if math.Abs(growth-c.want) > 1e-9 {
			t.Errorf("points %v: growth %g, want %g", c.points, growth, c.want)
		}
	}
}
