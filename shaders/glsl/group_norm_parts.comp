#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// First of three steps of a group normalisation: sums over parts of each channel's picture. Part p of P has the pixels p, p + P, ..., so
// that neighbouring invocations read what lies beside each other. Tensors: x [N,C,HW]; f [N,C,P,2]: the sum of a part, then
// Σ(x - m)² with m the part's own mean, which loses nothing where the mean is large and the differences are small.
// In the packed formats C counts vectors, and f has vectors of four channels. count = N·C·P.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry { uint count, HW, P; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) writeonly buffer F { T f[]; };
#include "linear_index.glsl"

const uint AHEAD = 8; // loads under way at a time

T of(uint at, T mean, bool squares) {
    T v = WIDEN(x[at]) - mean;
    return squares ? v * v : v;
}

// In two levels, as conv2d.glsl says.
T sumOf(uint plane, uint p, T mean, bool squares) {
    uint from = plane * HW;
    T sum = T(0.0);
    for (uint j0 = p; j0 < HW; j0 += 64 * P) {
        T part = T(0.0);
        uint end = min(j0 + 64 * P, HW), j = j0;
        for (; j + (AHEAD - 1) * P < end; j += AHEAD * P) {
            T v[AHEAD];
            [[unroll]] for (uint k = 0; k < AHEAD; k++) v[k] = of(from + j + k * P, mean, squares);
            [[unroll]] for (uint k = 0; k < AHEAD; k++) part += v[k];
        }
        for (; j < end; j += P) part += of(from + j, mean, squares);
        sum += part;
    }
    return sum;
}

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint p = i % P, plane = i / P, n = (HW - p + P - 1) / P;
    T sum = sumOf(plane, p, T(0.0), false);
    f[2 * i] = sum;
    f[2 * i + 1] = sumOf(plane, p, sum / float(n), true);
}
