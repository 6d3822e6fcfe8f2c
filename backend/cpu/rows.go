package cpu

import "github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"

// The loops over the channels of a pixel, or over a row of pixels, that steps other than matrix products are made of.

// noughts is what is compared with, and what is added where there is nothing to add.
var noughts [1 << 10]float32

// ones is what a row to be added is multiplied with.
var ones = func() (v [len(noughts)]float32) {
	for i := range v {
		v[i] = 1
	}
	return v
}()

// reluRow takes max(y, 0), with NaN kept: a branch on the sign of each element is mistaken half of the time.
func reluRow(set *kernel.Set, y []float32) {
	for len(y) > 0 {
		block := y[:min(len(y), len(noughts))]
		set.Max(block, noughts[:len(block)])
		y = y[len(block):]
	}
}

// addRow computes y = x + z. Any of them may be the same.
func addRow(set *kernel.Set, y, x, z []float32) {
	for len(y) > 0 {
		n := min(len(y), len(ones))
		set.MultiplyAdd(y[:n], x[:n], ones[:n], z[:n])
		y, x, z = y[n:], x[n:], z[n:]
	}
}

// multiplyRow computes y = x·a.
func multiplyRow(set *kernel.Set, y, x, a []float32) {
	for len(y) > 0 {
		n := min(len(y), len(noughts))
		set.MultiplyAdd(y[:n], x[:n], a[:n], noughts[:n])
		y, x, a = y[n:], x[n:], a[n:]
	}
}

// affineLine computes y = x·scale + shift for each pixel of a row.
func affineLine(set *kernel.Set, y, x, scale, shift []float32) {
	c := len(scale)
	for c > 0 && len(x) >= c {
		set.MultiplyAdd(y[:c], x[:c], scale, shift)
		y, x = y[c:], x[c:]
	}
}
