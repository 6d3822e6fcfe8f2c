#version 450
#extension GL_GOOGLE_include_directive : require
// The parameter-free shortcut (option A): y[n,k,p,q] = x[n, k - before, p·strideH, q·strideW], and 0 for the channels
// that x has not. With strides of 1 it is channel_pad, with no added channels it is subsample.
// Tensors: x [N,C,H,W], y [N,K,P,Q]; count = N·K·P·Q.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry { uint count, C, H, W, K, P, Q, before, strideH, strideW; };
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Y { float y[]; };
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint q = i % Q, p = (i / Q) % P, k = (i / (Q * P)) % K, n = i / (Q * P * K);
    uint c = k - before; // wraps round below 0, and is then no channel of x
    y[i] = c < C ? x[((n * C + c) * H + p * strideH) * W + q * strideW] : 0.0;
}
