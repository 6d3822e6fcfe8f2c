package vulkan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// Where a layer that is kept in float32 meets one in float16, a kernel of its own changes the type of what goes between. It is no candidate of a node,
// and no proof of a node runs it: it is proved between two nodes that copy, of which one is kept in float32.

// conversionKey is that of the proof of a kernel between formats.
func (o *outcomes) conversionKey(v *shaders.Variant) tune.Key {
	o.mu.Lock()
	defer o.mu.Unlock()
	return tune.Key{Kernel: v.Name, Hash: o.hashOf(nil)}
}

// cannotConvert reports whether a plan has a kernel between float16 and float32 that was struck off.
func (o *outcomes) cannotConvert(p *plan.Plan) bool {
	return slices.ContainsFunc(p.Conversions(), func(v *shaders.Variant) bool {
		known, ok := o.proof(o.conversionKey(v))
		return ok && known.Struck
	})
}

// proveConversion proves a kernel between float16 and float32, unless that was done before.
func (o *outcomes) proveConversion(ctx context.Context, v *shaders.Variant) (bool, error) {
	return o.proveKey(ctx, o.conversionKey(v), conversionType.String(), func() (verdict, error) { return o.dev.proveConversion(ctx, v) })
}

// conversionType has a tail of channels, and rows unlike columns.
var conversionType = graph.F32(2, 6, 9, 11)

// proveConversion runs the kernel between two nodes that copy.
func (d *device) proveConversion(ctx context.Context, v *shaders.Variant) (found verdict, err error) {
	bell := [][]float32{cutFrom(pools().bell, conversionType.Shape.Elems(), 1)}
	t, err := d.conversionTrial(ctx, v, bell)
	if err != nil {
		err = found.failed(err)
		return found, err
	}
	defer t.close()
	err = t.allOf(ctx, bell, &found)
	return found, err
}

// conversionTrial is a trial of two nodes with the conversion between them. Its node is that in float16, whose bounds have the roundings that there are.
func (d *device) conversionTrial(ctx context.Context, v *shaders.Variant, data [][]float32) (*trial, error) {
	g, err := graph.Parse(strings.NewReader(fmt.Sprintf("graph conversion\ninput %%x : %v\n%%first = subsample(%%x) stride=1,1\n%%second = subsample(%%first) stride=1,1\noutput %%second\n", conversionType)))
	if err != nil {
		return nil, fmt.Errorf("vulkan: bug: %w", err)
	}
	half, wide := 0, 1
	if slices.Contains(v.Defines, "HALF") { // it writes float16
		half, wide = 1, 0
	}
	opt := d.planOptions()
	opt.Half, opt.MaxChunk, opt.Float32 = true, 0, map[string]bool{g.Nodes[wide].Name: true}
	opt.Judge = func(n *graph.Node, name string) plan.Verdict { // packed throughout, so that there is something to convert
		return plan.Verdict{Struck: n.Name == g.Nodes[wide].Name && name != "subsample_packed_f32"}
	}
	p, err := plan.Build(d.limits, opt, g)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(p.Conversions(), v) {
		return nil, fmt.Errorf("vulkan: bug: the plan of its trial lacks %s:\n%s", v.Name, p.Dump())
	}
	t := &trial{dev: d, node: g.Nodes[half], data: slices.Clone(data), inputs: []int{0}}
	if t.exe, err = d.make(ctx, g, p); err != nil {
		return nil, err
	}
	if err := t.makeBuffers(ctx); err != nil {
		return nil, err
	}
	return t, nil
}
