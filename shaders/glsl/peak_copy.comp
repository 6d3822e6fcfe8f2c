#version 450
// Peak of memory: y = x for `count` vectors of four float32, each read once and written once. The invocations of the
// dispatch go through the array side by side, so that neighbours touch neighbouring memory at every moment.
layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { uint count; };
layout(std430, binding = 0) readonly buffer X { vec4 x[]; };
layout(std430, binding = 1) writeonly buffer Y { vec4 y[]; };

void main() {
    uint step = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < count; i += step) y[i] = x[i];
}
