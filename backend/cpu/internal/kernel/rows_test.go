package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMultiplyAdd: the result may take the place of any operand, NaN and infinity come through, and nothing behind the end is touched.
func TestMultiplyAdd(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, name := range Names() {
		set, err := Choose(name)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 70 {
			for alias := range 4 {
				rng := rand.New(rand.NewPCG(uint64(n), uint64(alias)))
				v := [4][]float32{random(rng, n+3), random(rng, n+3), random(rng, n+3), random(rng, n+3)}
				for i := range n {
					if i%5 == 4 {
						v[1+rng.IntN(3)][i] = []float32{nan, inf, -inf}[rng.IntN(3)]
					}
				}
				x, a, b, y := slices.Clone(v[1]), slices.Clone(v[2]), slices.Clone(v[3]), v[alias]
				before := slices.Clone(y)
				set.MultiplyAdd(y[:n], v[1][:n], v[2][:n], v[3][:n])
				for i, got := range y {
					want, limit := float64(before[i]), 0.0
					if i < n {
						product := float64(x[i]) * float64(a[i])
						want = product + float64(b[i])
						limit = 0x1p-23 * (math.Abs(product) + math.Abs(float64(b[i])))
					}
					g := float64(got)
					if same := g == want || g != g && want != want; !same && !(math.Abs(g-want) <= limit && want-want == 0) {
						t.Errorf("%s: element %d of %d, result in %d: %g·%g + %g: got %g, want %g", name, i, n, alias, x[i], a[i], b[i], got, want)
					}
				}
			}
		}
	}
}

// TestMoments has every rest of a vector of channels and of a block of pixels.
func TestMoments(t *testing.T) {
	for _, name := range Names() {
		set, err := Choose(name)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 37 {
			for pixels := range 10 {
				rng := rand.New(rand.NewPCG(uint64(n), uint64(pixels)))
				stride := n + rng.IntN(3)
				x := random(rng, max(0, (pixels-1)*stride+n)) // nothing behind the last pixel may be read
				var sums [3][]float64
				for i := range sums {
					for range n + 2 {
						sums[i] = append(sums[i], rng.Float64())
					}
				}
				before := [3][]float64{slices.Clone(sums[0]), slices.Clone(sums[1]), slices.Clone(sums[2])}
				set.Moments(sums[0][:n], sums[1][:n], sums[2][:n], x, pixels, stride)
				for i := range n {
					for p := range pixels {
						d := float64(x[p*stride+i]) - before[2][i]
						before[0][i] += d
						before[1][i] += d * d
					}
				}
				for k, want := range before {
					for i, got := range sums[k] {
						if !(math.Abs(got-want[i]) <= 1e-13) {
							t.Errorf("%s: %d channels of %d pixels: sum %d of channel %d: got %g, want %g", name, n, pixels, k, i, got, want[i])
						}
					}
				}
			}
		}
	}
}
