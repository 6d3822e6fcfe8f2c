package reference

import (
	"context"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// maxPool computes [graph.MaxPool], one plane (image and channel) a row.
func maxPool(ctx context.Context, o graph.MaxPool, in []tensor, out result) error {
	_, _, height, width := in[0].shape.NCHW()
	n, c, p, q := out.shape.NCHW()
	return rows(ctx, n*c, func(i int) {
		plane, value, bound := in[0].row(i, height*width), out.row(i, p*q), out.boundRow(i, p*q)
		for j := range value {
			if j%q == 0 && ctx.Err() != nil {
				return
			}
			rowFrom, rowTo := span(j/q, o.Stride[0], o.Padding.Top, o.Kernel[0], height)
			colFrom, colTo := span(j%q, o.Stride[1], o.Padding.Left, o.Kernel[1], width)
			best, lowest := math.Inf(-1), 0.0
			for h := rowFrom; h < rowTo; h++ {
				for w := colFrom; w < colTo; w++ {
					v := plane[h*width+w]
					if v > best || math.IsNaN(v) {
						best = v // nothing is above NaN, so it stays
					}
					if isSubnormal(v) {
						lowest = math.Min(lowest, v)
					}
				}
			}
			value[j] = best
			if bound != nil {
				bound[j] = flushed(best)
				if math.Abs(best) < minNormal { // a comparison that flushes takes these for equal: any may win
					bound[j] = math.Max(bound[j], best-lowest)
				}
			}
		}
	})
}

// avgPool computes [graph.AvgPool], one plane a row.
func avgPool(ctx context.Context, o graph.AvgPool, in []tensor, out result) error {
	_, _, height, width := in[0].shape.NCHW()
	n, c, p, q := out.shape.NCHW()
	return rows(ctx, n*c, func(i int) {
		plane, value, bound := in[0].row(i, height*width), out.row(i, p*q), out.boundRow(i, p*q)
		for j := range value {
			if j%q == 0 && ctx.Err() != nil {
				return
			}
			rowFrom, rowTo := span(j/q, o.Stride[0], o.Padding.Top, o.Kernel[0], height)
			colFrom, colTo := span(j%q, o.Stride[1], o.Padding.Left, o.Kernel[1], width)
			var m mean
			for h := rowFrom; h < rowTo; h++ {
				for w := colFrom; w < colTo; w++ {
					m.add(plane[h*width+w])
				}
			}
			count := (rowTo - rowFrom) * (colTo - colFrom)
			if o.CountIncludePad {
				count = padded(j/q, o.Stride[0], o.Padding.Top, o.Padding.Bottom, o.Kernel[0], height) *
					padded(j%q, o.Stride[1], o.Padding.Left, o.Padding.Right, o.Kernel[1], width)
			}
			value[j] = m.value(count)
			if bound != nil {
				bound[j] = m.bound(count)
			}
		}
	})
}

// globalAvgPool computes [graph.GlobalAvgPool], one plane a row.
func globalAvgPool(ctx context.Context, in []tensor, out result) error {
	n, c, height, width := in[0].shape.NCHW()
	return rows(ctx, n*c, func(i int) {
		var m mean
		for _, v := range in[0].row(i, height*width) {
			m.add(v)
		}
		out.data[i] = m.value(height * width)
		if out.bound != nil {
			out.bound[i] = m.bound(height * width)
		}
	})
}

// span is the part of window number index that lies in the input: positions from up to, not including, to.
func span(index, stride, before, kernel, size int) (from, to int) {
	from = index*stride - before
	return max(from, 0), min(from+kernel, size)
}

// padded is the length of window number index within the input and its padding.
func padded(index, stride, before, after, kernel, size int) int {
	from := index*stride - before
	return min(from+kernel, size+after) - from
}

// mean adds up the numbers of one window.
type mean struct {
	sum, abs float64
	terms    int
}

func (m *mean) add(v float64) {
	m.sum += v
	m.abs += math.Abs(v)
	m.terms++
}

func (m *mean) value(count int) float64 { return m.sum / float64(count) }

// bound allows for the additions, for 5u of a reciprocal and u of the product with it (see the package comment), and
// for flushing each of the operands and sums, the quotient and the result.
func (m *mean) bound(count int) float64 {
	return within(m.abs, (gamma(float64(m.terms+6))*m.abs+flush(m.terms+1))/float64(count)+minNormal)
}
