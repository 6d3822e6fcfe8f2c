package plan

import (
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// SubgroupConstant is the id of the specialization constant that has the size of a subgroup, in variants on matrix units.
const SubgroupConstant = 14

// matrixConvKernels are the convolution kernels on matrix units, and those that emulate them.
var matrixConvKernels = slices.Concat(
	walkingKernels("conv2d_coopmat.comp", matrixConv, func(v *shaders.Variant) bool { return !v.Emulated }),
	walkingKernels("conv2d_coopmat.comp", emulatedConv, func(v *shaders.Variant) bool { return v.Emulated }),
)

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

// fits reports whether the matrices of a shape fill a variant's tile, and the results of a column of them the shared memory.
func (m MatrixShape) fits(v *shaders.Variant) bool {
	if m.M <= 0 || m.N <= 0 || m.K <= 0 {
		return false
	}
	filters, pixels := v.FilterBlock/v.Grid[0], v.PixelTile/v.Grid[1] // of a subgroup
	return m.M%4 == 0 && filters%m.M == 0 && pixels%m.N == 0 && m.K%8 == 0 && v.StepChannels%m.K == 0 &&
		v.Grid[0]*v.Grid[1]*(filters+4)*4*m.N <= v.SharedBytes
}

// matrices are the shapes of a device with sums as a variant makes them.
func (lim *Limits) matrices(v *shaders.Variant) []MatrixShape {
	if v.HalfTerms > 0 {
		return lim.HalfMatrices
	}
	return lim.Matrices
}

// matrixConv lowers to conv2d_coopmat.comp with the largest shape of the device that fills the tile.
func matrixConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	var best MatrixShape
	for _, m := range lim.matrices(v) {
		if m.fits(v) && m.M*m.N*m.K > best.M*best.N*best.K {
			best = m
		}
	}
	if best.M == 0 {
		return Candidate{}, backend.Unsupported("conv2d", fmt.Sprintf("cooperative matrices that fill a tile of %d×%d", v.FilterBlock, v.PixelTile), fmt.Sprint(lim.matrices(v)))
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
	wg := subgroup * v.Grid[0] * v.Grid[1]
	if limit := min(lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0]); wg < 1 || wg > int(limit) {
		return Candidate{}, backend.Unsupported("local size", fmt.Sprintf("1 to %d (maxComputeWorkGroupInvocations)", limit), fmt.Sprint(wg))
	}
	return walkConv(lim, n, g, v, wg, u32(subgroup), u32(m.M), u32(m.N), u32(m.K))
}
