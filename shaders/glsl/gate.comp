#version 450
#extension GL_GOOGLE_include_directive : require
// The end of a squeeze-and-excitation module: y = act(x·σ(s) + shortcut), σ(s) = 1/(1 + exp(-s)).
// Tensors: x, shortcut (with OP_ADD), y [N,C,H,W]; s [N,C,1,1]. The gate of a channel is the same for all its HW pixels: in the
// dense format s[i / HW] belongs to element i, and with PACKED, where elements are vectors of four channels (with HALF two words of
// two float16), to vector i.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool RELU = false;
layout(push_constant) uniform Extent { uint count, HW; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) readonly buffer S { STORED s[]; };
#ifdef OP_ADD
layout(std430, binding = 2) readonly buffer Shortcut { STORED shortcut[]; };
layout(std430, binding = 3) writeonly buffer Y { STORED y[]; };
#else
layout(std430, binding = 2) writeonly buffer Y { STORED y[]; };
#endif
#include "linear_index.glsl"
#include "relu.glsl"

// Of NaN SwiftShader's exp makes something else, so it is kept by a test of the bits.
float sigmoid(float v) { return (floatBitsToUint(v) & 0x7fffffffu) > 0x7f800000u ? v : 1.0 / (1.0 + exp(-v)); }
vec4 sigmoid(vec4 v) { return vec4(sigmoid(v.x), sigmoid(v.y), sigmoid(v.z), sigmoid(v.w)); }

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    T v = WIDEN(x[i]) * sigmoid(WIDEN(s[i / HW]));
#ifdef OP_ADD
    v += WIDEN(shortcut[i]);
#endif
    if (RELU) v = relu(v);
    y[i] = NARROW(v);
}
