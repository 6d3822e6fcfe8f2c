package reference

import (
	"context"
	"math"
)

// softmax computes [graph.Softmax], one vector along the last dimension a row.
func softmax(ctx context.Context, in []tensor, out result) error {
	size := out.shape.Dim(-1)
	return rows(ctx, len(out.data)/size, func(i int) {
		softmaxRow(in[0].row(i, size), out.row(i, size), out.boundRow(i, size))
	})
}

// softmaxRow computes y_i = e_i/Σe_j with e_i = exp(d_i), d_i = x_i - max x.
//
// The bound: d_i is rounded once, an error of u·|d_i|, which becomes a factor e^(u·|d_i|); exp itself may be off
// by 3 + 2|d_i| ULP. So the computed e_i lies within e_i·(1 ± η_i) ± 2^-126 (flushed), with
// 1 + η_i = (1 + 2u·(3 + 2|d_i|))·e^(u·|d_i|). The sum of n of them is off by
// Δ = Σ(e_j·η_j + 2^-126) + γ(n-1)·(Σe_j + the same), and the division by 5u. The greatest quotient that this allows
// is farther from y_i than the least, and so gives the bound.
func softmaxRow(x, y, bound []float64) {
	m := math.Inf(-1)
	for _, v := range x {
		if v > m || math.IsNaN(v) {
			m = v
		}
	}
	sum := 0.0
	for i, v := range x {
		y[i] = math.Exp(v - m)
		sum += y[i]
	}
	if bound != nil {
		softmaxBound(x, y, bound, m, sum)
	}
	for i := range y {
		y[i] /= sum
	}
}

// softmaxBound writes the bounds of a row from its exponentials e, their maximum input m and their sum.
func softmaxBound(x, e, bound []float64, m, sum float64) {
	spread := 0.0 // Σ of the errors of the exponentials
	for i := range e {
		bound[i] = expError(x[i]-m, e[i])
		spread += bound[i]
	}
	delta := spread + gamma(float64(len(e)-1))*(sum+spread)
	for i := range e {
		highest := (e[i]+bound[i])/(sum-delta)*(1+5*(roundoff32+roundoff64)) + minNormal
		bound[i] = highest - e[i]/sum
		if !(delta < sum) { // a row so long that nothing can be promised
			bound[i] = math.Inf(1)
		}
	}
}

// expError bounds the error of exp(d) = e in float32 when d itself is a rounded difference.
func expError(d, e float64) float64 {
	if e == 0 {
		return minNormal
	}
	d = math.Abs(d)
	eta := (1+2*roundoff32*(3+2*d))*math.Exp(roundoff32*d) - 1
	return e*eta + minNormal
}
