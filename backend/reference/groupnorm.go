package reference

import (
	"context"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// groupNorm computes [graph.GroupNorm], one group of a picture a row: its channels lie side by side.
func groupNorm(ctx context.Context, o graph.GroupNorm, in []tensor, out result) error {
	_, c, height, width := out.shape.NCHW()
	perGroup, size := c/o.Groups, height*width
	return rows(ctx, out.shape.Dim(0)*o.Groups, func(i int) {
		x := in[0].row(i, perGroup*size)
		m := momentsOf(x, o.Epsilon)
		if out.bound != nil {
			m.widen(x, nil)
		}
		for j := range perGroup {
			if ctx.Err() != nil {
				return
			}
			ch, plane := i%o.Groups*perGroup+j, i*perGroup+j
			weight, bias := in[1].data[ch], in[2].data[ch]
			value, bound := out.row(plane, size), out.boundRow(plane, size)
			for k, x := range in[0].row(plane, size) {
				value[k] = (x-m.mean)/m.root*weight + bias
				if o.Act == graph.ActReLU {
					value[k] = relu(value[k])
				}
				if bound != nil {
					bound[k] = m.bound(x, weight, bias, [3]float64{})
				}
			}
		}
	})
}

// moments are what a group of elements is normalised by, and between which numbers a float32 device may have it.
type moments struct {
	mean, variance, root float64 // root is sqrt(variance + epsilon)
	epsilon              float64
	meanError            float64
	low, high            float64 // of 1/root; high is infinite where nothing can be promised
}

func momentsOf(x []float64, epsilon float64) moments {
	m := moments{epsilon: epsilon}
	for _, v := range x {
		m.mean += v
	}
	m.mean /= float64(len(x))
	for _, v := range x {
		m.variance += (v - m.mean) * (v - m.mean)
	}
	m.variance /= float64(len(x))
	m.root = math.Sqrt(m.variance + epsilon)
	return m
}

// widen finds what float32 may make of the moments of x, each of whose elements may itself be off by errs, nil for not at all. The mean of
// K elements is off by e as any mean is, so that a difference d = x - mean is off by e_d = e + u·(|d| + e), with that of its
// operand in e. The sum of the squared differences is off by Σ(2·|d|·e_d + e_d²) for that, and each square meets one rounding
// as a product, K-1 at most in the sum and 6 in the division: γ(K+7)·Σ(|d| + e_d)². So the inverse of the root lies between its
// values at both ends of the variance; epsilon and the sum with it are rounded once each.
func (m *moments) widen(x, errs []float64) {
	n := float64(len(x))
	var sum mean
	given := 0.0
	for i, v := range x {
		sum.add(v)
		if errs != nil {
			given += errs[i]
		}
	}
	m.meanError = within(sum.abs+given, sum.bound(len(x))+given/n)
	var off, squares float64
	for i, v := range x {
		d, e := math.Abs(v-m.mean), m.meanError
		if errs != nil {
			e += errs[i]
		}
		e += gamma(1)*(d+e) + flush(1)
		off += 2*d*e + e*e
		squares += (d + e) * (d + e)
	}
	off = within(squares, off+gamma(n+7)*squares+flush(len(x)+1))/n + minNormal
	least, most := m.epsilon, m.epsilon*(1+gamma(1))
	if isSubnormal(m.epsilon) {
		least, most = 0, minNormal
	}
	least = (math.Max(0, m.variance-off) + least) * (1 - gamma(2))
	most = (m.variance + off + most) * (1 + gamma(1))
	m.low, m.high = 1/math.Sqrt(most), 1/math.Sqrt(least)
	if !(most < math.MaxFloat32) {
		m.high = math.Inf(1)
	}
}

// bound is that of one element, whose x, weight and bias may themselves be off by errs. The difference and the scale are off as in widen; what
// is left of the formula meets the 20 roundings of a batch_norm of such a scale (see the package comment).
func (m moments) bound(x, weight, bias float64, errs [3]float64) float64 {
	if math.IsInf(m.high, 1) {
		return m.high
	}
	d, off, w := math.Abs(x-m.mean), m.meanError+errs[0], math.Abs(weight)
	moved := math.Max(m.high-1/m.root, 1/m.root-m.low)
	moved = w*(off*m.high+d*moved) + errs[1]*(d+off)*m.high + errs[2]
	scale := (w + errs[1]) * m.high
	product := (math.Abs(x) + math.Abs(m.mean) + off) * scale
	sum := product + math.Abs(bias) + errs[2]
	// Operands and the difference may be flushed before the multiplications, and what follows after each.
	lost := 4 * minNormal * (1 + w + scale)
	if w != 0 && (w < minNormal || w*m.low < minNormal) {
		lost += product
	}
	return within(math.Max(sum+moved, scale), moved+gamma(20)*sum+lost)
}

// eitherNorm makes the bounds infinite where a weight is infinite: the difference that it meets may be zero or of either sign once it is
// rounded, and infinity less infinity in the folded form.
func eitherNorm(in []tensor, out result) {
	n, c, height, width := out.shape.NCHW()
	for i := range n * c {
		if !math.IsInf(in[1].data[i%c], 0) {
			continue
		}
		bound := out.boundRow(i, height*width)
		for j := range bound {
			bound[j] = math.Inf(1)
		}
	}
}

// norms is what rounding the operands of a [graph.GroupNorm] changes: the bounds for operands that are off, less those for operands
// that are not.
func (w *widening) norms(o graph.GroupNorm, inputs [][]float64) []float64 {
	more := make([]float64, len(w.bound))
	n, c, height, width := w.n.Output.Type.Shape.NCHW()
	perGroup, size := c/o.Groups, height*width
	for i := range n * o.Groups {
		from, to := i*perGroup*size, (i+1)*perGroup*size
		x, errs := inputs[0][from:to], w.errs[0][from:to]
		given := momentsOf(x, o.Epsilon)
		if given.root-given.root != 0 {
			continue // NaN everywhere
		}
		rounded := given
		given.widen(x, nil)
		rounded.widen(x, errs)
		for j := range x {
			ch := i%o.Groups*perGroup + j/size
			weight, bias := inputs[1][ch], inputs[2][ch]
			if weight-weight == 0 && bias-bias == 0 {
				more[from+j] = rounded.bound(x[j], weight, bias, [3]float64{errs[j], w.errs[1][ch], w.errs[2][ch]}) - given.bound(x[j], weight, bias, [3]float64{})
			}
		}
	}
	return more
}
