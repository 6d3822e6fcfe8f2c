package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// convGraph is a graph of one convolution with a shortcut.
func convGraph(t *testing.T, batch, channels, filters, groups, size, window int) *graph.Graph {
	t.Helper()
	return parse(t, fmt.Sprintf(`graph g
input %%x : float32[%d,%d,%d,%d]
input %%z : float32[%d,%d,%d,%d]
param @w : float32[%d,%d,%d,%d]
%%y = conv2d(%%x, @w, %%z) padding=%d,%d,%d,%d groups=%d add=true
output %%y
`, batch, channels, size, size, batch, filters, size, size, filters, channels/groups, window, window, window/2, window/2, window/2, window/2, groups))
}

// TestPartsCoverTheConvolution divides convolutions whose weights are beyond what a texel buffer holds, and sees to it that the parts bind what they
// need, that all weights and results are of one part, and that every binding is within the limits.
func TestPartsCoverTheConvolution(t *testing.T) {
	const kernel = "conv2d_packed8x4_f32"
	for _, c := range []struct {
		name                                            string
		batch, channels, filters, groups, size, window_ int
		texels, align                                   int
		parts                                           int // at least
		refused                                         bool
	}{
		{"all fits", 1, 64, 64, 1, 8, 3, 1 << 16, 256, 1, false},
		{"blocks", 1, 64, 64, 1, 8, 3, 2000, 16, 5, false},
		{"blocks, and a tail of filters", 1, 64, 67, 1, 8, 3, 2000, 16, 5, false},
		{"blocks of several pictures", 3, 64, 72, 1, 5, 3, 2000, 16, 5, false},
		{"blocks that must begin at multiples of 8", 1, 64, 192, 1, 7, 3, 10000, 256, 3, false},
		{"groups", 1, 64, 64, 4, 8, 3, 1000, 64, 2, false},
		{"groups of several pictures", 3, 64, 96, 4, 8, 5, 4608, 32, 4, false},
		{"blocks of groups", 1, 64, 128, 2, 8, 3, 1200, 32, 4, false},
		{"one block is too large", 1, 64, 64, 1, 8, 3, 500, 16, 0, true},
		{"no block begins where a binding may", 1, 64, 64, 1, 5, 3, 1700, 2048, 0, true},
		{"inputs beyond the limit", 2, 64, 64, 1, 16, 1, 2000, 16, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lim := devices()["swiftshader"]
			lim.MaxTexelBufferElements = uint32(c.texels)
			lim.MinStorageBufferOffsetAlignment, lim.MinTexelBufferOffsetAlignment = uint64(c.align), 16
			g := convGraph(t, c.batch, c.channels, c.filters, c.groups, c.size, c.window_)
			p, err := Build(lim, Options{Variants: []string{kernel}}, g)
			if c.refused {
				if err == nil || !strings.Contains(err.Error(), "maxTexelBufferElements") {
					t.Fatalf("got %v, want a refusal for maxTexelBufferElements", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkPlan(t, lim, p)
			var parts []*Step
			for _, s := range p.Steps {
				if s.Variant.Name == kernel {
					parts = append(parts, s)
				}
			}
			if len(parts) < c.parts || c.parts == 1 && len(parts) != 1 {
				t.Fatalf("%d parts, want at least %d", len(parts), c.parts)
			}
			checkParts(t, g, lim, p, parts)
		})
	}
}

// TestPartsLieInOneAllocation has weights that parts could bind and no allocation can hold.
func TestPartsLieInOneAllocation(t *testing.T) {
	lim := devices()["swiftshader"]
	lim.MaxTexelBufferElements, lim.MinStorageBufferOffsetAlignment, lim.MinTexelBufferOffsetAlignment = 2000, 16, 16
	g := convGraph(t, 1, 64, 64, 1, 8, 3) // eight blocks of 1,154 texels
	opt := Options{Variants: []string{"conv2d_packed8x4_f32"}}
	build(t, lim, opt, g)
	lim.MaxMemoryAllocationSize = 8*1154*16 - 1
	if p, err := Build(lim, opt, g); err == nil || !strings.Contains(err.Error(), "weights: want at most") {
		t.Errorf("got %v, %v, want a refusal of the weights", p, err)
	}
}

// checkParts holds the parts of a convolution by conv2d_packed8x4_f32 against what the source of that kernel reads and writes.
func checkParts(t *testing.T, g *graph.Graph, lim Limits, p *Plan, parts []*Step) {
	t.Helper()
	n := g.Nodes[0]
	op := n.Op.(graph.Conv2D)
	k, cg, r, s := n.Inputs[1].Type.Shape.NCHW()
	batch, c, h, w := n.Inputs[0].Type.Shape.NCHW()
	const block = 8
	kg, cg4, k4, c4 := k/op.Groups, vectors(cg), vectors(k), vectors(c)
	weights := block/4 + r*s*cg4*block
	whole := p.Weights[0]
	if whole.Elems != 4*weights*op.Groups*ceilDiv(kg, block) || len(p.Weights) != 1 {
		t.Fatalf("%d packed weights, the first of %d elements", len(p.Weights), whole.Elems)
	}
	lowest := func(i int) uint64 {
		return slices.MinFunc(parts, func(a, b *Step) int { return int(a.Bindings[i].Offset) - int(b.Bindings[i].Offset) }).Bindings[i].Offset
	}
	x0, z0, y0 := lowest(0), lowest(2), lowest(3)
	written, multiplied := map[int]int{}, map[int]int{}
	for i, part := range parts {
		for b, ref := range part.Bindings[:3] {
			if ref.Size/16 > uint64(lim.MaxTexelBufferElements) {
				t.Errorf("part %d: binding %d of %d texels, limit %d", i, b, ref.Size/16, lim.MaxTexelBufferElements)
			}
		}
		push := part.Push
		if got := [5]uint32{push[5], push[6], push[7], push[1], push[2]}; got != [5]uint32{u32(c4), u32(k4), u32(cg4), u32(h), u32(w)} {
			t.Errorf("part %d: extents %v", i, got)
		}
		filters, blocks := int(push[pushFilters]), int(push[pushBlocks])
		if part.Groups[1] != push[pushBlocks] || ceilDiv(filters, block) != blocks {
			t.Errorf("part %d: %d filters a group in %d blocks, %v workgroups", i, filters, blocks, part.Groups)
		}
		in, out := part.Bindings[0], part.Bindings[3]
		x, y, z, at := int(in.Offset-x0)/16, int(out.Offset-y0)/16, int(part.Bindings[2].Offset-z0)/16, int(part.Bindings[1].Offset-whole.Offset)/16
		if y != z || part.Bindings[2].Size != out.Size {
			t.Errorf("part %d: writes from %d on, and adds what is from %d on", i, y, z)
		}
		first := at / weights // block of all groups
		for group := range int(part.Groups[2]) {
			of := first/ceilDiv(kg, block) + group // the group of the convolution
			if from := x + group*cg4*h*w; from != of*cg4*h*w {
				t.Errorf("part %d: inputs of group %d from %d on", i, of, from)
			}
			for b := range blocks {
				multiplied[first+group*blocks+b]++
				if end := (at + (group*blocks+b+1)*weights - at) * 16; end > int(part.Bindings[1].Size) {
					t.Errorf("part %d: block %d of group %d ends at byte %d of %d", i, b, group, end, part.Bindings[1].Size)
				}
			}
			for picture := range batch {
				if end := ((picture*c4 + group*cg4 + cg4) * h * w) * 16; end > int(in.Size) {
					t.Errorf("part %d: inputs of picture %d end at byte %d of %d", i, picture, end, in.Size)
				}
				for v := range vectors(filters) {
					o := (picture*k4+group*(filters/4)+v)*h*w + y
					written[o]++
					if want := (picture*k4 + of*(kg/4) + first%ceilDiv(kg, block)*block/4 + v) * h * w; o != want {
						t.Errorf("part %d: filters %d of group %d in %d, want %d", i, 4*v, of, o, want)
					}
					if end := (o - y + h*w) * 16; end > int(out.Size) {
						t.Errorf("part %d: writes byte %d of %d", i, end, out.Size)
					}
				}
			}
		}
	}
	if len(multiplied) != op.Groups*ceilDiv(kg, block) || len(written) != batch*k4 {
		t.Errorf("%d blocks of weights and %d vectors of results, want %d and %d", len(multiplied), len(written), op.Groups*ceilDiv(kg, block), batch*k4)
	}
	for _, m := range []map[int]int{multiplied, written} {
		for at, times := range m {
			if times != 1 {
				t.Errorf("block or result %d is of %d parts", at, times)
			}
		}
	}
}

// TestPartsOfTransformsCoverTheProducts plans Winograd for the last stages of ResNet-18, whose transformed weights are beyond a texel buffer.
func TestPartsOfTransformsCoverTheProducts(t *testing.T) {
	lim := devices()["swiftshader"]
	for _, c := range []struct{ channels, size, parts int }{{64, 56, 2}, {128, 28, 3}, {256, 14, 9}, {512, 7, 36}} {
		const kernel = "conv2d_packed16x4_quad_f32"
		p := build(t, lim, Options{Variants: []string{"winograd4_" + kernel}}, convGraph(t, 1, c.channels, c.channels, 1, c.size, 3))
		checkPlan(t, lim, p)
		barriers, parts, texels := 0, 0, uint64(0)
		for i, command := range p.Commands {
			switch command := command.(type) {
			case Dispatch:
				if command.Step.Variant.Name == kernel {
					parts++
					texels += command.Step.Bindings[1].Size / 16
				}
			case Barrier:
				if before, ok := p.Commands[i-1].(Dispatch); ok && before.Step.Variant.Name == kernel {
					barriers++
				}
			}
		}
		if want := p.Weights[0].sizeBytes() / 16; parts < c.parts || texels != want {
			t.Errorf("%d channels: %d parts with %d texels of weights, want at least %d with %d", c.channels, parts, texels, c.parts, want)
		}
		if barriers != 1 {
			t.Errorf("%d channels: %d barriers among the parts and behind them, want that behind them alone", c.channels, barriers)
		}
	}
}
