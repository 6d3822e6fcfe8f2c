// max(v, 0) that keeps NaN: a test of the bits, since comparisons may be compiled as if there were no NaN (NVIDIA's driver
// makes max(v, 0) of "v < 0 ? 0 : v", which loses it).
float relu(float v) {
    uint bits = floatBitsToUint(v);
    return bits > 0x80000000u && bits <= 0xff800000u ? 0.0 : v; // below zero, infinity included
}

vec2 relu(vec2 v) { return vec2(relu(v.x), relu(v.y)); }

vec4 relu(vec4 v) { return vec4(relu(v.x), relu(v.y), relu(v.z), relu(v.w)); }
