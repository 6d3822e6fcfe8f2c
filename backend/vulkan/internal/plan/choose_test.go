package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/shaders"
)

func TestLocalSizesOfPackedKernels(t *testing.T) {
	for _, c := range []struct {
		name string
		lim  Limits
		want int
	}{
		{"nothing known", Limits{}, 32},
		{"subgroups of 8 to 32", Limits{SubgroupSize: 32, MinSubgroupSize: 8}, 32},
		{"subgroups of 32 or 64", Limits{SubgroupSize: 64, MinSubgroupSize: 32}, 32},
		{"subgroups of 64 alone", Limits{SubgroupSize: 64, MinSubgroupSize: 64}, 64},
		{"a driver on the CPU", Limits{SubgroupSize: 8, MinSubgroupSize: 8, SoftwareDriver: true}, 8},
	} {
		c.lim.MaxComputeWorkGroupInvocations, c.lim.MaxComputeWorkGroupSize = 128, [3]uint32{128, 128, 64}
		if got := c.lim.packedLocalSize(); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
	tight := Limits{MinSubgroupSize: 64, MaxComputeWorkGroupInvocations: 128, MaxComputeWorkGroupSize: [3]uint32{48, 128, 64}}
	if got := tight.packedLocalSize(); got != 48 {
		t.Errorf("a workgroup of 48: got %d", got)
	}
}

func TestKernelChoice(t *testing.T) {
	gpu := Floor()
	gpu.MaxComputeSharedMemorySize, gpu.SubgroupSize = 48<<10, 32
	vectors, quads := Floor(), Floor()
	vectors.SoftwareDriver, vectors.SubgroupSize, vectors.SubgroupQuad, vectors.MaxTexelBufferElements = true, 8, true, 1<<27
	quads.SoftwareDriver, quads.SubgroupSize, quads.SubgroupQuad = true, 4, true
	small := Floor()
	small.MaxComputeSharedMemorySize = 4096 // below the floor of the specification: the shared kernel must not be chosen
	few := vectors
	few.MaxTexelBufferElements = 1000
	small28, large := gpu, gpu
	small28.Multiprocessors, large.Multiprocessors = 28, 132
	integrated := gpu
	integrated.Integrated = true
	slim := func(shared, subgroup uint32) Limits {
		lim := gpu
		lim.MaxComputeSharedMemorySize, lim.SubgroupSize = shared<<10, subgroup
		return lim
	}
	sizes := slim(32, 16)
	sizes.MaxSubgroupSize = 32
	direct := Options{Direct: true}
	conv := func(filters, groups, stride int) string {
		return fmt.Sprintf("graph g\ninput %%x : float32[1,64,56,56]\nparam @w : float32[%d,%d,3,3]\n%%y = conv2d(%%x, @w) groups=%d stride=%d,%d padding=1,1,1,1\noutput %%y\n",
			filters, 64/groups, groups, stride, stride)
	}
	for _, c := range []struct {
		name string
		lim  Limits
		opt  Options
		text string
		want string
	}{
		{"GPU, many filters", gpu, direct, conv(64, 1, 1), "conv2d_tile64x64_split_f32"},
		{"GPU, few filters", gpu, direct, conv(16, 1, 1), "conv2d_tile32x32_split_f32"},
		{"GPU, groups of 2", gpu, Options{}, conv(64, 32, 1), "conv2d_regtile4_f32"},
		{"wide vectors", vectors, direct, conv(64, 1, 1), "conv2d_packed16x8_quad_f32"},
		{"wide vectors, 8 filters", vectors, direct, conv(8, 1, 1), "conv2d_packed8x8_quad_f32"},
		{"quads", quads, direct, conv(64, 1, 1), "conv2d_packed16x8_quad_f32"},
		{"too little shared memory", small, direct, conv(64, 1, 1), "conv2d_slim8x2_f32"},
		{"too few texels", few, direct, conv(64, 1, 1), "conv2d_packed16x4_quad_ssbo_f32"},
		{"a GPU of 28 multiprocessors has enough to do", small28, direct, conv(64, 1, 1), "conv2d_tile64x64_f32"},
		{"a GPU of 132 multiprocessors", large, direct, conv(64, 1, 1), "conv2d_tile64x64_split_f32"},
		{"an integrated GPU has enough to do", integrated, direct, conv(64, 1, 1), "conv2d_tile64x64_f32"},
		{"subgroups of 16 and 32", sizes, Options{}, conv(64, 1, 1), "conv2d_tile64x64_split_f32"},
		{"few registers", slim(16, 16), Options{}, conv(64, 1, 1), "conv2d_slim8x2_f32"},
		{"few registers, 32 KiB", slim(32, 16), Options{}, conv(64, 1, 2), "conv2d_slim8x2_f32"},
		{"few registers, groups of 2", slim(16, 16), Options{}, conv(64, 32, 1), "conv2d_regtile4_f32"},
		{"32 KiB, wide subgroups", slim(32, 64), Options{}, conv(64, 1, 1), "conv2d_tile64x64_split_f32"},
		{"64 KiB, narrow subgroups", slim(64, 8), Options{}, conv(64, 1, 1), "conv2d_tile64x64_split_f32"},
		{"transforms", vectors, Options{}, conv(64, 1, 1), "winograd4_conv2d_packed16x8_quad_f32"},
		{"transforms of groups", vectors, Options{}, conv(512, 2, 1), "winograd4_conv2d_packed16x8_quad_f32"},
		{"groups of 2 have no transforms", vectors, Options{}, conv(64, 32, 1), "conv2d_regtile4_f32"},
		{"a stride has none", vectors, Options{}, conv(64, 1, 2), "conv2d_packed16x8_quad_f32"},
		{"depthwise", gpu, Options{}, conv(64, 64, 1), "conv2d_depthwise_packed_f32"},
		{"depthwise in float16", gpu, Options{Half: true}, conv(64, 64, 2), "conv2d_depthwise_packed_f16"},
		{"depthwise, wide vectors", vectors, Options{}, conv(64, 64, 1), "conv2d_depthwise_packed_f32"},
		{"depthwise, quads", quads, Options{}, conv(64, 64, 2), "conv2d_depthwise_packed_f32"},
		{"depthwise, too few texels", few, Options{}, conv(64, 64, 1), "conv2d_depthwise_packed_ssbo_f32"},
		{"depthwise, few registers", slim(16, 16), Options{}, conv(64, 64, 1), "conv2d_depthwise_packed_f32"},
		{"two filters a channel", vectors, Options{}, conv(128, 64, 1), "conv2d_regtile4_f32"},
		{"forced", gpu, Options{Variants: []string{"conv2d_regtile4_f32", "conv2d_shared64_f32"}}, conv(64, 1, 1), "conv2d_regtile4_f32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Candidates(c.lim, c.opt, parse(t, c.text).Nodes[0])
			if err != nil || got[0].Name != c.want {
				t.Fatalf("got %s, %v, want %s first", names(got), err, c.want)
			}
			if len(c.opt.Variants) > 0 != (got[0].Why == "asked for") {
				t.Errorf("got reason %q", got[0].Why)
			}
		})
	}
	for _, half := range []bool{false, true} { // what was measured on 132 multiprocessors holds there, whether or not a driver tells how many there are
		n := parse(t, conv(64, 1, 1)).Nodes[0]
		told, err := Candidates(large, Options{Half: half}, n)
		untold, err2 := Candidates(gpu, Options{Half: half}, n)
		same := func(a, b Candidate) bool { return a.Name == b.Name && a.cost == b.cost }
		if err != nil || err2 != nil || !slices.EqualFunc(told, untold, same) {
			t.Errorf("132 multiprocessors: got %s, %v, want %s, %v, and the same estimates", names(told), err, names(untold), err2)
		}
	}
	if got, err := Candidates(gpu, Options{Variants: []string{"relu_f32", "nonsense"}}, parse(t, conv(64, 1, 1)).Nodes[0]); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("kernels that are no convolutions were accepted: %s", names(got))
	}
}

// TestWindowsShareThePipelineOfATile counts what a driver on the CPU, which compiles a large tile for a fifth of a second, has to compile for a network:
// a tile with a shortcut and without.
func TestWindowsShareThePipelineOfATile(t *testing.T) {
	for _, device := range []string{"lavapipe", "swiftshader"} {
		pipelines, windows := map[*shaders.Variant][]string{}, map[string]bool{}
		for _, s := range build(t, devices()[device], Options{}, network(t, "resnet50", 1)).Steps {
			if s.Variant == nil || s.Variant.Source != "conv2d_packed.comp" {
				continue
			}
			windows[fmt.Sprint(s.Variant.Name, s.Push[pushBlocks+1:])] = true
			if key := fmt.Sprint(s.Spec); !slices.Contains(pipelines[s.Variant], key) {
				pipelines[s.Variant] = append(pipelines[s.Variant], key)
			}
		}
		if len(windows) < 2*len(pipelines) || len(pipelines) == 0 {
			t.Errorf("%s: got %d windows for %d kernels, want this network to have more", device, len(windows), len(pipelines))
		}
		for v, keys := range pipelines {
			if len(keys) > 2 {
				t.Errorf("%s: %s has the pipelines %s, want at most 2", device, v.Name, strings.Join(keys, " "))
			}
		}
	}
}
