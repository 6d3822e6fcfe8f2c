// Package seeded makes pseudo-random tensors that any language can make again from a seed and a name, so that golden
// data needs to store neither inputs nor weights.
//
// # Formula
//
// All integers are unsigned 64-bit and wrap around:
//
//	state = fnv1a64(bytes of name) xor seed·0x9E3779B97F4A7C15
//	z_i   = splitmix64's output function of state + (i+1)·0x9E3779B97F4A7C15,   i = 0, 1, ...
//	k_i   = z_i >> 40                                          24 bits
//	value = float32( ((2·k_i + 1 - 2^24) / 2^25 · sqrt(12)) · std )
//
// with the last line in float64, each operation rounded to nearest: a uniform distribution, symmetric about zero,
// of standard deviation std, that never gives zero. tools/golden/ops/seeded.py is the same in numpy.
//
// Sources: Steele, Lea and Flood 2014 (SplitMix); Fowler, Noll and Vo (FNV-1a, 64 bits).
package seeded

import (
	"hash/fnv"
	"math"
)

// increment is the odd number nearest to 2^64 divided by the golden ratio.
const increment = 0x9E3779B97F4A7C15

// Uniform returns n numbers drawn evenly from (-√3·std, √3·std): mean 0, standard deviation std. The same seed and
// name give the same numbers on every machine, and a longer sequence begins with the shorter one. The name keeps the
// tensors of one network apart.
func Uniform(seed uint64, name string, n int, std float64) []float32 {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	state := h.Sum64() ^ seed*increment
	root := math.Sqrt(12)
	out := make([]float32, n)
	for i := range out {
		state += increment
		k := int64(mix(state) >> 40)
		u := float64(2*k+1-1<<24) / (1 << 25) // exact, in (-1/2, 1/2)
		out[i] = float32(u * root * std)
	}
	return out
}

// UniformAround returns Uniform moved by mean: float32(float64(value) + mean).
func UniformAround(seed uint64, name string, n int, mean, std float64) []float32 {
	out := Uniform(seed, name, n, std)
	for i, v := range out {
		out[i] = float32(float64(v) + mean)
	}
	return out
}

// mix is the output function of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
