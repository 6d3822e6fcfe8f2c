package vulkan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/shaders"
)

// TestMatrixKernelsIndexRightly runs golden convolutions with the kernels that emulate matrix units: the same source as on matrix units, but
// for the operations on matrices themselves. In the everyday run each has one of the four usual shapes of matrices; with the last shape a workgroup of
// the smallest tile has fewer invocations than pixels.
func TestMatrixKernelsIndexRightly(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	shapes := []struct {
		m        plan.MatrixShape
		subgroup int
	}{{plan.MatrixShape{M: 16, N: 16, K: 16}, 32}, {plan.MatrixShape{M: 8, N: 8, K: 16}, 16}, {plan.MatrixShape{M: 8, N: 16, K: 32}, 16}, {plan.MatrixShape{M: 16, N: 8, K: 8}, 32}, {plan.MatrixShape{M: 16, N: 32, K: 16}, 8}}
	const usual = 4
	for i, kernel := range plan.MatrixConvKernels(true) {
		for j, s := range shapes {
			smallest := shaders.Lookup(kernel).PixelTile == 32
			if j < usual && j%backendtest.OneIn(usual) != i%backendtest.OneIn(usual) || j >= usual && !smallest {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v-%d", kernel, s.m, s.subgroup), func(t *testing.T) {
				eachDevice(t, Options{Precision: precisionOf(kernel), Kernels: []string{kernel, "conv2d_regtile4_f32"}, Fences: true}, func(t *testing.T, d *device) {
					skipWithoutArithmetic(t, d, kernel)
					d.emulate, d.emulateSubgroup = s.m, s.subgroup
					ran, picked, narrow := 0, 0, 0
					for _, c := range cases {
						if c.Graph.Nodes[len(c.Graph.Nodes)-1].Op.Name() != "conv2d" {
							continue
						}
						if ran++; ran%24 != (i*usual+j)%24 {
							continue
						}
						if picked++; testing.Short() && narrow > 0 && picked%2 != 1 {
							continue
						}
						t.Run(c.Name, func(t *testing.T) { narrow += checkCase(t, d, c) })
					}
					if narrow == 0 {
						t.Error("no node ran on matrices")
					}
				})
			})
		}
	}
}

// TestMatrixKernelsOnMatrixUnits runs golden convolutions with the kernels themselves, on devices that have what they need.
func TestMatrixKernelsOnMatrixUnits(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	for _, kernel := range plan.MatrixConvKernels(false) {
		t.Run(kernel, func(t *testing.T) {
			eachDevice(t, Options{Precision: precisionOf(kernel), Kernels: []string{kernel, "conv2d_regtile4_f32"}, Fences: true}, func(t *testing.T, d *device) {
				if len(d.limits.Matrices) == 0 || shaders.Lookup(kernel).HalfTerms > 0 && len(d.limits.HalfMatrices) == 0 {
					t.Skip("this device has no cooperative matrices of float16: only the emulated kernels run here")
				}
				if most := d.limits.MaxComputeSharedMemorySize; shaders.Lookup(kernel).SharedBytes > int(most) {
					t.Skipf("the kernel's tile takes %d bytes of shared memory, this device has %d", shaders.Lookup(kernel).SharedBytes, most)
				}
				narrow := 0
				for i, c := range cases {
					if c.Graph.Nodes[len(c.Graph.Nodes)-1].Op.Name() == "conv2d" && (i%4 == 0 || !testing.Short()) {
						t.Run(c.Name, func(t *testing.T) { narrow += checkCase(t, d, c) })
					}
				}
				if narrow == 0 {
					t.Error("no node ran on matrix units")
				}
			})
		})
	}
}

// matrixFacts is a device with matrix units, as far as it matters here.
func matrixFacts() facts.Facts {
	const compute = 0x20
	return facts.Facts{
		Features: vk.Features{CooperativeMatrix: true, VulkanMemoryModel: true, ShaderFloat16: true, SubgroupSizeControl: true, ComputeFullSubgroups: true},
		Subgroup: facts.Subgroup{Size: 32, Min: 32, Max: 32, RequiredSize: true, MaxWorkgroupSubgroups: 32, Stages: compute, Operations: facts.SubgroupBasic},
		CoopMatrices: []facts.CooperativeMatrix{
			{M: 16, N: 8, K: 8, A: facts.Float16, B: facts.Float16, C: facts.Float32, Result: facts.Float32, Scope: facts.ScopeSubgroup},
			{M: 16, N: 16, K: 16, A: facts.Float16, B: facts.Float16, C: facts.Float16, Result: facts.Float16, Scope: facts.ScopeSubgroup},
			{M: 16, N: 16, K: 32, A: facts.Sint8, B: facts.Sint8, C: facts.Sint32, Result: facts.Sint32, Scope: facts.ScopeSubgroup},
			{M: 64, N: 64, K: 16, A: facts.Float16, B: facts.Float16, C: facts.Float32, Result: facts.Float32, Scope: facts.ScopeWorkgroup},
			{M: 16, N: 16, K: 16, A: facts.Float16, B: facts.Float16, C: facts.Float32, Result: facts.Float32, Scope: facts.ScopeSubgroup},
		},
	}
}

func TestMatricesOfADevice(t *testing.T) {
	all := []plan.MatrixShape{{M: 16, N: 8, K: 8}, {M: 16, N: 16, K: 16}}
	for _, c := range []struct {
		name   string
		change func(*facts.Facts)
		want   []plan.MatrixShape
		sized  bool
	}{
		{"all there", func(*facts.Facts) {}, all, true},
		{"no extension", func(f *facts.Facts) { f.Features.CooperativeMatrix = false }, nil, false},
		{"no memory model", func(f *facts.Facts) { f.Features.VulkanMemoryModel = false }, nil, false},
		{"no float16", func(f *facts.Facts) { f.Features.ShaderFloat16 = false }, nil, false},
		{"no subgroups in compute", func(f *facts.Facts) { f.Subgroup.Stages = 1 }, nil, false},
		{"one size that cannot be asked for", func(f *facts.Facts) { f.Subgroup.RequiredSize = false }, all, false},
		{"several sizes that cannot be asked for", func(f *facts.Facts) { f.Subgroup.RequiredSize, f.Subgroup.Max = false, 64 }, nil, false},
		{"several sizes", func(f *facts.Facts) { f.Subgroup.Max = 64 }, all, true},
		{"no full subgroups", func(f *facts.Facts) { f.Features.ComputeFullSubgroups = false }, all, false},
	} {
		f := matrixFacts()
		c.change(&f)
		if got := matrices(&f, facts.Float32); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if got := matrices(&f, facts.Float16); c.want != nil && !slices.Equal(got, []plan.MatrixShape{{M: 16, N: 16, K: 16}}) {
			t.Errorf("%s: into float16: got %v, want 16×16×16", c.name, got)
		}
		if c.want != nil && matrixText(c.want) != "16×8×8 16×16×16" {
			t.Errorf("%s: told as %q", c.name, matrixText(c.want))
		}
		want := vk.Features{ShaderFloat16: f.Features.ShaderFloat16}
		if c.want != nil {
			want = vk.Features{CooperativeMatrix: true, VulkanMemoryModel: true, ShaderFloat16: true, SubgroupSizeControl: c.sized, ComputeFullSubgroups: c.sized}
		}
		if got := wantedFeatures(&f); got != want {
			t.Errorf("%s: features to enable: got %+v, want %+v", c.name, got, want)
		}
	}
}

// TestMatricesBelongToTheNarrowestSubgroup: that is how wide matrix units are where a device has several sizes.
func TestMatricesBelongToTheNarrowestSubgroup(t *testing.T) {
	for _, c := range []struct {
		name     string
		subgroup facts.Subgroup
		want     uint32
	}{
		{"one size", facts.Subgroup{Size: 32, Min: 32, Max: 32, RequiredSize: true}, 32},
		{"called 32, from 8 on", facts.Subgroup{Size: 32, Min: 8, Max: 32, RequiredSize: true}, 8},
		{"called 64, from 32 on", facts.Subgroup{Size: 64, Min: 32, Max: 64, RequiredSize: true}, 32},
		{"one size that cannot be asked for", facts.Subgroup{Size: 64, Min: 64, Max: 64}, 64},
	} {
		f := matrixFacts()
		c.subgroup.Stages, c.subgroup.Operations = f.Subgroup.Stages, f.Subgroup.Operations
		f.Subgroup = c.subgroup
		if got := limits(&f).MinSubgroupSize; got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// TestWalkingKernelsKeepSpecialNumbers runs cases of the suite with NaN, infinities and the ends of float16, and with what only kernels that walk as
// conv2d_walk.glsl says could confuse, on those of them that run on any device; in the everyday run on every third.
func TestWalkingKernelsKeepSpecialNumbers(t *testing.T) {
	special := []conformance.Values{conformance.NaN, conformance.Infinity, conformance.HalfLimit, conformance.WeightNaN, conformance.Integers}
	var cases []conformance.Case
	for _, c := range conformance.Cases() {
		if slices.Contains(special, c.Values) && strings.HasPrefix(c.Name, "conv2d/n2-c17-h9-w7-k19-g1/r3-s3-stride2,2") ||
			strings.HasPrefix(c.Name, "conv2d/n2-c3-h13-w17-k6-") || strings.HasPrefix(c.Name, "conv2d/") && strings.Contains(c.Name, "/infinite-") {
			cases = append(cases, c)
		}
	}
	if len(cases) < 9 {
		t.Errorf("%d cases, want at least 9", len(cases))
	}
	var kernels []string
	for _, k := range slices.Concat(plan.MatrixConvKernels(true), plan.ConvKernels(), plan.HalfConvKernels()) {
		if v := shaders.Lookup(k); v != nil && v.StepChannels > 0 {
			kernels = append(kernels, k)
		}
	}
	for i, kernel := range kernels {
		if i%backendtest.OneIn(3) != 0 {
			continue
		}
		t.Run(kernel, func(t *testing.T) {
			eachDevice(t, Options{Precision: precisionOf(kernel), Kernels: []string{kernel, "conv2d_regtile4_f32"}, Fences: true}, func(t *testing.T, d *device) {
				skipWithoutArithmetic(t, d, kernel)
				d.emulate, d.emulateSubgroup = plan.MatrixShape{M: 16, N: 16, K: 16}, 32
				for _, c := range cases {
					if err := conformance.Check(t.Context(), d, c); err != nil {
						t.Errorf("%s: %v", c.Name, err)
					}
				}
			})
		})
	}
}
