#version 450
#extension GL_EXT_control_flow_attributes : require
// Fully connected layer: y[n,k] = bias[k] + Σ_c x[n,c]·w[k,c], for devices with many more invocations than results.
// A workgroup of 128 invocations makes 8 results of each of 4 rows of x: an invocation sums every 64th channel for 4 neighbouring
// results, so that a load of weights serves 4 rows; the 64 parts are added up in shared memory, two by two.
// Tensors: x [N,C], y [N,K]; f [1 + C][K]: the bias, then the weights transposed.
//
// Dispatch: x: ceil(K/8), y: ceil(N/4). Local size 128; shared memory 8 KiB.
layout(local_size_x = 128) in;
layout(push_constant) uniform Geometry { uint N, C, K; };
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) readonly buffer F { float f[]; };
layout(std430, binding = 2) writeonly buffer Y { float y[]; };

const uint ROWS = 4, VECTORS = 2, PARTS = 128 / VECTORS, AHEAD = 4; // AHEAD: loads of weights under way at a time

shared vec4 parts[ROWS][128];

vec4 weights(uint row, uvec4 ks) { return vec4(f[row + ks.x], f[row + ks.y], f[row + ks.z], f[row + ks.w]); }

void main() {
    uint lane = gl_LocalInvocationID.x, k = (gl_WorkGroupID.x * VECTORS + lane % VECTORS) * 4, n0 = gl_WorkGroupID.y * ROWS;
    uvec4 ks = min(uvec4(k, k + 1, k + 2, k + 3), uvec4(K - 1)); // beyond the last result: computed and not stored
    vec4 sum[ROWS];
    [[unroll]] for (uint j = 0; j < ROWS; j++) sum[j] = vec4(0.0);
    uint c = lane / VECTORS;
    for (; c + (AHEAD - 1) * PARTS < C; c += AHEAD * PARTS) {
        vec4 w[AHEAD];
        [[unroll]] for (uint i = 0; i < AHEAD; i++) w[i] = weights((1 + c + i * PARTS) * K, ks);
        [[unroll]] for (uint i = 0; i < AHEAD; i++) {
            [[unroll]] for (uint j = 0; j < ROWS; j++) sum[j] += w[i] * x[min(n0 + j, N - 1) * C + c + i * PARTS];
        }
    }
    for (; c < C; c += PARTS) {
        vec4 w = weights((1 + c) * K, ks);
        [[unroll]] for (uint j = 0; j < ROWS; j++) sum[j] += w * x[min(n0 + j, N - 1) * C + c];
    }
    [[unroll]] for (uint j = 0; j < ROWS; j++) parts[j][lane] = sum[j];
    barrier();
    for (uint stride = 64; stride >= VECTORS; stride /= 2) {
        if (lane < stride) {
            [[unroll]] for (uint j = 0; j < ROWS; j++) parts[j][lane] += parts[j][lane + stride];
        }
        barrier();
    }
    if (lane < VECTORS) {
        for (uint j = 0; j < min(ROWS, N - n0); j++) {
            for (uint i = 0; i < 4 && k + i < K; i++) y[(n0 + j) * K + k + i] = f[k + i] + parts[j][lane][i];
        }
    }
}
