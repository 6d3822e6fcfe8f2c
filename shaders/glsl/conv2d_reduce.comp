#version 450
#extension GL_GOOGLE_include_directive : require
// The second half of a convolution whose sums were made in parts (SPLIT in conv2d_walk.glsl), a vector an invocation:
//
//   y = act( Σ_i part[i] + z )
//
// Tensors: part [splits][count] of four float32; z and y [count] of four float32, or with HALF float16; count = N·K4·P·Q.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool addShortcut = false;
layout(constant_id = 2) const bool applyReLU = false;
layout(push_constant) uniform Geometry { uint count, splits; };
#ifdef HALF
#include "half.glsl"
#define STORED uvec2
#define WIDEN(v) widen(v)
#define NARROW(v) narrow(v)
#else
#define STORED vec4
#define WIDEN(v) v
#define NARROW(v) v
#endif
layout(std430, binding = 0) readonly buffer Parts { vec4 part[]; };
layout(std430, binding = 1) readonly buffer Shortcut { STORED z[]; };
layout(std430, binding = 2) writeonly buffer Y { STORED y[]; };
#include "relu.glsl"
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    vec4 sum = part[i];
    for (uint j = 1; j < splits; j++) sum += part[j * count + i];
    if (addShortcut) sum += WIDEN(z[i]);
    if (applyReLU) sum = relu(sum);
    y[i] = NARROW(sum);
}
