// The walk over a convolution as implicit GEMM, for kernels that stage tiles in shared memory: constants, geometry, and where the
// inputs of a step lie. Before it: BM, BN and BK (filters, pixels and channels of a step), L (invocations), and SPAN (vectors of four
// channels that an invocation fetches at once).
//
//   y[n,k,p,q] = act( bias[k] + Σ_{r,s,c} w[k,c,r,s] · x[n, g·Cg + c, p·strideH + r·dilationH - padTop, ...] + z[n,k,p,q] )
//
// Tensors: x [N,C4,H,W,4], y and z [N,K4,P,Q,4], with C4 = ceil(C/4); channels that do not exist are zero. With more than one group, channels
// and filters a group are multiples of 4.
//
// A step is one tap (r, s) and BK channels. Where a group has no more than four channels, as in the first layer, that would be a step of mostly
// nothing: with `few` a step is one row r and BK/4 taps s of it, each with its four channels. `whole` promises that the channels of a group fill
// their steps, `direct` that there is one tap, without stride and padding: x is then a matrix of channels by pixels, and the walk goes down its rows.
//
// With SPLIT the steps of a tile are divided among `splits` workgroups: y is then [splits][N,K4,P,Q,4] of float32, sums without shortcut and
// activation, which conv2d_reduce.comp adds up. The first has the bias.
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
layout(constant_id = 11) const bool few = false;
layout(constant_id = 12) const bool whole = false;
layout(constant_id = 13) const bool direct = false;

layout(push_constant) uniform Geometry {
    uint pixels;     // N·P·Q
    uint H, W, P, Q;
    uint C4, K4;     // vectors of channels of x, and of y
    uint Cg4;        // vectors of channels of one group
    uint Kg;         // filters of one group
    uint blocks;     // ceil(Kg/BM)
#ifdef SPLIT
    uint splits, perSplit; // and steps of each
#endif
};

#ifdef SPLIT
#define GROUP (gl_WorkGroupID.z / splits)
#define PART (gl_WorkGroupID.z % splits)
#else
#define GROUP gl_WorkGroupID.z
#define PART 0
#endif

// Devices begin workgroups in about the order of their numbers. Those of all blocks of filters of a tile of pixels follow each other, so
// that a tile's inputs come from memory once and for the other blocks from a cache.
#define ORDINAL (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x)
#define BLOCK (ORDINAL % blocks)
#define TILE (ORDINAL / blocks)

// An invocation fetches LOADS times SPAN vectors of a step. Load j is of pixel (lane + j·L) % BN, from vector SPAN·((lane + j·L) / BN) on. Where BN divides
// L, as it nearly always does, all are of one pixel, and but for their distance what holds for one holds for the others: that is kept once.
const uint UNITS_X = BN * (BK / 4 / SPAN); // loads of a step
const uint LOADS = (UNITS_X + L - 1) / L;
const bool ALIKE = L % BN == 0;
const uint POINTS = ALIKE ? 1 : LOADS;
const bool TOGETHER = ALIKE && whole && UNITS_X % L == 0; // all loads of an invocation exist, or none

struct Point {
    int row, col; // of the pixel's first tap in x, may be outside
    uint base;    // vector of x at which its picture and group begin
    uint v;       // first vector of the step
    uint at;      // where that lies for the step's tap
    bool inside;
};
Point points[POINTS];

// Load j begins further(j) vectors behind point pointOf(j).
uint pointOf(uint j) { return ALIKE ? 0 : j; }
uint further(uint j) { return ALIKE ? j * (L / BN) * SPAN : 0; }

uint plane;                 // vectors of one channel vector's plane of x
uint r, s, chunk, chunks; // the step: its tap, and its channels or taps of a row

// aim finds the inputs of a tap.
void aim() {
    [[unroll]] for (uint j = 0; j < POINTS; j++) {
        int row = points[j].row + int(r) * dilationH, col = points[j].col + int(few ? points[j].v : s) * dilationW;
        points[j].inside = uint(row) < H && (few || uint(col) < W);
        points[j].at = points[j].base + (few ? 0 : points[j].v * plane) + uint(row) * W + uint(col);
    }
}

// begin sets out for a step.
void begin(uint lane, uint step) {
    plane = H * W;
    chunks = few ? (S + BK / 4 - 1) / (BK / 4) : (Cg4 + BK / 4 - 1) / (BK / 4);
    [[unroll]] for (uint j = 0; j < POINTS; j++) {
        uint i = lane + j * L, pixel = TILE * BN + i % BN;
        pixel = pixel < pixels ? pixel : 0;
        uint n = pixel / (P * Q), rem = pixel - n * (P * Q);
        points[j].base = (n * C4 + GROUP * Cg4) * plane;
        points[j].v = i / BN * SPAN;
        if (direct) {
            points[j].inside = true;
            points[j].at = points[j].base + (step * (BK / 4) + points[j].v) * plane + rem;
        } else {
            uint p = rem / Q;
            points[j].row = int(p) * strideH - padTop;
            points[j].col = int(rem - p * Q) * strideW - padLeft;
        }
    }
    if (direct) {
        chunk = step;
        return;
    }
    chunk = step % chunks;
    s = few ? 0 : step / chunks % S;
    r = few ? step / chunks : step / chunks / S;
    aim();
    if (!few) {
        [[unroll]] for (uint j = 0; j < POINTS; j++) points[j].at += chunk * (BK / 4) * plane;
    }
}

// advance goes to the next step.
void advance() {
    chunk++;
    if (direct || chunk < chunks) {
        if (!few) {
            [[unroll]] for (uint j = 0; j < POINTS; j++) points[j].at += BK / 4 * plane;
        }
        return;
    }
    chunk = 0;
    if (few) {
        r++;
    } else if (++s == S) {
        s = 0;
        r++;
    }
    aim();
}

// exists tells whether vector i of load j is one of x, and at() where it is.
bool exists(uint j, uint i) {
    Point p = points[pointOf(j)];
    uint first = p.v + further(j), v = chunk * (BK / 4) + first + i;
    if (!p.inside || UNITS_X % L != 0 && first >= BK / 4) return false;
    if (whole) return true;
    return few ? v < S && uint(p.col + int(v) * dilationW) < W : v < Cg4;
}

uint at(uint j, uint i) {
    uint from = points[pointOf(j)].at;
    return few ? from + uint(int(chunk * (BK / 4) + further(j) + i) * dilationW) : from + (further(j) + i) * plane;
}

// outOf is where the first four filters of the group lie in y and z for a pixel; the next are P·Q vectors further.
uint outOf(uint pixel) {
    uint n = pixel / (P * Q);
    return (n * K4 + GROUP * (Kg / 4)) * (P * Q) + (pixel - n * (P * Q));
}

// stepsOf is how many steps a tile has.
uint stepsOf() { return (few ? R : R * S) * chunks; }
