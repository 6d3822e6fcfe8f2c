package reference_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// halfNodes are nodes of the ops whose bounds in float16 are their own.
func halfNodes(t *testing.T) map[string]*graph.Node {
	t.Helper()
	const image = "input %x : float32[2,6,3,5]"
	return map[string]*graph.Node{
		"batch_norm": node(t, image, "param @g : float32[6]", "param @b : float32[6]", "param @mean : float32[6]", "param @var : float32[6]",
			"%y = batch_norm(%x, @g, @b, @mean, @var) epsilon=1e-3"),
		"group_norm": node(t, image, "param @g : float32[6]", "param @b : float32[6]", "%y = group_norm(%x, @g, @b) groups=2 epsilon=1e-3 act=relu"),
		"split_attention": node(t, image, "input %s : float32[2,6,1,1]", "input %z : float32[2,2,3,5]",
			"%y = split_attention(%x, %s, %z) radix=3 groups=2 add=true act=relu"),
		"reshape":       node(t, image, "%y = reshape(%x) to=5,9,2"),
		"concat":        node(t, image, "input %z : float32[2,1,3,5]", "%y = concat(%x, %z)"),
		"channel_slice": node(t, image, "%y = channel_slice(%x) begin=1 end=4"),
		"spatial_pad":   node(t, image, "%y = spatial_pad(%x) padding=2,0,1,4 reflect=true"),
	}
}

// normal are random inputs of a node.
func normal(n *graph.Node) [][]float64 {
	random := rand.New(rand.NewPCG(5, 6))
	in := make([][]float64, len(n.Inputs))
	for i, v := range n.Inputs {
		for range v.Type.Shape.Elems() {
			x := 2 * random.NormFloat64()
			if v.Name == "var" {
				x = math.Abs(x)
			}
			in[i] = append(in[i], float64(float32(x)))
		}
	}
	return in
}

// widened are the values and bounds of a node in float16.
func widened(t *testing.T, n *graph.Node, in [][]float64) (value, bound []float64) {
	t.Helper()
	value, bound, err := reference.Bounds(t.Context(), n, in)
	if err == nil {
		err = reference.WidenBounds(t.Context(), n, in, value, bound, half)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value, bound
}

func TestWidenedBoundsOfEachOpHoldWhatRoundsToFloat16(t *testing.T) {
	for op, n := range halfNodes(t) {
		in := normal(n)
		value, bound := widened(t, n, in)
		worst := 0.0
		for _, round := range []func(float64) float64{nearest16, toZero16} {
			stored := rounded(in, round)
			for i, v := range n.Inputs {
				if v.Kind == graph.ParamValue {
					stored[i] = rounded(in[i:i+1], nearest16)[0]
				}
			}
			got, err := reference.Node(t.Context(), n, stored)
			if err != nil {
				t.Fatal(err)
			}
			y, off := make([]float32, len(got)), make([]float32, len(got))
			for i, v := range got {
				y[i] = float32(round(v))
				off[i] = y[i] * (1 + 0x1p-5)
			}
			r := reference.Compare(y, value, bound)
			if err := r.Err(); err != nil {
				t.Errorf("%s: %v", op, err)
			}
			worst = max(worst, r.Fraction)
			if reference.Compare(off, value, bound).OK() {
				t.Errorf("%s: results that are off by 2^-5 were let pass", op)
			}
		}
		if worst < 0.1 {
			t.Errorf("%s: the bound is loose: the worst error is %g of it", op, worst)
		}
	}
}

func TestWidenedBoundsOfEachOpAtTheEnds(t *testing.T) {
	for op, n := range halfNodes(t) {
		in := rounded(normal(n), math.Round)
		value, bound, err := reference.Bounds(t.Context(), n, in)
		if err != nil {
			t.Fatal(err)
		}
		p, plain := half, append([]float64(nil), bound...)
		p.Result = graph.Float32
		if err := reference.WidenBounds(t.Context(), n, in, value, bound, p); err != nil {
			t.Fatal(err)
		}
		for i, b := range bound {
			if b != plain[i] {
				t.Fatalf("%s: numbers that float16 has: bound %g became %g", op, plain[i], b)
			}
		}
		// A number beyond float16 becomes an infinity, which is what the operands of some elements are then.
		in[0][0] = 1e5
		_, bound = widened(t, n, in)
		endless := 0
		for _, b := range bound {
			if math.IsInf(b, 1) {
				endless++
			}
		}
		want := map[string]int{"batch_norm": 1, "group_norm": 45, "split_attention": 1, "reshape": 1, "concat": 1, "channel_slice": 0, "spatial_pad": 2}[op]
		if endless != want {
			t.Errorf("%s: %d of %d bounds are infinite, want %d", op, endless, len(bound), want)
		}
		// An infinity is wanted as it is.
		in[0][0] = math.Inf(1)
		in[0][1] = 1.0001
		value, bound = widened(t, n, in)
		if err := reference.Compare(reference.Narrow(value), value, bound).Err(); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		for i, v := range value {
			if v-v != 0 && math.IsInf(bound[i], 1) {
				t.Errorf("%s: element %d is %g and may be anything", op, i, v)
			}
		}
	}
}

// TestWidenedWeightsMayVanish: scores whose roundings move a weight beyond what float32 has, where it meets an infinity.
func TestWidenedWeightsMayVanish(t *testing.T) {
	n := node(t, "input %x : float32[1,2,1,2]", "input %s : float32[1,2,1,1]", "%y = split_attention(%x, %s) radix=2 groups=1")
	in := [][]float64{{1, 2, math.Inf(1), 4}, {3000.3, 2915.3}} // float16 has 3000 and 2916 or 2914
	if _, bound := widened(t, n, in); !math.IsInf(bound[0], 1) || math.IsInf(bound[1], 1) {
		t.Errorf("got bounds %v, want an infinite one and a finite one", bound)
	}
	in[1][1] = 2990.3
	if _, bound := widened(t, n, in); math.IsInf(bound[0], 1) {
		t.Errorf("a weight that float32 has: got bounds %v", bound)
	}
}
