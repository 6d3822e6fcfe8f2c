#version 450
#extension GL_GOOGLE_include_directive : require
// The second half of a convolution whose sums were made in parts (conv2d_coopmat.comp with SPLIT), a vector an invocation:
//
//   y = act( Σ_i part[i] + z )
//
// Tensors: part [splits][count] of four float32; z and y [count] of four float16, with count = N·K4·P·Q.
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool addShortcut = false;
layout(constant_id = 2) const bool applyReLU = false;
layout(push_constant) uniform Geometry { uint count, splits; };
layout(std430, binding = 0) readonly buffer Parts { vec4 part[]; };
layout(std430, binding = 1) readonly buffer Shortcut { uvec2 z[]; };
layout(std430, binding = 2) writeonly buffer Y { uvec2 y[]; };
#include "half.glsl"
#include "relu.glsl"
#include "linear_index.glsl"

void main() {
    uint i = linearIndex();
    if (i >= count) return;
    vec4 sum = part[i];
    for (uint j = 1; j < splits; j++) sum += part[j * count + i];
    if (addShortcut) sum += widen(z[i]);
    if (applyReLU) sum = relu(sum);
    y[i] = narrow(sum);
}
