package cpu

import "github.com/resnet-run/resnet-run/graph"

// directLine computes a convolution tap by tap and skips the padding. It is there for weights that are not finite: times
// the zeros of a halo they would make NaN where the mathematics has none.
func directLine(op graph.Conv2D, wShape graph.Shape, weights, bias []float32, x, shortcut *place) lineTask {
	k, cg, r, s := wShape.NCHW()
	kg := k / op.Groups
	return func(arena []float32, y *place, n, p int) {
		for q := range y.w {
			to := y.pixel(arena, n, p, q)
			clear(to)
			for i := range r {
				h := p*op.Stride[0] - op.Padding.Top + i*op.Dilation[0]
				for j := range s {
					w := q*op.Stride[1] - op.Padding.Left + j*op.Dilation[1]
					if h < 0 || h >= x.h || w < 0 || w >= x.w {
						continue
					}
					from := x.pixel(arena, n, h, w)
					for f := range to {
						for c, v := range from[f/kg*cg:][:cg] {
							to[f] += v * weights[((f*cg+c)*r+i)*s+j]
						}
					}
				}
			}
			for f := range to {
				if bias != nil {
					to[f] += bias[f]
				}
				if shortcut != nil {
					to[f] += shortcut.pixel(arena, n, p, q)[f]
				}
				if op.Act == graph.ActReLU && to[f] < 0 {
					to[f] = 0
				}
			}
		}
	}
}
