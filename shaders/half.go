package shaders

import "slices"

// halfVariants store tensors as float16 and compute in float32. Nothing of them needs a feature of the device: a texel buffer of four
// float16 is a format that every device reads, and storage buffers hold words that the core operations pack and unpack.
var halfVariants = []Variant{
	half(packed("conv2d_packed16x8_f16", 16, 8, false, false)),
	half(packed("conv2d_packed8x8_f16", 8, 8, false, false)),
	half(packed("conv2d_packed8x4_f16", 8, 4, false, false)),
	half(packed("conv2d_packed4x4_f16", 4, 4, false, false)),
	half(packed("conv2d_packed8x8_quad_f16", 8, 8, true, false)),
	half(packed("conv2d_packed8x4_ssbo_f16", 8, 4, false, true)),
	half(slim("conv2d_slim8x2_f16", 8, 2)),
	half(depthwise("conv2d_depthwise_packed_f16", "PACKED")), half(depthwise("conv2d_depthwise_packed_ssbo_f16", "PACKED", "SSBO")),
	half(Variant{Name: "pack_f16", Source: "pack.comp", Defines: []string{"PACK"}, Target: target, Bindings: 2, PushBytes: 12, Spec: flatSpec}),
	half(Variant{Name: "unpack_f16", Source: "pack.comp", Target: target, Bindings: 2, PushBytes: 12, Spec: flatSpec}),
	half(Variant{Name: "narrow_f16", Source: "pack.comp", Defines: []string{"CONVERT"}, Target: target, Bindings: 2, PushBytes: 12, Spec: flatSpec}),
	{Name: "widen_f16", Source: "pack.comp", Defines: []string{"CONVERT"}, Target: target, Bindings: 2, PushBytes: 12, Spec: flatSpec, Half: true},
	half(Variant{Name: "max_pool_packed_f16", Source: "pool.comp", Defines: []string{"OP_MAX", "PACKED"}, Target: target, Bindings: 2, Texels: []int{0}, PushBytes: 20, Spec: poolSpec}),
	half(Variant{Name: "avg_pool_packed_f16", Source: "pool.comp", Defines: []string{"OP_AVG", "PACKED"}, Target: target, Bindings: 2, Texels: []int{0}, PushBytes: 20, Spec: poolSpec}),
	half(Variant{Name: "max_pool_packed_ssbo_f16", Source: "pool.comp", Defines: []string{"OP_MAX", "PACKED", "SSBO"}, Target: target, Bindings: 2, PushBytes: 20, Spec: poolSpec}),
	half(Variant{Name: "avg_pool_packed_ssbo_f16", Source: "pool.comp", Defines: []string{"OP_AVG", "PACKED", "SSBO"}, Target: target, Bindings: 2, PushBytes: 20, Spec: poolSpec}),
	// The same module as for float32: only the texels differ.
	{Name: "global_avg_pool_packed_f16", Source: "global_avg_pool_packed.comp", Target: target, Bindings: 2, Texels: []int{0}, PushBytes: 12, Spec: flatSpec, Half: true, Optimize: true},
	half(Variant{Name: "peak_fma_f16", Source: "peak_fma.comp", Target: target, Bindings: 1, PushBytes: 12, Spec: []string{"WG", "fused"}}),
	half(Variant{Name: "relu_f16", Source: "elementwise.comp", Target: target, Bindings: 2, PushBytes: 4, Spec: flatSpec}),
	half(Variant{Name: "add_f16", Source: "elementwise.comp", Defines: []string{"OP_ADD"}, Target: target, Bindings: 3, PushBytes: 4, Spec: flatSpec}),
}

// half makes a variant one for float16.
func half(v Variant) Variant {
	v.Defines, v.Half = append(slices.Clip(v.Defines), "HALF"), true
	return v
}
