#version 450
#extension GL_GOOGLE_include_directive : require
// Batch normalisation with fixed statistics: y[n,c,h,w] = x[n,c,h,w]·scale[c] + shift[c], where the host has computed
// scale = weight/sqrt(variance + epsilon) and shift = bias - mean·scale in float64.
// Tensors: x, y [N,C,H,W]; f [2][C]: scale, then shift. In the packed formats C counts vectors of four channels.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Extent { uint count, C, HW; };
#include "stored.glsl"
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) readonly buffer F { T f[]; };
layout(std430, binding = 2) writeonly buffer Y { STORED y[]; };
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint c = (i / HW) % C;
    y[i] = NARROW(WIDEN(x[i]) * f[c] + f[C + c]);
}
