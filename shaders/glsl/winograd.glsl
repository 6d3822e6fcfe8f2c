// Winograd's convolution F(M×M, 3×3) of stride 1 on packed channels, in three kernels: winograd_input.comp transforms the
// input tile by tile, conv2d_packed.comp multiplies (as a 1×1 convolution of (M+2)² groups), winograd_output.comp
// transforms back. With E = (M+2)² and a tile of M×M results at rows M·i and columns M·j:
//
//   v[e, c, tile] = (Bᵀ d B)[e]      d: the (M+2)×(M+2) inputs under the tile, zero in the padding
//   m[e, k, tile] = Σ_c u[e, k, c] · v[e, c, tile]      u = G g Gᵀ, made by the host in float64
//   y of the tile = act( Aᵀ m A + bias + z )
//
// The matrices are those of Toom and Cook for the points 0, ±√½, ±√2, ∞ (M = 4) and 0, ±1, ∞ (M = 2), with all factors
// in G. Of the symmetric sets for M = 4, those points have the least error (RATIONALE.md, the CPU backend).
// Sources: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"; Barabasz et al. 2020.
//
// Tensors: v [E,C4,tiles,4], m [E,K4,tiles,4]; tiles = N·TH·TW, TH = ceil(P/M), TW = ceil(Q/M).

#define D (M + 2) // rows and columns of a transformed tile

// forward is Bᵀ applied to one row or column of inputs.
void forward(inout vec4 d[D]) {
#if M == 4
    const float a = 0.70710678118654752440, b = 1.41421356237309504880;
    vec4 e1 = d[4] - 2.0 * d[2], o1 = a * d[3] - b * d[1];
    vec4 e2 = d[4] - 0.5 * d[2], o2 = b * d[3] - a * d[1];
    d[0] = d[0] - 2.5 * d[2] + d[4];
    d[5] = d[1] - 2.5 * d[3] + d[5];
    d[1] = e1 + o1;
    d[2] = e1 - o1;
    d[3] = e2 + o2;
    d[4] = e2 - o2;
#else
    vec4 e = d[2], o = d[1];
    d[0] = e - d[0];
    d[3] = d[3] - o;
    d[1] = e + o;
    d[2] = e - o;
#endif
}

// backward is Aᵀ applied to one row or column of products; the first M are the results.
void backward(inout vec4 m[D]) {
#if M == 4
    const float a = 0.70710678118654752440, b = 1.41421356237309504880, a3 = 0.35355339059327376220, b3 = 2.82842712474619009760;
    vec4 s1 = m[1] + m[2], o1 = m[1] - m[2], s2 = m[3] + m[4], o2 = m[3] - m[4];
    m[0] = m[0] + s1 + s2;
    m[1] = a * o1 + b * o2;
    m[2] = 0.5 * s1 + 2.0 * s2;
    m[3] = a3 * o1 + b3 * o2 + m[5];
#else
    vec4 s = m[1] + m[2], o = m[1] - m[2];
    m[0] = m[0] + s;
    m[1] = o + m[3];
#endif
}
