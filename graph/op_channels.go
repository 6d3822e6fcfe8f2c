package graph

import "fmt"

// Reshape gives each picture other channels, rows and columns with the same elements in the same order (row-major). It moves no
// data. Channels that become rows are how an efficient channel attention module sees neighbouring channels with a convolution.
//
// Inputs: x of rank 1 or more, [N,...]. Result: [N,To[0],To[1],To[2]].
// Errors: *[ShapeError] when To has a number below 1, or another number of elements than a picture of x.
type Reshape struct{ To [3]int }

// Name returns "reshape".
func (Reshape) Name() string { return "reshape" }

func (o Reshape) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	s := in[0].Shape
	if s.Rank() < 1 {
		return TensorType{}, inputError(o, 0, "at least 1 dimension", s.String())
	}
	got := MaxElems
	if min(o.To[0], o.To[1], o.To[2]) >= 1 && max(o.To[0], o.To[1], o.To[2]) <= maxAttr {
		if to, err := MakeShape(o.To[:]); err == nil {
			got = to.Elems()
		}
	}
	each := NewShape(append([]int{1}, s.Dims()[1:]...)...)
	if got != each.Elems() {
		return TensorType{}, attrError(o, "to", fmt.Sprintf("three numbers in 1..%d whose product is %d, the elements of a picture of input 0", maxAttr, each.Elems()),
			fmt.Sprintf("%d,%d,%d", o.To[0], o.To[1], o.To[2]))
	}
	return result(o, in[0].DType, s.Dim(0), o.To[0], o.To[1], o.To[2])
}

func (o Reshape) work([]TensorType, TensorType) work { return work{} }

// Concat puts the channels of its inputs one after the other.
//
// Inputs: one or more x_i [N,C_i,H,W] of the same batch, rows and columns. Result: [N,ΣC_i,H,W].
// Errors: *[ShapeError] when there is no input, or one differs in more than its channels.
type Concat struct{}

// Name returns "concat".
func (Concat) Name() string { return "concat" }

func (o Concat) infer(in []TensorType) (TensorType, error) {
	if len(in) < 1 {
		return TensorType{}, attrError(o, "inputs", "at least 1 (pictures)", "0")
	}
	if err := wantInputs(o, in, len(in), "pictures"); err != nil {
		return TensorType{}, err
	}
	channels := 0
	for i, t := range in {
		if err := wantNCHW(o, i, t); err != nil {
			return TensorType{}, err
		}
		if want := in[0].Shape.WithDim(1, t.Shape.Dim(1)); t.Shape != want {
			return TensorType{}, inputError(o, i, want.String()+", as input 0 but for its channels", t.Shape.String())
		}
		if channels += t.Shape.Dim(1); channels > MaxElems {
			return TensorType{}, attrError(o, "inputs", fmt.Sprintf("at most %d channels together", MaxElems), "more")
		}
	}
	n, _, h, w := in[0].Shape.NCHW()
	return result(o, in[0].DType, n, channels, h, w)
}

func (o Concat) work([]TensorType, TensorType) work { return work{} }

// ChannelSlice keeps the channels from Begin to before End, counted from 0.
//
// Inputs: x [N,C,H,W]. Result: [N,End-Begin,H,W].
// Errors: *[ShapeError] when there is no channel between Begin and End, or not all of them are in x.
type ChannelSlice struct{ Begin, End int }

// Name returns "channel_slice".
func (ChannelSlice) Name() string { return "channel_slice" }

func (o ChannelSlice) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	c := in[0].Shape.Dim(1)
	if o.Begin < 0 || o.Begin >= c {
		return TensorType{}, attrError(o, "begin", fmt.Sprintf("a number in 0..%d", c-1), fmt.Sprint(o.Begin))
	}
	if o.End <= o.Begin || o.End > c {
		return TensorType{}, attrError(o, "end", fmt.Sprintf("a number in %d..%d", o.Begin+1, c), fmt.Sprint(o.End))
	}
	return TensorType{in[0].DType, in[0].Shape.WithDim(1, o.End-o.Begin)}, nil
}

func (o ChannelSlice) work([]TensorType, TensorType) work { return work{} }
