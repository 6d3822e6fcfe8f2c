#version 450
#extension GL_EXT_samplerless_texture_functions : require
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef QUAD
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_quad : require
#endif
// Convolution as implicit GEMM on packed channels, with a tile of BM filters × PX pixels in the registers of each
// invocation and no shared memory.
//
//   y[n,k,p,q] = act( bias[k] + Σ_{r,s,c} w[k,c,r,s] · x[n, g·Cg + c, p·strideH + r·dilationH - padTop, ...] + z[n,k,p,q] )
//
// Tensors: x [N,C4,H,W,4], y and z [N,K4,P,Q,4], with C4 = ceil(C/4): a vector holds the values of four channels of a
// pixel, zero where there is no such channel. With more than one group, channels and filters a group are multiples of 4.
// Weights: w [G][ceil(Kg/BM)] blocks, each of BM bias values and [R][S][Cg4][BM][4]: four channels of a filter a vector.
//
// Neighbouring invocations have neighbouring pixels, so that a fetch of x is one run of memory, and all fetch the same
// weights. Where x and w are texel buffers, a driver that runs on the CPU fetches whole vectors, which it does not do
// for storage buffers (SSBO); QUAD lets each invocation of a quad fetch a quarter of the weights and hand it round.
// HALF: x, w, z and y are stored as float16, and all arithmetic is float32. A block of w then begins with BM float16 that are the
// bias values rounded, and BM that are what the rounding left, so that the bias keeps about 21 bits.
// Sums are made in two levels, as conv2d.glsl says: 128 taps are summed up before they are added to the total.
// The window is in the push constants and not in the pipeline: a driver on the CPU takes a fifth of a second to compile this tile, and a ResNet has
// several windows, each with and without a ReLU. A tap costs no multiplication by anything of the window, so that to know it would spare little.
// Whether there is a shortcut is a constant: such a driver runs both sides of a branch, and would read one anyway.
//
// Dispatch: x: ceil(pixels/(PX·WG)), y: blocks, z: groups. Limits: fewer than 2^31 elements a tensor.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool addShortcut = false;
layout(push_constant) uniform Geometry {
    uint pixels;     // N·P·Q
    uint H, W, P, Q;
    uint C4, K4;     // vectors of channels of x, and of y
    uint Cg4;        // vectors of channels of one group
    uint Kg;         // filters of one group
    uint blocks;     // ceil(Kg/BM)
    uint R, S;
    int strideH, strideW, padTop, padLeft, dilationH, dilationW;
    uint zeroed;     // with a ReLU how many negative numbers there are, 0 without
};

#ifdef HALF
#include "half.glsl"
#define STORED uvec2 // four float16
#define WIDEN(v) widen(v)
#define NARROW(v) narrow(v)
#else
#define STORED vec4
#define WIDEN(v) v
#define NARROW(v) v
#endif
#ifdef SSBO
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
layout(std430, binding = 1) readonly buffer Weights { STORED w[]; };
layout(std430, binding = 2) readonly buffer Shortcut { STORED z[]; };
#define FETCH(buf, i) WIDEN(buf[i])
#else
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer w;
layout(binding = 2) uniform textureBuffer z;
#define FETCH(buf, i) texelFetch(buf, int(i))
#endif
layout(std430, binding = 3) writeonly buffer Y { STORED y[]; };

#ifdef HALF
const uint BIAS = BM / 2; // vectors of a block before its weights
#else
const uint BIAS = BM / 4;
#endif
const uint STEP = 32; // taps of four channels summed up before they go into the total

// act makes zero of so many negative numbers, the nearest to zero first; in bits they follow -0. NaN is behind them.
vec4 act(vec4 v) { return mix(v, vec4(0.0), lessThan(floatBitsToUint(v) - 0x80000001u, uvec4(zeroed))); }

void main() {
    uint group = gl_WorkGroupID.z, block = gl_WorkGroupID.y, PQ = P * Q;
    uint first = gl_WorkGroupID.x * gl_WorkGroupSize.x * PX + gl_LocalInvocationID.x;
    int row[PX], col[PX]; // of the window's first tap in x, may be outside
    uint in0[PX], out0[PX]; // of that tap in its first vector of channels, modulo 2^32
    [[unroll]] for (int j = 0; j < PX; j++) {
        uint i = first + j * gl_WorkGroupSize.x;
        i = i < pixels ? i : 0;
        uint n = i / PQ, rem = i - n * PQ, p = rem / Q;
        row[j] = int(p) * strideH - padTop;
        col[j] = int(rem - p * Q) * strideW - padLeft;
        in0[j] = ((n * C4 + group * Cg4) * H + uint(row[j])) * W + uint(col[j]);
        out0[j] = (n * K4 + group * (Kg / 4)) * PQ + rem; // one group may have a tail of filters, several may not
    }
    float total[BM * PX];
    uint at = (group * blocks + block) * (BIAS + R * S * Cg4 * BM); // in w
    [[unroll]] for (int m = 0; m < BM; m += 4) {
        vec4 bias = FETCH(w, at + m / 4);
#ifdef HALF
        bias += FETCH(w, at + (BM + m) / 4);
#endif
        [[unroll]] for (int i = 0; i < 4 * PX; i++) total[m * PX + i] = bias[i / PX];
    }
    at += BIAS;
    uint c = 0, T = R * S * Cg4;
    int down = 0, right = 0, wide = int(S) * dilationW; // from the window's first tap
    for (uint t0 = 0; t0 < T; t0 += STEP) {
        float sum[BM * PX];
        [[unroll]] for (int i = 0; i < BM * PX; i++) sum[i] = 0.0;
        for (uint t = t0; t < min(t0 + STEP, T); t++) {
            vec4 xs[PX];
            uint tap = (c * H + uint(down)) * W + uint(right);
            [[unroll]] for (int j = 0; j < PX; j++) {
                bool inside = uint(row[j] + down) < H && uint(col[j] + right) < W;
                vec4 f = FETCH(x, inside ? in0[j] + tap : 0);
                xs[j] = inside ? f : vec4(0.0);
            }
#ifdef QUAD
            vec4 own[BM / 4];
            [[unroll]] for (int m = 0; m < BM; m += 4) own[m / 4] = FETCH(w, at + m + (gl_SubgroupInvocationID & 3));
#endif
            [[unroll]] for (int m = 0; m < BM; m++) {
#ifdef QUAD
                vec4 f; // the lane of a broadcast is a constant
                if (m % 4 == 0) f = subgroupQuadBroadcast(own[m / 4], 0);
                if (m % 4 == 1) f = subgroupQuadBroadcast(own[m / 4], 1);
                if (m % 4 == 2) f = subgroupQuadBroadcast(own[m / 4], 2);
                if (m % 4 == 3) f = subgroupQuadBroadcast(own[m / 4], 3);
#else
                vec4 f = FETCH(w, at + m);
#endif
                [[unroll]] for (int j = 0; j < PX; j++) {
                    sum[m * PX + j] += f.x * xs[j].x + f.y * xs[j].y + f.z * xs[j].z + f.w * xs[j].w;
                }
            }
            at += BM;
            // The next tap, without branches: they cost a driver that runs all lanes more than the selections.
            c++;
            bool nextColumn = c == Cg4;
            c = nextColumn ? 0 : c;
            right += nextColumn ? dilationW : 0;
            bool nextRow = right == wide;
            right = nextRow ? 0 : right;
            down += nextRow ? dilationH : 0;
        }
        [[unroll]] for (int i = 0; i < BM * PX; i++) total[i] += sum[i];
    }
    [[unroll]] for (int j = 0; j < PX; j++) {
        if (first + j * gl_WorkGroupSize.x < pixels) {
            [[unroll]] for (int m = 0; m < BM; m += 4) {
                uint k = block * BM + m;
                if (k < Kg) {
                    uint o = out0[j] + k / 4 * PQ;
                    vec4 v = vec4(total[m * PX + j], total[(m + 1) * PX + j], total[(m + 2) * PX + j], total[(m + 3) * PX + j]);
                    if (addShortcut) v += FETCH(z, o);
                    v = act(v);
                    // A filter that does not exist has sums of zeros, but NaN where x is not finite.
                    if (k + 4 > Kg) v = mix(vec4(0.0), v, lessThan(uvec4(k, k + 1, k + 2, k + 3), uvec4(Kg)));
                    y[o] = NARROW(v);
                }
            }
        }
    }
}
