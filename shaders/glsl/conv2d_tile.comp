#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifdef HALF_TERMS
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
// Convolution as implicit GEMM through shared memory on packed channels, in float32: conv2d_walk.glsl says what it computes, and how the tensors lie.
//
// A workgroup makes BM filters × BN pixels in steps of BK = 16 channels. The inputs of a step are on their way into registers while the step before is
// multiplied, and the tiles in shared memory are double, so that one barrier a step is enough. An invocation makes TM filters × TN pixels, in
// groups of four that lie apart, so that neighbouring invocations read neighbouring vectors.
//
// HALF: x, z and y are stored as float16, and so is w; all arithmetic is float32. HALF_TERMS: but for the 16 products of a step, which are made and
// added in float16 before they are added to the sum.
//
// Weights: w [G][ceil(Kg/BM)] blocks, each of BM bias values (with HALF: rounded, then BM of what the rounding left) and [steps][BK][BM].
// What does not exist is zero.
//
// Dispatch: x: ceil(pixels/BN), y: blocks, z: groups, with SPLIT groups·splits. Local size BM/TM · BN/TN. Limits: fewer than 2^31 elements a tensor.
#define BK 16u
#define SPAN 1u
const uint ROWS = BM / TM, COLS = BN / TN, L = ROWS * COLS;
layout(local_size_x = (BM / TM) * (BN / TN)) in;
#include "conv2d_walk.glsl"
#include "relu.glsl"
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
#ifdef HALF_TERMS
#define FACTOR f16vec4
#define STAGED(v) f16vec4(unpackFloat2x16((v).x), unpackFloat2x16((v).y))
#else
#define FACTOR vec4
#define STAGED(v) WIDEN(v)
#endif
layout(std430, binding = 0) restrict readonly buffer X { STORED x[]; };
layout(std430, binding = 1) restrict readonly buffer Weights { STORED w[]; };
layout(std430, binding = 2) restrict readonly buffer Shortcut { STORED z[]; };
#ifdef SPLIT
layout(std430, binding = 3) restrict writeonly buffer Y { vec4 y[]; };
#else
layout(std430, binding = 3) restrict writeonly buffer Y { STORED y[]; };
#endif

const uint UNITS_W = BK * BM / 4, LOADS_W = (UNITS_W + L - 1) / L;
shared FACTOR tileW[2 * BK * BM / 4]; // [2][BK][BM]
shared FACTOR tileX[2 * BK * BN / 4]; // [2][BK][BN]

STORED nextW[LOADS_W], nextX[LOADS];

void fetch(uint atW, uint lane) {
    [[unroll]] for (uint j = 0; j < LOADS_W; j++) {
        uint i = lane + j * L;
        if (UNITS_W % L == 0 || i < UNITS_W) nextW[j] = w[atW + i];
    }
    [[unroll]] for (uint j = 0; j < LOADS; j++) nextX[j] = STORED(0);
    if (TOGETHER) {
        if (exists(0, 0)) {
            [[unroll]] for (uint j = 0; j < LOADS; j++) nextX[j] = x[at(j, 0)];
        }
    } else {
        [[unroll]] for (uint j = 0; j < LOADS; j++) {
            if (exists(j, 0)) nextX[j] = x[at(j, 0)];
        }
    }
}

void stage(uint now, uint lane) {
    [[unroll]] for (uint j = 0; j < LOADS_W; j++) {
        uint i = lane + j * L;
        if (UNITS_W % L == 0 || i < UNITS_W) tileW[now * UNITS_W + i] = STAGED(nextW[j]);
    }
    [[unroll]] for (uint j = 0; j < LOADS; j++) {
        uint i = lane + j * L, pixel = i % BN, c = i / BN * 4;
        if (UNITS_X % L == 0 || i < UNITS_X) {
            FACTOR v = STAGED(nextX[j]);
            uint to = now * (BK * BN / 4) + c * (BN / 4) + pixel / 4;
            tileX[to][pixel % 4] = v.x;
            tileX[to + BN / 4][pixel % 4] = v.y;
            tileX[to + 2 * (BN / 4)][pixel % 4] = v.z;
            tileX[to + 3 * (BN / 4)][pixel % 4] = v.w;
        }
    }
}

const uint NOWHERE = 0xffffffffu;

// finish writes the sums of filters k.. of a pixel, which lie at o in y.
void finish(vec4 v, vec4 bias, vec4 added, uint o, uint k) {
#ifdef SPLIT
    if (PART == 0) v += bias;
#else
    v += bias;
    if (addShortcut) v += added;
    if (applyReLU) v = relu(v);
#endif
    if (k + 4 > Kg) v = mix(vec4(0.0), v, lessThan(uvec4(k, k + 1, k + 2, k + 3), uvec4(Kg)));
#ifdef SPLIT
    y[PART * pixels * K4 + o] = v;
#else
    y[o] = NARROW(v);
#endif
}

void main() {
    uint lane = gl_LocalInvocationID.x, block = BLOCK, row = lane / COLS, col = lane % COLS;
#ifdef SPLIT
    uint first = PART * perSplit;
#else
    const uint first = 0;
#endif
    begin(lane, first);
    uint steps = stepsOf(), last = steps;
#ifdef SPLIT
    last = min(first + perSplit, steps);
#endif
#ifdef HALF
    const uint HEAD = BM / 2;
#else
    const uint HEAD = BM / 4;
#endif
    uint atBias = (GROUP * blocks + block) * (HEAD + steps * UNITS_W), atW = atBias + HEAD + first * UNITS_W;

    vec4 sum[TM / 4][TN]; // of four filters
    [[unroll]] for (uint i = 0; i < TM / 4; i++) {
        [[unroll]] for (uint j = 0; j < TN; j++) sum[i][j] = vec4(0.0);
    }
    fetch(atW, lane);
    stage(0, lane);
    barrier();
    uint now = 0;
    for (uint step = first; step < last; step++) {
        bool more = step + 1 < last;
        if (more) {
            advance();
            atW += UNITS_W;
            fetch(atW, lane);
        }
#ifdef HALF_TERMS
        f16vec4 part[TM / 4][TN];
        [[unroll]] for (uint i = 0; i < TM / 4; i++) {
            [[unroll]] for (uint j = 0; j < TN; j++) part[i][j] = f16vec4(0.0);
        }
#else
#define part sum
#endif
        [[unroll]] for (uint k = 0; k < BK; k++) {
            FACTOR a[TM / 4], b[TN / 4];
            [[unroll]] for (uint i = 0; i < TM / 4; i++) a[i] = tileW[now * UNITS_W + k * (BM / 4) + row + i * ROWS];
            [[unroll]] for (uint j = 0; j < TN / 4; j++) b[j] = tileX[now * (BK * BN / 4) + k * (BN / 4) + col + j * COLS];
            [[unroll]] for (uint i = 0; i < TM / 4; i++) {
                [[unroll]] for (uint j = 0; j < TN; j++) part[i][j] += a[i] * b[j / 4][j % 4];
            }
        }
#ifdef HALF_TERMS
        [[unroll]] for (uint i = 0; i < TM / 4; i++) {
            [[unroll]] for (uint j = 0; j < TN; j++) sum[i][j] += vec4(part[i][j]);
        }
#endif
        now ^= 1;
        if (more) stage(now, lane);
        barrier();
    }

    // What is added to the sums is fetched at once. There is no continue here: loops with one are not unrolled, and sums would lie in memory.
    uint to[TM / 4][TN];
    STORED added[TM / 4][TN];
    [[unroll]] for (uint j = 0; j < TN; j++) {
        uint pixel = TILE * BN + 4 * (col + j / 4 * COLS) + j % 4, out0 = outOf(pixel);
        [[unroll]] for (uint i = 0; i < TM / 4; i++) {
            uint k = block * BM + 4 * (row + i * ROWS);
            bool there = pixel < pixels && k < Kg;
            to[i][j] = there ? out0 + k / 4 * (P * Q) : NOWHERE;
            added[i][j] = STORED(0);
#ifndef SPLIT
            if (addShortcut && there) added[i][j] = z[to[i][j]];
#endif
        }
    }
    [[unroll]] for (uint i = 0; i < TM / 4; i++) {
        uint inBlock = 4 * (row + i * ROWS);
        vec4 bias = WIDEN(w[atBias + inBlock / 4]);
#ifdef HALF
        bias += WIDEN(w[atBias + BM / 4 + inBlock / 4]);
#endif
        [[unroll]] for (uint j = 0; j < TN; j++) {
            if (to[i][j] != NOWHERE) finish(sum[i][j], bias, WIDEN(added[i][j]), to[i][j], block * BM + inBlock);
        }
    }
}
