package reference

import (
	"context"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// splitAttention computes [graph.SplitAttention], one channel of a result a row: the softmax of its scores and a sum of as many products.
func splitAttention(ctx context.Context, o graph.SplitAttention, in []tensor, out result) error {
	n, c, h, w := out.shape.NCHW()
	size := h * w
	return rows(ctx, n*c, func(i int) {
		scores := branchScores(o, in[1].data, i, c)
		weights, spread := make([]float64, o.Radix), []float64(nil)
		if out.bound != nil {
			spread = make([]float64, o.Radix)
		}
		softmaxRow(scores, weights, spread)
		value, bound := out.row(i, size), out.boundRow(i, size)
		for j := range value {
			t := branchTally{shortcut: 0}
			for r, a := range weights {
				x := in[0].data[branch(o, r, i, c)*size+j]
				value[j] += a * x
				if bound != nil {
					t.add(x, a, spread[r])
				}
			}
			if o.Add {
				t.shortcut = in[2].data[i*size+j]
				value[j] += t.shortcut
			}
			if o.Act == graph.ActReLU {
				value[j] = relu(value[j])
			}
			if bound != nil {
				bound[j] = t.bound(o)
			}
		}
	})
}

// branch is the plane of the input that branch r has for plane i of the result, which has so many channels.
func branch(o graph.SplitAttention, r, i, channels int) int {
	return (i/channels*o.Radix+r)*channels + i%channels
}

// branchScores are the scores of plane i of the result, one for each branch.
func branchScores(o graph.SplitAttention, s []float64, i, channels int) []float64 {
	out := make([]float64, o.Radix)
	for r := range out {
		out[r] = s[i/channels*o.Radix*channels+o.Score(r, i%channels, channels)]
	}
	return out
}

// branchTally is what the bound of one element needs: Σ|a·x| with each weight as large as it may be, what the errors of the
// weights move, and what flushing an operand loses.
type branchTally struct{ sum, moved, lost, shortcut float64 }

// add counts the product of x with a weight that may be off by spread.
func (t *branchTally) add(x, weight, spread float64) {
	p := math.Abs(x) * (weight + spread)
	t.sum += p
	t.moved += math.Abs(x) * spread
	if isSubnormal(x) {
		t.lost += p
	}
}

// bound is that of class A for the products and the shortcut, and what the weights move besides. A device may as well divide last, for the
// quotient is among the roundings of the weights.
func (t *branchTally) bound(o graph.SplitAttention) float64 {
	terms := o.Radix
	if o.Add {
		terms++
	}
	return within(t.sum, t.moved+classA(terms, t.sum+math.Abs(t.shortcut), t.lost+flushed(t.shortcut)))
}

// eitherBranch makes the bounds infinite where an infinite value meets a weight that is nearly zero: that is infinity, or NaN where the
// weight is taken for zero.
func eitherBranch(o graph.SplitAttention, in []tensor, out result) {
	n, c, h, w := out.shape.NCHW()
	size := h * w
	weights := make([]float64, o.Radix)
	for i := range n * c {
		softmaxRow(branchScores(o, in[1].data, i, c), weights, nil)
		for r, a := range weights {
			if !nearlyClosed(a) {
				continue
			}
			for j, x := range in[0].row(branch(o, r, i, c), size) {
				if math.IsInf(x, 0) {
					out.bound[i*size+j] = math.Inf(1)
				}
			}
		}
	}
}

// branches is what rounding the operands of a [graph.SplitAttention] changes: Σ(δx·a + (|x| + δx)·δa) + δshortcut. A weight is farthest
// off where its score is at one end and those of the other branches are at the other.
func (w *widening) branches(o graph.SplitAttention, inputs [][]float64) []float64 {
	more := make([]float64, len(w.bound))
	n, c, height, width := w.n.Output.Type.Shape.NCHW()
	size := height * width
	sizes := w.stored(0)
	a, moved := make([]float64, o.Radix), make([]float64, o.Radix)
	for i := range n * c {
		scores, errs := branchScores(o, inputs[1], i, c), branchScores(o, w.errs[1], i, c)
		softmaxRow(scores, a, nil)
		for r := range a {
			least, most := weightWithin(scores, errs, r)
			moved[r] = math.Max(most-a[r], a[r]-least)
			for j := range size {
				from := branch(o, r, i, c)*size + j
				switch x := inputs[0][from]; {
				case math.IsNaN(a[r]):
				case math.IsInf(x, 0) && nearlyClosed(least):
					more[i*size+j] = math.Inf(1) // the weight may become zero
				default:
					more[i*size+j] += w.errs[0][from]*a[r] + sizes[from]*moved[r]
				}
			}
		}
		if o.Add {
			for j := i * size; j < (i+1)*size; j++ {
				more[j] += w.errs[2][j]
			}
		}
	}
	return more
}

// weightWithin is the least and the greatest weight of branch r when every score may be off by its error.
func weightWithin(scores, errs []float64, r int) (least, most float64) {
	y := make([]float64, len(scores))
	var ends [2]float64
	for i, sign := range []float64{-1, 1} {
		moved := make([]float64, len(scores))
		for q, s := range scores {
			moved[q] = s - sign*errs[q]
		}
		moved[r] = scores[r] + sign*errs[r]
		softmaxRow(moved, y, nil)
		ends[i] = y[r]
	}
	return ends[0], ends[1]
}
