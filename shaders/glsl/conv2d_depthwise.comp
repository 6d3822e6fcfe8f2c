#version 450
#extension GL_EXT_samplerless_texture_functions : require
#extension GL_GOOGLE_include_directive : require
// Depthwise convolution, each filter over the one channel of its own:
// y[n,c,p,q] = act(b[c] + Σ_rs w[c,r,s]·x[n,c,p·strideH - top + r·dilationH,q·strideW - left + s·dilationW] + shortcut[n,c,p,q]).
// Tensors: x [N,C,H,W]; w [C][1 + R·S], b before the taps, float32 whatever x is; shortcut (with ADD), y [N,C,P,Q]. In the packed formats C
// counts vectors of four channels, and count = N·C·P·Q vectors. Without a shortcut, binding 2 holds something that is not read.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool ADD = false;
layout(constant_id = 2) const bool RELU = false;
layout(push_constant) uniform Geometry { uint count, C, H, W, P, Q, R, S, strideH, strideW, top, left, dilationH, dilationW; };
#include "stored.glsl"
#if defined(PACKED) && !defined(SSBO) // faster on drivers that run on the CPU, but of a limited number of texels
layout(binding = 0) uniform textureBuffer x;
#define FETCH(i) texelFetch(x, int(i))
#else
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
#define FETCH(i) WIDEN(x[i])
#endif
layout(std430, binding = 1) readonly buffer Filters { T w[]; };
layout(std430, binding = 2) readonly buffer Shortcut { STORED shortcut[]; };
layout(std430, binding = 3) writeonly buffer Y { STORED y[]; };
#include "linear_index.glsl"
#include "relu.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint q = i % Q, p = i / Q % P, plane = i / (Q * P);
    uint tap = plane % C * (1 + R * S);
    T sum = w[tap++];
    for (uint r = 0; r < R; r++) {
        uint row = p * strideH + r * dilationH - top; // wraps round below 0, and is then no row of x; columns likewise
        for (uint s = 0; s < S; s++, tap++) {
            uint column = q * strideW + s * dilationW - left;
            if (row < H && column < W) sum += w[tap] * FETCH((plane * H + row) * W + column);
        }
    }
    if (ADD) sum += WIDEN(shortcut[i]);
    if (RELU) sum = relu(sum);
    y[i] = NARROW(sum);
}
