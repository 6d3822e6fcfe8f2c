package plan

import (
	"math"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// halfConvKernels are the convolution kernels on float16, first those with all sums in float32.
var halfConvKernels = append([]convKernel{
	{"conv2d_packed16x8_f16", "conv2d_packed16x8_f16", packedConv},
	{"conv2d_packed8x8_f16", "conv2d_packed8x8_f16", packedConv},
	{"conv2d_packed8x4_f16", "conv2d_packed8x4_f16", packedConv},
	{"conv2d_packed4x4_f16", "conv2d_packed4x4_f16", packedConv},
	{"conv2d_packed8x8_quad_f16", "conv2d_packed8x8_quad_f16", packedConv},
	{"conv2d_packed8x4_ssbo_f16", "conv2d_packed8x4_ssbo_f16", packedConv},
	{"conv2d_slim8x2_f16", "conv2d_slim8x2_f16", slimConv},
	{"conv2d_depthwise_packed_f16", "conv2d_depthwise_packed_f16", depthwiseConv},
	{"conv2d_depthwise_packed_ssbo_f16", "conv2d_depthwise_packed_ssbo_f16", depthwiseConv},
}, tileConvKernels(true)...)

// HalfConvKernels are the names of all convolution kernels on float16.
func HalfConvKernels() []string {
	names := make([]string, len(halfConvKernels))
	for i, k := range halfConvKernels {
		names[i] = k.variant
	}
	return names
}

// MostHalfTerms is the most products that a kernel adds in float16.
func MostHalfTerms() int {
	most := 0
	for _, v := range shaders.Manifest {
		most = max(most, v.HalfTerms)
	}
	return most
}

// halfCandidates lists the kernels that read float16; all but that of the mean over pictures, whose result is dense, write it too. The
// list is empty for ops that have none: they run on float32, between conversions.
func halfCandidates(lim Limits, opt Options, n *graph.Node) ([]Candidate, error) {
	switch op := n.Op.(type) {
	case graph.Conv2D:
		return convCandidatesOf(lim, opt, n, op, append(halfConvKernels[:len(halfConvKernels):len(halfConvKernels)], matrixConvKernels...))
	case graph.BatchNorm:
		return inFormats(lim, n, batchNormKernels(lim, n, op), Packed4Half)
	case graph.GroupNorm:
		return inFormats(lim, n, groupNormKernels(lim, n, op), Packed4Half)
	case graph.Gate:
		return inFormats(lim, n, gateKernels(lim, n, op), Packed4Half)
	case graph.SplitAttention:
		return inFormats(lim, n, splitAttentionKernels(lim, n, op), Packed4Half)
	case graph.ChannelPad, graph.ChannelSlice, graph.Concat:
		return inFormats(lim, n, channelKernels(lim, n), Packed4Half)
	case graph.Subsample:
		return inFormats(lim, n, subsampleKernels(lim, n, op), Packed4Half)
	case graph.SpatialPad:
		return inFormats(lim, n, spatialPadKernels(lim, n, op), Packed4Half)
	case graph.ReLU:
		return halfElementwise(lim, n, "relu_f16", 0)
	case graph.Add:
		return halfElementwise(lim, n, "add_f16", 0, 1)
	case graph.MaxPool:
		return poolCandidates(lim, n, "max_pool", op.Kernel, op.Stride, op.Padding, false, true)
	case graph.AvgPool:
		return poolCandidates(lim, n, "avg_pool", op.Kernel, op.Stride, op.Padding, op.CountIncludePad, true)
	case graph.GlobalAvgPool:
		batch, c, h, w := n.Inputs[0].Type.Shape.NCHW()
		k, err := flat(lim, "global_avg_pool_packed_f16", batch*vectors(c), nil, []uint32{u32(h * w), u32(c)}, 0, result)
		return only(candidate(Packed4Half, Dense, k).costs(lim, n, 1)), err
	}
	return nil, nil
}

// halfElementwise is an op on pairs of float16.
func halfElementwise(lim Limits, n *graph.Node, name string, inputs ...operand) ([]Candidate, error) {
	if !Packed4Half.holds(n.Output.Type) {
		return nil, nil
	}
	k, err := flat(lim, name, Packed4Half.elems(n.Output.Type)/2, nil, nil, append(inputs[:len(inputs):len(inputs)], result)...)
	return only(candidate(Packed4Half, Packed4Half, k).costs(lim, n, 1)), err
}

// splitHalf is a number rounded to float16, and what the rounding left.
func splitHalf(v float32) (hi, lo float32) {
	hi = graph.RoundFloat16(v)
	if lo = v - hi; math.IsNaN(float64(lo)) {
		lo = 0 // of an infinity
	}
	return hi, lo
}

// precisions tells how the tensors of each node are stored where that is not float32 throughout.
func precisions(g *graph.Graph, choices []*Candidate) map[string]backend.Precision {
	var all map[string]backend.Precision
	for i, n := range g.Nodes {
		c := choices[i]
		if c == nil || c.In != Packed4Half && c.Out != Packed4Half {
			continue
		}
		if all == nil {
			all = map[string]backend.Precision{}
		}
		p := backend.Precision{Operands: graph.Float32, Parameters: graph.Float32, Result: graph.Float32}
		if c.In == Packed4Half {
			p.Operands = graph.Float16
		}
		if c.Out == Packed4Half {
			p.Result = graph.Float16
		}
		for _, k := range c.kernels {
			if k.weights != nil && k.weights.Half {
				p.Parameters = graph.Float16
			}
			p.Truncated = p.Truncated || k.variant.Matrix
			p.HalfTerms = max(p.HalfTerms, k.variant.HalfTerms)
		}
		all[n.Name] = p
	}
	return all
}
