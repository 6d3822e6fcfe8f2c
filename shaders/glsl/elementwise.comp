#version 450
#extension GL_GOOGLE_include_directive : require
// Element by element: OP_RELU y = max(a, 0), NaN kept; OP_ADD y = a + b. Tensors: a, b, y of `count` elements,
// with HALF of `count` pairs of float16, which are widened for the arithmetic.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Extent { uint count; };
#ifdef HALF
#include "half.glsl"
#define STORED uint // two float16
#define WIDEN(v) unpackHalf2x16(v)
#define NARROW(v) packHalf(v)
#define T vec2
#else
#define STORED float
#define WIDEN(v) v
#define NARROW(v) v
#define T float
#endif
layout(std430, binding = 0) readonly buffer A { STORED a[]; };
#ifdef OP_ADD
layout(std430, binding = 1) readonly buffer B { STORED b[]; };
layout(std430, binding = 2) writeonly buffer Y { STORED y[]; };
#else
layout(std430, binding = 1) writeonly buffer Y { STORED y[]; };
#endif
#include "linear_index.glsl"
#include "relu.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
#ifdef OP_ADD
    y[i] = NARROW(WIDEN(a[i]) + WIDEN(b[i]));
#else
    y[i] = NARROW(relu(WIDEN(a[i])));
#endif
}
