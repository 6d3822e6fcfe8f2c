package graph

import (
	"fmt"
	"math"
)

// GroupNorm normalises each picture by itself, a group of neighbouring channels at a time, with an optional epilogue:
//
//	y = act((x - mean)/sqrt(variance + Epsilon)·weight + bias)
//
// where mean and variance are those of all C/Groups·H·W elements of the group that x lies in (the variance is divided by their
// number). Group g is the channels from g·C/Groups on. One group of all channels, and one for each channel, are allowed.
//
// Inputs: x [N,C,H,W], weight [C], bias [C]. Result: as x.
// Errors: *[ShapeError] when C is no multiple of Groups, when Epsilon is not a finite positive number, or an input has another shape.
// Source: Wu and He 2018, "Group normalization", section 3.1; PyTorch nn.GroupNorm. The epilogue is ours.
type GroupNorm struct {
	Groups  int
	Epsilon float64
	Act     Activation // epilogue
}

// Name returns "group_norm".
func (GroupNorm) Name() string { return "group_norm" }

func (o GroupNorm) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 3, "x, weight, bias"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	c := in[0].Shape.Dim(1)
	if o.Groups < 1 || c%o.Groups != 0 {
		return TensorType{}, attrError(o, "groups", "a divisor of C", fmt.Sprintf("%d with C=%d", o.Groups, c))
	}
	if !(o.Epsilon > 0) || math.IsInf(o.Epsilon, 0) {
		return TensorType{}, attrError(o, "epsilon", "a finite number above 0", fmt.Sprint(o.Epsilon))
	}
	if o.Act > ActReLU {
		return TensorType{}, attrError(o, "act", "none or relu", fmt.Sprint(o.Act))
	}
	for i, name := range []string{"weight", "bias"} {
		if err := wantShape(o, i+1, name, in[i+1], c); err != nil {
			return TensorType{}, err
		}
	}
	return in[0], nil
}

// work counts for each element the sum of the mean, the difference, its square and the sum of the variance, then a
// multiplication and an addition with the constants folded, and the activation.
func (o GroupNorm) work(_ []TensorType, out TensorType) work {
	y := int64(out.Shape.Elems())
	return work{flops: plus(times(6, y), eachStep(y, o.Act != NoActivation))}
}
