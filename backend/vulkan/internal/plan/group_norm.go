package plan

import (
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// A group normalisation is three dispatches: sums of parts of each channel, what follows from them for each channel, and that for each element.

// partPixels is how many pixels of a channel one invocation adds up, as a rule.
const partPixels = 32

// mostMerged bounds how many sums the invocation for a channel has to merge, as long as the parts can be larger instead.
const mostMerged = 512

// partsOf is how many parts of its hw pixels a channel has, in groups of so many channels.
func partsOf(hw, size int) int {
	return max(1, min(ceilDiv(hw, partPixels), mostMerged/size))
}

// groupNormKernels lists the three dispatches in a format. Sums and what follows from them are float32 whatever the format.
func groupNormKernels(lim Limits, n *graph.Node, op graph.GroupNorm) inFormat {
	batch, c, h, w := n.Output.Type.Shape.NCHW()
	hw, size := h*w, c/op.Groups
	parts := partsOf(hw, size)
	return func(f Format) ([]*kernel, []uint64, error) {
		planes, lanes := batch*f.units(c), f.lanes()
		sums, err := flat(lim, "group_norm_parts"+f.suffix(), planes*parts, nil, []uint32{u32(hw), u32(parts)}, 0, scratch0)
		if err != nil {
			return nil, nil, err
		}
		push := []uint32{u32(c), u32(size), u32(hw), u32(parts), math.Float32bits(float32(op.Epsilon))}
		merge, err := flat(lim, "group_norm_merge_f32", planes*lanes, []uint32{u32(lanes)}, push, scratch0, theWeight, scratch0-1)
		if err != nil {
			return nil, nil, err
		}
		merge.weights = packGroupNorm(n)
		step := ceilDiv(hw, pixelsAtOnce)
		apply, err := flat(lim, "group_norm"+f.suffix(), planes*step, []uint32{flag(op.Act == graph.ActReLU)}, []uint32{u32(hw), u32(step)}, 0, scratch0-1, result)
		if err != nil {
			return nil, nil, err
		}
		each := uint64(4 * planes * lanes)
		return []*kernel{sums, merge, apply}, []uint64{each * uint64(2*parts), each * 3}, nil
	}
}

// packGroupNorm orders weight [C] and bias [C] as [2][C].
func packGroupNorm(n *graph.Node) *Packed {
	c := n.Inputs[1].Type.Shape.Dim(0)
	return &Packed{
		Node: n.Name, Elems: 2 * c, Block: 2 * c,
		Open: func() Filler {
			weight, bias := n.Inputs[1].Data.Float32s(), n.Inputs[2].Data.Float32s()
			return func(dst []float32, _ int) {
				copy(dst, weight)
				copy(dst[c:], bias)
			}
		},
	}
}
