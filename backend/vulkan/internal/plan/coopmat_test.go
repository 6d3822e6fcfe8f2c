package plan

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// matrixDevice is an imaginary GPU with matrix units.
func matrixDevice(subgroup uint32, shapes ...MatrixShape) Limits {
	lim := devices()["big GPU"]
	lim.MaxComputeWorkGroupInvocations, lim.MaxComputeWorkGroupSize = 1024, [3]uint32{1024, 1024, 64}
	lim.MaxComputeSharedMemorySize, lim.MaxTexelBufferElements = 49152, 1<<27
	lim.SubgroupSize, lim.MinSubgroupSize, lim.Matrices, lim.MaxSubgroups = subgroup, subgroup, shapes, 32
	return lim
}

func TestMatrixKernelsOnImaginaryDevices(t *testing.T) {
	for _, c := range []struct {
		name string
		lim  Limits
		want MatrixShape // of most layers; none: no kernel on matrix units
	}{
		{"subgroup 32, 16×16×16", matrixDevice(32, MatrixShape{16, 8, 8}, MatrixShape{16, 16, 16}), MatrixShape{16, 16, 16}},
		{"subgroup 8, 8×8×16: the rule takes other kernels", matrixDevice(8, MatrixShape{8, 8, 16}), MatrixShape{}},
		{"subgroup 16, 8×16×16", matrixDevice(16, MatrixShape{8, 16, 16}), MatrixShape{8, 16, 16}},
		{"subgroup 32, 16×8×32", matrixDevice(32, MatrixShape{16, 8, 32}), MatrixShape{16, 8, 32}},
		{"subgroup 64, 16×16×16", matrixDevice(64, MatrixShape{16, 16, 16}), MatrixShape{16, 16, 16}},
		{"a shape that fills no tile", matrixDevice(32, MatrixShape{24, 24, 16}), MatrixShape{}},
		{"a depth that is no part of a step", matrixDevice(32, MatrixShape{16, 16, 48}), MatrixShape{}},
		{"no shape", matrixDevice(32), MatrixShape{}},
		{"little shared memory", func() Limits {
			lim := matrixDevice(32, MatrixShape{16, 16, 16})
			lim.MaxComputeSharedMemorySize = 4096
			return lim
		}(), MatrixShape{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.lim, Options{Half: true}, network(t, "resnet50", 8))
			checkPlan(t, c.lim, p)
			on := 0
			for _, s := range p.Steps {
				v := s.Variant
				if v.Emulated {
					t.Errorf("node %q is emulated: nobody asked for that", s.Node)
				}
				if !v.Matrix {
					continue
				}
				on++
				if strings.Contains(v.Name, "_ahead") || strings.Contains(v.Name, "_eight") {
					t.Errorf("node %q: the rule takes %s, which nobody has measured", s.Node, v.Name)
				}
				if sums := v.FilterBlock * v.PixelTile / int(s.Spec[0]); sums > mostSums {
					t.Errorf("node %q: %s has %d sums an invocation", s.Node, v.Name, sums)
				}
				shape := MatrixShape{int(s.Spec[SubgroupConstant+1]), int(s.Spec[SubgroupConstant+2]), int(s.Spec[SubgroupConstant+3])}
				if !slices.Contains(c.lim.Matrices, shape) || shape != c.want {
					t.Errorf("node %q: shape %v, want %v", s.Node, shape, c.want)
				}
				grid := s.Spec[SubgroupConstant+4:]
				if s.Spec[SubgroupConstant] != c.lim.MinSubgroupSize || s.Spec[0] != c.lim.MinSubgroupSize*grid[0]*grid[1] {
					t.Errorf("node %q: %d invocations in %v subgroups of %d", s.Node, s.Spec[0], grid, s.Spec[SubgroupConstant])
				}
				if !p.Precisions[s.Node].Truncated {
					t.Errorf("node %q: it is not told that its sums may be truncated", s.Node)
				}
			}
			if want := c.want.M > 0; want && on < 50 || !want && on > 0 {
				t.Errorf("%d of 53 convolutions on matrix units", on)
			}
			if full := build(t, c.lim, Options{}, network(t, "resnet18", 1)); strings.Contains(full.Dump(), "coopmat") {
				t.Error("matrix units were chosen for float32")
			}
		})
	}
}

func TestMatrixKernelsKeepTheLimits(t *testing.T) {
	lim := matrixDevice(64, MatrixShape{16, 16, 16})
	lim.MaxComputeWorkGroupInvocations = 256 // four subgroups
	lim.MaxSubgroups = 3
	p := build(t, lim, Options{Half: true}, network(t, "resnet50", 8))
	checkPlan(t, lim, p)
	got := kernelsOf(p)
	if got["conv2d_coopmat32x32_f16"] == 0 || got["conv2d_coopmat64x64_f16"]+got["conv2d_coopmat128x128_f16"] != 0 {
		t.Errorf("got %v, want only the kernel of two subgroups", got)
	}
	lim = matrixDevice(64, MatrixShape{16, 16, 16})
	lim.MaxComputeWorkGroupSize = [3]uint32{128, 1024, 64} // of the first dimension two subgroups
	p = build(t, lim, Options{Half: true}, network(t, "resnet50", 8))
	checkPlan(t, lim, p)
	got = kernelsOf(p)
	if got["conv2d_coopmat32x32_f16"]+got["conv2d_coopmat32x32x64_f16"] == 0 || got["conv2d_coopmat64x64_f16"]+got["conv2d_coopmat64x128_f16"]+got["conv2d_coopmat64x64x64_f16"] != 0 {
		t.Errorf("a workgroup of at most 128 in its first dimension: got %v, want only the kernel of two subgroups", got)
	}
}

func TestShapesFillTheirTiles(t *testing.T) {
	v := &shaders.Variant{FilterBlock: 64, PixelTile: 32, Grid: [2]int{2, 4}, StepChannels: 32, SharedBytes: 2 * 80 * 96} // 32 filters × 8 pixels a subgroup
	for _, c := range []struct {
		m    MatrixShape
		want bool
	}{
		{MatrixShape{16, 8, 16}, true}, {MatrixShape{32, 8, 32}, true}, {MatrixShape{16, 16, 16}, false}, {MatrixShape{64, 4, 16}, false},
		{MatrixShape{16, 8, 4}, false}, {MatrixShape{16, 8, 64}, false}, {MatrixShape{2, 8, 16}, false}, {MatrixShape{}, false}, {MatrixShape{16, 8, 24}, false},
	} {
		if got := (arrangement{c.m, 32, v.Grid}).fits(v); got != c.want {
			t.Errorf("%v: got %v, want %v", c.m, got, c.want)
		}
	}
}

func TestSubgroupsStandRoundTheirTile(t *testing.T) {
	tile := func(name string) *shaders.Variant { return shaders.Lookup(name) }
	for _, c := range []struct {
		variant  string
		shape    MatrixShape
		subgroup int
		want     [2]int
	}{
		{"conv2d_coopmat64x64_f16", MatrixShape{16, 16, 16}, 32, [2]int{2, 2}},
		{"conv2d_coopmat64x64_f16", MatrixShape{16, 16, 16}, 64, [2]int{2, 2}},
		{"conv2d_coopmat64x64_f16", MatrixShape{8, 16, 16}, 16, [2]int{4, 4}},
		{"conv2d_coopmat64x64_f16", MatrixShape{8, 8, 16}, 8, [2]int{8, 4}},
		{"conv2d_coopmat64x128_f16", MatrixShape{8, 8, 16}, 8, [2]int{4, 8}},
		{"conv2d_coopmat32x32_f16", MatrixShape{8, 8, 16}, 8, [2]int{4, 4}},
		{"conv2d_coopmat32x32_f16", MatrixShape{8, 16, 16}, 16, [2]int{4, 2}},
		{"conv2d_coopmat32x32_f16", MatrixShape{32, 16, 16}, 8, [2]int{2, 1}}, // does not fit as it is
		{"conv2d_coopmat32x32_f16", MatrixShape{16, 16, 16}, 8, [2]int{2, 2}}, // no more fit
	} {
		if got := c.shape.arrange(tile(c.variant), c.subgroup); got.grid != c.want {
			t.Errorf("%s with %v of %d invocations: got %v, want %v", c.variant, c.shape, c.subgroup, got.grid, c.want)
		}
	}
}

// TestPackMatricesPutsEveryWeightWhereTheShaderLooks reads the packed weights back by the formula in conv2d_coopmat.comp.
func TestPackMatricesPutsEveryWeightWhereTheShaderLooks(t *testing.T) {
	const k, cg, r, s, groups, block = 24, 36, 2, 3, 2, 8
	bias := make([]float32, k)
	for i := range bias {
		bias[i] = float32(i) + 0.0001
	}
	w := iota32(k * cg * r * s)
	g := bind(t, "graph g\ninput %x : float32[1,72,9,9]\nparam @w : float32[24,36,2,3]\nparam @b : float32[24]\n%y = conv2d(%x, @w, @b) groups=2 bias=true\noutput %y\n",
		map[string][]float32{"w": w, "b": bias})
	n := g.Nodes[0]
	p := packFilters(n, n.Op.(graph.Conv2D), packing{block: block, channels: 32, half: true})
	dst := fill(t, p)
	const kg, blocks, chunks = k / groups, 2, 2
	const size = block * (2 + r*s*chunks*32)
	if p.Elems != groups*blocks*size || !p.Half {
		t.Fatalf("got %d elements, half %v", p.Elems, p.Half)
	}
	sum, total := 0.0, 0.0
	for _, v := range dst {
		sum += float64(v)
	}
	for f := range k {
		base := (f/kg*blocks + f%kg/block) * size
		m := f % kg % block
		hi, lo := dst[base+m], dst[base+block+m]
		if hi != graph.RoundFloat16(bias[f]) || math.Abs(float64(hi+lo-bias[f])) > 1e-6 {
			t.Errorf("bias of filter %d: got %g and %g, want %g", f, hi, lo, bias[f])
		}
		total += float64(hi) + float64(lo)
		for c := range cg {
			for tap := range r * s {
				got := dst[base+2*block+((tap*chunks+c/32)*block+m)*32+c%32]
				want := w[(f*cg+c)*r*s+tap]
				total += float64(want)
				if got != want {
					t.Fatalf("filter %d channel %d tap %d: got %g, want %g", f, c, tap, got, want)
				}
			}
		}
	}
	if math.Abs(sum-total) > 1 {
		t.Errorf("what does not exist is not zero: the sum is %g, want %g", sum, total)
	}
}

func TestFewTilesAreDivided(t *testing.T) {
	lim := matrixDevice(32, MatrixShape{16, 16, 16})
	g := network(t, "resnet50", 1)
	p := build(t, lim, Options{Half: true}, g)
	checkPlan(t, lim, p)
	divided := 0
	for i, s := range p.Steps {
		if !s.Variant.Split {
			continue
		}
		divided++
		splits, perSplit := int(s.Push[10]), int(s.Push[11])
		_, cg, r, q := g.Value(s.Node).Node.Inputs[1].Type.Shape.NCHW()
		steps := r * q * ceilDiv(cg, s.Variant.StepChannels)
		if splits < 2 || splits*perSplit < steps || (splits-1)*perSplit >= steps || int(s.Groups[2]) != splits {
			t.Errorf("node %q: %d parts of %d steps for %d, %v workgroups", s.Node, splits, perSplit, steps, s.Groups)
		}
		add := p.Steps[i+1]
		if add.Node != s.Node || add.Variant.Name != "conv2d_reduce_f16" || add.Bindings[0] != s.Bindings[3] || int(add.Push[1]) != splits {
			t.Errorf("node %q is followed by %s of %q", s.Node, add.Variant.Name, add.Node)
		}
		if size := uint64(splits) * uint64(add.Push[0]) * 16; s.Bindings[3].Size != size {
			t.Errorf("node %q: parts of %d bytes, want %d", s.Node, s.Bindings[3].Size, size)
		}
	}
	if divided < 5 {
		t.Errorf("%d convolutions of a single picture are divided:\n%s", divided, p.Dump())
	}
	for _, s := range build(t, lim, Options{Half: true}, network(t, "resnet50", 64)).Steps {
		if s.Variant.Split {
			t.Errorf("node %q is divided with 64 pictures: %v", s.Node, s.Groups)
		}
	}
	for batch := 2; batch < 8; batch++ { // the last part is smaller, and must fit where the others lie
		checkPlan(t, lim, build(t, lim, Options{Half: true, MaxChunk: batch}, network(t, "resnet50", 2*batch-1)))
	}
}
