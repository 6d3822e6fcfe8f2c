package reference

import "math"

const (
	roundoff32 = 1.0 / (1 << 24) // u of float32
	roundoff64 = 1.0 / (1 << 53) // u of float64, the judge's own error
	minNormal  = 0x1p-126        // the smallest float32 that is not subnormal
)

// gamma is γ(n) = n·u/(1 - n·u), with the judge's own roundoff added to u. It is infinite where the formula ends.
func gamma(n float64) float64 {
	nu := n * (roundoff32 + roundoff64)
	if nu >= 1 {
		return math.Inf(1)
	}
	return nu / (1 - nu)
}

// classA is the bound of a sum of terms whose absolute values add up to sum, of which lost may be flushed to zero
// because of a subnormal operand.
func classA(terms int, sum, lost float64) float64 {
	return within(sum, gamma(float64(terms))*sum+lost+flush(terms))
}

// flush is what flushing the results of n multiplications and n additions to zero may change.
func flush(n int) float64 { return 2 * float64(n) * minNormal }

// within returns bound, or infinity when numbers of the size of sum may leave the range of float32.
func within(sum, bound float64) float64 {
	if !(sum+bound < math.MaxFloat32) {
		return math.Inf(1)
	}
	return bound
}

// isSubnormal reports whether float32 holds v as a subnormal number, which a device may take for zero.
func isSubnormal(v float64) bool { return v != 0 && math.Abs(v) < minNormal }

// flushed is the bound of an exact result: zero, but a subnormal one may become zero.
func flushed(v float64) float64 {
	if isSubnormal(v) {
		return math.Abs(v)
	}
	return 0
}

// halfULP is half the distance between v's float32 neighbours: what a correctly rounded operation with the exact
// result v may be off.
func halfULP(v float64) float64 {
	if math.Abs(v) < minNormal {
		return math.Max(0x1p-150, flushed(v))
	}
	_, exp := math.Frexp(v) // |v| in [2^(exp-1), 2^exp)
	return within(math.Abs(v), math.Ldexp(1, exp-1-24))
}
