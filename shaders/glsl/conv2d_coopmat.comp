#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifndef EMULATE
#pragma use_vulkan_memory_model
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
// Convolution as implicit GEMM on matrix units (VK_KHR_cooperative_matrix): float16 operands, float32 sums. The tensors are those of
// conv2d_packed.comp with HALF.
//
//   y[n,k,p,q] = act( bias[k] + Σ_{r,s,c} w[k,c,r,s] · x[n, g·Cg + c, p·strideH + r·dilationH - padTop, ...] + z[n,k,p,q] )
//
// A workgroup of WM×WN subgroups makes BM filters × BN pixels, in steps of one tap (r, s) and BK = 32 channels: the filters' weights
// [BM][BK] and the pixels' inputs [BN][BK] are staged in shared memory, while the next ones are on their way into registers. A subgroup makes
// BM/WM × BN/WN of them, as matrices of MM×NN which the device multiplies in steps of KK: W (MM×KK, row by row) times X (KK×NN, column by
// column, so that a column is a pixel's channels).
//
// MM, NN, KK and the size of a subgroup come from the device's list of shapes. Inequalities: MM divides BM/WM, NN divides BN/WN, KK divides 32,
// MM is a multiple of 4, MM·NN ≤ 256, WG = WM·WN·SG.
//
// Tensors: x [N,C4,H,W,4], y and z [N,K4,P,Q,4] of float16; channels that do not exist are zero. With more than one group, channels and filters a
// group are multiples of 4. Weights: w [G][ceil(Kg/BM)] blocks, each of BM bias values rounded to float16, BM of what the rounding left, and
// [R][S][ceil(Cg/32)][BM][32]. What does not exist is zero.
//
// SPLIT divides the steps of a tile among `splits` workgroups, where a layer has too few tiles for a large device: y is then
// [splits][N,K4,P,Q,4] of float32, sums without shortcut and activation, which conv2d_reduce.comp adds up. The first has the bias.
//
// EMULATE replaces the matrix operations by loops with the same offsets, strides and shapes: every device can run it, which proves the
// indexing where no matrix unit is at hand. It is slow.
//
// Dispatch: x: ceil(pixels/BN), y: blocks, z: groups, with SPLIT groups·splits. Limits: fewer than 2^31 elements a tensor.
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
layout(constant_id = 11) const uint SG = 32; // invocations of a subgroup
layout(constant_id = 12) const uint MM = 16;
layout(constant_id = 13) const uint NN = 16;
layout(constant_id = 14) const uint KK = 16;

layout(push_constant) uniform Geometry {
    uint pixels;     // N·P·Q
    uint H, W, P, Q;
    uint C4, K4;     // vectors of channels of x, and of y
    uint Cg4;        // vectors of channels of one group
    uint Kg;         // filters of one group
    uint blocks;     // ceil(Kg/BM)
#ifdef SPLIT
    uint splits, perSplit; // and steps of each
#endif
};

layout(std430, binding = 0) readonly buffer X { uvec2 x[]; };
layout(std430, binding = 1) readonly buffer Weights { uvec4 w[]; };
layout(std430, binding = 2) readonly buffer Shortcut { uvec2 z[]; };
#ifdef SPLIT
layout(std430, binding = 3) writeonly buffer Y { vec4 y[]; };
#else
layout(std430, binding = 3) writeonly buffer Y { uvec2 y[]; };
#endif
#include "half.glsl"

const uint BK = 32;       // channels of a step
const uint UNITS = BK / 8; // uvec4 of a row
const uint ROW = UNITS + 1; // of a row in shared memory: rows begin in different banks
const uint L = gl_WorkGroupSize.x;
const uint TM = BM / WM / MM, TN = BN / WN / NN; // matrices of a subgroup
const uint LOADS_W = (BM * UNITS + L - 1) / L, LOADS_X = (BN * UNITS + L - 1) / L;

shared uvec4 tileW[BM * ROW];
shared uvec4 tileX[BN * ROW];
shared float sums[WM * WN * 256]; // a matrix of each subgroup on its way out
shared ivec2 origin[BN];          // row and column of a pixel's first tap in x, may be outside
shared uvec2 base[BN];            // vectors at which a pixel begins in x, and in y

#ifdef EMULATE
const uint OWN = (256 + SG - 1) / SG; // elements of a matrix that belong to an invocation
float acc[TM * TN * OWN];

// Eight products at a time: lavapipe ends all loops of an invocation after 65,535 rounds.
float products(uvec4 a, uvec4 b) {
    return dot(widen(a.xy), widen(b.xy)) + dot(widen(a.zw), widen(b.zw));
}

void multiply(uint tile, uint atW, uint atX, uint lane) {
    for (uint e = 0; e < OWN; e++) {
        uint i = lane + e * SG, m = i % MM, n = i / MM;
        if (i >= MM * NN) break;
        float sum = acc[tile * OWN + e];
        for (uint k = 0; k < KK / 8; k++) sum += products(tileW[atW + m * ROW + k], tileX[atX + n * ROW + k]);
        acc[tile * OWN + e] = sum;
    }
}

void release(uint tile, uint at, uint lane) {
    for (uint e = 0; e < OWN; e++) {
        uint i = lane + e * SG;
        if (i < MM * NN) sums[at + i] = acc[tile * OWN + e];
    }
}
#endif

// The next step: its weights are the next in w, its inputs those of a tap and 32 channels.
uvec4 nextW[LOADS_W], nextX[LOADS_X];

void fetch(uint atW, uint r, uint s, uint chunk, uint lane) {
    for (uint j = 0; j < LOADS_W; j++) {
        uint i = lane + j * L;
        nextW[j] = i < BM * UNITS ? w[atW + i] : uvec4(0);
    }
    for (uint j = 0; j < LOADS_X; j++) {
        uint i = lane + j * L, pixel = i % BN, c = chunk * (BK / 4) + i / BN * 2;
        uvec4 v = uvec4(0);
        if (i < BN * UNITS) {
            ivec2 at = origin[pixel] + ivec2(int(r) * dilationH, int(s) * dilationW);
            if (uint(at.x) < H && uint(at.y) < W) {
                uint first = base[pixel].x + (c * H + uint(at.x)) * W + uint(at.y);
                if (c < Cg4) v.xy = x[first];
                if (c + 1 < Cg4) v.zw = x[first + H * W];
            }
        }
        nextX[j] = v;
    }
}

void stage(uint lane) {
    for (uint j = 0; j < LOADS_W; j++) {
        uint i = lane + j * L;
        if (i < BM * UNITS) tileW[i / UNITS * ROW + i % UNITS] = nextW[j];
    }
    for (uint j = 0; j < LOADS_X; j++) {
        uint i = lane + j * L;
        if (i < BN * UNITS) tileX[i % BN * ROW + i / BN] = nextX[j];
    }
}

void main() {
    uint lane = gl_LocalInvocationID.x, block = gl_WorkGroupID.y, PQ = P * Q;
#ifdef SPLIT
    uint group = gl_WorkGroupID.z / splits, split = gl_WorkGroupID.z % splits;
#else
    uint group = gl_WorkGroupID.z;
#endif
#ifdef EMULATE
    uint subgroup = lane / SG, member = lane % SG;
    for (uint i = 0; i < TM * TN * OWN; i++) acc[i] = 0.0;
#else
    uint subgroup = gl_SubgroupID, member = gl_SubgroupInvocationID;
    coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator> acc[TM * TN];
    [[unroll]] for (uint i = 0; i < TM * TN; i++) acc[i] = coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>(0.0);
#endif
    uint fromM = subgroup / WN * (BM / WM), fromN = subgroup % WN * (BN / WN); // the subgroup's part of the tile

    for (uint i = lane; i < BN; i += L) {
        uint pixel = gl_WorkGroupID.x * BN + i;
        pixel = pixel < pixels ? pixel : 0;
        uint n = pixel / PQ, rem = pixel - n * PQ, p = rem / Q;
        origin[i] = ivec2(int(p) * strideH - padTop, int(rem - p * Q) * strideW - padLeft);
        base[i] = uvec2((n * C4 + group * Cg4) * H * W, (n * K4 + group * (Kg / 4)) * PQ + rem);
    }
    uint chunks = (Cg4 + BK / 4 - 1) / (BK / 4), steps = R * S * chunks;
    uint atBias = (group * blocks + block) * (BM / 4 + steps * BM * UNITS), atW = atBias + BM / 4;
    barrier();

#ifdef SPLIT
    uint first = split * perSplit, last = min(first + perSplit, steps);
    uint chunk = first % chunks, s = first / chunks % S, r = first / chunks / S;
    atW += first * BM * UNITS;
#else
    uint first = 0, last = steps, r = 0, s = 0, chunk = 0;
#endif
    fetch(atW, r, s, chunk, lane);
    for (uint step = first; step < last; step++) {
        barrier(); // all have read the tiles before
        stage(lane);
        barrier();
        chunk++;
        if (chunk == chunks) {
            chunk = 0;
            s++;
            if (s == S) {
                s = 0;
                r++;
            }
        }
        atW += BM * UNITS;
        if (step + 1 < last) fetch(atW, r, s, chunk, lane);
        [[unroll]] for (uint k = 0; k < BK / KK; k++) {
#ifdef EMULATE
            for (uint i = 0; i < TM; i++) {
                for (uint j = 0; j < TN; j++) {
                    multiply(i * TN + j, (fromM + i * MM) * ROW + k * KK / 8, (fromN + j * NN) * ROW + k * KK / 8, member);
                }
            }
#else
            coopmat<float16_t, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA> ws[TM];
            [[unroll]] for (uint i = 0; i < TM; i++) {
                coopMatLoad(ws[i], tileW, (fromM + i * MM) * ROW + k * KK / 8, ROW, gl_CooperativeMatrixLayoutRowMajor);
            }
            [[unroll]] for (uint j = 0; j < TN; j++) {
                coopmat<float16_t, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB> xs;
                coopMatLoad(xs, tileX, (fromN + j * NN) * ROW + k * KK / 8, ROW, gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint i = 0; i < TM; i++) acc[i * TN + j] = coopMatMulAdd(ws[i], xs, acc[i * TN + j]);
            }
#endif
        }
    }

    // Matrix by matrix through shared memory, pixel by pixel, so that an invocation gets four filters of a pixel.
    uint own = subgroup * 256;
    for (uint i = 0; i < TM; i++) {
        for (uint j = 0; j < TN; j++) {
            barrier(); // all have read the matrix before
#ifdef EMULATE
            release(i * TN + j, own, member);
#else
            coopMatStore(acc[i * TN + j], sums, own, MM, gl_CooperativeMatrixLayoutColumnMajor);
#endif
            barrier();
            for (uint v = member; v < NN * (MM / 4); v += SG) {
                uint n = v % NN, m = v / NN * 4, pixel = fromN + j * NN + n, inBlock = fromM + i * MM + m, k = block * BM + inBlock;
                if (gl_WorkGroupID.x * BN + pixel >= pixels || k >= Kg) continue;
                uint at = own + n * MM + m;
                vec4 sum = vec4(sums[at], sums[at + 1], sums[at + 2], sums[at + 3]);
                uvec4 hi = w[atBias + inBlock / 8], lo = w[atBias + BM / 8 + inBlock / 8];
                vec4 bias = inBlock % 8 == 0 ? widen(hi.xy) + widen(lo.xy) : widen(hi.zw) + widen(lo.zw);
                uint o = base[pixel].y + k / 4 * PQ;
#ifdef SPLIT
                if (split == 0) sum += bias;
                if (k + 4 > Kg) sum = mix(vec4(0.0), sum, lessThan(uvec4(k, k + 1, k + 2, k + 3), uvec4(Kg)));
                y[split * pixels * K4 + o] = sum;
#else
                sum += bias;
                if (addShortcut) sum += widen(z[o]);
                if (applyReLU) sum = relu(sum);
                if (k + 4 > Kg) sum = mix(vec4(0.0), sum, lessThan(uvec4(k, k + 1, k + 2, k + 3), uvec4(Kg)));
                y[o] = narrow(sum);
#endif
            }
        }
    }
}
