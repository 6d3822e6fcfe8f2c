package graph

import "fmt"

// Op is one kind of layer with its attributes. The set is closed: the types of this package that are listed at
// the methods below, used by value, so that two ops are equal when == says so. Inputs are passed beside it.
type Op interface {
	// Name is the op's name in the text form and in errors, for example "conv2d".
	Name() string
	// infer computes the type of the result from the types of the inputs, which it checks along with the attributes.
	infer(in []TensorType) (TensorType, error)
	// work counts what the op does for inputs and a result of these types, which infer has accepted.
	work(in []TensorType, out TensorType) work
}

// Infer returns the type of the result of op applied to inputs of the given types.
//
// Errors: a *[ShapeError] (without the node's name) that names the input or attribute that does not fit.
func Infer(op Op, in ...TensorType) (TensorType, error) {
	if !isOp(op) {
		return TensorType{}, &ShapeError{Attr: "op", Want: "an op of package graph by value", Got: fmt.Sprintf("%T", op)}
	}
	for i, t := range in {
		if t.DType.SizeBytes() == 0 {
			return TensorType{}, inputError(op, i, "a valid element type", t.String())
		}
	}
	return op.infer(in)
}

// isOp keeps the set closed: a pointer to an op, or a struct that embeds one, has the methods too.
func isOp(op Op) bool {
	switch op.(type) {
	case Conv2D, Linear, BatchNorm, GroupNorm, Gate, SplitAttention, ReLU, Add, Softmax, MaxPool, AvgPool, GlobalAvgPool,
		Flatten, Reshape, Concat, ChannelSlice, ChannelPad, SpatialPad, Subsample:
		return true
	}
	return false
}

// IsView reports whether the op leaves all elements of its one input where they are and names them by other dimensions.
func IsView(op Op) bool {
	switch op.(type) {
	case Flatten, Reshape:
		return true
	}
	return false
}

// result is the type of a result whose dimensions may be too large for a [Shape].
func result(op Op, d DType, dims ...int) (TensorType, error) {
	s, err := MakeShape(dims)
	if err != nil {
		return TensorType{}, attrError(op, "result", fmt.Sprintf("at most %d elements", MaxElems), fmt.Sprint(dims))
	}
	return TensorType{d, s}, nil
}

// Activation is what an epilogue applies last. The zero value is none.
type Activation uint8

// The activations of an epilogue.
const (
	NoActivation Activation = iota
	ActReLU
)

// String returns "none" or "relu".
func (a Activation) String() string {
	switch a {
	case NoActivation:
		return "none"
	case ActReLU:
		return "relu"
	}
	return fmt.Sprintf("activation(%d)", uint8(a))
}

// Padding counts the rows and columns added on each side of a picture.
type Padding struct{ Top, Left, Bottom, Right int }

// Pad is the same padding on all four sides.
func Pad(n int) Padding { return Padding{n, n, n, n} }

func (p Padding) valid() bool { return p.Top >= 0 && p.Left >= 0 && p.Bottom >= 0 && p.Right >= 0 }

// maxAttr bounds strides, paddings and the like: far above any use, low enough that no formula overflows.
const maxAttr = 1 << 24

func attrError(op Op, attr, want, got string) error {
	return &ShapeError{Op: op.Name(), Attr: attr, Want: want, Got: got}
}

func inputError(op Op, i int, want, got string) error {
	return &ShapeError{Op: op.Name(), Attr: fmt.Sprintf("input %d", i), Want: want, Got: got}
}

func wantInputs(op Op, in []TensorType, n int, names string) error {
	if len(in) != n {
		return attrError(op, "inputs", fmt.Sprintf("%d (%s)", n, names), fmt.Sprint(len(in)))
	}
	for i, t := range in[1:] {
		if t.DType != in[0].DType {
			return inputError(op, i+1, in[0].DType.String()+" as input 0", t.DType.String())
		}
	}
	if !in[0].DType.IsFloat() {
		return inputError(op, 0, "a floating-point tensor", in[0].String())
	}
	return nil
}

// wantEpilogue checks the number of inputs of an op of a picture x and scores s, with a shortcut when it is added, and the activation.
func wantEpilogue(op Op, in []TensorType, add bool, act Activation) error {
	want, names := 2, "x, s"
	if add {
		want, names = 3, "x, s, shortcut"
	}
	if err := wantInputs(op, in, want, names); err != nil {
		return err
	}
	if act > ActReLU {
		return attrError(op, "act", "none or relu", fmt.Sprint(act))
	}
	return wantNCHW(op, 0, in[0])
}

// eachStep counts one operation for each of y elements and each step that is taken.
func eachStep(y int64, steps ...bool) int64 {
	n := int64(0)
	for _, taken := range steps {
		if taken {
			n = plus(n, y)
		}
	}
	return n
}

// wantNCHW checks that input i is an activation with at least one channel, row and column; the batch may be empty.
func wantNCHW(op Op, i int, t TensorType) error {
	if t.Shape.Rank() != 4 {
		return inputError(op, i, "4 dimensions [N,C,H,W]", t.Shape.String())
	}
	for d := 1; d < 4; d++ {
		if t.Shape.Dim(d) < 1 {
			return inputError(op, i, "at least 1 channel, row and column", t.Shape.String())
		}
	}
	return nil
}

func wantShape(op Op, i int, what string, t TensorType, want ...int) error {
	if w := NewShape(want...); t.Shape != w {
		return inputError(op, i, what+" "+w.String(), t.Shape.String())
	}
	return nil
}

func wantPositive(op Op, attr string, v [2]int) error {
	if v[0] < 1 || v[1] < 1 || v[0] > maxAttr || v[1] > maxAttr {
		return attrError(op, attr, fmt.Sprintf("two numbers in 1..%d", maxAttr), fmt.Sprintf("%d,%d", v[0], v[1]))
	}
	return nil
}

func wantPadding(op Op, p Padding) error {
	if !p.valid() || max(p.Top, p.Left, p.Bottom, p.Right) > maxAttr {
		return attrError(op, "padding", fmt.Sprintf("four numbers in 0..%d", maxAttr), fmt.Sprint(p))
	}
	return nil
}
