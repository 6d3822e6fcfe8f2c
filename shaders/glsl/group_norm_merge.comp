#version 450
#extension GL_GOOGLE_include_directive : require
// Second of three steps of a group normalisation: what to do with each channel, from the sums over parts of the channels of its group.
// The sum of squared differences from the mean of all, m, is that of each part from its own mean plus n_p·(m_p - m)², exactly.
// Tensors: f [N,C/V,P,2,V] as group_norm_parts.comp writes it, V channels a vector; w [2][C]: weight, then bias;
// e [N,C/V,3,V]: mean, weight/sqrt(variance + epsilon), bias. Channels that fill up the last vector get zeros. count = N·ceil(C/V)·V.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint V = 1;
layout(push_constant) uniform Geometry { uint count, C, SIZE, HW, P; float epsilon; }; // SIZE: channels of a group
layout(std430, binding = 0) readonly buffer Parts { float f[]; };
layout(std430, binding = 1) readonly buffer Weights { float w[]; };
layout(std430, binding = 2) writeonly buffer Entries { float e[]; };
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint vectors = (C + V - 1) / V, lane = i % V, vector = i / V % vectors, n = i / (V * vectors), c = vector * V + lane;
    uint at = (n * vectors + vector) * 3 * V + lane;
    if (c >= C) {
        e[at] = e[at + V] = e[at + 2 * V] = 0.0;
        return;
    }
    uint first = c / SIZE * SIZE;
    float sum = 0.0, squares = 0.0, elements = float(SIZE) * float(HW);
    for (uint k = first; k < first + SIZE; k++) {
        uint parts = (n * vectors + k / V) * P * 2 * V + k % V;
        float part = 0.0;
        for (uint p = 0; p < P; p++) part += f[parts + p * 2 * V];
        sum += part;
    }
    float mean = sum / elements;
    for (uint k = first; k < first + SIZE; k++) {
        uint parts = (n * vectors + k / V) * P * 2 * V + k % V;
        float part = 0.0;
        for (uint p = 0; p < P; p++) {
            float size = float((HW - p + P - 1) / P), d = f[parts + p * 2 * V] / size - mean;
            part += f[parts + p * 2 * V + V] + size * d * d;
        }
        squares += part;
    }
    e[at] = mean;
    e[at + V] = w[c] / sqrt(squares / elements + epsilon);
    e[at + 2 * V] = w[C + c];
}
