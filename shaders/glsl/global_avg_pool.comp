#version 450
#extension GL_GOOGLE_include_directive : require
// The mean of each channel's picture, one channel an invocation. Tensors: x [N,C,H,W], y [N,C,1,1]; count = N·C.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry { uint count, HW; };
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Y { float y[]; };
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    float sum = 0.0;
    for (uint j0 = 0; j0 < HW; j0 += 64) { // in two levels, as conv2d.glsl says
        float part = 0.0;
        for (uint j = j0; j < min(j0 + 64, HW); j++) part += x[i * HW + j];
        sum += part;
    }
    y[i] = sum / float(HW);
}
