#version 450
#extension GL_GOOGLE_include_directive : require
// Last of three steps of a group normalisation: y = act((x - mean)·scale + bias). Tensors: x, y [N,C,HW]; e [N,C,3]: mean, scale and bias
// of each channel of each picture, as group_norm_merge.comp writes them. In the packed formats C counts vectors of four. count = N·C·HW.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool RELU = false;
layout(push_constant) uniform Extent { uint count, HW; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) readonly buffer E { T e[]; };
layout(std430, binding = 2) writeonly buffer Y { STORED y[]; };
#include "linear_index.glsl"
#include "relu.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint plane = i / HW;
    T v = (WIDEN(x[i]) - e[3 * plane]) * e[3 * plane + 1] + e[3 * plane + 2];
    y[i] = NARROW(RELU ? relu(v) : v);
}
