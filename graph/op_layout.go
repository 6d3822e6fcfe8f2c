package graph

import "fmt"

// Flatten keeps the first dimension and joins the others: [N,C,H,W] becomes [N,C·H·W]. It moves no data.
type Flatten struct{}

// Name returns "flatten".
func (Flatten) Name() string { return "flatten" }

func (o Flatten) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	s := in[0].Shape
	if s.Rank() < 1 {
		return TensorType{}, inputError(o, 0, "at least 1 dimension", s.String())
	}
	rest := 1
	for i := 1; i < s.Rank(); i++ {
		rest *= s.Dim(i)
	}
	return TensorType{in[0].DType, NewShape(s.Dim(0), rest)}, nil
}

func (o Flatten) work([]TensorType, TensorType) work { return work{} }

// ChannelPad adds channels of zeros: the parameter-free way to widen a shortcut (He et al. 2016, option A).
//
// Inputs: x [N,C,H,W]. Result: [N,Before+C+After,H,W].
type ChannelPad struct{ Before, After int }

// Name returns "channel_pad".
func (ChannelPad) Name() string { return "channel_pad" }

func (o ChannelPad) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	for _, a := range []struct {
		name string
		v    int
	}{{"before", o.Before}, {"after", o.After}} {
		if a.v < 0 || a.v > maxAttr {
			return TensorType{}, attrError(o, a.name, fmt.Sprintf("a number in 0..%d", maxAttr), fmt.Sprint(a.v))
		}
	}
	n, c, h, w := in[0].Shape.NCHW()
	return result(o, in[0].DType, n, o.Before+c+o.After, h, w)
}

func (o ChannelPad) work([]TensorType, TensorType) work { return work{} }

// Subsample keeps every Stride-th row and column, beginning with the first: the parameter-free way to halve a
// shortcut's picture (He et al. 2016, option A).
//
// Inputs: x [N,C,H,W]. Result: [N,C,ceil(H/Stride[0]),ceil(W/Stride[1])].
type Subsample struct{ Stride [2]int }

// Name returns "subsample".
func (Subsample) Name() string { return "subsample" }

func (o Subsample) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	if err := wantPositive(o, "stride", o.Stride); err != nil {
		return TensorType{}, err
	}
	n, c, h, w := in[0].Shape.NCHW()
	return TensorType{in[0].DType, NewShape(n, c, (h-1)/o.Stride[0]+1, (w-1)/o.Stride[1]+1)}, nil
}

func (o Subsample) work([]TensorType, TensorType) work { return work{} }
