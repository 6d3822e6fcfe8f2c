package similar

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestNormalize(t *testing.T) {
	v := []float32{3, 0, -4}
	if err := Normalize(v); err != nil || v[0] != 0.6 || v[1] != 0 || v[2] != -0.8 {
		t.Errorf("got %v, %v", v, err)
	}
	huge := []float32{math.MaxFloat32, math.MaxFloat32}
	if err := Normalize(huge); err != nil || math.Abs(float64(huge[0])-math.Sqrt(0.5)) > 1e-7 {
		t.Errorf("large numbers: got %v, %v", huge, err)
	}
	for _, bad := range [][]float32{{}, {0, 0}, {1, float32(math.NaN())}, {float32(math.Inf(1)), 1}} {
		if err := Normalize(bad); err == nil {
			t.Errorf("%v: got no error", bad)
		}
	}
}

// TestNearestIsFoundAmongMany: vectors come in pairs a small turn apart, in a random order.
func TestNearestIsFoundAmongMany(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const pairs, dims = 40, 19
	vectors, want := make([][]float32, 2*pairs), make([]int, 2*pairs)
	order := r.Perm(2 * pairs)
	for p := range pairs {
		a, b := order[2*p], order[2*p+1]
		vectors[a], vectors[b] = make([]float32, dims), make([]float32, dims)
		for i := range dims {
			vectors[a][i] = float32(r.NormFloat64())
			vectors[b][i] = vectors[a][i] + 0.05*float32(r.NormFloat64())
		}
		want[a], want[b] = b, a
		if err := errors.Join(Normalize(vectors[a]), Normalize(vectors[b])); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Nearest(t.Context(), vectors)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range got {
		cosine := 0.0
		for d := range dims {
			cosine += float64(vectors[i][d]) * float64(vectors[want[i]][d])
		}
		if m.Index != want[i] || math.Abs(m.Cosine-cosine) > 1e-6 {
			t.Errorf("vector %d: got %+v, want %d with %v", i, m, want[i], cosine)
		}
	}
}

func TestNearestOfFew(t *testing.T) {
	x, y := []float32{1, 0}, []float32{0, 1}
	for _, c := range []struct {
		vectors [][]float32
		want    []Match
	}{
		{nil, []Match{}},
		{[][]float32{x}, []Match{{-1, 0}}},
		{[][]float32{x, nil}, []Match{{-1, 0}, {-1, 0}}},
		{[][]float32{x, nil, y}, []Match{{2, 0}, {-1, 0}, {0, 0}}},
		{[][]float32{x, y, y, {-1, 0}}, []Match{{1, 0}, {2, 1}, {1, 1}, {1, 0}}},
	} {
		if got, err := Nearest(t.Context(), c.vectors); err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v: got %v, %v, want %v", c.vectors, got, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Nearest(ctx, [][]float32{x, y}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func BenchmarkNearest(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	vectors := make([][]float32, 500)
	for i := range vectors {
		vectors[i] = make([]float32, 2048)
		for j := range vectors[i] {
			vectors[i][j] = r.Float32()
		}
	}
	for b.Loop() {
		if _, err := Nearest(b.Context(), vectors); err != nil {
			b.Fatal(err)
		}
	}
}
