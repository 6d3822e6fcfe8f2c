#version 450
#extension GL_GOOGLE_include_directive : require
// Moves channels: y[n,k] = x[n,k - offset] where x has such a channel. Elsewhere y becomes zero, but with KEEP the channels below
// offset stay as they are. An offset below 0 (which wraps round) is channel_slice, one from 0 on channel_pad, and several
// dispatches with KEEP, one after the other, are concat.
// Tensors: x [N,C,HW], y [N,K,HW]. A unit is a channel, in the packed formats a vector of four, which may take its channels from
// two vectors of x. A dispatch writes the units from first on, so many for each of N·HW pixels; count = N·units·HW.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool KEEP = false;
layout(push_constant) uniform Geometry { uint count, HW, C, K, offset, first, units; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) buffer Y { STORED y[]; };
#include "linear_index.glsl"

#ifdef HALF
uint get(uvec2 v, uint i) { return ((i & 2u) == 0u ? v.x : v.y) >> (i & 1u) * 16u & 0xffffu; }
uvec2 assemble(uint v[4]) { return uvec2(v[0] | v[1] << 16, v[2] | v[3] << 16); }
#define NUMBER uint
#elif defined(PACKED)
float get(vec4 v, uint i) { return i < 2u ? (i == 0u ? v.x : v.y) : (i == 2u ? v.z : v.w); }
vec4 assemble(float v[4]) { return vec4(v[0], v[1], v[2], v[3]); }
#define NUMBER float
#endif

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint pixel = i % HW, unit = first + i / HW % units, n = i / (HW * units);
#ifdef NUMBER
    uint k = 4 * unit, c = k - offset, C4 = (C + 3) / 4, K4 = (K + 3) / 4, at = (n * K4 + unit) * HW + pixel, from = n * C4;
    // Vectors stay whole where y has all their channels, or all that x has, for what follows the last of x is zero.
    if ((offset & 3u) == 0u && (c >= C || k + 4 <= K || C - c <= K - k)) {
        y[at] = c < C ? x[(from + c / 4) * HW + pixel] : STORED(0);
        return;
    }
    NUMBER v[4];
    for (uint j = 0; j < 4; j++) {
        uint cj = c + j;
        v[j] = NUMBER(0);
        if (KEEP && k + j < offset) v[j] = get(y[at], j);
        else if (cj < C && k + j < K) v[j] = get(x[(from + cj / 4) * HW + pixel], cj & 3u);
    }
    y[at] = assemble(v);
#else
    uint c = unit - offset;
    y[(n * K + unit) * HW + pixel] = c < C ? x[(n * C + c) * HW + pixel] : 0.0;
#endif
}
