package reference

import (
	"context"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// window is how one dimension of the output maps to the input: position = index·stride - before + tap·dilation.
type window struct{ stride, before, dilation, size int }

// at returns the input position of a tap for an output index, and whether it lies in the input.
func (w window) at(index, tap int) (int, bool) {
	i := index*w.stride - w.before + tap*w.dilation
	return i, i >= 0 && i < w.size
}

// reach returns the output indices, of n, for which a tap lies in the input: from up to, not including, to.
func (w window) reach(tap, n int) (from, to int) {
	for to = n; to > 0; to-- {
		if _, ok := w.at(to-1, tap); ok {
			break
		}
	}
	for from = 0; from < to; from++ {
		if _, ok := w.at(from, tap); ok {
			break
		}
	}
	return from, to
}

// conv2d computes [graph.Conv2D], one output plane (image n, filter k) a row.
func conv2d(ctx context.Context, o graph.Conv2D, in []tensor, out result) error {
	x, w := in[0], in[1]
	_, channels, height, width := x.shape.NCHW()
	filters, perGroup, kr, ks := w.shape.NCHW()
	_, _, p, q := out.shape.NCHW()
	vertical := window{o.Stride[0], o.Padding.Top, o.Dilation[0], height}
	horizontal := window{o.Stride[1], o.Padding.Left, o.Dilation[1], width}

	return rows(ctx, out.shape.Dim(0)*filters, func(i int) {
		n, k := i/filters, i%filters
		firstChannel := k / (filters / o.Groups) * perGroup
		acc := newTally(out, i, p*q)
		for c := range perGroup {
			if ctx.Err() != nil {
				return
			}
			plane := x.row(n*channels+firstChannel+c, height*width)
			kernel := w.row(k*perGroup+c, kr*ks)
			for r := range kr {
				for s := range ks {
					convTap(acc, kernel[r*ks+s], plane, vertical, horizontal, r, s, q)
				}
			}
		}
		terms := perGroup * kr * ks
		bias, shortcut := o.Inputs()
		if bias >= 0 {
			acc.addConst(in[bias].data[k])
			terms++
		}
		if shortcut >= 0 {
			acc.addAll(in[shortcut].row(i, p*q))
			terms++
		}
		if o.Act == graph.ActReLU {
			for j, v := range acc.value {
				acc.value[j] = relu(v)
			}
		}
		acc.finish(terms)
	})
}

// convTap adds weight times the input to every output element that the tap (r, s) of the kernel reaches.
func convTap(acc tally, weight float64, plane []float64, vertical, horizontal window, r, s, q int) {
	from, to := horizontal.reach(s, q)
	first, _ := horizontal.at(from, s)
	for p := range len(acc.value) / q {
		h, ok := vertical.at(p, r)
		if !ok {
			continue // a row of padding
		}
		line := plane[h*horizontal.size:][:horizontal.size]
		value := acc.value[p*q:][:q]
		x := first
		for j := from; j < to; j++ {
			value[j] += weight * line[x]
			x += horizontal.stride
		}
		if acc.sum == nil {
			continue
		}
		x = first
		for j := from; j < to; j++ {
			acc.track(p*q+j, weight, line[x])
			x += horizontal.stride
		}
	}
}

// eitherPadding makes the bounds infinite where a weight that is NaN or infinite meets padding: a device may leave the
// product out, as the values here do, or multiply by the zero, which makes NaN.
func eitherPadding(o graph.Conv2D, in []tensor, out result) {
	_, _, height, width := in[0].shape.NCHW()
	filters, perGroup, kr, ks := in[1].shape.NCHW()
	_, _, p, q := out.shape.NCHW()
	vertical := window{o.Stride[0], o.Padding.Top, o.Dilation[0], height}
	horizontal := window{o.Stride[1], o.Padding.Left, o.Dilation[1], width}
	for i, w := range in[1].data {
		if w-w == 0 {
			continue
		}
		k, r, s := i/(perGroup*kr*ks), i/ks%kr, i%ks
		for j := range p * q {
			_, row := vertical.at(j/q, r)
			if _, col := horizontal.at(j%q, s); row && col {
				continue
			}
			for n := range out.shape.Dim(0) {
				out.bound[(n*filters+k)*p*q+j] = math.Inf(1)
			}
		}
	}
}

// linear computes [graph.Linear], one output element (image n, class k) a row.
func linear(ctx context.Context, o graph.Linear, in []tensor, out result) error {
	x, w := in[0], in[1]
	features := x.shape.Dim(1)
	classes := w.shape.Dim(0)
	return rows(ctx, len(out.data), func(i int) {
		n, k := i/classes, i%classes
		acc := newTally(out, i, 1)
		a, b := x.row(n, features), w.row(k, features)
		for c := range features {
			acc.value[0] += a[c] * b[c]
			if acc.sum != nil {
				acc.track(0, a[c], b[c])
			}
		}
		terms := features
		if o.Bias {
			acc.addConst(in[2].data[k])
			terms++
		}
		acc.finish(terms)
	})
}

// tally accumulates sums of products for some output elements, and what their bounds need.
type tally struct {
	value []float64
	bound []float64
	sum   []float64 // Σ|a·b| of each element; nil when bounds are not wanted
	lost  []float64 // the part of sum whose products have a subnormal factor
}

func newTally(out result, i, size int) tally {
	t := tally{value: out.row(i, size), bound: out.boundRow(i, size)}
	if t.bound != nil {
		t.sum, t.lost = make([]float64, size), make([]float64, size)
	}
	return t
}

// track counts the product a·b in the bound of element j.
func (t tally) track(j int, a, b float64) {
	p := math.Abs(a * b)
	t.sum[j] += p
	if isSubnormal(a) || isSubnormal(b) {
		t.lost[j] += p
	}
}

func (t tally) addConst(v float64) {
	for j := range t.value {
		t.add(j, v)
	}
}

func (t tally) addAll(v []float64) {
	for j := range t.value {
		t.add(j, v[j])
	}
}

func (t tally) add(j int, v float64) {
	t.value[j] += v
	if t.sum != nil {
		t.track(j, v, 1)
	}
}

// finish turns the sums of terms terms each into bounds.
func (t tally) finish(terms int) {
	for j := range t.bound {
		t.bound[j] = classA(terms, t.sum[j], t.lost[j])
	}
}
