#version 450
// Peak of float32 arithmetic: s = s·a + b over and over, in 12 sums that do not wait for each other (three vec4: as many
// as keep the multiplier of a CPU or GPU busy, few enough that they and the operands stay in 16 registers). Each invocation
// does rounds·16 steps of 12 multiply-adds, 24 FLOP each step.
//
// y [invocations] of vec4 is the total of the three. With a = 1/2 and b = 1 every sum comes to 2 within 30 steps, whatever
// it starts from in [0, 2], and stays there exactly, so y must be 6: a device that skips work or adds wrongly is found out. a
// and b come from push constants so that no compiler can know it.
//
// HALF: the same in float16, whose numbers are exact here too.
//
// FUSED asks for fma(), else it is left to the compiler whether a·b + c is fused: drivers exist where either is slow.
#ifdef HALF
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define T float16_t
#define T4 f16vec4
#else
#define T float
#define T4 vec4
#endif
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool FUSED = true;
layout(push_constant) uniform Push { uint rounds; float a; float b; };
layout(std430, binding = 0) writeonly buffer Y { vec4 y[]; };

#define FUSED_STEP s = fma(s, va, vb); t = fma(t, va, vb); u = fma(u, va, vb);
#define PLAIN_STEP s = s * va + vb; t = t * va + vb; u = u * va + vb;
#define FOUR(step) step step step step

void main() {
    uint i = gl_GlobalInvocationID.x;
    float start = float(i & 15u) / 16.0;
    T4 s = T4(start, start + 0.25, start + 0.5, start + 0.75);
    T4 t = s + T(0.125), u = s + T(0.0625);
    const T4 va = T4(a), vb = T4(b);
    if (FUSED) {
        for (uint r = 0; r < rounds; r++) { FOUR(FOUR(FUSED_STEP)) }
    } else {
        for (uint r = 0; r < rounds; r++) { FOUR(FOUR(PLAIN_STEP)) }
    }
    y[i] = vec4(s + t + u);
}
