package graph

import "fmt"

// Conv2D is cross-correlation (the kernel is not flipped) over rows and columns, with an optional epilogue:
//
//	y = act(conv(x, w) + bias + shortcut)
//
// Inputs: x [N,C,H,W], w [K,C/Groups,R,S], then bias [K] when Bias is set, then shortcut [N,K,P,Q] when Add is set.
// Result: [N,K,P,Q] with P = floor((H + top + bottom - Dilation[0]*(R-1) - 1)/Stride[0]) + 1; Q likewise.
// Units: Stride, Padding and Dilation count elements; index 0 is rows, index 1 columns.
// Padding is zeros; whether a weight that is NaN or infinite meets them (and makes NaN) is left to the implementation.
// Errors: *[ShapeError] when C or K is no multiple of Groups, when P or Q is below 1, or an input has another shape.
// Source: ONNX Conv (opset 11); Dumoulin and Visin 2016, section 2. The order of the epilogue is ours.
type Conv2D struct {
	Stride   [2]int
	Padding  Padding
	Dilation [2]int
	Groups   int
	Bias     bool
	Add      bool       // epilogue: add the last input before the activation
	Act      Activation // epilogue
}

// Name returns "conv2d".
func (Conv2D) Name() string { return "conv2d" }

// Inputs returns the positions of bias and shortcut among the inputs, -1 for one that the op has not.
func (o Conv2D) Inputs() (bias, shortcut int) {
	bias, shortcut = -1, -1
	next := 2
	if o.Bias {
		bias = next
		next++
	}
	if o.Add {
		shortcut = next
	}
	return bias, shortcut
}

func (o Conv2D) infer(in []TensorType) (TensorType, error) {
	if err := o.check(in); err != nil {
		return TensorType{}, err
	}
	n, c, h, w := in[0].Shape.NCHW()
	k, cg, r, s := in[1].Shape.NCHW()
	if c%o.Groups != 0 || k%o.Groups != 0 {
		return TensorType{}, attrError(o, "groups", "a divisor of C and K", fmt.Sprintf("%d with C=%d, K=%d", o.Groups, c, k))
	}
	if cg != c/o.Groups {
		return TensorType{}, inputError(o, 1, fmt.Sprintf("%d channels a filter (C=%d / groups=%d)", c/o.Groups, c, o.Groups), in[1].Shape.String())
	}
	h, w = h+o.Padding.Top+o.Padding.Bottom, w+o.Padding.Left+o.Padding.Right
	if r-1 > (h-1)/o.Dilation[0] || s-1 > (w-1)/o.Dilation[1] { // a product could overflow
		return TensorType{}, inputError(o, 1, fmt.Sprintf("a kernel that with dilation %d,%d fits the padded %dx%d input", o.Dilation[0], o.Dilation[1], h, w),
			fmt.Sprintf("%dx%d", r, s))
	}
	p, q := (h-1-o.Dilation[0]*(r-1))/o.Stride[0]+1, (w-1-o.Dilation[1]*(s-1))/o.Stride[1]+1
	out, err := result(o, in[0].DType, n, k, p, q)
	if err != nil {
		return TensorType{}, err
	}
	bias, shortcut := o.Inputs()
	if bias >= 0 {
		if err := wantShape(o, bias, "bias", in[bias], k); err != nil {
			return TensorType{}, err
		}
	}
	if shortcut >= 0 {
		if err := wantShape(o, shortcut, "shortcut", in[shortcut], n, k, p, q); err != nil {
			return TensorType{}, err
		}
	}
	return out, nil
}

// check holds the attributes and the number and rank of the inputs against the rules that need no arithmetic.
func (o Conv2D) check(in []TensorType) error {
	want, names := 2, "x, w"
	if o.Bias {
		want, names = want+1, names+", bias"
	}
	if o.Add {
		want, names = want+1, names+", shortcut"
	}
	if err := wantInputs(o, in, want, names); err != nil {
		return err
	}
	for i := range 2 {
		if err := wantNCHW(o, i, in[i]); err != nil {
			return err
		}
	}
	if in[1].Shape.Dim(0) < 1 {
		return inputError(o, 1, "at least 1 filter", in[1].Shape.String())
	}
	if err := wantPositive(o, "stride", o.Stride); err != nil {
		return err
	}
	if err := wantPositive(o, "dilation", o.Dilation); err != nil {
		return err
	}
	if err := wantPadding(o, o.Padding); err != nil {
		return err
	}
	if o.Groups < 1 {
		return attrError(o, "groups", "at least 1", fmt.Sprint(o.Groups))
	}
	if o.Act > ActReLU {
		return attrError(o, "act", "none or relu", o.Act.String())
	}
	return nil
}

func (o Conv2D) work(in []TensorType, out TensorType) work {
	_, cg, r, s := in[1].Shape.NCHW()
	y := int64(out.Shape.Elems())
	w := work{macs: times(y, int64(cg*r*s))}
	w.flops = plus(times(2, w.macs), eachStep(y, o.Bias, o.Add, o.Act != NoActivation))
	return w
}

// Linear is a fully connected layer: y = x·wᵀ + bias.
//
// Inputs: x [N,C], w [K,C], then bias [K] when Bias is set. Result: [N,K].
// Errors: *[ShapeError] when the shapes do not fit. Source: PyTorch nn.Linear.
type Linear struct{ Bias bool }

// Name returns "linear".
func (Linear) Name() string { return "linear" }

func (o Linear) infer(in []TensorType) (TensorType, error) {
	want, names := 2, "x, w"
	if o.Bias {
		want, names = 3, "x, w, bias"
	}
	if err := wantInputs(o, in, want, names); err != nil {
		return TensorType{}, err
	}
	x, w := in[0].Shape, in[1].Shape
	if x.Rank() != 2 || x.Dim(1) < 1 {
		return TensorType{}, inputError(o, 0, "[N,C] with C at least 1", x.String())
	}
	if w.Rank() != 2 || w.Dim(1) != x.Dim(1) || w.Dim(0) < 1 {
		return TensorType{}, inputError(o, 1, fmt.Sprintf("[K,%d] with K at least 1", x.Dim(1)), w.String())
	}
	if o.Bias {
		if err := wantShape(o, 2, "bias", in[2], w.Dim(0)); err != nil {
			return TensorType{}, err
		}
	}
	return result(o, in[0].DType, x.Dim(0), w.Dim(0))
}

func (o Linear) work(in []TensorType, out TensorType) work {
	y := int64(out.Shape.Elems())
	w := work{macs: times(y, int64(in[1].Shape.Dim(1)))}
	w.flops = plus(times(2, w.macs), eachStep(y, o.Bias))
	return w
}
