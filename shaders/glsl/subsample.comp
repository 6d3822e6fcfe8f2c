#version 450
#extension GL_GOOGLE_include_directive : require
// Every so many rows and columns, from the first on: y[n,c,p,q] = x[n,c,p·strideH,q·strideW], the smaller picture of a parameter-free
// shortcut (option A). Tensors: x [N,C,H,W], y [N,C,P,Q]; in the packed formats C counts vectors of four channels. count = N·C·P·Q.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry { uint count, H, W, P, Q, strideH, strideW; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) writeonly buffer Y { STORED y[]; };
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint q = i % Q, p = i / Q % P, plane = i / (Q * P);
    y[i] = x[(plane * H + p * strideH) * W + q * strideW];
}
