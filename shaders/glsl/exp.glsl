// expOf is exp(v - top), where top is the greatest of the numbers that v is one of: a term of a softmax. What is NaN there is told by the bits: of
// NaN SwiftShader's exp makes something else, and of v - v, as there is where v is alone, compilers make zero.
float expOf(float v, float top) {
    uint bits = floatBitsToUint(v), size = bits & 0x7fffffffu;
    bool endless = size == 0x7f800000u && bits == floatBitsToUint(top);
    return size > 0x7f800000u || endless ? uintBitsToFloat(0x7fc00000u) : exp(v - top);
}

vec4 expOf(vec4 v, vec4 top) { return vec4(expOf(v.x, top.x), expOf(v.y, top.y), expOf(v.z, top.z), expOf(v.w, top.w)); }
