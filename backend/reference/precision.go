package reference

import (
	"context"
	"fmt"
	"math"

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
	w := widening{ctx: ctx, n: n, p: p, bound: bound}
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
}

// operands adds what rounding the inputs changes. Where a value is no number it is wanted as it is, unless a factor that float16 may
// take for zero meets an infinity.
func (w *widening) operands(inputs [][]float64) error {
	errs, sizes := make([][]float64, len(inputs)), make([][]float64, len(inputs))
	rounded, vanishing := false, false
	for i, data := range inputs {
		param := w.n.Inputs[i].Kind == graph.ParamValue
		narrow := w.p.Operands
		if param {
			narrow = w.p.Parameters
		}
		errs[i], sizes[i] = make([]float64, len(data)), make([]float64, len(data))
		for j, x := range data {
			if x-x != 0 {
				continue // NaN and infinity are kept
			}
			sizes[i][j] = math.Abs(x)
			if narrow == graph.Float16 {
				errs[i][j] = rounding16(x, param)
				rounded = rounded || errs[i][j] != 0
				vanishing = vanishing || x != 0 && sizes[i][j] < minNormal16
			}
		}
	}
	if !rounded {
		return nil
	}
	var more [][]float64
	var err error
	product := false
	switch op := w.n.Op.(type) {
	case graph.Conv2D:
		op.Act = graph.NoActivation
		product = true
		more, err = w.products(op, errs, sizes)
	case graph.Linear:
		product = true
		more, err = w.products(op, errs, sizes)
	case graph.ReLU:
		more = errs[:1]
	case graph.Add, graph.MaxPool, graph.AvgPool, graph.GlobalAvgPool, graph.Flatten, graph.ChannelPad, graph.Subsample:
		var m []float64
		m, err = Node(w.ctx, w.n, errs) // each is monotone, and moves by no more than its operands do
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
	if product && vanishing {
		return w.vanished(inputs)
	}
	return nil
}

// products is Σ|δa|·|b| and Σ(|a|+|δa|)·|δb|, with the errors of bias and shortcut among them.
func (w *widening) products(op graph.Op, errs, sizes [][]float64) ([][]float64, error) {
	n := *w.n
	n.Op = op
	first, second := make([][]float64, len(errs)), make([][]float64, len(errs))
	for i := range errs {
		first[i], second[i] = errs[i], errs[i]
	}
	first[1] = sizes[1]
	second[0] = make([]float64, len(errs[0]))
	for j, e := range errs[0] {
		second[0][j] = sizes[0][j] + e
	}
	for i := 2; i < len(errs); i++ { // counted once
		second[i] = make([]float64, len(errs[i]))
	}
	var out [][]float64
	for _, in := range [][][]float64{first, second} {
		v, err := Node(w.ctx, &n, in)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// halfSums adds what products and sums of HalfTerms of them may be off when they are made in float16: γ16(HalfTerms)·Σ|a·b| of the operands as they are
// stored, and what flushing a product, a factor or a sum to zero changes. Where Σ|a·b| is beyond float16 a sum may be, and the bound is infinite.
func (w *widening) halfSums(inputs [][]float64) error {
	n := *w.n
	switch op := n.Op.(type) {
	case graph.Conv2D:
		op.Act = graph.NoActivation
		n.Op = op
	case graph.Linear:
	default:
		return backend.Unsupported("precision", "an op with products, for terms in float16", n.Op.Name())
	}
	sizes, ones := make([][]float64, len(inputs)), make([][]float64, len(inputs))
	for i, data := range inputs {
		sizes[i], ones[i] = make([]float64, len(data)), make([]float64, len(data))
		if i > 1 {
			continue // bias and shortcut are added in float32
		}
		for j, x := range data {
			if x-x != 0 {
				continue // an infinity stays one
			}
			ones[i][j] = 1
			sizes[i][j] = math.Abs(x) + rounding16(x, i == 1)
		}
	}
	sum, err := Node(w.ctx, &n, sizes)
	if err != nil {
		return err
	}
	terms, err := Node(w.ctx, &n, ones)
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
