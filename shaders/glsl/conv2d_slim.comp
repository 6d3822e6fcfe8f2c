#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// Convolution as implicit GEMM on packed channels for GPUs with few registers: a tile of BM filters × PX pixels in the registers of each
// invocation, as conv2d_packed.comp, whose tensors, weights and push constants it has, but with little beside the sums.
//
// A tap's address, and whether it lies inside x, is worked out once for all its channels. There is one sum for a result, not two levels of them, and the
// loops over taps and channels are not unrolled, which would have compilers fetch far ahead. At the end, filters are the outer loop and pixels the inner
// one: a loop over pixels with a test round a loop over filters was not unrolled by spirv-opt, and V3D's compiler then had the sums in memory.
//
// HALF: x, w, z and y are stored as float16, and all arithmetic is float32.
//
// Dispatch: x: ceil(pixels/(PX·WG)), y: blocks, z: groups. Limits: fewer than 2^31 elements a tensor.
#include "relu.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint R = 1;
layout(constant_id = 2) const uint S = 1;
layout(constant_id = 3) const int strideH = 1;
layout(constant_id = 4) const int strideW = 1;
layout(constant_id = 5) const int padTop = 0;
layout(constant_id = 6) const int padLeft = 0;
layout(constant_id = 7) const int dilationH = 1;
layout(constant_id = 8) const int dilationW = 1;
layout(constant_id = 9) const bool addShortcut = false;
layout(constant_id = 10) const bool applyReLU = false;

layout(push_constant) uniform Geometry {
    uint pixels;     // N·P·Q
    uint H, W, P, Q;
    uint C4, K4;     // vectors of channels of x, and of y
    uint Cg4;        // vectors of channels of one group
    uint Kg;         // filters of one group
    uint blocks;     // ceil(Kg/BM)
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
layout(std430, binding = 0) restrict readonly buffer X { STORED x[]; };
layout(std430, binding = 1) restrict readonly buffer Weights { STORED w[]; };
layout(std430, binding = 2) restrict readonly buffer Shortcut { STORED z[]; };
layout(std430, binding = 3) restrict writeonly buffer Y { STORED y[]; };

#ifdef HALF
const uint BIAS = BM / 2; // vectors of a block before its weights
#else
const uint BIAS = BM / 4;
#endif

void main() {
    uint group = gl_WorkGroupID.z, block = gl_WorkGroupID.y;
    uint first = gl_WorkGroupID.x * gl_WorkGroupSize.x * PX + gl_LocalInvocationID.x;
    int row[PX], col[PX]; // of the window's first tap in x, may be outside
    uint origin[PX];      // where it lies, or would lie
    [[unroll]] for (int j = 0; j < PX; j++) {
        uint i = first + j * gl_WorkGroupSize.x;
        i = i < pixels ? i : 0;
        uint n = i / (P * Q), rem = i - n * (P * Q), p = rem / Q;
        row[j] = int(p) * strideH - padTop;
        col[j] = int(rem - p * Q) * strideW - padLeft;
        origin[j] = (n * C4 + group * Cg4) * H * W + uint(row[j]) * W + uint(col[j]);
    }
    float sum[BM * PX];
    [[unroll]] for (int i = 0; i < BM * PX; i++) sum[i] = 0.0;
    uint begin = (group * blocks + block) * (BIAS + R * S * Cg4 * BM), at = begin + BIAS; // in w
    [[dont_unroll]] for (int r = 0; r < int(R); r++) {
        [[dont_unroll]] for (int s = 0; s < int(S); s++) {
            bool inside[PX];
            uint from[PX];
            [[unroll]] for (int j = 0; j < PX; j++) {
                inside[j] = uint(row[j] + r * dilationH) < H && uint(col[j] + s * dilationW) < W;
                from[j] = inside[j] ? origin[j] + uint(r * dilationH) * W + uint(s * dilationW) : 0; // somewhere in x
            }
            [[dont_unroll]] for (uint c = 0; c < Cg4; c++) {
                vec4 xs[PX];
                [[unroll]] for (int j = 0; j < PX; j++) {
                    vec4 f = WIDEN(x[from[j]]);
                    xs[j] = inside[j] ? f : vec4(0.0);
                    from[j] += H * W;
                }
                [[unroll]] for (int m = 0; m < BM; m++) {
                    vec4 f = WIDEN(w[at + m]);
                    [[unroll]] for (int j = 0; j < PX; j++) {
                        sum[m * PX + j] = fma(f.x, xs[j].x, fma(f.y, xs[j].y, fma(f.z, xs[j].z, fma(f.w, xs[j].w, sum[m * PX + j]))));
                    }
                }
                at += BM;
            }
        }
    }
    uint to[PX]; // where the first four filters of the group lie in y and z
    [[unroll]] for (int j = 0; j < PX; j++) {
        uint i = first + j * gl_WorkGroupSize.x, n = i / (P * Q);
        to[j] = (n * K4 + group * (Kg / 4)) * (P * Q) + i - n * (P * Q); // one group may have a tail of filters, several may not
    }
    [[unroll]] for (int m = 0; m < BM; m += 4) {
        uint k = block * BM + m;
        vec4 bias = WIDEN(w[begin + m / 4]);
#ifdef HALF
        bias += WIDEN(w[begin + (BM + m) / 4]);
#endif
        [[unroll]] for (int j = 0; j < PX; j++) {
            if (k < Kg && first + j * gl_WorkGroupSize.x < pixels) {
                uint o = to[j] + k / 4 * (P * Q);
                vec4 v = vec4(sum[m * PX + j], sum[(m + 1) * PX + j], sum[(m + 2) * PX + j], sum[(m + 3) * PX + j]) + bias;
                if (addShortcut) v += WIDEN(z[o]);
                if (applyReLU) v = relu(v);
                // A filter that does not exist has sums of zeros, but NaN where x is not finite.
                if (k + 4 > Kg) v = mix(vec4(0.0), v, lessThan(uvec4(k, k + 1, k + 2, k + 3), uvec4(Kg)));
                y[o] = NARROW(v);
            }
        }
    }
}
