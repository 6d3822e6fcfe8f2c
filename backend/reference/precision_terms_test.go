package reference_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// halfTerms is float16 with sums of so many products in float16.
func halfTerms(terms int) backend.Precision {
	p := half
	p.HalfTerms = terms
	return p
}

// convInHalf is the convolution of [halfConvNode] with every product and every sum of up to so many of them rounded.
func convInHalf(in [][]float64, terms int, round func(float64) float64) []float32 {
	const channels, height, width, filters, taps, q = 3, 6, 7, 5, 3, 4
	var y []float32
	for k := range filters {
		for p := range height {
			for col := range q {
				sum, part, n := 0.0, 0.0, 0
				for c := range channels {
					for r := range taps {
						for s := range taps {
							h, w := p+r-1, 2*col+s-1
							if h < 0 || h >= height || w < 0 || w >= width {
								continue
							}
							product := round(in[0][(c*height+h)*width+w] * in[1][((k*channels+c)*taps+r)*taps+s])
							part = round(part + product)
							if n++; n%terms == 0 {
								sum, part = float64(float32(sum+part)), 0
							}
						}
					}
				}
				y = append(y, float32(round(sum+part+in[2][k]+in[3][(k*height+p)*q+col])))
			}
		}
	}
	return y
}

// TestBoundsOfTermsInFloat16 holds a convolution whose products are summed in float16 to its bound, and to that of float32 sums, which it must leave.
func TestBoundsOfTermsInFloat16(t *testing.T) {
	ctx := context.Background()
	n, in := halfConvNode(t, graph.NoActivation)
	for name, round := range map[string]func(float64) float64{"nearest": nearest16, "truncated": toZero16} {
		for _, terms := range []int{1, 8, 27} {
			t.Run(fmt.Sprint(name, terms), func(t *testing.T) {
				stored := rounded(in, nearest16)
				y := convInHalf(stored, terms, round)
				judge := func(p backend.Precision) reference.Report {
					value, bound, err := reference.Bounds(ctx, n, in)
					if err == nil {
						err = reference.WidenBounds(ctx, n, in, value, bound, p)
					}
					if err != nil {
						t.Fatal(err)
					}
					return reference.Compare(y, value, bound)
				}
				r := judge(halfTerms(terms))
				if err := r.Err(); err != nil {
					t.Error(err)
				}
				if r.Fraction < 0.02 {
					t.Errorf("the bound is loose: the worst error is %g of it", r.Fraction)
				}
				if name == "truncated" && terms == 27 && judge(half).OK() {
					t.Error("the bound of sums in float32 holds too: the numbers show nothing")
				}
				if terms == 27 && judge(halfTerms(1)).Fraction <= r.Fraction {
					t.Error("a bound of fewer terms is not narrower")
				}
			})
		}
	}
}

// TestBoundsOfTermsBeyondFloat16 has sums of sizes that float16 has not, and numbers that are none.
func TestBoundsOfTermsBeyondFloat16(t *testing.T) {
	ctx := context.Background()
	b := graph.NewBuilder("g")
	op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
	b.Output(b.Node("y", op, b.Input("x", graph.F32(1, 2, 1, 4)), b.Param("w", graph.F32(1, 2, 1, 1), nil)))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	inf := math.Inf(1)
	in := [][]float64{{200, 200, inf, 0x1p-12, -200, 100, 1, 0}, {256, 256}} // the first sum is 0, of terms that float16 has and whose sizes it has not
	value, bound, err := reference.Bounds(ctx, g.Nodes[0], in)
	if err != nil {
		t.Fatal(err)
	}
	if err := reference.WidenBounds(ctx, g.Nodes[0], in, value, bound, halfTerms(2)); err != nil {
		t.Fatal(err)
	}
	if bound[0] != inf || bound[1] != inf {
		t.Errorf("sums that may leave float16: got bounds %g and %g, want infinity", bound[0], bound[1])
	}
	if bound[3] < 0x1p-13 || bound[3] > 0x1p-6 {
		t.Errorf("a sum of %g: got a bound of %g", value[3], bound[3])
	}
	if value[2] != inf || bound[2] != 0 && !math.IsInf(bound[2], 1) && bound[2] > 1 {
		t.Errorf("an infinity: got %g with a bound of %g", value[2], bound[2])
	}
	relu, in2 := graph.NewBuilder("g"), []float64{1}
	relu.Output(relu.Node("y", graph.ReLU{}, relu.Input("x", graph.F32(1))))
	g, err = relu.Build()
	if err != nil {
		t.Fatal(err)
	}
	if err := reference.WidenBounds(ctx, g.Nodes[0], [][]float64{in2}, in2, []float64{0}, halfTerms(2)); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("relu: got %v, want a refusal", err)
	}
	var shape *graph.ShapeError
	for _, terms := range []int{-1, backend.MaxHalfTerms + 1} {
		if err := halfTerms(terms).Check(g.Nodes[0]); !errors.As(err, &shape) {
			t.Errorf("%d terms: got %v, want a ShapeError", terms, err)
		}
	}
	if p := halfTerms(16); p.Check(g.Nodes[0]) != nil || p.String() != "float16 × float16 → float16, 16 terms in float16" {
		t.Errorf("16 terms: got %v, %q", p.Check(g.Nodes[0]), p)
	}
}
