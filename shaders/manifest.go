package shaders

import (
	"fmt"
	"slices"
)

// Variant is one compiled kernel: a source with defines, and what is needed to use it.
type Variant struct {
	Name    string   // <op>_<algorithm>_<storage type>; for people: nothing is decided by parts of it
	Source  string   // file in glsl/
	Defines []string // NAME or NAME=VALUE, in the order given to the compiler
	Target  string   // SPIR-V environment, for example "vulkan1.1"

	Bindings  int      // buffers, bound at 0..Bindings-1 of set 0: storage buffers but for Texels
	Texels    []int    // bindings that are uniform texel buffers of four float32 a texel, or with Half of four float16
	PushBytes int      // size of the push constants
	Spec      []string // names of the specialization constants by id, "" for an id not used; "WG" is the local size

	LocalSize   int // invocations a workgroup where the source fixes them, 0 where id 0 sets them
	SharedBytes int // shared memory a workgroup

	// Optimize runs spirv-opt -O: it unrolls the loops over a tile and keeps the tile in registers, which not every driver does.
	Optimize bool
	// Half: tensors are stored as float16 (in the packed format; what is dense is float32), and so are weights.
	Half bool
	// Matrix: needs matrix units (VK_KHR_cooperative_matrix) that multiply float16 into float32, and subgroups of a known size.
	Matrix bool
	// Emulated: computes what a Matrix variant does, by loops, to prove its indexing on any device.
	Emulated bool
	// HalfTerms is how many products are made and added in float16 before they are added to a sum of float32, 0 where all arithmetic is float32.
	// Such a variant needs float16 arithmetic in shaders (shaderFloat16), with Matrix matrices whose sums are float16.
	HalfTerms int
	// Split: writes sums of parts, which another variant adds up.
	Split bool
	// Grid is how many subgroups of 32 invocations stand along filters and along pixels of a workgroup, for Matrix and Emulated.
	Grid [2]int
	// Newer: GLSL that the compiler of Debian 12 does not know; see internal/cmd/genshaders.
	Newer bool
	// FewRegisters: an invocation needs no more than 64, which is what it has on the GPUs that have the fewest.
	FewRegisters bool
	// Quad: needs the quad operations of subgroups in compute shaders.
	Quad bool

	// FilterBlock and PixelTile are the tile of a convolution: filters, and pixels for each invocation
	// (regtile) or workgroup (shared). See conv2d.glsl for the packing of weights that follows from FilterBlock.
	FilterBlock, PixelTile int
	// StepChannels is how many channels a step of conv2d_walk.glsl has (BK), 0 for other kernels.
	StepChannels int
}

const target = "vulkan1.1"

var (
	convSpec = []string{"WG", "R", "S", "strideH", "strideW", "padTop", "padLeft", "dilationH", "dilationW", "addShortcut", "applyReLU"}
	// sharedSpec has no constant 0: the local size of those kernels is part of their tile.
	sharedSpec = append([]string{""}, convSpec[1:]...)
	poolSpec   = []string{"WG", "R", "S", "strideH", "strideW", "padTop", "padLeft", "padBottom", "padRight", "countIncludePad"}
	flatSpec   = []string{"WG"}
)

// Manifest lists every variant.
var Manifest = []Variant{
	{
		Name: "conv2d_regtile16_f32", Source: "conv2d_regtile.comp", Defines: []string{"BM=16"}, Target: target,
		Bindings: 4, PushBytes: 40, Spec: convSpec, FilterBlock: 16, PixelTile: 4,
	},
	{
		Name: "conv2d_regtile4_f32", Source: "conv2d_regtile.comp", Defines: []string{"BM=4"}, Target: target,
		Bindings: 4, PushBytes: 40, Spec: convSpec, FilterBlock: 4, PixelTile: 4,
	},
	{
		Name: "conv2d_shared64_f32", Source: "conv2d_shared.comp", Target: target,
		Bindings: 4, PushBytes: 40, Spec: sharedSpec, LocalSize: 128, SharedBytes: 8192, FilterBlock: 64, PixelTile: 64,
	},
	packed("conv2d_packed16x8_f32", 16, 8, false, false),
	packed("conv2d_packed8x8_f32", 8, 8, false, false),
	packed("conv2d_packed8x4_f32", 8, 4, false, false),
	packed("conv2d_packed4x4_f32", 4, 4, false, false),
	packed("conv2d_packed16x8_quad_f32", 16, 8, true, false),
	packed("conv2d_packed16x4_quad_f32", 16, 4, true, false),
	packed("conv2d_packed16x2_quad_f32", 16, 2, true, false),
	packed("conv2d_packed8x8_quad_f32", 8, 8, true, false),
	packed("conv2d_packed8x4_quad_f32", 8, 4, true, false),
	packed("conv2d_packed8x4_ssbo_f32", 8, 4, false, true),
	packed("conv2d_packed16x4_quad_ssbo_f32", 16, 4, true, true),
	packed("conv2d_packed8x4_quad_ssbo_f32", 8, 4, true, true),
	slim("conv2d_slim8x2_f32", 8, 2),
	winograd("winograd_input4_f32", 4, true, false), winograd("winograd_input4_ssbo_f32", 4, true, true),
	winograd("winograd_output4_f32", 4, false, false), winograd("winograd_output4_ssbo_f32", 4, false, true),
	winograd("winograd_input2_f32", 2, true, false), winograd("winograd_input2_ssbo_f32", 2, true, true),
	winograd("winograd_output2_f32", 2, false, false), winograd("winograd_output2_ssbo_f32", 2, false, true),
	{Name: "pack_f32", Source: "pack.comp", Defines: []string{"PACK"}, Target: target, Bindings: 2, PushBytes: 12, Spec: flatSpec},
	{Name: "unpack_f32", Source: "pack.comp", Target: target, Bindings: 2, PushBytes: 12, Spec: flatSpec},
	{Name: "max_pool_packed_f32", Source: "pool.comp", Defines: []string{"OP_MAX", "PACKED"}, Target: target, Bindings: 2, Texels: []int{0}, PushBytes: 20, Spec: poolSpec},
	{Name: "avg_pool_packed_f32", Source: "pool.comp", Defines: []string{"OP_AVG", "PACKED"}, Target: target, Bindings: 2, Texels: []int{0}, PushBytes: 20, Spec: poolSpec},
	{Name: "max_pool_packed_ssbo_f32", Source: "pool.comp", Defines: []string{"OP_MAX", "PACKED", "SSBO"}, Target: target, Bindings: 2, PushBytes: 20, Spec: poolSpec},
	{Name: "avg_pool_packed_ssbo_f32", Source: "pool.comp", Defines: []string{"OP_AVG", "PACKED", "SSBO"}, Target: target, Bindings: 2, PushBytes: 20, Spec: poolSpec},
	{Name: "global_avg_pool_packed_f32", Source: "global_avg_pool_packed.comp", Target: target, Bindings: 2, Texels: []int{0}, PushBytes: 12, Spec: flatSpec, Optimize: true},
	depthwise("conv2d_depthwise_f32"), depthwise("conv2d_depthwise_packed_f32", "PACKED"), depthwise("conv2d_depthwise_packed_ssbo_f32", "PACKED", "SSBO"),
	{Name: "relu_f32", Source: "elementwise.comp", Target: target, Bindings: 2, PushBytes: 4, Spec: flatSpec},
	{Name: "add_f32", Source: "elementwise.comp", Defines: []string{"OP_ADD"}, Target: target, Bindings: 3, PushBytes: 4, Spec: flatSpec},
	{Name: "group_norm_merge_f32", Source: "group_norm_merge.comp", Target: target, Bindings: 3, PushBytes: 24, Spec: []string{"WG", "V"}},
	{Name: "max_pool_f32", Source: "pool.comp", Defines: []string{"OP_MAX"}, Target: target, Bindings: 2, PushBytes: 20, Spec: poolSpec},
	{Name: "avg_pool_f32", Source: "pool.comp", Defines: []string{"OP_AVG"}, Target: target, Bindings: 2, PushBytes: 20, Spec: poolSpec},
	{Name: "global_avg_pool_f32", Source: "global_avg_pool.comp", Target: target, Bindings: 2, PushBytes: 8, Spec: flatSpec},
	{Name: "linear_f32", Source: "linear.comp", Target: target, Bindings: 3, PushBytes: 12, Spec: flatSpec},
	{Name: "linear_split_f32", Source: "linear_split.comp", Target: target, Bindings: 3, PushBytes: 12, LocalSize: 128, SharedBytes: 8192, Optimize: true},
	{Name: "softmax_f32", Source: "softmax.comp", Target: target, Bindings: 2, PushBytes: 8, LocalSize: 64, SharedBytes: 256},
	{Name: "peak_fma_f32", Source: "peak_fma.comp", Target: target, Bindings: 1, PushBytes: 12, Spec: []string{"WG", "fused"}},
	{Name: "peak_copy_f32", Source: "peak_copy.comp", Target: target, Bindings: 2, PushBytes: 4, Spec: flatSpec},
}

func init() {
	Manifest = slices.Concat(Manifest, storedVariants, halfVariants, matrixVariants, tileVariants)
}

// storedVariants are the sources that take in stored.glsl, each for numbers, for vectors of four channels and for vectors of float16.
var storedVariants = slices.Concat(
	stored("gate", Variant{Source: "gate.comp", Bindings: 3, PushBytes: 8, Spec: []string{"WG", "RELU"}}),
	stored("gate_add", Variant{Source: "gate.comp", Defines: []string{"OP_ADD"}, Bindings: 4, PushBytes: 8, Spec: []string{"WG", "RELU"}}),
	stored("split_attention", Variant{Source: "split_attention.comp", Bindings: 3, PushBytes: 20, Spec: []string{"WG", "RELU", "R"}, Optimize: true}),
	stored("split_attention_add", Variant{Source: "split_attention.comp", Defines: []string{"OP_ADD"}, Bindings: 4, PushBytes: 20, Spec: []string{"WG", "RELU", "R"}, Optimize: true}),
	stored("batch_norm", Variant{Source: "batch_norm.comp", Bindings: 3, PushBytes: 12, Spec: flatSpec}),
	stored("group_norm_parts", Variant{Source: "group_norm_parts.comp", Bindings: 2, PushBytes: 12, Spec: flatSpec, Optimize: true}),
	stored("group_norm", Variant{Source: "group_norm.comp", Bindings: 3, PushBytes: 12, Spec: []string{"WG", "RELU"}, Optimize: true}),
	stored("channels", Variant{Source: "channels.comp", Bindings: 2, PushBytes: 28, Spec: []string{"WG", "KEEP"}}),
	stored("spatial_pad", Variant{Source: "spatial_pad.comp", Bindings: 2, PushBytes: 28, Spec: []string{"WG", "REFLECT"}}),
	stored("subsample", Variant{Source: "subsample.comp", Bindings: 2, PushBytes: 28, Spec: flatSpec}),
)

// stored are the three rows of such a source. The planner finds them by the ends of their names.
func stored(name string, v Variant) []Variant {
	v.Target = target
	dense, packed := v, v
	dense.Name, packed.Name, v.Name = name+"_f32", name+"_packed_f32", name+"_f16"
	packed.Defines = slices.Concat([]string{"PACKED"}, v.Defines)
	return []Variant{dense, packed, half(v)}
}

// depthwise is a row of conv2d_depthwise.comp. Packed vectors are fetched from a texel buffer, unless it is told not to.
func depthwise(name string, defines ...string) Variant {
	v := Variant{Name: name, Source: "conv2d_depthwise.comp", Defines: defines, Target: target, Bindings: 4, PushBytes: 56, Spec: []string{"WG", "addShortcut", "applyReLU"}, FewRegisters: true}
	if slices.Equal(defines, []string{"PACKED"}) {
		v.Texels = []int{0}
	}
	return v
}

// packed is a row of conv2d_packed.comp with a tile of filters × pixels an invocation. Its texel buffers are x, w and the shortcut.
func packed(name string, filters, pixels int, quad, storage bool) Variant {
	v := Variant{
		Name: name, Source: "conv2d_packed.comp", Defines: []string{fmt.Sprint("BM=", filters), fmt.Sprint("PX=", pixels)}, Target: target,
		Bindings: 4, Texels: []int{0, 1, 2}, PushBytes: 76, Spec: []string{"WG", "addShortcut"}, Optimize: true, Quad: quad, FilterBlock: filters, PixelTile: pixels,
	}
	if quad {
		v.Defines = append(v.Defines, "QUAD")
	}
	if storage {
		v.Defines, v.Texels = append(v.Defines, "SSBO"), nil
	}
	return v
}

// slim is a row of conv2d_slim.comp with a tile of filters × pixels an invocation.
func slim(name string, filters, pixels int) Variant {
	return Variant{
		Name: name, Source: "conv2d_slim.comp", Defines: []string{fmt.Sprint("BM=", filters), fmt.Sprint("PX=", pixels)}, Target: target,
		Bindings: 4, PushBytes: 40, Spec: convSpec, Optimize: true, FewRegisters: true, FilterBlock: filters, PixelTile: pixels,
	}
}

// winograd is a row of winograd_input.comp or winograd_output.comp for tiles of m×m results.
func winograd(name string, m int, input, storage bool) Variant {
	v := Variant{
		Name: name, Source: "winograd_output.comp", Defines: []string{fmt.Sprint("M=", m)}, Target: target,
		Bindings: 4, Texels: []int{0, 2}, PushBytes: 28, Spec: []string{"WG", "addShortcut", "applyReLU"}, Optimize: true,
	}
	if input {
		v.Source, v.Bindings, v.Texels, v.PushBytes, v.Spec = "winograd_input.comp", 2, []int{0}, 36, flatSpec
	}
	if storage {
		v.Defines, v.Texels = append(v.Defines, "SSBO"), nil
	}
	return v
}
