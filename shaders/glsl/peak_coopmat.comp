#version 450
#extension GL_EXT_control_flow_attributes : require
#pragma use_vulkan_memory_model
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
// Peak of matrix units (VK_KHR_cooperative_matrix), float16 times float16 into float32: each subgroup does rounds·15 multiply-adds into each of 4
// matrices of MM×NN, in steps of KK: 2·MM·NN·KK FLOP each.
//
// y [subgroups][NN][MM] is the sum of the four. A round adds A·B eight times and subtracts it seven times; with A and B of ones that is KK, so
// that y must be 4·KK·rounds, exact in float32 while rounds·KK < 2^22: a device that skips work or adds wrongly is found out. The ones come from push
// constants so that no compiler can know it.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint MM = 16;
layout(constant_id = 2) const uint NN = 16;
layout(constant_id = 3) const uint KK = 16;
layout(push_constant) uniform Push { uint rounds; float plus; float minus; };
layout(std430, binding = 0) writeonly buffer Y { float y[]; };

void main() {
    coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator> c[4];
    [[unroll]] for (uint i = 0; i < 4; i++) c[i] = coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>(0.0);
    coopmat<float16_t, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA> a = coopmat<float16_t, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA>(float16_t(plus));
    coopmat<float16_t, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB> b = coopmat<float16_t, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB>(float16_t(plus));
    coopmat<float16_t, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB> d = coopmat<float16_t, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB>(float16_t(minus));
    for (uint r = 0; r < rounds; r++) {
        [[unroll]] for (uint j = 0; j < 7; j++) {
            [[unroll]] for (uint i = 0; i < 4; i++) c[i] = coopMatMulAdd(a, b, c[i]);
            [[unroll]] for (uint i = 0; i < 4; i++) c[i] = coopMatMulAdd(a, d, c[i]);
        }
        [[unroll]] for (uint i = 0; i < 4; i++) c[i] = coopMatMulAdd(a, b, c[i]);
    }
    uint subgroup = gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID;
    coopMatStore(c[0] + c[1] + c[2] + c[3], y, subgroup * MM * NN, MM, gl_CooperativeMatrixLayoutColumnMajor);
}
