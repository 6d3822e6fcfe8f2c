package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// convVariants are the convolution kernels of the manifest.
var convVariants = []string{"conv2d_shared64_f32", "conv2d_regtile16_f32", "conv2d_regtile4_f32"}

// candidates lists the convolution kernels that the device can run, the first choice for this many filters a group first,
// and says in a few words why it is.
func candidates(lim Limits, opt Options, filters int) (list []*shaders.Variant, why string) {
	order, why := convVariants, "rule: the widest tile, in shared memory"
	switch {
	case len(opt.Variants) > 0:
		order, why = opt.Variants, "asked for"
	case filters <= 4:
		why = fmt.Sprintf("rule: %d filters a group would leave a wider tile empty", filters)
		order = []string{"conv2d_regtile4_f32", "conv2d_regtile16_f32", "conv2d_shared64_f32"}
	case lim.SoftwareDriver || filters <= 16:
		why = "rule: a software driver has no shared memory of its own, so a register tile"
		if !lim.SoftwareDriver {
			why = fmt.Sprintf("rule: %d filters a group fill a register tile", filters)
		}
		order = []string{"conv2d_regtile16_f32", "conv2d_regtile4_f32", "conv2d_shared64_f32"}
	}
	for _, name := range order {
		if v := shaders.Lookup(name); v != nil && slices.Contains(convVariants, name) && fits(lim, v) {
			list = append(list, v)
		}
	}
	if len(list) > 0 && list[0].Name != order[0] {
		why += "; " + order[0] + " does not fit the device's limits"
	}
	return list, why
}

// fits reports whether a device has the resources that a variant needs.
func fits(lim Limits, v *shaders.Variant) bool {
	return uint32(v.LocalSize) <= min(lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0]) &&
		uint32(v.SharedBytes) <= lim.MaxComputeSharedMemorySize && uint32(v.PushBytes) <= lim.MaxPushConstantsSize
}

func lowerConv(lim Limits, opt Options, n *graph.Node, op graph.Conv2D) (*kernel, error) {
	batch, c, h, w := n.Inputs[0].Type.Shape.NCHW()
	filters, cg, r, s := n.Inputs[1].Type.Shape.NCHW()
	_, _, p, q := n.Output.Type.Shape.NCHW()
	kg := filters / op.Groups
	if cg*r*s > math.MaxInt32/64 {
		return nil, backend.Unsupported("weight", "at most 2^25 taps a filter", n.Inputs[1].Type.String())
	}
	if err := checkWindow(n, op.Padding); err != nil {
		return nil, err
	}
	list, why := candidates(lim, opt, kg)
	if len(list) == 0 {
		return nil, backend.Unsupported("conv2d", "a kernel that fits the device's limits", fmt.Sprintf("none of %v", convVariants))
	}
	v := list[0]
	pixels, blocks := batch*p*q, ceilDiv(kg, v.FilterBlock)
	wg, tile := uint32(v.LocalSize), v.PixelTile
	if wg == 0 {
		wg = regtileSize(lim)
		tile = v.PixelTile * int(wg)
	}
	k := &kernel{
		variant: v,
		spec: []uint32{
			wg, u32(r), u32(s), u32(op.Stride[0]), u32(op.Stride[1]), u32(op.Padding.Top), u32(op.Padding.Left),
			u32(op.Dilation[0]), u32(op.Dilation[1]), flag(op.Add), flag(op.Act == graph.ActReLU),
		},
		push: []uint32{
			u32(pixels), u32(c), u32(h), u32(w), u32(filters), u32(p), u32(q), u32(cg), u32(kg), u32(blocks),
		},
		groups:  [3]uint32{u32(ceilDiv(pixels, tile)), u32(blocks), u32(op.Groups)},
		weights: packConv(n, op, v.FilterBlock),
		reason:  why,
	}
	shortcut := n.Inputs[0] // a binding must hold something; without addShortcut it is never read
	if _, i := op.Inputs(); i >= 0 {
		shortcut = n.Inputs[i]
	}
	k.args = []arg{{n.Inputs[0]}, {}, {shortcut}, {n.Output}}
	return k, nil
}

// regtileSize is the local size of the register-tile kernels: small, since a software driver runs each workgroup on
// one thread and each invocation already makes a tile of its own.
func regtileSize(lim Limits) uint32 {
	return min(32, lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize[0])
}
