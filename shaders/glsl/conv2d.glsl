// What the convolution kernels share: the geometry, the bindings and the epilogue.
//
//   y[n,k,p,q] = act( bias[k] + Σ_{c,r,s} w[k,c,r,s] · x[n, g·Cg + c, p·strideH + r·dilationH - padTop, ...] + z[n,k,p,q] )
//
// As a matrix product (implicit GEMM), for each of the G groups: M = Kg filters, N = batch·P·Q pixels,
// inner dimension T = Cg·R·S taps, t = (c·R + r)·S + s. The matrix of pixels is never stored.
//
// Tensors: x [N,C,H,W], y and z [N,K,P,Q], all NCHW. Weights are packed for the kernel's filter block BM:
//   w [G][ceil(Kg/BM)][1 + T][BM]: row 0 of a block is the bias, row 1 + t the weights of tap t; filters that
//   do not exist are zero.
// Sums are made in two levels: about 64 taps are summed up before they are added to the total, which keeps the
// rounding error of a long sum near that of a pairwise one (measured on resnet50 at 224: see RATIONALE.md).
//
// Limits: every tensor has fewer than 2^31 elements; x, y, z and w are bound at their first element.

#include "relu.glsl"

// The local size of the regtile kernels is set when the pipeline is made; that of the shared kernels is fixed.
#ifdef LOCAL_SIZE
layout(local_size_x = LOCAL_SIZE) in;
#else
layout(local_size_x_id = 0) in;
#endif
layout(constant_id = 1) const uint R = 1;
layout(constant_id = 2) const uint S = 1;
layout(constant_id = 3) const int strideH = 1;
layout(constant_id = 4) const int strideW = 1;
layout(constant_id = 5) const int padTop = 0;
layout(constant_id = 6) const int padLeft = 0;
layout(constant_id = 7) const int dilationH = 1;
layout(constant_id = 8) const int dilationW = 1;
layout(constant_id = 9) const bool addShortcut = false;
layout(constant_id = 10) const bool applyReLU = false;

layout(push_constant) uniform Geometry {
    uint pixels; // N·P·Q
    uint C, H, W;
    uint K, P, Q;
    uint Cg, Kg;    // channels and filters of one group
    uint blocks;    // ceil(Kg/BM)
};

layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) readonly buffer Weights { vec4 w4[]; };
layout(std430, binding = 2) readonly buffer Shortcut { float z[]; };
layout(std430, binding = 3) writeonly buffer Y { float y[]; };

// Pixel is where one column of the pixel matrix lies.
struct Pixel {
    bool valid;
    int row, col; // of the window's first tap in the input, may be outside
    uint in0;     // element of x at [n, g·Cg, 0, 0]
    uint out0;    // element of y at [n, g·Kg, p, q]
};

Pixel pixelAt(uint i, uint group) {
    Pixel px;
    px.valid = i < pixels;
    uint j = px.valid ? i : 0;
    uint pq = P * Q;
    uint n = j / pq, rem = j - n * pq;
    uint p = rem / Q, q = rem - p * Q;
    px.row = int(p) * strideH - padTop;
    px.col = int(q) * strideW - padLeft;
    px.in0 = (n * C + group * Cg) * H * W;
    px.out0 = (n * K + group * Kg) * pq + rem;
    return px;
}

// tapAt is the input under tap (c, r, s) of a pixel's window, 0 in the padding.
float tapAt(Pixel px, uint c, uint r, uint s) {
    int row = px.row + int(r) * dilationH, col = px.col + int(s) * dilationW;
    bool inside = px.valid && uint(row) < H && uint(col) < W;
    return inside ? x[px.in0 + (c * H + uint(row)) * W + uint(col)] : 0.0;
}

// storeAt applies the epilogue to the sum of filter k of the group and stores it.
void storeAt(Pixel px, uint k, float sum) {
    if (!px.valid || k >= Kg) return;
    uint o = px.out0 + k * P * Q;
    if (addShortcut) sum += z[o];
    if (applyReLU) sum = relu(sum);
    y[o] = sum;
}
