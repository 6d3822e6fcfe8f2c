#version 450
#extension GL_EXT_samplerless_texture_functions : require
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The mean of each channel's picture, four channels an invocation. Tensors: x [N,C4,HW,4], y [N,C,1,1], dense;
// count = N·C4 with C4 = ceil(C/4).
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry { uint count, HW, C; };
layout(binding = 0) uniform textureBuffer x;
layout(std430, binding = 1) writeonly buffer Y { float y[]; };
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    vec4 sum = vec4(0.0);
    for (uint j0 = 0; j0 < HW; j0 += 64) { // in two levels, as conv2d.glsl says
        vec4 part = vec4(0.0);
        uint end = min(j0 + 64, HW), j = j0;
        for (; j + 8 <= end; j += 8) { // eight fetches under way at a time
            vec4 v[8];
            [[unroll]] for (uint e = 0; e < 8; e++) v[e] = texelFetch(x, int(i * HW + j + e));
            [[unroll]] for (uint e = 0; e < 8; e++) part += v[e];
        }
        for (; j < end; j++) part += texelFetch(x, int(i * HW + j));
        sum += part;
    }
    sum /= float(HW);
    uint C4 = (C + 3) / 4, n = i / C4, c = (i - n * C4) * 4, at = n * C + c;
    y[at] = sum.x;
    if (c + 1 < C) y[at + 1] = sum.y;
    if (c + 2 < C) y[at + 2] = sum.z;
    if (c + 3 < C) y[at + 3] = sum.w;
}
