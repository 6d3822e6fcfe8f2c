#version 450
#extension GL_GOOGLE_include_directive : require
// Rows and columns round each picture: y[n,c,p,q] = x[n,c,p - top,q - left], and beyond x zero, or with REFLECT the picture mirrored at
// its first and last row and column. Tensors: x [N,C,H,W], y [N,C,P,Q]; count = N·C·P·Q elements, in the packed formats vectors.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool REFLECT = false;
layout(push_constant) uniform Geometry { uint count, H, W, P, Q, top, left; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) writeonly buffer Y { STORED y[]; };
#include "linear_index.glsl"

// mirrored is the row or column that stands for number i of n; one beyond the ends by less than n is inside after one reflection.
uint mirrored(int i, int n) { return uint(i < 0 ? -i : i < n ? i : 2 * (n - 1) - i); }

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint q = i % Q, p = i / Q % P, plane = i / (Q * P);
    uint h = p - top, w = q - left; // wrap round below 0, and are then no row and column of x
    if (REFLECT) {
        h = mirrored(int(h), int(H));
        w = mirrored(int(w), int(W));
    }
    y[i] = h < H && w < W ? x[(plane * H + h) * W + w] : STORED(0);
}
