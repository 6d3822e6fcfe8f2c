// Pairs and vectors of float16 in words, for kernels that store float16 and compute in float32.
// Vectors: uvec2, the first two numbers in x, the lower half of a word first.

// packHalf is packHalf2x16 with numbers beyond float16, infinities and NaN set by their bits: SwiftShader makes NaN of all of them,
// and lets a NaN spoil the number beside it.
uint packHalf(vec2 v) {
    uvec2 bits = floatBitsToUint(v), size = bits & 0x7fffffffu;
    bvec2 beyond = greaterThanEqual(size, uvec2(0x477ff000u)); // 65520, which rounds to infinity, and up
    uvec2 kind = mix(uvec2(0x7c00u), uvec2(0x7e00u), greaterThan(size, uvec2(0x7f800000u)));
    uvec2 special = mix(uvec2(0u), kind | (bits >> 16 & 0x8000u), beyond);
    return packHalf2x16(mix(v, vec2(0.0), beyond)) | special.x | special.y << 16;
}

uvec2 narrow(vec4 v) { return uvec2(packHalf(v.xy), packHalf(v.zw)); }

vec4 widen(uvec2 h) { return vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y)); }

// reluHalf is max(h, 0) that keeps NaN, of four numbers.
uvec2 reluHalf(uvec2 h) {
    uvec2 isNaN = (h & 0x7fff7fffu) + 0x03ff03ffu; // the upper bit of each half
    uvec2 below = (h & ~isNaN) >> 15 & 0x00010001u;
    return h & ~(below * 0xffffu);
}
