package graph

import "fmt"

// SplitAttention is the weighted sum of Radix branches, channel by channel, with an optional epilogue:
//
//	y[c] = act(Σ_r a[r,c]·x[r·C+c] + shortcut[c]),  a[r,c] = exp(s[r,c])/Σ_q exp(s[q,c])
//
// The branches are the Radix parts of the channels of x, one after the other. The scores of channel c = g·C/Groups + j, which
// lies in cardinal group g, are s[r,c] = s[(g·Radix + r)·C/Groups + j]: with one group, s has the order of x.
// It is the end of a split-attention module, and of a selective-kernel module, whose branches differ in their kernels.
//
// Inputs: x [N,Radix·C,H,W], s [N,Radix·C,1,1], then shortcut [N,C,H,W] when Add is set. Result: [N,C,H,W].
// Errors: *[ShapeError] when the channels of x are no multiple of Radix, when C is none of Groups, or an input has another shape.
// Source: Zhang et al. 2020, "ResNeSt: Split-attention networks", section 3.1; Li et al. 2019, "Selective kernel networks",
// section 3.1. The epilogue is ours.
type SplitAttention struct {
	Radix  int
	Groups int
	Add    bool       // epilogue: add the last input before the activation
	Act    Activation // epilogue
}

// Name returns "split_attention".
func (SplitAttention) Name() string { return "split_attention" }

// Score is the index, within a picture, of the score of branch r and channel c where the result has channels of them.
func (o SplitAttention) Score(r, c, channels int) int {
	size := channels / o.Groups
	return (c/size*o.Radix+r)*size + c%size
}

func (o SplitAttention) infer(in []TensorType) (TensorType, error) {
	if err := wantEpilogue(o, in, o.Add, o.Act); err != nil {
		return TensorType{}, err
	}
	n, rc, h, w := in[0].Shape.NCHW()
	if o.Radix < 1 || rc%o.Radix != 0 {
		return TensorType{}, attrError(o, "radix", "a divisor of the channels of x", fmt.Sprintf("%d with %d channels", o.Radix, rc))
	}
	c := rc / o.Radix
	if o.Groups < 1 || c%o.Groups != 0 {
		return TensorType{}, attrError(o, "groups", "a divisor of C", fmt.Sprintf("%d with C=%d", o.Groups, c))
	}
	if err := wantShape(o, 1, "scores", in[1], n, rc, 1, 1); err != nil {
		return TensorType{}, err
	}
	if o.Add {
		if err := wantShape(o, 2, "shortcut", in[2], n, c, h, w); err != nil {
			return TensorType{}, err
		}
	}
	return result(o, in[0].DType, n, c, h, w)
}

// work counts the scores as a softmax, five operations each, and for each element of x a multiplication and an addition.
func (o SplitAttention) work(in []TensorType, out TensorType) work {
	attended := plus(times(5, int64(in[1].Shape.Elems())), times(2, int64(in[0].Shape.Elems())))
	return work{flops: plus(attended, eachStep(int64(out.Shape.Elems()), o.Add, o.Act != NoActivation))}
}
