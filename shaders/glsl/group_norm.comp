#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Last of three steps of a group normalisation: y = act((x - mean)·scale + bias). Tensors: x, y [N,C,HW]; e [N,C,3]: mean, scale and bias
// of each channel of each picture, as group_norm_merge.comp writes them. In the packed formats C counts vectors of four.
// An invocation has up to PIXELS pixels of one channel, `step` from one to the next, as in split_attention.comp. count = N·C·step with
// step = ceil(HW/PIXELS).
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool RELU = false;
layout(push_constant) uniform Extent { uint count, HW, step; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) readonly buffer E { T e[]; };
layout(std430, binding = 2) writeonly buffer Y { STORED y[]; };
#include "linear_index.glsl"
#include "relu.glsl"

const uint PIXELS = 8;

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint plane = i / step, first = i - plane * step, at = plane * HW;
    T mean = e[3 * plane], scale = e[3 * plane + 1], bias = e[3 * plane + 2];
    [[unroll]] for (uint j = 0; j < PIXELS; j++) {
        uint pixel = first + j * step;
        if (pixel < HW) {
            T v = (WIDEN(x[at + pixel]) - mean) * scale + bias;
            y[at + pixel] = NARROW(RELU ? relu(v) : v);
        }
    }
}
