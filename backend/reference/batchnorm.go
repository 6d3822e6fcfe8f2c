package reference

import (
	"context"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// batchNorm computes [graph.BatchNorm], one plane (image and channel) a row.
func batchNorm(ctx context.Context, o graph.BatchNorm, in []tensor, out result) error {
	n, c, height, width := out.shape.NCHW()
	size := height * width
	return rows(ctx, n*c, func(i int) {
		ch := i % c
		weight, bias, mean, variance := in[1].data[ch], in[2].data[ch], in[3].data[ch], in[4].data[ch]
		root := math.Sqrt(variance + o.Epsilon)
		x, value, bound := in[0].row(i, size), out.row(i, size), out.boundRow(i, size)
		for j := range value {
			value[j] = (x[j]-mean)/root*weight + bias
		}
		if bound == nil {
			return
		}
		scale := math.Abs(weight / root)
		roundings := gamma(19 + (math.Abs(variance)+o.Epsilon)/(variance+o.Epsilon))
		for j := range bound {
			sum := (math.Abs(x[j])+math.Abs(mean))*scale + math.Abs(bias)
			// x, mean and their difference may be flushed before the multiplication by the scale, which may itself
			// be; the products, bias and the result after it.
			lost := 4 * minNormal * (1 + scale)
			if isSubnormal(weight) || isSubnormal(scale) {
				lost += (math.Abs(x[j]) + math.Abs(mean)) * scale
			}
			bound[j] = within(sum, roundings*sum+lost)
		}
	})
}
