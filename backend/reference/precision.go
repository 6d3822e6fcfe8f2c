package reference

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

const (
	roundoff16   = 1.0 / (1 << 11) // of float16, to the nearest
	ulp16        = 2 * roundoff16  // of float16, to either neighbour
	minNormal16  = 0x1p-14
	leastFloat16 = 0x1p-24 // the distance of subnormal float16
	// truncation is what the u of a sum grows by where a matrix unit makes it; see the package comment.
	truncation = 4
)

// gamma16 is γ(n) of float16 for operations that may give either neighbour, infinite where the formula ends.
func gamma16(n int) float64 {
	nu := float64(n) * ulp16
	if nu >= 1 {
		return math.Inf(1)
	}
	return nu / (1 - nu)
}

// WidenBounds adds to the bounds of a node, as [Bounds] or [WinogradBounds] made them for the same inputs, what storing its tensors as p
// says may change; see the package comment. value is the node's result by the formula. Where a result may leave the range of
// float16 the bound becomes infinite.
//
// Errors: a precision that does not fit the node (*[graph.ShapeError]), an op that this is not known of (backend.ErrUnsupported),
// the context's error.
func WidenBounds(ctx context.Context, n *graph.Node, inputs [][]float64, value, bound []float64, p backend.Precision) error {
	if err := p.Check(n); err != nil {
		return fmt.Errorf("bound node: %w", err)
	}
	if p.Truncated {
		for i := range bound {
			bound[i] *= truncation
		}
	}
	w := newWidening(ctx, n, inputs, p, bound)
	if err := w.operands(inputs); err != nil {
		return fmt.Errorf("bound node %q (%s): %w", n.Name, n.Op.Name(), err)
	}
	if p.HalfTerms > 0 {
		if err := w.halfSums(inputs); err != nil {
			return fmt.Errorf("bound node %q (%s): %w", n.Name, n.Op.Name(), err)
		}
	}
	if p.Result == graph.Float16 {
		for i, v := range value {
			bound[i] += stored16(v, bound[i])
		}
	}
	return nil
}

// widening adds the roundings of operands to bounds.
type widening struct {
	ctx   context.Context
	n     *graph.Node
	p     backend.Precision
	bound []float64

	errs, sizes        [][]float64 // of the inputs: what rounding may change, and absolute values; both 0 where there is no number
	rounded, vanishing bool        // there is an input that is rounded, and one that may become zero
}

func newWidening(ctx context.Context, n *graph.Node, inputs [][]float64, p backend.Precision, bound []float64) *widening {
	w := &widening{ctx: ctx, n: n, p: p, bound: bound}
	for i, data := range inputs {
		param := n.Inputs[i].Kind == graph.ParamValue
		narrow := p.Operands
		if param {
			narrow = p.Parameters
		}
		errs, sizes := make([]float64, len(data)), make([]float64, len(data))
		for j, x := range data {
			if x-x != 0 {
				continue // NaN and infinity are kept
			}
			sizes[j] = math.Abs(x)
			if narrow == graph.Float16 {
				errs[j] = rounding16(x, param)
				w.rounded = w.rounded || errs[j] != 0
				w.vanishing = w.vanishing || x != 0 && sizes[j] < minNormal16
			}
		}
		w.errs, w.sizes = append(w.errs, errs), append(w.sizes, sizes)
	}
	return w
}

// operands adds what rounding the inputs changes. Where a value is no number it is wanted as it is, unless a factor that float16 may
// take for zero meets an infinity.
func (w *widening) operands(inputs [][]float64) error {
	if !w.rounded {
		return nil
	}
	var more [][]float64
	var err error
	sums := sumsOf(w.n)
	switch o := w.n.Op.(type) {
	case graph.Conv2D, graph.Linear:
		more, err = w.products(sums)
	case graph.BatchNorm:
		more = [][]float64{w.scaled(o, inputs)}
	case graph.GroupNorm:
		more = [][]float64{w.norms(o, inputs)}
	case graph.SplitAttention:
		more = [][]float64{w.branches(o, inputs)}
	case graph.Gate:
		more = [][]float64{w.gates(inputs)}
	case graph.ReLU:
		more = w.errs[:1]
	case graph.Add, graph.MaxPool, graph.AvgPool, graph.GlobalAvgPool, graph.Flatten, graph.Reshape, graph.Concat, graph.ChannelSlice,
		graph.ChannelPad, graph.SpatialPad, graph.Subsample:
		var m []float64
		m, err = Node(w.ctx, w.n, w.errs) // each is monotone, and moves by no more than its operands do
		more = [][]float64{m}
	default:
		err = backend.Unsupported("precision", "an op whose bound in float16 is known", w.n.Op.Name())
	}
	if err != nil {
		return err
	}
	for _, m := range more {
		for i, v := range m {
			if math.IsNaN(v) { // zero times infinity
				v = math.Inf(1)
			}
			w.bound[i] += v * (1 + 0x1p-8) // the products are rounded with the operands that they have
		}
	}
	if sums != nil && w.vanishing {
		return w.vanished(inputs)
	}
	return nil
}

// products is Σ|δa|·|b| and Σ(|a|+|δa|)·|δb|, with the errors of bias and shortcut among them.
func (w *widening) products(sums *graph.Node) ([][]float64, error) {
	first, second := slices.Clone(w.errs), slices.Clone(w.errs)
	first[1] = w.sizes[1]
	second[0] = w.stored(0)
	for i := 2; i < len(second); i++ { // counted once
		second[i] = make([]float64, len(second[i]))
	}
	var out [][]float64
	for _, in := range [][][]float64{first, second} {
		v, err := Node(w.ctx, sums, in)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// scaled is what rounding the operands of a [graph.BatchNorm] changes: (δx + δmean)·(|s| + δs) + |x - mean|·δs + δbias, where the factor
// s = weight/sqrt(variance + epsilon) moves furthest with a smaller variance.
func (w *widening) scaled(o graph.BatchNorm, inputs [][]float64) []float64 {
	more := make([]float64, len(w.bound))
	_, c, height, width := w.n.Output.Type.Shape.NCHW()
	for i := range more {
		ch := i / (height * width) % c
		weight, mean, variance := math.Abs(inputs[1][ch]), inputs[3][ch], inputs[4][ch]
		scale := weight / math.Sqrt(variance+o.Epsilon)
		if x := inputs[0][i]; x-x != 0 {
			if w.errs[1][ch] >= weight && weight > 0 { // it may become zero, and the product NaN
				more[i] = math.Inf(1)
			}
			continue
		}
		most := (weight + w.errs[1][ch]) / math.Sqrt(math.Max(variance-w.errs[4][ch], 0)+o.Epsilon)
		more[i] = (w.errs[0][i]+w.errs[3][ch])*most + math.Abs(inputs[0][i]-mean)*(most-scale) + w.errs[2][ch]
	}
	return more
}

// gates is what rounding the operands of a [graph.Gate] changes: δx·σ(s) + (|x| + δx)·|σ(s ± δs) - σ(s)| + δshortcut.
func (w *widening) gates(inputs [][]float64) []float64 {
	more := make([]float64, len(w.bound))
	x := w.stored(0)
	size := len(more) / max(len(inputs[1]), 1)
	for i, s := range inputs[1] {
		g, d := sigmoid(s), w.errs[1][i]
		moved := math.Max(sigmoid(s+d)-g, g-sigmoid(s-d))
		for j := i * size; j < (i+1)*size; j++ {
			more[j] = w.errs[0][j]*g + x[j]*moved
			if len(inputs) > 2 {
				more[j] += w.errs[2][j]
			}
		}
	}
	return more
}

// sumsOf is a node that adds products of its first two inputs, without its activation; nil for others.
func sumsOf(n *graph.Node) *graph.Node {
	sums := *n
	switch op := n.Op.(type) {
	case graph.Conv2D:
		op.Act = graph.NoActivation
		sums.Op = op
	case graph.Linear:
	default:
		return nil
	}
	return &sums
}

// halfSums adds what products and sums of HalfTerms of them may be off when they are made in float16: γ16(HalfTerms)·Σ|a·b| of the operands as they are
// stored, and what flushing a product, a factor or a sum to zero changes. Where Σ|a·b| is beyond float16 a sum may be, and the bound is infinite.
func (w *widening) halfSums(inputs [][]float64) error {
	sums := sumsOf(w.n)
	if sums == nil {
		return backend.Unsupported("precision", "an op with products, for terms in float16", w.n.Op.Name())
	}
	sizes, ones := make([][]float64, len(inputs)), make([][]float64, len(inputs))
	for i, data := range inputs {
		sizes[i], ones[i] = make([]float64, len(data)), make([]float64, len(data)) // of bias and shortcut, which are added in float32
		if i > 1 {
			continue
		}
		sizes[i] = w.stored(i)
		for j, x := range data {
			if x-x == 0 { // an infinity stays one
				ones[i][j] = 1
			}
		}
	}
	sum, err := Node(w.ctx, sums, sizes)
	if err != nil {
		return err
	}
	terms, err := Node(w.ctx, sums, ones)
	if err != nil {
		return err
	}
	g := gamma16(w.p.HalfTerms)
	for i, s := range sum {
		// A flushed factor is among the roundings of operands. A product and the sum that it is added to may be flushed besides.
		more := g*s*(1+0x1p-8) + 2*terms[i]*minNormal16
		if !(s+more <= graph.MaxFloat16) {
			more = math.Inf(1)
		}
		w.bound[i] += more
	}
	return nil
}

// stored is how large the numbers of an input may be once they are rounded.
func (w *widening) stored(input int) []float64 {
	out := slices.Clone(w.sizes[input])
	for j, e := range w.errs[input] {
		out[j] += e
	}
	return out
}

// vanished makes the bound infinite where an input is not finite: it may have met a zero.
func (w *widening) vanished(inputs [][]float64) error {
	value, err := Node(w.ctx, w.n, inputs)
	for i, v := range value {
		if v-v != 0 {
			w.bound[i] = math.Inf(1)
		}
	}
	return err
}

// rounding16 is how far a finite x stored as float16 may be off: nothing where float16 holds it, subnormal numbers apart, which
// devices may flush to zero. Parameters are rounded to the nearest, since the host does that; what a device rounds may become
// either neighbour.
func rounding16(x float64, nearest bool) float64 {
	a := math.Abs(x)
	switch {
	case a == 0:
		return 0
	case a < minNormal16:
		return math.Max(a, leastFloat16)
	case a > graph.MaxFloat16:
		return math.Inf(1)
	case float64(graph.RoundFloat16(float32(x))) == x:
		return 0
	case nearest:
		return roundoff16 * a
	}
	return ulp16 * a
}

// stored16 is what storing a result as float16 adds to its bound.
func stored16(v, bound float64) float64 {
	most, least := math.Abs(v)+bound, math.Abs(v)-bound
	switch {
	case v-v != 0 || math.IsInf(bound, 1):
		return 0
	case most > graph.MaxFloat16:
		return math.Inf(1)
	case bound == 0:
		return rounding16(v, false)
	case least < minNormal16:
		return math.Max(math.Max(ulp16*most, leastFloat16), math.Min(most, minNormal16))
	}
	return ulp16 * most
}
