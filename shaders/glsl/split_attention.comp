#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The weighted sum of branches: y[n,c] = act(Σ_r a[r,c]·x[n,r·C + c] + shortcut[n,c]), a[r,c] = exp(s[r,c] - m)/Σ_q exp(s[q,c] - m), where
// m is the greatest of the scores of a channel, which keeps exp from overflowing.
// Tensors: x [N,R·C,HW], s [N,R·C], shortcut (with OP_ADD), y [N,C,HW]. The score of branch r and channel c = g·SIZE + j lies at
// (g·R + r)·SIZE + j. C and SIZE count channels, in the packed formats vectors of four: both must be multiples of four there.
// An invocation has up to PIXELS pixels of one channel, `step` from one to the next: it computes a weight once for all of them, and
// its neighbours read what lies beside. count = N·C·step with step = ceil(HW/PIXELS).
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool RELU = false;
layout(constant_id = 2) const uint R = 2;
layout(push_constant) uniform Geometry { uint count, HW, C, SIZE, step; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) readonly buffer S { STORED s[]; };
#ifdef OP_ADD
layout(std430, binding = 2) readonly buffer Shortcut { STORED shortcut[]; };
layout(std430, binding = 3) writeonly buffer Y { STORED y[]; };
#else
layout(std430, binding = 2) writeonly buffer Y { STORED y[]; };
#endif
#include "linear_index.glsl"
#include "relu.glsl"
#include "exp.glsl"

const uint PIXELS = 8;

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint first = i % step, c = i / step % C, n = i / (step * C);
    uint scores = n * R * C + c / SIZE * R * SIZE + c % SIZE;
    T top = WIDEN(s[scores]);
    for (uint r = 1; r < R; r++) top = max(top, WIDEN(s[scores + r * SIZE]));
    T sum = T(0.0);
    for (uint r = 0; r < R; r++) sum += expOf(WIDEN(s[scores + r * SIZE]), top);
    T v[PIXELS];
    [[unroll]] for (uint j = 0; j < PIXELS; j++) v[j] = T(0.0);
    for (uint r = 0; r < R; r++) {
        T a = expOf(WIDEN(s[scores + r * SIZE]), top) / sum;
        uint branch = ((n * R + r) * C + c) * HW;
        [[unroll]] for (uint j = 0; j < PIXELS; j++) v[j] += WIDEN(x[branch + min(first + j * step, HW - 1)]) * a;
    }
    [[unroll]] for (uint j = 0; j < PIXELS; j++) {
        uint pixel = first + j * step, at = (n * C + c) * HW + pixel;
        if (pixel < HW) {
#ifdef OP_ADD
            v[j] += WIDEN(shortcut[at]);
#endif
            y[at] = NARROW(RELU ? relu(v[j]) : v[j]);
        }
    }
}
