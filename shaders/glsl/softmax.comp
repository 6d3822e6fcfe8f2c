#version 450
#extension GL_GOOGLE_include_directive : require
// Softmax over the last dimension, one workgroup a row: y = exp(x - max)/Σexp(x - max). Subtracting the maximum first
// keeps exp from overflowing. Tensors: x, y [rows][K]. Dispatch: rows over x and y.
layout(local_size_x = 64) in;
layout(push_constant) uniform Geometry { uint rows, K; };
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Y { float y[]; };

shared float part[64];

#include "exp.glsl"

void main() {
    uint row = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x, lane = gl_LocalInvocationID.x;
    bool live = row < rows; // no early return: every invocation must reach the barriers
    uint base = live ? row * K : 0;

    float top = x[base];
    for (uint i = lane; i < K; i += 64) top = max(top, x[base + i]);
    part[lane] = top;
    barrier();
    for (uint half_ = 32; half_ > 0; half_ /= 2) {
        if (lane < half_) part[lane] = max(part[lane], part[lane + half_]);
        barrier();
    }
    top = part[0];
    barrier(); // all have read part[0] before it is written again

    float sum = 0.0;
    for (uint i = lane; i < K; i += 64) sum += expOf(x[base + i], top);
    part[lane] = sum;
    barrier();
    for (uint half_ = 32; half_ > 0; half_ /= 2) {
        if (lane < half_) part[lane] += part[lane + half_];
        barrier();
    }
    sum = part[0];
    if (live) {
        for (uint i = lane; i < K; i += 64) y[base + i] = expOf(x[base + i], top) / sum;
    }
}
