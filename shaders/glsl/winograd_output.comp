#version 450
#extension GL_EXT_samplerless_texture_functions : require
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The output transform and epilogue of winograd.glsl, one tile of four filters an invocation.
// Tensors: m [E,K4,tiles,4], bias [K4,4], z and y [N,K4,P,Q,4]. K is a multiple of 4.
#include "relu.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool addShortcut = false;
layout(constant_id = 2) const bool applyReLU = false;
layout(push_constant) uniform Geometry {
    uint count, tiles; // K4·tiles
    uint TH, TW;       // tiles of a picture
    uint K4, P, Q;
};
#ifdef SSBO
layout(std430, binding = 0) readonly buffer Products { vec4 products[]; };
layout(std430, binding = 2) readonly buffer Shortcut { vec4 z[]; };
#define FETCH(buf, i) buf[i]
#else
layout(binding = 0) uniform textureBuffer products;
layout(binding = 2) uniform textureBuffer z;
#define FETCH(buf, i) texelFetch(buf, int(i))
#endif
layout(std430, binding = 1) readonly buffer Bias { vec4 bias[]; };
layout(std430, binding = 3) writeonly buffer Y { vec4 y[]; };
#include "linear_index.glsl"
#include "winograd.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint k = i / tiles, tile = i - k * tiles;
    uint n = tile / (TH * TW), rem = tile - n * TH * TW, th = rem / TW, tw = rem - th * TW;
    vec4 r[M * D];
    [[unroll]] for (int col = 0; col < D; col++) {
        vec4 line[D];
        [[unroll]] for (int row = 0; row < D; row++) line[row] = FETCH(products, i + uint(row * D + col) * count);
        backward(line);
        [[unroll]] for (int row = 0; row < M; row++) r[row * D + col] = line[row];
    }
    vec4 add = bias[k];
    [[unroll]] for (int row = 0; row < M; row++) {
        vec4 line[D];
        [[unroll]] for (int col = 0; col < D; col++) line[col] = r[row * D + col];
        backward(line);
        uint p = th * M + row;
        [[unroll]] for (int col = 0; col < M; col++) {
            uint q = tw * M + col;
            if (p < P && q < Q) {
                uint o = ((n * K4 + k) * P + p) * Q + q;
                vec4 s = line[col] + add;
                if (addShortcut) s += FETCH(z, o);
                if (applyReLU) s = relu(s);
                y[o] = s;
            }
        }
    }
}
