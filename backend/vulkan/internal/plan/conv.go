package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// convGeometry is what the convolution kernels must know of a node.
type convGeometry struct {
	op              graph.Conv2D
	batch, c, h, w  int
	filters         int // K
	cg, kg          int // channels and filters of one group
	r, s, p, q      int
	emulate         MatrixShape
	emulateSubgroup int
	asked           bool // its kernel was asked for, so that it runs wherever it can

	shortcut operand // the input that is added, or input 0: a binding must hold something

	hasHugeWeight func() bool // looks once, since weights may come from a file, and only when a kernel asks
}

func geometryOf(n *graph.Node, op graph.Conv2D) convGeometry {
	g := convGeometry{op: op, hasHugeWeight: sync.OnceValue(func() bool { return hasHugeWeight(n) })}
	g.batch, g.c, g.h, g.w = n.Inputs[0].Type.Shape.NCHW()
	g.filters, g.cg, g.r, g.s = n.Inputs[1].Type.Shape.NCHW()
	_, _, g.p, g.q = n.Output.Type.Shape.NCHW()
	g.kg = g.filters / op.Groups
	if _, i := op.Inputs(); i >= 0 {
		g.shortcut = operand(i)
	}
	return g
}

func (g *convGeometry) pixels() int { return g.batch * g.p * g.q }

// window is how a kernel goes over the inputs of a pixel.
func (g *convGeometry) window() []uint32 {
	return []uint32{
		u32(g.r), u32(g.s), u32(g.op.Stride[0]), u32(g.op.Stride[1]), u32(g.op.Padding.Top), u32(g.op.Padding.Left), u32(g.op.Dilation[0]), u32(g.op.Dilation[1]),
	}
}

// spec are the specialization constants of the direct convolution kernels but those of conv2d_packed.comp.
func (g *convGeometry) spec(localSize int) []uint32 {
	return slices.Concat([]uint32{u32(localSize)}, g.window(), []uint32{flag(g.op.Add), flag(g.op.Act == graph.ActReLU)})
}

// lowering makes the candidate of a convolution, with a variant of the manifest for its products.
type lowering func(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error)

// convKernel is one way to compute a convolution.
type convKernel struct {
	name, variant string
	lower         lowering
}

// convKernels are all of them.
var convKernels = func() (list []convKernel) {
	for _, tile := range []string{"packed16x8", "packed8x8", "packed8x4", "packed4x4", "packed16x8_quad", "packed16x4_quad", "packed16x2_quad", "packed8x8_quad", "packed8x4_quad", "packed8x4_ssbo", "packed16x4_quad_ssbo", "packed8x4_quad_ssbo"} {
		name := "conv2d_" + tile + "_f32"
		list = append(list, convKernel{name, name, packedConv})
		for _, t := range []*toomCook{winograd4, winograd2} {
			list = append(list, convKernel{fmt.Sprintf("winograd%d_%s", t.m, name), name, winogradConv(t)})
		}
	}
	for _, name := range []string{"conv2d_shared64_f32", "conv2d_regtile16_f32", "conv2d_regtile4_f32"} {
		list = append(list, convKernel{name, name, denseConv})
	}
	list = append(list, convKernel{"conv2d_slim8x2_f32", "conv2d_slim8x2_f32", slimConv})
	for _, name := range []string{"conv2d_depthwise_f32", "conv2d_depthwise_packed_f32", "conv2d_depthwise_packed_ssbo_f32"} {
		list = append(list, convKernel{name, name, depthwiseConv})
	}
	return append(list, tileConvKernels(false)...)
}()

// ConvKernels are the names of all convolution kernels.
func ConvKernels() []string {
	names := make([]string, len(convKernels))
	for i, k := range convKernels {
		names[i] = k.name
	}
	return names
}

// convCandidates lists the kernels that can compute a convolution here, the cheapest by estimate first, or in the order of
// opt.Variants where that says which.
func convCandidates(lim Limits, opt Options, n *graph.Node, op graph.Conv2D) ([]Candidate, error) {
	return convCandidatesOf(lim, opt, n, op, convKernels)
}

// convCandidatesOf is convCandidates among some kernels.
func convCandidatesOf(lim Limits, opt Options, n *graph.Node, op graph.Conv2D, kernels []convKernel) ([]Candidate, error) {
	g := geometryOf(n, op)
	g.emulate, g.emulateSubgroup, g.asked = opt.Emulate, opt.EmulateSubgroup, len(opt.Variants) > 0
	if g.cg*g.r*g.s > math.MaxInt32/64 {
		return nil, backend.Unsupported("weight", "at most 2^25 taps a filter", n.Inputs[1].Type.String())
	}
	if err := checkWindow(n, op.Padding); err != nil {
		return nil, err
	}
	var list []Candidate
	for _, k := range kernels {
		v := variant(k.variant)
		if len(opt.Variants) > 0 && !slices.Contains(opt.Variants, k.name) || !fits(lim, v) || v.HalfTerms > 0 && (!opt.HalfTerms || opt.WideSums[n.Name]) {
			continue
		}
		if c, err := k.lower(lim, n, &g, v); err == nil && !(opt.Direct && c.Class == Transformed) {
			if lim.kind() == gpu {
				c.cost += launchSeconds * float64(len(c.kernels))
			}
			list = append(list, c)
		} else if err != nil && !backend.IsUnsupported(err) {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, backend.Unsupported("conv2d", "a kernel that fits the device's limits", "none of "+fmt.Sprint(opt.Variants))
	}
	if len(opt.Variants) > 0 {
		at := func(c Candidate) int { return slices.Index(opt.Variants, c.Name) }
		slices.SortStableFunc(list, func(a, b Candidate) int { return cmp.Compare(at(a), at(b)) })
		for i := range list {
			list[i].Why, list[i].cost = "asked for", float64(i)
		}
		return list, nil
	}
	slices.SortStableFunc(list, func(a, b Candidate) int { return cmp.Compare(a.cost, b.cost) })
	list[0].Why = "rule: " + lim.whyConv(&list[0])
	return list, nil
}

// fits reports whether a device has the resources that a variant needs.
func fits(lim Limits, v *shaders.Variant) bool {
	return uint32(v.LocalSize) <= min(lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0]) &&
		uint32(v.SharedBytes) <= lim.MaxComputeSharedMemorySize && uint32(v.PushBytes) <= lim.MaxPushConstantsSize &&
		(!v.Quad || lim.SubgroupQuad && lim.SubgroupSize >= 4) && (!v.Matrix || len(lim.matrices(v)) > 0) &&
		(v.HalfTerms == 0 || lim.Float16)
}

// denseConv lowers to the kernels of conv2d.glsl.
func denseConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	blocks := ceilDiv(g.kg, v.FilterBlock)
	wg, tile := v.LocalSize, v.PixelTile
	if wg == 0 {
		wg = int(regtileSize(lim))
		tile = v.PixelTile * wg
	}
	k := &kernel{
		variant: v, spec: g.spec(wg),
		push: []uint32{
			u32(g.pixels()), u32(g.c), u32(g.h), u32(g.w), u32(g.filters), u32(g.p), u32(g.q), u32(g.cg), u32(g.kg), u32(blocks),
		},
		groups:  [3]uint32{u32(ceilDiv(g.pixels(), tile)), u32(blocks), u32(g.op.Groups)},
		args:    []operand{0, theWeight, g.shortcut, result},
		weights: packConv(n, g.op, v.FilterBlock),
	}
	c := candidate(Dense, Dense, k)
	c.cost = g.seconds(lim, v, g.cg*g.r*g.s, tile)
	return c, nil
}

// packedConv lowers to conv2d_packed.comp.
func packedConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	wg := lim.packedLocalSize()
	if v.Quad && wg%4 != 0 {
		return Candidate{}, backend.Unsupported("conv2d", "a local size in multiples of 4", fmt.Sprint(wg))
	}
	c, err := g.packedTiles(v, wg, packFilters(n, g.op, packing{block: v.FilterBlock, channels: 4, half: v.Half}))
	if err != nil {
		return c, err
	}
	c.kernels = g.slabs(v).partition(lim, c.kernels[0])
	c.cost = g.seconds(lim, v, 4*vectors(g.cg)*g.r*g.s, wg*v.PixelTile)
	return c, nil
}

// packedTiles is the candidate of conv2d_packed.comp with one dispatch. Its window is in the push constants.
func (g *convGeometry) packedTiles(v *shaders.Variant, localSize int, weights *Packed) (Candidate, error) {
	c, err := g.onVectors(v, []uint32{u32(localSize), flag(g.op.Add)}, localSize*v.PixelTile, weights)
	if err != nil {
		return c, err
	}
	const negatives = 0x7f800000 // numbers of float32 below zero, with -∞
	k := c.kernels[0]
	k.push = append(append(k.push, g.window()...), flag(g.op.Act == graph.ActReLU)*negatives)
	return c, nil
}

// slimConv lowers to conv2d_slim.comp.
func slimConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	wg := lim.packedLocalSize()
	tile := wg * v.PixelTile
	c, err := g.onVectors(v, g.spec(wg), tile, packFilters(n, g.op, packing{block: v.FilterBlock, channels: 4, half: v.Half}))
	if err == nil {
		c.cost = g.seconds(lim, v, 4*vectors(g.cg)*g.r*g.s, tile)
	}
	return c, err
}

// depthwiseConv lowers to conv2d_depthwise.comp, where each filter has one channel, of its own.
func depthwiseConv(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
	if g.cg != 1 || g.kg != 1 || g.op.Groups == 1 {
		return Candidate{}, backend.Unsupported("groups", "as many as channels and filters", fmt.Sprintf("%d of %d and %d", g.op.Groups, g.c, g.filters))
	}
	f := Dense
	switch {
	case v.Half:
		f = Packed4Half
	case slices.Contains(v.Defines, "PACKED"):
		f = Packed4
	}
	units := f.units(g.c)
	spec := []uint32{flag(g.op.Add), flag(g.op.Act == graph.ActReLU)}
	push := append([]uint32{u32(units), u32(g.h), u32(g.w), u32(g.p), u32(g.q)}, g.window()...)
	k, err := flat(lim, v.Name, g.batch*units*g.p*g.q, spec, push, 0, theWeight, g.shortcut, result)
	if err != nil {
		return Candidate{}, err
	}
	filters := g.op
	filters.Groups = 1 // blocks of filters lie as if all had the same channel
	k.weights = packConv(n, filters, f.lanes())
	c := candidate(f, f, k).costs(lim, n, 1)
	c.cost = max(c.cost, float64(g.batch*units*f.lanes()*g.p*g.q)*float64(g.r*g.s)/lim.rate(v))
	return c, nil
}

// slabs are how the tensors of conv2d_packed.comp divide.
func (g *convGeometry) slabs(v *shaders.Variant) slabs {
	head := v.FilterBlock / 4
	if v.Half {
		head *= 2
	}
	return slabs{
		batch: g.batch, groups: g.op.Groups, blocks: ceilDiv(g.kg, v.FilterBlock), filters: g.kg, block: v.FilterBlock,
		input: vectors(g.cg) * g.h * g.w, inputs: g.batch * vectors(g.c) * g.h * g.w, weights: head + g.r*g.s*vectors(g.cg)*v.FilterBlock,
		plane: g.p * g.q, outputs: g.batch * vectors(g.filters) * g.p * g.q,
	}
}

// onVectors is the candidate of a kernel on packed channels, whose workgroups make tiles of so many pixels.
func (g *convGeometry) onVectors(v *shaders.Variant, spec []uint32, tile int, weights *Packed) (Candidate, error) {
	if g.op.Groups > 1 && (g.cg%4 != 0 || g.kg%4 != 0) {
		return Candidate{}, backend.Unsupported("groups", "channels and filters a group in multiples of 4", fmt.Sprintf("%d and %d", g.cg, g.kg))
	}
	format := Packed4
	if v.Half {
		format = Packed4Half
	}
	blocks := ceilDiv(g.kg, v.FilterBlock)
	return candidate(format, format, &kernel{
		variant: v, spec: spec,
		push: []uint32{
			u32(g.pixels()), u32(g.h), u32(g.w), u32(g.p), u32(g.q), u32(vectors(g.c)), u32(vectors(g.filters)), u32(vectors(g.cg)), u32(g.kg), u32(blocks),
		},
		groups:  [3]uint32{u32(ceilDiv(g.pixels(), tile)), u32(blocks), u32(g.op.Groups)},
		args:    []operand{0, theWeight, g.shortcut, result},
		weights: weights,
	}), nil
}

// seconds estimates a kernel: the multiply-accumulates of whole tiles, so many for a result, at the rate of the variant.
func (g *convGeometry) seconds(lim Limits, v *shaders.Variant, taps, tile int) float64 {
	filters := ceilDiv(g.kg, v.FilterBlock) * v.FilterBlock * g.op.Groups
	pixels := ceilDiv(g.pixels(), tile) * tile
	cost := float64(filters) * float64(pixels) * float64(taps) / lim.rate(v)
	if lim.kind() == gpu && v.StepChannels == 0 {
		each := v.FilterBlock * v.PixelTile / max(v.LocalSize, 1) // results of an invocation
		cost = max(cost, float64(each)*float64(taps)/serialRate)
	}
	return cost
}

// regtileSize is the local size of the register-tile kernels: small, since a software driver runs each workgroup on
// one thread and each invocation already makes a tile of its own.
func regtileSize(lim Limits) uint32 {
	return min(32, lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0])
}
