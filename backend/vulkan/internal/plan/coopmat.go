package plan

import (
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// What conv2d_coopmat.comp fixes.
const (
	matrixChannels = 32  // channels of a step (BK)
	matrixElements = 256 // of one matrix of results, at most
)

// SubgroupConstant is the id of the specialization constant that has the size of a subgroup, in variants on matrix units.
const SubgroupConstant = 11

// matrixConvKernels are the convolution kernels on matrix units, and those that emulate them.
var matrixConvKernels = []convKernel{
	{"conv2d_coopmat128x128_f16", "conv2d_coopmat128x128_f16", matrixConv},
	{"conv2d_coopmat64x64_f16", "conv2d_coopmat64x64_f16", matrixConv},
	{"conv2d_coopmat32x32_f16", "conv2d_coopmat32x32_f16", matrixConv},
	{"conv2d_coopmat64x64_split_f16", "conv2d_coopmat64x64_split_f16", matrixConv},
	{"conv2d_coopmat32x32_split_f16", "conv2d_coopmat32x32_split_f16", matrixConv},
	{"conv2d_coopmat128x128_emulated_f16", "conv2d_coopmat128x128_emulated_f16", emulatedConv},
	{"conv2d_coopmat64x64_emulated_f16", "conv2d_coopmat64x64_emulated_f16", emulatedConv},
	{"conv2d_coopmat32x32_emulated_f16", "conv2d_coopmat32x32_emulated_f16", emulatedConv},
	{"conv2d_coopmat64x64_split_emulated_f16", "conv2d_coopmat64x64_split_emulated_f16", emulatedConv},
	{"conv2d_coopmat32x32_split_emulated_f16", "conv2d_coopmat32x32_split_emulated_f16", emulatedConv},
}

// MatrixConvKernels are the names of the kernels on matrix units, or of those that emulate them.
func MatrixConvKernels(emulated bool) []string {
	var names []string
	for _, k := range matrixConvKernels {
		if variant(k.variant).Emulated == emulated {
			names = append(names, k.variant)
		}
	}
	return names
}

// fits reports whether the matrices of a shape fill a variant's tile.
func (m MatrixShape) fits(v *shaders.Variant) bool {
	return m.M > 0 && m.N > 0 && m.K > 0 && m.M%4 == 0 && m.M*m.N <= matrixElements &&
		v.FilterBlock/v.Grid[0]%m.M == 0 && v.PixelTile/v.Grid[1]%m.N == 0 && m.K%8 == 0 && matrixChannels%m.K == 0
}

// matrixConv lowers to conv2d_coopmat.comp with the largest shape of the device that fills the tile.
func matrixConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	var best MatrixShape
	for _, m := range lim.Matrices {
		if m.fits(v) && m.M*m.N*m.K > best.M*best.N*best.K {
			best = m
		}
	}
	if best.M == 0 {
		return Candidate{}, backend.Unsupported("conv2d", fmt.Sprintf("cooperative matrices that fill a tile of %d×%d", v.FilterBlock, v.PixelTile), fmt.Sprint(lim.Matrices))
	}
	if subgroups := v.Grid[0] * v.Grid[1]; lim.MaxSubgroups > 0 && subgroups > int(lim.MaxSubgroups) {
		return Candidate{}, backend.Unsupported("subgroups", fmt.Sprintf("at most %d (maxComputeWorkgroupSubgroups)", lim.MaxSubgroups), fmt.Sprint(subgroups))
	}
	return onMatrices(lim, n, g, v, best, int(lim.SubgroupSize))
}

// emulatedConv lowers to the same with loops, where no device has the shape.
func emulatedConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	shape, size := g.emulate, g.emulateSubgroup
	if !shape.fits(v) || size < 1 {
		return Candidate{}, backend.Unsupported("conv2d", "a shape to emulate that fills the tile", fmt.Sprint(shape))
	}
	return onMatrices(lim, n, g, v, shape, size)
}

func onMatrices(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant, m MatrixShape, subgroup int) (Candidate, error) {
	if g.op.Groups > 1 && (g.cg%4 != 0 || g.kg%4 != 0) {
		return Candidate{}, backend.Unsupported("groups", "channels and filters a group in multiples of 4", fmt.Sprintf("%d and %d", g.cg, g.kg))
	}
	wg := subgroup * v.Grid[0] * v.Grid[1]
	if limit := min(lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0]); wg < 1 || wg > int(limit) {
		return Candidate{}, backend.Unsupported("local size", fmt.Sprintf("1 to %d (maxComputeWorkGroupInvocations)", limit), fmt.Sprint(wg))
	}
	blocks, tiles := ceilDiv(g.kg, v.FilterBlock), ceilDiv(g.pixels(), v.PixelTile)
	k := &kernel{
		variant: v, spec: append(g.spec(wg), u32(subgroup), u32(m.M), u32(m.N), u32(m.K)),
		push: []uint32{
			u32(g.pixels()), u32(g.h), u32(g.w), u32(g.p), u32(g.q), u32(vectors(g.c)), u32(vectors(g.filters)), u32(vectors(g.cg)), u32(g.kg), u32(blocks),
		},
		groups:  [3]uint32{u32(tiles), u32(blocks), u32(g.op.Groups)},
		args:    []operand{0, theWeight, g.shortcut, result},
		weights: packFilters(n, g.op, v.FilterBlock, matrixChannels, true),
	}
	few := tiles * blocks * g.op.Groups
	if v.Split {
		return splitMatrices(lim, n, g, k, few)
	}
	c := candidate(Packed4Half, Packed4Half, k)
	c.cost = g.seconds(lim, v, ceilDiv(g.cg, matrixChannels)*matrixChannels, v.PixelTile)
	if few < fillingGroups { // a part of the device stands idle
		c.cost *= float64(fillingGroups) / float64(few)
	}
	return c, nil
}

// fillingGroups is how many workgroups keep a large GPU busy.
const fillingGroups = 128

// splitMatrices divides the steps of the tiles of k, which are few, among workgroups.
func splitMatrices(lim Limits, n *graph.Node, g *convGeometry, k *kernel, few int) (Candidate, error) {
	const least, most = 4, 16 // steps of a part, and parts
	steps := g.r * g.s * ceilDiv(g.cg, matrixChannels)
	// As many for every batch: the last part of a batch has its scratch memory where the others have theirs.
	one := ceilDiv(g.p*g.q, k.variant.PixelTile) * ceilDiv(g.kg, k.variant.FilterBlock) * g.op.Groups
	splits := min(ceilDiv(2*fillingGroups, one), most, steps/least)
	if k.variant.Emulated {
		splits = min(3, steps)
	}
	if splits < 2 || few >= fillingGroups && !k.variant.Emulated {
		return Candidate{}, backend.Unsupported("conv2d", fmt.Sprintf("a layer of few tiles and many steps, to divide (at least %d)", 2*least), fmt.Sprintf("%d and %d", few, steps))
	}
	perSplit := ceilDiv(steps, splits)
	splits = ceilDiv(steps, perSplit) // none is empty
	k.push = append(k.push, u32(splits), u32(perSplit))
	k.groups[2] = u32(g.op.Groups * splits)
	k.args = []operand{0, theWeight, g.shortcut, scratch0}
	count := g.pixels() * vectors(g.filters)
	add, err := flat(lim, "conv2d_reduce_f16", count, []uint32{flag(g.op.Add), flag(g.op.Act == graph.ActReLU)}, []uint32{u32(splits)}, scratch0, g.shortcut, result)
	if err != nil {
		return Candidate{}, err
	}
	c := candidate(Packed4Half, Packed4Half, k)
	c.kernels = append(c.kernels, add)
	c.scratch = []uint64{uint64(splits) * uint64(count) * texelBytes}
	c.cost = g.seconds(lim, k.variant, ceilDiv(g.cg, matrixChannels)*matrixChannels, k.variant.PixelTile)*max(1, float64(fillingGroups)/float64(few*splits)) +
		2*float64(c.scratch[0])/lim.bandwidth()
	return c, nil
}
