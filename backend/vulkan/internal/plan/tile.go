package plan

import (
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// walkingKernels are the convolution kernels of a source that walks as conv2d_walk.glsl says, those that choose takes.
func walkingKernels(source string, lower lowering, choose func(*shaders.Variant) bool) (list []convKernel) {
	for _, v := range shaders.Manifest {
		if v.Source == source && choose(&v) {
			list = append(list, convKernel{v.Name, v.Name, lower})
		}
	}
	return list
}

// tileConvKernels are the convolution kernels of conv2d_tile.comp on float32 or float16.
func tileConvKernels(half bool) []convKernel {
	return walkingKernels("conv2d_tile.comp", tileConv, func(v *shaders.Variant) bool { return v.Half == half })
}

// tileConv lowers to conv2d_tile.comp.
func tileConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	return walkConv(lim, n, g, v, v.LocalSize)
}

// few is whether a step of conv2d_walk.glsl is several taps of a row, since the group has no more than four channels.
func (g *convGeometry) few() bool { return g.cg <= 4 && g.s > 1 }

// direct is whether a pixel's inputs lie where its results do: one tap, without stride and padding.
func (g *convGeometry) direct() bool {
	return g.r == 1 && g.s == 1 && g.op.Stride == [2]int{1, 1} && g.op.Padding == graph.Padding{}
}

// steps is how many steps of so many channels a tile takes.
func (g *convGeometry) steps(channels int) int {
	if g.few() {
		return g.r * ceilDiv(g.s, channels/4)
	}
	return g.r * g.s * ceilDiv(g.cg, channels)
}

// walkConv lowers to a kernel that walks as conv2d_walk.glsl says. more are the specialization constants beyond those.
func walkConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant, localSize int, more ...uint32) (Candidate, error) {
	spec := append(append(g.spec(localSize), flag(g.few()), flag(!g.few() && g.cg%v.StepChannels == 0), flag(g.direct())), more...)
	weights := packFilters(n, g.op, packing{block: v.FilterBlock, channels: v.StepChannels, half: v.Half, columns: v.LocalSize > 0, few: g.few()})
	c, err := g.onVectors(v, spec, v.PixelTile, weights)
	if err != nil {
		return c, err
	}
	if v.Split {
		err = g.divide(lim, &c)
	} else {
		c.cost = g.walkSeconds(lim, v, 1)
	}
	return c, err
}

// walkSeconds estimates a kernel that walks, with the steps of a tile divided in so many parts: a device with enough to do works at its rate, and none
// is done before its workgroups are.
func (g *convGeometry) walkSeconds(lim Limits, v *shaders.Variant, splits int) float64 {
	steps := g.steps(v.StepChannels)
	if lim.kind() != gpu {
		return g.seconds(lim, v, steps*v.StepChannels, v.PixelTile)
	}
	taps := float64(v.StepChannels) * (float64(steps) + otherSteps*float64(splits))
	seconds := max(g.seconds(lim, v, int(taps), v.PixelTile), (float64(ceilDiv(steps, splits))+otherSteps)*lim.stepSeconds(v))
	if v.Matrix {
		seconds *= lim.burden(v)
	}
	return seconds
}

// divide divides the steps of the tiles of a candidate, which are few, among workgroups.
func (g *convGeometry) divide(lim Limits, c *Candidate) error {
	k := c.kernels[0]
	few := int(k.groups[0]) * int(k.groups[1]) * int(k.groups[2]) // tiles
	v := k.variant
	const least, most = 128, 16 // channels of a part, and parts
	steps, fewest := g.steps(v.StepChannels), max(1, least/v.StepChannels)
	// As many for every batch: the last part of a batch has its scratch memory where the others have theirs.
	one := ceilDiv(g.p*g.q, v.PixelTile) * ceilDiv(g.kg, v.FilterBlock) * g.op.Groups
	filling := lim.fillingGroups()
	splits := min(ceilDiv(2*filling, max(one, 1)), most, steps/fewest)
	if g.asked {
		splits = min(3, steps)
	}
	if splits < 2 || few >= filling && !g.asked {
		return backend.Unsupported("conv2d", fmt.Sprintf("a layer of few tiles and many steps, to divide (at least %d)", 2*fewest), fmt.Sprintf("%d and %d", few, steps))
	}
	perSplit := ceilDiv(steps, splits)
	splits = ceilDiv(steps, perSplit) // none is empty
	k.push = append(k.push, u32(splits), u32(perSplit))
	k.groups[2] = u32(g.op.Groups * splits)
	k.args = []operand{0, theWeight, g.shortcut, scratch0}
	count := g.pixels() * vectors(g.filters)
	name := "conv2d_reduce_f32"
	if v.Half {
		name = "conv2d_reduce_f16"
	}
	add, err := flat(lim, name, count, []uint32{flag(g.op.Add), flag(g.op.Act == graph.ActReLU)}, []uint32{u32(splits)}, scratch0, g.shortcut, result)
	if err != nil {
		return err
	}
	c.kernels = append(c.kernels, add)
	c.scratch = []uint64{uint64(splits) * uint64(count) * texelBytes}
	c.cost = g.walkSeconds(lim, v, splits) + 2*float64(c.scratch[0])/lim.bandwidth()
	return nil
}
