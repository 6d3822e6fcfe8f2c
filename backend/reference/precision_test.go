package reference_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

var half = backend.Precision{Operands: graph.Float16, Parameters: graph.Float16, Result: graph.Float16}

// halfConvNode is a convolution of 3 channels to 5 filters with bias and shortcut, and its inputs.
func halfConvNode(t *testing.T, act graph.Activation) (*graph.Node, [][]float64) {
	t.Helper()
	b := graph.NewBuilder("g")
	op := graph.Conv2D{Stride: [2]int{1, 2}, Padding: graph.Padding{Top: 1, Left: 1, Bottom: 1, Right: 1}, Dilation: [2]int{1, 1}, Groups: 1, Bias: true, Add: true, Act: act}
	f := func(d ...int) graph.TensorType { return graph.F32(d...) }
	in := []*graph.Value{b.Input("x", f(1, 3, 6, 7)), b.Param("w", f(5, 3, 3, 3), nil), b.Param("b", f(5), nil), b.Input("z", f(1, 5, 6, 4))}
	b.Output(b.Node("y", op, in...))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	values := make([][]float64, len(in))
	for i, v := range in {
		for range v.Type.Shape.Elems() {
			values[i] = append(values[i], float64(float32(random.NormFloat64())))
		}
	}
	return g.Nodes[0], values
}

// rounded applies a rounding to every number.
func rounded(in [][]float64, round func(float64) float64) [][]float64 {
	out := make([][]float64, len(in))
	for i, list := range in {
		for _, v := range list {
			out[i] = append(out[i], round(v))
		}
	}
	return out
}

func nearest16(v float64) float64 { return float64(graph.RoundFloat16(float32(v))) }

// toZero16 is the float16 next to v in the direction of zero.
func toZero16(v float64) float64 {
	r := nearest16(v)
	if math.Abs(r) > math.Abs(v) {
		h := graph.Float16Bits(float32(r))
		r = float64(graph.Float16FromBits(h - 1))
	}
	return r
}

func TestWidenedBoundsHoldWhatRoundsToFloat16(t *testing.T) {
	ctx := context.Background()
	for _, act := range []graph.Activation{graph.NoActivation, graph.ActReLU} {
		n, in := halfConvNode(t, act)
		for name, round := range map[string]func(float64) float64{"nearest": nearest16, "truncated": toZero16} {
			t.Run(fmt.Sprint(name, act), func(t *testing.T) {
				value, bound, err := reference.Bounds(ctx, n, in)
				if err != nil {
					t.Fatal(err)
				}
				if err := reference.WidenBounds(ctx, n, in, value, bound, half); err != nil {
					t.Fatal(err)
				}
				stored := rounded(in, round)
				stored[1], stored[2] = rounded(in[1:2], nearest16)[0], rounded(in[2:3], nearest16)[0]
				got, err := reference.Node(ctx, n, stored)
				if err != nil {
					t.Fatal(err)
				}
				y, off := make([]float32, len(got)), make([]float32, len(got))
				for i, v := range got {
					y[i] = float32(round(v))
					off[i] = y[i] * (1 + 0x1p-6)
				}
				r := reference.Compare(y, value, bound)
				if err := r.Err(); err != nil {
					t.Error(err)
				}
				if r.Fraction < 0.05 {
					t.Errorf("the bound is loose: the worst error is %g of it", r.Fraction)
				}
				if r := reference.Compare(off, value, bound); r.OK() {
					t.Error("results that are off by 2^-6 were let pass")
				}
			})
		}
	}
}

func TestNumbersThatFloat16HasAddNothing(t *testing.T) {
	ctx := context.Background()
	n, in := halfConvNode(t, graph.NoActivation)
	in = rounded(in, math.Round)
	value, bound, err := reference.Bounds(ctx, n, in)
	if err != nil {
		t.Fatal(err)
	}
	clear(bound)
	if err := reference.WidenBounds(ctx, n, in, value, bound, half); err != nil {
		t.Fatal(err)
	}
	for i, b := range bound {
		if b != 0 {
			t.Fatalf("element %d of value %g: got a bound of %g, want 0", i, value[i], b)
		}
	}
}

func TestWidenBoundsAtTheEndsOfTheRange(t *testing.T) {
	ctx := context.Background()
	b := graph.NewBuilder("g")
	typ := graph.F32(1, 1, 1, 8)
	b.Output(b.Node("y", graph.ReLU{}, b.Input("x", typ)))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	inf := math.Inf(1)
	in := []float64{65504, 65505, inf, math.NaN(), 0, 0x1p-15, 1, 1 + 0x1p-12}
	want := []float64{0, inf, 0, 0, 0, 0x1p-15, 0, 1}
	value, bound, err := reference.Bounds(ctx, g.Nodes[0], [][]float64{in})
	if err != nil {
		t.Fatal(err)
	}
	if err := reference.WidenBounds(ctx, g.Nodes[0], [][]float64{in}, value, bound, half); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if got := bound[i]; w == 0 && got != 0 || w == inf && got != inf || w > 0 && w < inf && !(got > 0 && got < 0x1p-8) {
			t.Errorf("bound of %g: got %g", in[i], got)
		}
	}
}

func TestWidenBoundsRefuses(t *testing.T) {
	ctx := context.Background()
	b := graph.NewBuilder("g")
	b.Output(b.Node("y", graph.Softmax{}, b.Input("x", graph.F32(1, 2))))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	two := []float64{0.1, 0.2}
	if err := reference.WidenBounds(ctx, g.Nodes[0], [][]float64{two}, two, []float64{0, 0}, half); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("softmax: got %v, want a refusal", err)
	}
	var shape *graph.ShapeError
	for _, p := range []backend.Precision{{}, {Operands: graph.Float32, Parameters: graph.Float32, Result: graph.Float32}, {Operands: graph.Float16, Parameters: graph.BFloat16, Result: graph.Float16}} {
		if err := reference.WidenBounds(ctx, g.Nodes[0], [][]float64{two}, two, []float64{0, 0}, p); !errors.As(err, &shape) {
			t.Errorf("%v: got %v, want a ShapeError", p, err)
		}
	}
}
