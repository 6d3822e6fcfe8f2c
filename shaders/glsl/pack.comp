#version 450
#extension GL_GOOGLE_include_directive : require
// Between the dense layout x [N,C,HW] and the packed one p [N,ceil(C/4),HW,4], whose vectors hold four channels of a
// pixel and zero where there is no such channel. One vector an invocation; count = N·ceil(C/4)·HW.
// PACK writes p from x, otherwise x is written from p. HALF: the vectors of p are four float16. CONVERT leaves the layout and
// changes the type of packed vectors: with HALF from float32 to float16, otherwise back.
#if defined(HALF) || defined(CONVERT)
#include "half.glsl"
#endif
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Geometry { uint count, C, HW; };
#ifdef HALF
#define STORED uvec2
#define WIDEN(v) widen(v)
#define NARROW(v) narrow(v)
#else
#define STORED vec4
#define WIDEN(v) v
#define NARROW(v) v
#endif
#if defined(CONVERT)
#ifdef HALF
layout(std430, binding = 0) readonly buffer X { vec4 x[]; };
layout(std430, binding = 1) writeonly buffer Y { uvec2 p[]; };
#else
layout(std430, binding = 0) readonly buffer X { uvec2 x[]; };
layout(std430, binding = 1) writeonly buffer Y { vec4 p[]; };
#endif
#elif defined(PACK)
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Y { STORED p[]; };
#else
layout(std430, binding = 0) readonly buffer X { STORED p[]; };
layout(std430, binding = 1) writeonly buffer Y { float x[]; };
#endif
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
#ifdef CONVERT
#ifdef HALF
    p[i] = NARROW(x[i]);
#else
    p[i] = widen(x[i]);
#endif
#else
    uint C4 = (C + 3) / 4, nc = i / HW, rem = i - nc * HW, n = nc / C4, c = (nc - n * C4) * 4;
    uint at = (n * C + c) * HW + rem;
#ifdef PACK
    vec4 v = vec4(x[at], 0.0, 0.0, 0.0);
    if (c + 1 < C) v.y = x[at + HW];
    if (c + 2 < C) v.z = x[at + 2 * HW];
    if (c + 3 < C) v.w = x[at + 3 * HW];
    p[i] = NARROW(v);
#else
    vec4 v = WIDEN(p[i]);
    x[at] = v.x;
    if (c + 1 < C) x[at + HW] = v.y;
    if (c + 2 < C) x[at + 2 * HW] = v.z;
    if (c + 3 < C) x[at + 3 * HW] = v.w;
#endif
#endif
}
