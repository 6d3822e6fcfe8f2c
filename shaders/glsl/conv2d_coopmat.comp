#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#ifndef EMULATE
#pragma use_vulkan_memory_model
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#endif
#if !defined(EMULATE) || defined(HALF_TERMS)
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
// Convolution as implicit GEMM on matrix units (VK_KHR_cooperative_matrix): float16 operands, float32 sums. conv2d_walk.glsl says what it
// computes, and how the tensors lie, which are of float16 here.
//
// HALF_TERMS: the products of a step, BK for a result, are made and added in float16 before they are added to the sum in float32. The device's matrices
// must have such results.
//
// A workgroup of WM×WN subgroups makes BM filters × BN pixels, in steps of BK channels: the filters' weights [BM][BK] and the pixels'
// inputs [BN][BK] are staged in shared memory. It holds two steps: while one is multiplied, the next is on its way into registers and then into the other
// half, so that one barrier a step is enough. AHEAD: two steps are on their way, each in registers of its own, so that what a step needs has the time
// of two to arrive. A subgroup makes BM/WM × BN/WN results, as matrices of MM×NN which the device multiplies in
// steps of KK: W (MM×KK, row by row) times X (KK×NN, column by column, so that a column is a pixel's channels).
//
// MM, NN, KK and the size of a subgroup come from the device's list of shapes; WM and WN are such that the workgroup has about as many invocations on
// each device. Inequalities: MM divides BM/WM, NN divides BN/WN, KK divides BK,
// MM is a multiple of 4, WG = WM·WN·SG, and the results of NN pixels of all subgroups fit into the shared memory (REGION, below).
//
// Weights: w [G][ceil(Kg/BM)] blocks, each of BM bias values rounded to float16, BM of what the rounding left, and [steps][BM][BK]. What does not
// exist is zero.
//
// EMULATE replaces the matrix operations by loops with the same offsets, strides and shapes: every device can run it, which proves the
// indexing where no matrix unit is at hand. It is slow.
//
// Dispatch: x: ceil(pixels/BN), y: blocks, z: groups, with SPLIT groups·splits. Limits: fewer than 2^31 elements a tensor.
layout(local_size_x_id = 0) in;
layout(constant_id = 14) const uint SG = 32; // invocations of a subgroup
layout(constant_id = 15) const uint MM = 16;
layout(constant_id = 16) const uint NN = 16;
layout(constant_id = 17) const uint KK = 16;
layout(constant_id = 18) const uint WM = 1;
layout(constant_id = 19) const uint WN = 1;
layout(constant_id = 20) const bool full = false; // BM divides Kg: all filters of all blocks exist

#define SPAN 2u
const uint L = gl_WorkGroupSize.x;
#include "conv2d_walk.glsl"
#include "half.glsl"

layout(std430, binding = 0) restrict readonly buffer X { uvec2 x[]; };
layout(std430, binding = 1) restrict readonly buffer Weights { uvec4 w[]; };
layout(std430, binding = 2) restrict readonly buffer Shortcut { uvec2 z[]; };
#ifdef SPLIT
layout(std430, binding = 3) restrict writeonly buffer Y { vec4 y[]; };
#else
layout(std430, binding = 3) restrict writeonly buffer Y { uvec2 y[]; };
#endif

const uint UNITS = BK / 8;          // uvec4 of a row
const uint ROW = UNITS + 1;         // of a row in shared memory: rows begin in different banks
const uint STAGE = (BM + BN) * ROW; // of a step: the weights, then the inputs
const uint RM = BM / WM, RN = BN / WN, TM = RM / MM, TN = RN / NN; // results of a subgroup, and matrices
const uint UNITS_W = BM * UNITS, LOADS_W = (UNITS_W + L - 1) / L;
const uint COLUMN = RM / 4 + 1;  // vec4 of a pixel's results on their way out, in different banks too
const uint REGION = COLUMN * NN; // of a subgroup
const uint OUTS = (NN * RM / 4 + SG - 1) / SG; // vectors of those that an invocation writes
const uint NOWHERE = 0xffffffffu;
const uint FIT = OUTS < 16 ? 16 / OUTS : 1; // columns of matrices with 16 vectors of results an invocation
const uint EARLY = FIT < TN ? FIT : TN;    // of which shortcuts are fetched at once

shared uvec4 tile[2 * STAGE]; // results of subgroups when the steps are done
shared vec4 bias[BM / 4];

#ifdef AHEAD
const uint SETS = 2; // of registers
#else
const uint SETS = 1;
#endif
uvec4 nextW[SETS * LOADS_W], nextX[SETS * LOADS];

// fetch fetches the step that the walk is at into a set of registers.
void fetch(uint set, uint atW, uint lane) {
    [[unroll]] for (uint j = 0; j < LOADS_W; j++) {
        uint i = lane + j * L;
        if (UNITS_W % L == 0 || i < UNITS_W) nextW[set * LOADS_W + j] = w[atW + i];
    }
    [[unroll]] for (uint j = 0; j < LOADS; j++) nextX[set * LOADS + j] = uvec4(0);
    if (TOGETHER) { // one branch, not two for each load
        if (exists(0, 0)) {
            [[unroll]] for (uint j = 0; j < LOADS; j++) nextX[set * LOADS + j] = uvec4(x[at(j, 0)], x[at(j, 1)]);
        }
    } else {
        [[unroll]] for (uint j = 0; j < LOADS; j++) {
            if (exists(j, 0)) nextX[set * LOADS + j].xy = x[at(j, 0)];
            if (exists(j, 1)) nextX[set * LOADS + j].zw = x[at(j, 1)];
        }
    }
}

// Where load j of an invocation goes, of the weights and of the inputs: at a constant distance from its first one, where L is a multiple of a row or column.
uint placeW(uint j, uint lane) {
    uint i = lane + j * L;
    return L % UNITS == 0 ? lane / UNITS * ROW + lane % UNITS + j * (L / UNITS * ROW) : i / UNITS * ROW + i % UNITS;
}

uint placeX(uint j, uint lane) {
    uint i = lane + j * L;
    return BM * ROW + (ALIKE ? lane % BN * ROW + lane / BN + j * (L / BN) : i % BN * ROW + i / BN);
}

// stage puts a set into shared memory.
void stage(uint set, uint to, uint lane) {
    [[unroll]] for (uint j = 0; j < LOADS_W; j++) {
        uint i = lane + j * L;
        if (UNITS_W % L == 0 || i < UNITS_W) tile[to + placeW(j, lane)] = nextW[set * LOADS_W + j];
    }
    [[unroll]] for (uint j = 0; j < LOADS; j++) {
        uint i = lane + j * L;
        if (UNITS_X % L == 0 || i < UNITS_X) tile[to + placeX(j, lane)] = nextX[set * LOADS + j];
    }
}

#ifdef HALF_TERMS
#define TERMS part // the sums that products are added to
#else
#define TERMS acc
#endif

#ifdef EMULATE
// What belongs to an invocation of MM×NN sums: elements member, member + SG, ... column by column.
const uint OWN = (MM * NN + SG - 1) / SG;
float acc[TM * TN * OWN];

// Eight products at a time: lavapipe ends all loops of an invocation after 65,535 rounds.
#ifdef HALF_TERMS
#define NUMBER float16_t
float16_t part[TM * TN * OWN];

f16vec4 halves(uvec2 h) { return f16vec4(unpackFloat2x16(h.x), unpackFloat2x16(h.y)); }

float16_t products(uvec4 a, uvec4 b) {
    f16vec4 both = halves(a.xy) * halves(b.xy) + halves(a.zw) * halves(b.zw);
    return both.x + both.y + both.z + both.w;
}
#else
#define NUMBER float
float products(uvec4 a, uvec4 b) {
    return dot(widen(a.xy), widen(b.xy)) + dot(widen(a.zw), widen(b.zw));
}
#endif

void multiply(uint one, uint atW, uint atX, uint member) {
    for (uint e = 0; e < OWN; e++) {
        uint i = member + e * SG, m = i % MM, n = i / MM;
        if (i >= MM * NN) break;
        NUMBER sum = TERMS[one * OWN + e];
        for (uint k = 0; k < KK / 8; k++) sum += products(tile[atW + m * ROW + k], tile[atX + n * ROW + k]);
        TERMS[one * OWN + e] = sum;
    }
}

void release(uint one, uint to, uint member) {
    for (uint e = 0; e < OWN; e++) {
        uint i = member + e * SG, m = i % MM, n = i / MM;
        if (i < MM * NN) tile[to + n * COLUMN + m / 4][m % 4] = floatBitsToUint(acc[one * OWN + e]);
    }
}

#define SYNC_SUBGROUP() barrier()
#else
#define narrow(v) uvec2(packHalf2x16((v).xy), packHalf2x16((v).zw)) // devices with matrix units convert as they should
#define SYNC_SUBGROUP() controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease)
#endif

// Where the invocations of a subgroup divide the pixels of a column of matrices, an invocation has vectors of one pixel of it: what follows from the pixel,
// a division and a branch, is worked out once.
const bool STRAIGHT = SG % NN == 0;

// beginOf is where the results of a subgroup's filters lie in y and z for a pixel; NOWHERE behind the last.
uint beginOf(uint pixel, uint block, uint fromM) {
    return pixel < pixels ? outOf(pixel) + (block * BM + fromM) / 4 * (P * Q) : NOWHERE;
}

// isFilter tells whether vector v of a column exists.
bool isFilter(uint v, uint block, uint fromM) {
    return (full || block * BM + fromM + v / NN * 4 < Kg) && (OUTS * SG == NN * RM / 4 || v < NN * RM / 4);
}

const uint PLACES = STRAIGHT ? 1 : OUTS; // of an invocation's vectors in a column

// Where the results of a subgroup's filters begin in y and z for the pixels of an invocation, by column; and what is added to them.
uint from[TN * PLACES];
uvec2 added[EARLY * OUTS];

// fetchAdded fetches what is added to an invocation's vectors of column j.
void fetchAdded(uint j, uint member, uint block, uint fromM) {
    [[unroll]] for (uint e = 0; e < OUTS; e++) added[j % EARLY * OUTS + e] = uvec2(0);
#ifndef SPLIT
    if (addShortcut && (!STRAIGHT || from[j * PLACES] != NOWHERE)) {
        [[unroll]] for (uint e = 0; e < OUTS; e++) {
            uint v = member + e * SG, at = from[j * PLACES + e % PLACES];
            if ((STRAIGHT || at != NOWHERE) && isFilter(v, block, fromM)) added[j % EARLY * OUTS + e] = z[at + v / NN * (P * Q)];
        }
    }
#endif
}

// finish writes the sums of four filters of a pixel, from inBlock on, which lie at o in y.
void finish(vec4 v, uvec2 added, uint o, uint block, uint inBlock) {
    uint k = block * BM + inBlock;
#ifdef SPLIT
    if (PART == 0) v += bias[inBlock / 4];
#else
    v += bias[inBlock / 4];
    if (addShortcut) v += widen(added);
#endif
    if (!full && k + 4 > Kg) v = mix(vec4(0.0), v, lessThan(uvec4(k, k + 1, k + 2, k + 3), uvec4(Kg)));
#ifdef SPLIT
    y[PART * pixels * K4 + o] = v;
#else
    y[o] = applyReLU ? reluHalf(narrow(v)) : narrow(v);
#endif
}

void main() {
    uint lane = gl_LocalInvocationID.x, block = BLOCK;
#ifdef EMULATE
    uint subgroup = lane / SG, member = lane % SG;
    for (uint i = 0; i < TM * TN * OWN; i++) acc[i] = 0.0;
#else
    uint subgroup = gl_SubgroupID, member = gl_SubgroupInvocationID;
    coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator> acc[TM * TN];
    [[unroll]] for (uint i = 0; i < TM * TN; i++) acc[i] = coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>(0.0);
#endif
    uint fromM = subgroup / WN * RM, fromN = subgroup % WN * RN; // the subgroup's part of the tile
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
    uint atBias = (GROUP * blocks + block) * (BM / 4 + steps * UNITS_W), atW = atBias + BM / 4 + first * UNITS_W;

    for (uint i = lane; i < BM / 4; i += L) {
        uvec4 hi = w[atBias + i / 2], lo = w[atBias + BM / 8 + i / 2];
        bias[i] = i % 2 == 0 ? widen(hi.xy) + widen(lo.xy) : widen(hi.zw) + widen(lo.zw);
    }
    fetch(0, atW, lane);
    stage(0, 0, lane);
#ifdef AHEAD
    if (first + 1 < last) {
        advance();
        atW += UNITS_W;
        fetch(0, atW, lane);
    }
#endif
    barrier();
    uint now = 0; // which half is multiplied
    for (uint step = first; step + 1 < last; step++) {
#ifdef AHEAD
        bool odd = (step - first) % 2 == 1; // then the next step is in set 1. Sets are constants, or they would lie in memory.
        if (step + 2 < last) {
            advance();
            atW += UNITS_W;
            if (odd) fetch(0, atW, lane);
            else fetch(1, atW, lane);
        }
#else
        advance();
        atW += UNITS_W;
        fetch(0, atW, lane);
#endif
#include "conv2d_coopmat_step.glsl"
        now = STAGE - now;
#ifdef AHEAD
        if (odd) stage(1, now, lane);
        else stage(0, now, lane);
#else
        stage(0, now, lane);
#endif
        barrier();
    }
    // Where the results of the columns lie, and what is added to them. That is fetched while the last step is multiplied, when nothing else is on its way: for
    // as many columns as there are registers for, and for the others when those are done.
    [[unroll]] for (uint j = 0; j < TN; j++) {
        [[unroll]] for (uint e = 0; e < PLACES; e++) from[j * PLACES + e] = beginOf(TILE * BN + fromN + j * NN + (member + e * SG) % NN, block, fromM);
    }
    [[unroll]] for (uint j = 0; j < EARLY; j++) fetchAdded(j, member, block, fromM);
#include "conv2d_coopmat_step.glsl"
    barrier();

    // Out through shared memory, NN pixels of a subgroup at a time, so that an invocation gets four filters of a pixel.
    uint own = subgroup * REGION;
    [[unroll]] for (uint j = 0; j < TN; j++) {
#ifdef EMULATE
        for (uint i = 0; i < TM; i++) release(i * TN + j, own + i * MM / 4, member);
#else
        [[unroll]] for (uint i = 0; i < TM; i++) coopMatStore(acc[i * TN + j], tile, own + i * MM / 4, COLUMN, gl_CooperativeMatrixLayoutColumnMajor);
#endif
        SYNC_SUBGROUP();
        if (!STRAIGHT || from[j * PLACES] != NOWHERE) {
            [[unroll]] for (uint e = 0; e < OUTS; e++) {
                uint v = member + e * SG, n = v % NN, m = v / NN, at = from[j * PLACES + e % PLACES];
                if ((STRAIGHT || at != NOWHERE) && isFilter(v, block, fromM))
                    finish(uintBitsToFloat(tile[own + n * COLUMN + m]), added[j % EARLY * OUTS + e], at + m * (P * Q), block, fromM + 4 * m);
            }
        }
        // EARLY < TN by itself: with the other condition alone, which may be the loop's own, a compiler was seen not to unroll it.
        if (EARLY < TN && j + EARLY < TN) fetchAdded(j + EARLY, member, block, fromM);
        SYNC_SUBGROUP(); // all have read what the next matrices will overwrite
    }
}
