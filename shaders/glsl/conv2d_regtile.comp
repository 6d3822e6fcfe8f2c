#version 450
#extension GL_GOOGLE_include_directive : require
#include "conv2d.glsl"
// Convolution as implicit GEMM with a tile of BM filters × 4 pixels in the registers of each invocation and no
// shared memory. It suits devices where shared memory is ordinary memory (drivers that run on the CPU) and groups
// with few filters.
//
// Dispatch: x: ceil(pixels/(4·WG)), y: blocks, z: groups. BM (4 or 16) is a define, BM/4 vectors a pixel.

#define MQ (BM / 4)

void main() {
    uint group = gl_WorkGroupID.z, block = gl_WorkGroupID.y;
    uint i0 = (gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x) * 4;
    Pixel p0 = pixelAt(i0, group), p1 = pixelAt(i0 + 1, group), p2 = pixelAt(i0 + 2, group), p3 = pixelAt(i0 + 3, group);
    uint w0 = (group * blocks + block) * (1 + Cg * R * S) * MQ;

    // sums[j·MQ + i]: the total of pixel j and filters 4·i to 4·i + 3, beginning with the bias.
    vec4 sums[4 * MQ];
    for (uint i = 0; i < 4 * MQ; i++) sums[i] = w4[w0 + i % MQ];
    w0 += MQ;

    const uint step = max(64 / (R * S), 1); // channels summed up before they go into the total
    for (uint c0 = 0; c0 < Cg; c0 += step) {
        vec4 a0 = vec4(0.0), b0 = a0, e0 = a0, d0 = a0;
#if MQ > 1
        vec4 a1 = a0, b1 = a0, c1 = a0, d1 = a0;
        vec4 a2 = a0, b2 = a0, c2 = a0, d2 = a0;
        vec4 a3 = a0, b3 = a0, c3 = a0, d3 = a0;
#endif
        for (uint c = c0; c < min(c0 + step, Cg); c++) {
            for (uint r = 0; r < R; r++) {
                for (uint s = 0; s < S; s++) {
                    float x0 = tapAt(p0, c, r, s), x1 = tapAt(p1, c, r, s), x2 = tapAt(p2, c, r, s), x3 = tapAt(p3, c, r, s);
                    vec4 f = w4[w0];
                    a0 += f * x0; b0 += f * x1; e0 += f * x2; d0 += f * x3;
#if MQ > 1
                    f = w4[w0 + 1];
                    a1 += f * x0; b1 += f * x1; c1 += f * x2; d1 += f * x3;
                    f = w4[w0 + 2];
                    a2 += f * x0; b2 += f * x1; c2 += f * x2; d2 += f * x3;
                    f = w4[w0 + 3];
                    a3 += f * x0; b3 += f * x1; c3 += f * x2; d3 += f * x3;
#endif
                    w0 += MQ;
                }
            }
        }
        sums[0] += a0; sums[MQ] += b0; sums[2 * MQ] += e0; sums[3 * MQ] += d0;
#if MQ > 1
        sums[1] += a1; sums[MQ + 1] += b1; sums[2 * MQ + 1] += c1; sums[3 * MQ + 1] += d1;
        sums[2] += a2; sums[MQ + 2] += b2; sums[2 * MQ + 2] += c2; sums[3 * MQ + 2] += d2;
        sums[3] += a3; sums[MQ + 3] += b3; sums[2 * MQ + 3] += c3; sums[3 * MQ + 3] += d3;
#endif
    }
    // One copy of the epilogue in a loop: inlined for each of the 4·BM sums it would be most of the code, and some
    // drivers take seconds to compile that.
    for (uint j = 0; j < 4; j++) {
        Pixel px = p0;
        if (j == 1) px = p1;
        if (j == 2) px = p2;
        if (j == 3) px = p3;
        for (uint m = 0; m < BM; m++) storeAt(px, block * BM + m, sums[j * MQ + m / 4][m % 4]);
    }
}
