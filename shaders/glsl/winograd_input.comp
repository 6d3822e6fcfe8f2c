#version 450
#extension GL_EXT_samplerless_texture_functions : require
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// The input transform of winograd.glsl, one tile of four channels an invocation. Tensors: x [N,C4,H,W,4] → v [E,C4,tiles,4].
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry {
    uint count, tiles; // C4·tiles
    uint TH, TW;       // tiles of a picture
    uint C4, H, W;
    int padTop, padLeft;
};
#ifdef SSBO
layout(std430, binding = 0) readonly buffer X { vec4 x[]; };
#define FETCH(buf, i) buf[i]
#else
layout(binding = 0) uniform textureBuffer x;
#define FETCH(buf, i) texelFetch(buf, int(i))
#endif
layout(std430, binding = 1) writeonly buffer V { vec4 v[]; };
#include "linear_index.glsl"
#include "winograd.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint c = i / tiles, tile = i - c * tiles;
    uint n = tile / (TH * TW), rem = tile - n * TH * TW, th = rem / TW, tw = rem - th * TW;
    int top = int(th * M) - padTop, left = int(tw * M) - padLeft;
    uint from = (n * C4 + c) * H * W;
    vec4 d[D * D];
    [[unroll]] for (int col = 0; col < D; col++) {
        vec4 line[D];
        [[unroll]] for (int row = 0; row < D; row++) {
            int h = top + row, w = left + col;
            bool inside = uint(h) < H && uint(w) < W;
            vec4 f = FETCH(x, inside ? from + uint(h) * W + uint(w) : 0);
            line[row] = inside ? f : vec4(0.0);
        }
        forward(line);
        [[unroll]] for (int row = 0; row < D; row++) d[row * D + col] = line[row];
    }
    uint to = c * tiles + tile;
    [[unroll]] for (int row = 0; row < D; row++) {
        vec4 line[D];
        [[unroll]] for (int col = 0; col < D; col++) line[col] = d[row * D + col];
        forward(line);
        [[unroll]] for (int col = 0; col < D; col++) {
            v[to] = line[col];
            to += count;
        }
    }
}
