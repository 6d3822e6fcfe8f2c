package graph

import (
	"fmt"
	"math"
)

// BatchNorm normalises each channel with fixed statistics: y = (x - mean)/sqrt(variance + Epsilon)·weight + bias.
//
// Inputs: x [N,C,H,W], weight [C], bias [C], mean [C], variance [C]. Result: as x.
// Errors: *[ShapeError] when Epsilon is not a finite positive number. Source: Ioffe and Szegedy 2015, algorithm 2.
type BatchNorm struct{ Epsilon float64 }

// Name returns "batch_norm".
func (BatchNorm) Name() string { return "batch_norm" }

func (o BatchNorm) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 5, "x, weight, bias, mean, variance"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	if !(o.Epsilon > 0) || math.IsInf(o.Epsilon, 0) {
		return TensorType{}, attrError(o, "epsilon", "a finite number above 0", fmt.Sprint(o.Epsilon))
	}
	for i, name := range []string{"weight", "bias", "mean", "variance"} {
		if err := wantShape(o, i+1, name, in[i+1], in[0].Shape.Dim(1)); err != nil {
			return TensorType{}, err
		}
	}
	return in[0], nil
}

// work counts one multiplication and one addition an element, as with the constants folded.
func (o BatchNorm) work(_ []TensorType, out TensorType) work {
	return work{flops: times(2, int64(out.Shape.Elems()))}
}

// ReLU is max(x, 0), with NaN kept. Inputs: x of any shape. Result: as x.
type ReLU struct{}

// Name returns "relu".
func (ReLU) Name() string { return "relu" }

func (o ReLU) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	return in[0], nil
}

func (o ReLU) work(_ []TensorType, out TensorType) work {
	return work{flops: int64(out.Shape.Elems())}
}

// Add is the sum of two tensors of the same shape (the shortcut add; there is no broadcasting). Result: as input 0.
type Add struct{}

// Name returns "add".
func (Add) Name() string { return "add" }

func (o Add) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 2, "a, b"); err != nil {
		return TensorType{}, err
	}
	if in[1].Shape != in[0].Shape {
		return TensorType{}, inputError(o, 1, in[0].Shape.String()+" as input 0", in[1].Shape.String())
	}
	return in[0], nil
}

func (o Add) work(_ []TensorType, out TensorType) work {
	return work{flops: int64(out.Shape.Elems())}
}

// Softmax is exp(x)/Σexp(x) over the last dimension. Inputs: x of rank 1 or more with a last dimension of at least 1.
type Softmax struct{}

// Name returns "softmax".
func (Softmax) Name() string { return "softmax" }

func (o Softmax) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	if in[0].Shape.Rank() < 1 || in[0].Shape.Dim(-1) < 1 {
		return TensorType{}, inputError(o, 0, "a last dimension of at least 1", in[0].Shape.String())
	}
	return in[0], nil
}

// work counts the maximum, subtraction, exponential, sum and division of each element as one operation each.
func (o Softmax) work(_ []TensorType, out TensorType) work {
	return work{flops: times(5, int64(out.Shape.Elems()))}
}
