#version 450
#extension GL_GOOGLE_include_directive : require
// Fully connected layer, one output an invocation: y[n,k] = bias[k] + Σ_c x[n,c]·w[k,c].
// Tensors: x [N,C], y [N,K]; f [1 + C][K]: the bias, then the weights transposed, so that neighbours read neighbours.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry { uint count, C, K; }; // count = N·K
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) readonly buffer F { float f[]; };
layout(std430, binding = 2) writeonly buffer Y { float y[]; };
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint n = i / K, k = i - n * K;
    float sum = f[k];
    for (uint c0 = 0; c0 < C; c0 += 64) { // in two levels, as conv2d.glsl says
        float part = 0.0;
        for (uint c = c0; c < min(c0 + 64, C); c++) part += x[n * C + c] * f[(1 + c) * K + k];
        sum += part;
    }
    y[i] = sum;
}
