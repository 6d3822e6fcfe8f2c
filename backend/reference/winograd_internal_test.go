package reference

import (
	"math"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
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

// TestWinogradBoundIsTheGreatestOverAllTiles computes E once more, by the definition: with the matrices of F(2,3) and
// F(4,3) as Lavin and Gray print them, for every element and every tile that it can lie in.
func TestWinogradBoundIsTheGreatestOverAllTiles(t *testing.T) {
	type matrices struct{ a, g, b [][]float64 }
	two := matrices{
		a: [][]float64{{1, 0}, {1, 1}, {1, 1}, {0, 1}},
		g: [][]float64{{1, 0, 0}, {.5, .5, .5}, {.5, .5, .5}, {0, 0, 1}},
		b: [][]float64{{1, 0, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 0, 1}},
	}
	four := matrices{
		a: [][]float64{{1, 0, 0, 0}, {1, 1, 1, 1}, {1, 1, 1, 1}, {1, 2, 4, 8}, {1, 2, 4, 8}, {0, 0, 0, 1}},
		g: [][]float64{{1. / 4, 0, 0}, {1. / 6, 1. / 6, 1. / 6}, {1. / 6, 1. / 6, 1. / 6}, {1. / 24, 1. / 12, 1. / 6}, {1. / 24, 1. / 12, 1. / 6}, {0, 0, 1}},
		b: [][]float64{{4, 0, 5, 0, 1, 0}, {0, 4, 4, 1, 1, 0}, {0, 4, 4, 1, 1, 0}, {0, 2, 1, 2, 1, 0}, {0, 2, 1, 2, 1, 0}, {0, 4, 0, 5, 0, 1}},
	}
	const n, c, h, w, filters, groups = 2, 4, 5, 6, 6, 2
	op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Padding: graph.Padding{Top: 1, Left: 2, Right: 1}, Groups: groups}
	x := tensor{graph.NewShape(n, c, h, w), Widen(seeded.Uniform(1, "x", n*c*h*w, 1))}
	weight := tensor{graph.NewShape(filters, c/groups, 3, 3), Widen(seeded.Uniform(1, "w", filters*c/groups*9, 1))}
	const p, q = h + 1 - 2, w + 3 - 2
	at := func(image, channel, i, j int) float64 {
		if i, j = i-op.Padding.Top, j-op.Padding.Left; i < 0 || j < 0 || i >= h || j >= w {
			return 0
		}
		return math.Abs(x.data[((image*c+channel)*h+i)*w+j])
	}
	for name, sides := range map[string][2]matrices{"rows 2, columns 4": {two, four}, "rows 4, columns 2": {four, two}} {
		rows, cols := sides[0], sides[1]
		points := map[int][]float64{4: {0, 1, -1}, 6: {0, 1, -1, 2, -2}}
		b := newWinogradBound(op, backend.Winograd{Rows: points[len(rows.a)], Columns: points[len(cols.a)]}, []tensor{x, weight}, graph.NewShape(n, filters, p, q))
		if err := b.tiles(t.Context()); err != nil {
			t.Fatal(err)
		}
		for e := range b.sum {
			image, k, row, col := e/(filters*p*q), e/(p*q)%filters, e/q%p, e%q
			want := 0.0
			for i := range rows.a[0] {
				for j := range cols.a[0] { // the element is result (i, j) of its tile
					sum := 0.0
					for a := range rows.a {
						for z := range cols.a {
							for ch := range c / groups {
								u, v := 0.0, 0.0
								for r := range 3 {
									for s := range 3 {
										u += rows.g[a][r] * cols.g[z][s] * math.Abs(weight.data[((k*c/groups+ch)*3+r)*3+s])
									}
								}
								for l := range rows.b[a] {
									for m := range cols.b[z] {
										v += rows.b[a][l] * cols.b[z][m] * at(image, k/(filters/groups)*(c/groups)+ch, row-i+l, col-j+m)
									}
								}
								sum += rows.a[a][i] * cols.a[z][j] * u * v
							}
						}
					}
					want = math.Max(want, sum)
				}
			}
			if math.Abs(b.sum[e]-want) > 1e-12*want || !(b.lost[e] > 0 && b.lost[e] < 1e-30) {
				t.Fatalf("%s: element %d: got %g and %g lost to flushing, want %g", name, e, b.sum[e], b.lost[e], want)
			}
		}
	}
}
