// Package similar compares pictures by the embeddings that a network makes of them.
package similar

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// Normalize scales a vector to length 1, in place.
//
// Errors: a vector without a direction: all zeros, or a number that is not finite.
func Normalize(v []float32) error {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length := math.Sqrt(sum)
	if !(length > 0) || math.IsInf(length, 0) {
		return errors.New("the embedding has no direction: its numbers are all 0, or not all finite")
	}
	for i, x := range v {
		v[i] = float32(float64(x) / length)
	}
	return nil
}

// Match is the vector that is most like another one.
type Match struct {
	Index  int     // -1: there is no other
	Cosine float64 // of the angle between the two: 1 for the same direction
}

// Nearest finds for each vector the other one of the greatest cosine, of equal ones the first. All have length 1 and as many elements; one that
// is nil is nobody's. It compares each with each, on all processors: 5,000 vectors of 2,048 take two of them some 20 s (BenchmarkNearest).
//
// Errors: that of ctx.
func Nearest(ctx context.Context, vectors [][]float32) ([]Match, error) {
	out := make([]Match, len(vectors))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(vectors)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(vectors) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				out[i] = nearest(vectors, i)
			}
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

func nearest(vectors [][]float32, i int) Match {
	best := Match{-1, math.Inf(-1)}
	for j, v := range vectors {
		if i == j || v == nil || vectors[i] == nil {
			continue
		}
		if c := dot(vectors[i], v); c > best.Cosine {
			best = Match{j, c}
		}
	}
	if best.Index < 0 {
		best.Cosine = 0
	}
	return best
}

// dot adds in four sums, for a processor that can do so at once.
func dot(a, b []float32) float64 {
	var s [4]float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s[0] += a[i] * b[i]
		s[1] += a[i+1] * b[i+1]
		s[2] += a[i+2] * b[i+2]
		s[3] += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s[0] += a[i] * b[i]
	}
	return float64(s[0]) + float64(s[1]) + float64(s[2]) + float64(s[3])
}
