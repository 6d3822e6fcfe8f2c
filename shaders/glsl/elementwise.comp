#version 450
#extension GL_GOOGLE_include_directive : require
// Element by element: OP_RELU y = max(a, 0), NaN kept; OP_ADD y = a + b. Tensors: a, b, y of `count` elements.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Extent { uint count; };
layout(std430, binding = 0) readonly buffer A { float a[]; };
#ifdef OP_ADD
layout(std430, binding = 1) readonly buffer B { float b[]; };
layout(std430, binding = 2) writeonly buffer Y { float y[]; };
#else
layout(std430, binding = 1) writeonly buffer Y { float y[]; };
#endif
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
#ifdef OP_ADD
    y[i] = a[i] + b[i];
#else
    float v = a[i];
    y[i] = v < 0.0 ? 0.0 : v;
#endif
}
