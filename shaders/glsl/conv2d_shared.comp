#version 450
#extension GL_GOOGLE_include_directive : require
#define LOCAL_SIZE 128
#include "conv2d.glsl"
// Convolution as implicit GEMM through shared memory: a workgroup of 128 invocations makes a tile of
// BM = 64 filters × BN = 64 pixels in steps of BK = 16 taps; each invocation keeps 8 filters × 4 pixels in registers.
//
// Dispatch: x: ceil(pixels/64), y: blocks, z: groups. Local size 128; shared memory 8 KiB.

const uint BM = 64, BN = 64, BK = 16;

shared vec4 tileW[BK][BM / 4];
shared vec4 tileX[BK][BN / 4];

void main() {
    uint group = gl_WorkGroupID.z, block = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
    uint taps = Cg * R * S;
    uint w0 = (group * blocks + block) * (1 + taps) * (BM / 4);

    uint col = lane % BN;           // the column of tileX that this invocation fills, and its pixel
    Pixel px = pixelAt(gl_WorkGroupID.x * BN + col, group);
    uint tp = lane % 16, tf = lane / 16; // its part of the result: pixels 4·tp.., filters 8·tf..

    // The totals of filters 8·tf.. (lo) and 8·tf + 4.. (hi) for each of the four pixels, beginning with the bias.
    vec4 lo[4], hi[4];
    for (uint j = 0; j < 4; j++) {
        lo[j] = w4[w0 + 2 * tf];
        hi[j] = w4[w0 + 2 * tf + 1];
    }
    vec4 lo0 = vec4(0.0), lo1 = lo0, lo2 = lo0, lo3 = lo0, hi0 = lo0, hi1 = lo0, hi2 = lo0, hi3 = lo0;
    w0 += BM / 4;

    for (uint t0 = 0; t0 < taps; t0 += BK) {
        for (uint i = lane; i < BK * BM / 4; i += 128) {
            uint t = t0 + i / (BM / 4);
            tileW[i / (BM / 4)][i % (BM / 4)] = t < taps ? w4[w0 + t0 * (BM / 4) + i] : vec4(0.0);
        }
        for (uint row = lane / BN; row < BK; row += 2) {
            uint t = t0 + row;
            uint c = t / (R * S), rs = t - c * (R * S);
            uint r = rs / S, s = rs - r * S;
            tileX[row][col / 4][col % 4] = t < taps ? tapAt(px, c, r, s) : 0.0;
        }
        barrier();
        for (uint k = 0; k < BK; k++) {
            vec4 wl = tileW[k][2 * tf], wh = tileW[k][2 * tf + 1], v = tileX[k][tp];
            lo0 += wl * v.x; hi0 += wh * v.x;
            lo1 += wl * v.y; hi1 += wh * v.y;
            lo2 += wl * v.z; hi2 += wh * v.z;
            lo3 += wl * v.w; hi3 += wh * v.w;
        }
        barrier();
        if (t0 / BK % 4 == 3 || t0 + BK >= taps) {
            lo[0] += lo0; lo[1] += lo1; lo[2] += lo2; lo[3] += lo3;
            hi[0] += hi0; hi[1] += hi1; hi[2] += hi2; hi[3] += hi3;
            lo0 = lo1 = lo2 = lo3 = hi0 = hi1 = hi2 = hi3 = vec4(0.0);
        }
    }

    uint k = block * BM + 8 * tf;
    for (uint j = 0; j < 4; j++) {
        Pixel out1 = pixelAt(gl_WorkGroupID.x * BN + 4 * tp + j, group);
        for (uint m = 0; m < 4; m++) {
            storeAt(out1, k + m, lo[j][m]);
            storeAt(out1, k + 4 + m, hi[j][m]);
        }
    }
}
