package reference

import (
	"context"

	"github.com/resnet-run/resnet-run/graph"
)

// These ops only move data; their bounds stay zero.

// view computes [graph.Flatten] and [graph.Reshape].
func view(in []tensor, out result) error {
	copy(out.data, in[0].data)
	return nil
}

// concat computes [graph.Concat], one picture of an input a row: its channels lie side by side in the result.
func concat(ctx context.Context, in []tensor, out result) error {
	n, c, height, width := out.shape.NCHW()
	return rows(ctx, n*len(in), func(i int) {
		picture, before := i/len(in), 0
		for _, t := range in[:i%len(in)] {
			before += t.shape.Dim(1)
		}
		from := in[i%len(in)]
		size := from.shape.Dim(1) * height * width
		copy(out.data[(picture*c+before)*height*width:], from.row(picture, size))
	})
}

// channelSlice computes [graph.ChannelSlice], one output plane a row.
func channelSlice(ctx context.Context, o graph.ChannelSlice, in []tensor, out result) error {
	channels := in[0].shape.Dim(1)
	n, k, height, width := out.shape.NCHW()
	return rows(ctx, n*k, func(i int) {
		copy(out.row(i, height*width), in[0].row(i/k*channels+o.Begin+i%k, height*width))
	})
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

// spatialPad computes [graph.SpatialPad], one plane a row.
func spatialPad(ctx context.Context, o graph.SpatialPad, in []tensor, out result) error {
	_, _, height, width := in[0].shape.NCHW()
	n, c, p, q := out.shape.NCHW()
	return rows(ctx, n*c, func(i int) {
		from, to := in[0].row(i, height*width), out.row(i, p*q)
		for j := range to {
			h, w := j/q-o.Padding.Top, j%q-o.Padding.Left
			if o.Reflect {
				h, w = mirrored(h, height), mirrored(w, width)
			}
			if h >= 0 && h < height && w >= 0 && w < width { // all others stay zero
				to[j] = from[h*width+w]
			}
		}
	})
}

// mirrored is the position within 0..size-1 of one that lies less than size beyond either end, where the end is not repeated.
func mirrored(i, size int) int {
	if i < 0 {
		return -i
	}
	if i >= size {
		return 2*(size-1) - i
	}
	return i
}
