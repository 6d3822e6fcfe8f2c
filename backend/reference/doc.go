// Package reference is the judge: it computes every op of the graph in float64 by the formula in the op's
// documentation, and beside each value the largest error that a correct float32 implementation may show. It is
// never fast and never clever; the only concession is that independent rows are spread over the processors, which
// changes no bit of the result.
//
// It can be used in two ways. [New] is a backend like any other, "reference" with the one device "cpu", whose
// intermediate values stay float64 until an output is written. [Eval], [Node] and [Bounds] give the float64 values
// and bounds themselves, and [Compare] holds float32 numbers against them.
//
// # Error bounds
//
// u = 2^-24 is the unit roundoff of float32, γ(n) = n·u/(1 - n·u). All bounds hold for float32 arithmetic on inputs
// that are float32 numbers, element by element and whatever the order of summation (Higham, Accuracy and Stability
// of Numerical Algorithms, chapter 3; precision of operations: Vulkan specification, "Precision and Operation of
// SPIR-V Instructions"; one ULP is at most 2u relative).
//
//   - conv2d, linear (class A): γ(T)·S, where S = Σ|a·b| + |bias| + |shortcut| and T counts these terms: a term
//     meets one rounding as a product and at most T-1 as part of a sum. ReLU in the epilogue adds nothing, for
//     |relu(a) - relu(b)| ≤ |a - b|.
//   - conv2d through transforms ([backend.Winograd], class B): γ(T)·E + γ(T)·(|bias| + |shortcut|), where E is
//     |A|ᵀ·[Σ_c (|G|·|w_c|·|G|ᵀ) ∘ (|B|·|x_c|·|B|ᵀ)]·|A| for the matrices A, G and B of Toom and Cook, the greatest over all tiles
//     that the element can lie in, and T counts the roundings on the way: r + 1 for the kernel's transform along an axis of
//     r elements, points + 1 for each of the other two, 1 for the product and 1 for each channel. It is the bound of
//     Barabasz, Anderson, Soodhalter and Gregg 2020 (section 4) before they bound E by the product of the matrices'
//     norms with those of x and w; that product, the growth constant, is 64 for F(2×2,3×3) and 2304 for F(4×4,3×3),
//     while a plain sum of nine products has 9. Whatever the input, E is at least Σ|a·b|.
//   - add: half an ULP of the sum.
//   - relu, max_pool, and the copies channel_pad, channel_slice, concat, spatial_pad, subsample, flatten and reshape: 0, but for
//     subnormal numbers (below).
//   - avg_pool, global_avg_pool: γ(n+6)·Σ|x|/n for n terms: n-1 additions, then a division (2.5 ULP = 5u) or a
//     multiplication (u) by a reciprocal (5u).
//   - batch_norm: γ(19 + c)·S with S = |x·s| + |mean·s| + |bias|, s = weight/sqrt(variance + epsilon). This covers
//     the formula as written and the folded x·s + (bias - mean·s). The 19u: x - mean 1; 1/sqrt as square root
//     (reciprocal of an inverse square root: 2 ULP + 2.5 ULP = 9u) and division 5; two multiplications; the sum with bias 1;
//     and one to spare. c = (|variance| + epsilon)/(variance + epsilon), 1 as a rule, is what rounding epsilon and
//     the sum under the root does: a relative 2u·c, halved by the root.
//   - group_norm: |w|·(e_m·s⁺ + |x - mean|·e_s) + γ(20)·S with S = (|x| + |mean| + e_m)·s⁺·|w| + |bias|. The mean is off by e_m,
//     as any mean is (avg_pool). The variance is that of the differences from this mean, each off by e_d = e_m + u·(|d| + e_m): it is
//     off by e_v = Σ(2·|d|·e_d + e_d²)/K + γ(K+7)·Σ(|d| + e_d)²/K for the K elements of a group. So s = 1/sqrt(variance + epsilon)
//     is not farther off than its values at both ends of the variance say, e_s, nor above the greater one, s⁺. The rest is batch_norm's:
//     both of its forms are within S. The mean of squares less the square of the mean is not: it is off by u·mean², beyond e_v for a
//     mean that is large beside the deviation.
//   - split_attention: Σ|x|·e_a + γ(T)·(Σ(a + e_a)·|x| + |shortcut|), where a is a softmax over the branches, e_a its bound, and T counts
//     the branches and the shortcut.
//   - gate: γ(r)·|x·σ(s)| with r = (1 - σ)·(6 + 4·|s|) + 7, and for a shortcut γ(1) of the sum of both; see gateError.
//   - softmax, computed with the maximum subtracted first: see softmaxRow.
//
// A node that works on float16 ([backend.Precision]) has these bounds for the numbers that its operands are rounded to, and so more for the
// operands themselves ([WidenBounds]): Σ|δa|·|b| + Σ(|a| + |δa|)·|δb|, where δ is 2^-11 relative for parameters, which are rounded to the
// nearest, 2^-10 for what the device rounds (packHalf2x16 may truncate), the number itself below 2^-14 (it may be flushed), and nothing for
// numbers that float16 has. A gate, a group_norm and a split_attention are nonlinear in some operands, whose ends of the interval are looked
// at instead. The result adds 2^-10 relative. Beyond 65504 a bound is infinite: a number becomes an infinity there, and what keeps a
// network from it is no matter of one node. Sums that a matrix unit makes are aligned to their largest term and truncated, with two bits
// lost at worst (Fasi, Higham, Mikaitis and Pranesh 2021, "Numerical behavior of NVIDIA tensor cores"): 4·γ(T) instead of γ(T). Where h products at a time
// are made and added in float16 (HalfTerms), γ16(h)·Σ|a·b| is added, with 2^-10 for u since either neighbour may be the result, and 2^-13 for each product,
// which may be flushed with the sum that it joins; beyond 65504 for Σ|a·b| the bound is infinite.
//
// Subnormal numbers may be flushed to zero, as operands and as results: a bound grows by the products that have a
// subnormal operand, and by 2^-126 for each operation that may flush; a comparison may take them for zero and yet hand
// them on. Where a partial sum could exceed the range
// of float32 the bound is infinite. So it is where a weight of a convolution that is NaN or infinite meets padding:
// implementations disagree (PyTorch 2.9 on one machine: NaN as zero times infinity from its general convolution, no such product
// from its depthwise one; ONNX Runtime 1.32 leaves it out, ONNX's own reference does not), so that either is right, and the values
// here leave it out. Rounding is to nearest: a device that truncates has twice the u, and is found out.
package reference
