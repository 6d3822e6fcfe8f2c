#version 450
#extension GL_EXT_samplerless_texture_functions : require
#extension GL_GOOGLE_include_directive : require
// Pooling over windows of R×S, one output an invocation. OP_MAX: the maximum, NaN wins; OP_AVG: the mean, where the
// divisor counts the window's elements in the input, or in the padded input when countIncludePad is set.
// Tensors: x [N,C,H,W], y [N,C,P,Q], or with PACKED x [N,C4,H,W,4], y [N,C4,P,Q,4], with C4 = ceil(C/4), of which a
// vector is an element here. With HALF too, vectors are stored as four float16 and widened on the way in. padBottom and padRight only matter for the divisor.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint R = 1;
layout(constant_id = 2) const uint S = 1;
layout(constant_id = 3) const int strideH = 1;
layout(constant_id = 4) const int strideW = 1;
layout(constant_id = 5) const int padTop = 0;
layout(constant_id = 6) const int padLeft = 0;
layout(constant_id = 7) const int padBottom = 0;
layout(constant_id = 8) const int padRight = 0;
layout(constant_id = 9) const bool countIncludePad = false;
layout(push_constant) uniform Geometry { uint count, H, W, P, Q; };
#ifdef PACKED
#define T vec4
#else
#define T float
#endif
#ifdef HALF
#include "half.glsl"
#define STORED uvec2
#define WIDEN(v) widen(v)
#define NARROW(v) narrow(v)
#else
#define STORED T
#define WIDEN(v) v
#define NARROW(v) v
#endif
#if defined(PACKED) && !defined(SSBO) // faster on drivers that run on the CPU, but of a limited number of texels
layout(binding = 0) uniform textureBuffer x;
#define FETCH(i) texelFetch(x, int(i))
#else
layout(std430, binding = 0) readonly buffer X { STORED x[]; };
#define FETCH(i) WIDEN(x[i])
#endif
layout(std430, binding = 1) writeonly buffer Y { STORED y[]; };
#include "linear_index.glsl"

// A test of the bits: comparisons may be compiled as if there were no NaN.
bool isNaN(float v) { return (floatBitsToUint(v) & 0x7fffffffu) > 0x7f800000u; }

float larger(float best, float v) { return isNaN(v) || (v > best && !isNaN(best)) ? v : best; }

vec4 larger(vec4 best, vec4 v) {
    return vec4(larger(best.x, v.x), larger(best.y, v.y), larger(best.z, v.z), larger(best.w, v.w));
}

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    uint pq = P * Q;
    uint nc = i / pq, rem = i - nc * pq;
    uint p = rem / Q, q = rem - p * Q;
    int top = int(p) * strideH - padTop, left = int(q) * strideW - padLeft;
    int h0 = max(top, 0), h1 = min(top + int(R), int(H));
    int w0 = max(left, 0), w1 = min(left + int(S), int(W));
    uint base = nc * H * W;
#ifdef OP_MAX
    T best = T(uintBitsToFloat(0xff800000u));
    for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) best = larger(best, FETCH(base + uint(h) * W + uint(w)));
    }
    y[i] = NARROW(best);
#else
    T sum = T(0.0);
    for (int h = h0; h < h1; h++) {
        for (int w = w0; w < w1; w++) sum += FETCH(base + uint(h) * W + uint(w));
    }
    int rows = h1 - h0, cols = w1 - w0;
    if (countIncludePad) {
        rows = min(top + int(R), int(H) + padBottom) - top;
        cols = min(left + int(S), int(W) + padRight) - left;
    }
    sum /= float(rows) * float(cols); // the product of wide paddings may exceed an int
    y[i] = NARROW(sum);
#endif
}
