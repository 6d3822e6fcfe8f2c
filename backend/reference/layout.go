package reference

import (
	"context"

	"github.com/resnet-run/resnet-run/graph"
)

// These ops only move data; their bounds stay zero.

// flatten computes [graph.Flatten].
func flatten(in []tensor, out result) error {
	copy(out.data, in[0].data)
	return nil
}

// channelPad computes [graph.ChannelPad], one output plane a row.
func channelPad(ctx context.Context, o graph.ChannelPad, in []tensor, out result) error {
	_, c, height, width := in[0].shape.NCHW()
	n, k, _, _ := out.shape.NCHW()
	return rows(ctx, n*k, func(i int) {
		if from := i%k - o.Before; from >= 0 && from < c { // all other planes stay zero
			copy(out.row(i, height*width), in[0].row(i/k*c+from, height*width))
		}
	})
}

// subsample computes [graph.Subsample], one plane a row.
func subsample(ctx context.Context, o graph.Subsample, in []tensor, out result) error {
	_, _, height, width := in[0].shape.NCHW()
	n, c, p, q := out.shape.NCHW()
	return rows(ctx, n*c, func(i int) {
		from, to := in[0].row(i, height*width), out.row(i, p*q)
		for j := range to {
			to[j] = from[j/q*o.Stride[0]*width+j%q*o.Stride[1]]
		}
	})
}
