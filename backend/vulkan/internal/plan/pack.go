package plan

import (
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// packConv orders weights [K,Cg,R,S] and bias [K] as [G][ceil(Kg/block)][1+T][block], with T = Cg·R·S taps: the bias
// first, then tap after tap, each for a block of filters. Filters beyond Kg are zero.
func packConv(n *graph.Node, op graph.Conv2D, block int) *Packed {
	k, cg, r, s := n.Inputs[1].Type.Shape.NCHW()
	kg, taps := k/op.Groups, cg*r*s
	blocks, size := ceilDiv(kg, block), (1+taps)*block
	return &Packed{
		Node: n.Name, Elems: op.Groups * blocks * size, Block: size,
		Open: func() Filler {
			w, bias := n.Inputs[1].Data.Float32s(), biasOf(n, op)
			return func(dst []float32, first int) {
				clear(dst)
				for f := range k {
					at := packedBlocks{dst, first, size}.at(f/kg*blocks + f%kg/block)
					if at == nil {
						continue
					}
					m := f % kg % block
					if bias != nil {
						at[m] = bias[f]
					}
					for t := range taps {
						at[(1+t)*block+m] = w[f*taps+t]
					}
				}
			}
		},
	}
}

// biasOf reads the bias of a convolution, nil where it has none.
func biasOf(n *graph.Node, op graph.Conv2D) []float32 {
	if i, _ := op.Inputs(); i >= 0 {
		return n.Inputs[i].Data.Float32s()
	}
	return nil
}

// packLinear orders weights [K,C] and bias [K] as [1+C][K]: the bias, then the weights transposed.
func packLinear(n *graph.Node, op graph.Linear) *Packed {
	k, c := n.Inputs[1].Type.Shape.Dim(0), n.Inputs[1].Type.Shape.Dim(1)
	return &Packed{
		Node: n.Name, Elems: (1 + c) * k, Block: k,
		Open: func() Filler {
			w := n.Inputs[1].Data.Float32s()
			return func(dst []float32, first int) {
				at := first // the next row
				if at == 0 {
					clear(dst[:k])
					if op.Bias {
						copy(dst, n.Inputs[2].Data.Float32s())
					}
					dst, at = dst[k:], 1
				}
				for i := range k {
					for j := range len(dst) / k {
						dst[j*k+i] = w[i*c+at-1+j]
					}
				}
			}
		},
	}
}

// packBatchNorm reduces the statistics to a factor and a summand for each channel, computed in float64: first the factors of all, then
// the summands, each filled up with zeros to so many channels.
func packBatchNorm(n *graph.Node, op graph.BatchNorm, channels int) *Packed {
	c := n.Inputs[0].Type.Shape.Dim(1)
	return &Packed{
		Node: n.Name, Elems: 2 * channels, Block: 2 * channels,
		Open: func() Filler {
			weight, bias := n.Inputs[1].Data.Float32s(), n.Inputs[2].Data.Float32s()
			mean, variance := n.Inputs[3].Data.Float32s(), n.Inputs[4].Data.Float32s()
			return func(dst []float32, _ int) {
				clear(dst)
				for i := range c {
					scale := float64(weight[i]) / math.Sqrt(float64(variance[i])+op.Epsilon)
					dst[i] = float32(scale)
					dst[channels+i] = float32(float64(bias[i]) - float64(mean[i])*scale)
				}
			}
		},
	}
}

// packing is how a kernel on packed channels wants its weights.
type packing struct {
	block, channels int  // filters of a block, and channels of a step
	half            bool // float16
	columns         bool // a step is [channels][block], not [block][channels]
	few             bool // a step is channels/4 taps of a row, each with four channels, not one tap with all
}

// packFilters orders weights [K,C/G,R,S] and bias [K] as [G][ceil(Kg/block)] blocks, each of block bias values and the steps of its filters. The
// sources of the kernels say what a step is. In float16 the bias values are rounded, and as many follow that are what the rounding left. What does
// not exist is zero.
func packFilters(n *graph.Node, op graph.Conv2D, to packing) *Packed {
	k, cg, r, s := n.Inputs[1].Type.Shape.NCHW()
	kg, chunks, rows, head := k/op.Groups, ceilDiv(cg, to.channels), r*s, to.block
	if to.half {
		head = 2 * to.block
	}
	if to.few {
		chunks, rows = ceilDiv(s, to.channels/4), r
	}
	blocks, size := ceilDiv(kg, to.block), head+to.block*rows*chunks*to.channels
	return &Packed{
		Node: n.Name, Elems: op.Groups * blocks * size, Block: size, Half: to.half,
		Open: func() Filler {
			w, bias := n.Inputs[1].Data.Float32s(), biasOf(n, op)
			return func(dst []float32, first int) {
				clear(dst)
				for f := range k {
					at := packedBlocks{dst, first, size}.at(f/kg*blocks + f%kg/to.block)
					if at == nil {
						continue
					}
					m := f % kg % to.block
					if bias != nil && to.half {
						at[m], at[to.block+m] = splitHalf(bias[f])
					} else if bias != nil {
						at[m] = bias[f]
					}
					for t := range r * s {
						for c := 0; c < cg; c += to.channels { // those of a step
							to.lay(at[head+to.place(t, c, m, s, chunks):], w[(f*cg+c)*r*s+t:], min(to.channels, cg-c), r*s)
						}
					}
				}
			}
		},
	}
}

// lay puts the weights of so many channels, each taps after the one before, where the first one goes and behind it.
func (to packing) lay(dst, w []float32, channels, taps int) {
	each := 1
	if to.columns {
		each = to.block
	}
	for c := range channels {
		dst[c*each] = w[c*taps]
	}
}

// place is where the weight of tap t (of rows of s), channel c, with which a step begins, and filter m of the block lies.
func (to packing) place(t, c, m, s, chunks int) int {
	step, i := t*chunks+c/to.channels, 0
	if to.few {
		taps := to.channels / 4
		step, i = t/s*chunks+t%s/taps, t%s%taps*4
	}
	if to.columns {
		return (step*to.channels+i)*to.block + m
	}
	return (step*to.block+m)*to.channels + i
}
