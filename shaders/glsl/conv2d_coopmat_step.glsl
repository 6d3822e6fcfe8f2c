// One step of conv2d_coopmat.comp, in main: what is staged at now is multiplied and added to acc. A file, since the last step stands apart from
// the others, and matrices that a function takes or shares may end in memory.
{
    uint fromW = now + fromM * ROW, fromX = now + (BM + fromN) * ROW;
#ifdef HALF_TERMS
#ifdef EMULATE
    for (uint i = 0; i < TM * TN * OWN; i++) part[i] = float16_t(0.0);
#else
    coopmat<float16_t, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator> part[TM * TN];
    [[unroll]] for (uint i = 0; i < TM * TN; i++) part[i] = coopmat<float16_t, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>(0.0);
#endif
#endif
    [[unroll]] for (uint k = 0; k < BK / KK; k++) {
#ifdef EMULATE
        for (uint i = 0; i < TM; i++) {
            for (uint j = 0; j < TN; j++) multiply(i * TN + j, fromW + i * MM * ROW + k * KK / 8, fromX + j * NN * ROW + k * KK / 8, member);
        }
#else
        coopmat<float16_t, gl_ScopeSubgroup, MM, KK, gl_MatrixUseA> ws[TM];
        [[unroll]] for (uint i = 0; i < TM; i++) coopMatLoad(ws[i], tile, fromW + i * MM * ROW + k * KK / 8, ROW, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < TN; j++) {
            coopmat<float16_t, gl_ScopeSubgroup, KK, NN, gl_MatrixUseB> xs;
            coopMatLoad(xs, tile, fromX + j * NN * ROW + k * KK / 8, ROW, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0; i < TM; i++) TERMS[i * TN + j] = coopMatMulAdd(ws[i], xs, TERMS[i * TN + j]);
        }
#endif
    }
#ifdef HALF_TERMS
#ifdef EMULATE
    for (uint i = 0; i < TM * TN * OWN; i++) acc[i] += float(part[i]);
#else
    [[unroll]] for (uint i = 0; i < TM * TN; i++) acc[i] += coopmat<float, gl_ScopeSubgroup, MM, NN, gl_MatrixUseAccumulator>(part[i]);
#endif
#endif
}
