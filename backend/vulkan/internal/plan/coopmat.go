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

// arrangement is how the matrices of a shape fill a tile.
type arrangement struct {
	shape    MatrixShape
	subgroup int    // invocations that share a matrix
	grid     [2]int // subgroups along filters and along pixels
}

// invocations are those of a workgroup.
func (a arrangement) invocations() int { return a.subgroup * a.grid[0] * a.grid[1] }

// arrange stands subgroups round a variant's tile. Where they are smaller than those that it is made for there are more of them, so that the workgroup has
// twice as many invocations: those of narrow subgroups have about half the registers, for sums and for what they fetch of the next step. The grid is
// that of the variant where more would not divide the matrices.
func (m MatrixShape) arrange(v *shaders.Variant, subgroup int) arrangement {
	a := arrangement{m, subgroup, v.Grid}
	if subgroup >= usualSubgroup {
		return a
	}
	for subgroup > 0 && a.invocations() < 2*usualSubgroup*v.Grid[0]*v.Grid[1] {
		wider := a
		wider.grid[1] *= 2
		taller := a
		taller.grid[0] *= 2
		if v.FilterBlock/a.grid[0] >= v.PixelTile/a.grid[1] { // the longer side is divided
			wider, taller = taller, wider
		}
		switch {
		case wider.fits(v):
			a = wider
		case taller.fits(v):
			a = taller
		default:
			return a
		}
	}
	return a
}

// usualSubgroup is the size of the subgroups that the grids of variants are made for.
const usualSubgroup = 32

// fits reports whether the matrices fill a variant's tile, and the results of a column of them the shared memory.
func (a arrangement) fits(v *shaders.Variant) bool {
	m := a.shape
	if m.M <= 0 || m.N <= 0 || m.K <= 0 {
		return false
	}
	filters, pixels := v.FilterBlock/a.grid[0], v.PixelTile/a.grid[1] // of a subgroup
	return filters > 0 && pixels > 0 && m.M%4 == 0 && filters%m.M == 0 && pixels%m.N == 0 && m.K%8 == 0 && v.StepChannels%m.K == 0 &&
		a.grid[0]*a.grid[1]*(filters+4)*4*m.N <= v.SharedBytes
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
	best, ok := lim.arrangement(v)
	if !ok {
		return Candidate{}, backend.Unsupported("conv2d", fmt.Sprintf("cooperative matrices that fill a tile of %d×%d", v.FilterBlock, v.PixelTile), fmt.Sprint(lim.matrices(v)))
	}
	if subgroups := best.grid[0] * best.grid[1]; lim.MaxSubgroups > 0 && subgroups > int(lim.MaxSubgroups) {
		return Candidate{}, backend.Unsupported("subgroups", fmt.Sprintf("at most %d (maxComputeWorkgroupSubgroups)", lim.MaxSubgroups), fmt.Sprint(subgroups))
	}
	return onMatrices(lim, n, g, v, best)
}

// arrangement is that of a variant with the largest shape of the device that fills the tile; false where there is none.
func (lim *Limits) arrangement(v *shaders.Variant) (best arrangement, ok bool) {
	for _, m := range lim.matrices(v) {
		if a := m.arrange(v, int(lim.MinSubgroupSize)); a.fits(v) && m.M*m.N*m.K > best.shape.M*best.shape.N*best.shape.K {
			best, ok = a, true
		}
	}
	return best, ok
}

// emulatedConv lowers to the same with loops, where no device has the shape.
func emulatedConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	a := g.emulate.arrange(v, g.emulateSubgroup)
	if !a.fits(v) || a.subgroup < 1 {
		return Candidate{}, backend.Unsupported("conv2d", "a shape to emulate that fills the tile", fmt.Sprint(g.emulate))
	}
	return onMatrices(lim, n, g, v, a)
}

func onMatrices(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant, a arrangement) (Candidate, error) {
	wg := a.invocations()
	if limit := min(lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0]); wg < 1 || wg > int(limit) {
		return Candidate{}, backend.Unsupported("local size", fmt.Sprintf("1 to %d (maxComputeWorkGroupInvocations)", limit), fmt.Sprint(wg))
	}
	return walkConv(lim, n, g, v, wg, u32(a.subgroup), u32(a.shape.M), u32(a.shape.N), u32(a.shape.K), u32(a.grid[0]), u32(a.grid[1]), flag(g.kg%v.FilterBlock == 0))
}
