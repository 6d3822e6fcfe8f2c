package graph

import "fmt"

// MaxPool is the maximum over a sliding window; padding never wins. NaN in a window gives NaN.
//
// Inputs: x [N,C,H,W]. Result: [N,C,P,Q] with P = floor((H + top + bottom - Kernel[0])/Stride[0]) + 1, or with the
// quotient rounded up when CeilMode is set, less one when the last window would start in the bottom padding.
// Errors: *[ShapeError] when a padding is not smaller than the kernel (a window of padding alone has no maximum).
// Source: PyTorch nn.MaxPool2d without dilation.
type MaxPool struct {
	Kernel, Stride [2]int
	Padding        Padding
	CeilMode       bool
}

// Name returns "max_pool".
func (MaxPool) Name() string { return "max_pool" }

func (o MaxPool) infer(in []TensorType) (TensorType, error) {
	return inferPool(o, in, o.Kernel, o.Stride, o.Padding, o.CeilMode)
}

func (o MaxPool) work(_ []TensorType, out TensorType) work {
	return work{flops: times(int64(out.Shape.Elems()), int64(o.Kernel[0])*int64(o.Kernel[1])-1)}
}

// AvgPool is the mean over a sliding window.
//
// Shapes as [MaxPool]. The divisor is the number of elements of the window that lie in the input, or, when
// CountIncludePad is set, in the input and its padding; what CeilMode makes a window reach beyond the padding never counts.
// Source: PyTorch nn.AvgPool2d.
type AvgPool struct {
	Kernel, Stride  [2]int
	Padding         Padding
	CeilMode        bool
	CountIncludePad bool
}

// Name returns "avg_pool".
func (AvgPool) Name() string { return "avg_pool" }

func (o AvgPool) infer(in []TensorType) (TensorType, error) {
	return inferPool(o, in, o.Kernel, o.Stride, o.Padding, o.CeilMode)
}

func (o AvgPool) work(_ []TensorType, out TensorType) work {
	return work{flops: times(int64(out.Shape.Elems()), int64(o.Kernel[0])*int64(o.Kernel[1]))} // the sum's adds and one division
}

func inferPool(o Op, in []TensorType, kernel, stride [2]int, pad Padding, ceil bool) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	if err := wantPositive(o, "kernel", kernel); err != nil {
		return TensorType{}, err
	}
	if err := wantPositive(o, "stride", stride); err != nil {
		return TensorType{}, err
	}
	if err := wantPadding(o, pad); err != nil {
		return TensorType{}, err
	}
	if max(pad.Top, pad.Bottom) >= kernel[0] || max(pad.Left, pad.Right) >= kernel[1] {
		return TensorType{}, attrError(o, "padding", fmt.Sprintf("less than the kernel %dx%d on each side", kernel[0], kernel[1]), fmt.Sprint(pad))
	}
	n, c, h, w := in[0].Shape.NCHW()
	p := poolExtent(h, kernel[0], stride[0], pad.Top, pad.Bottom, ceil)
	q := poolExtent(w, kernel[1], stride[1], pad.Left, pad.Right, ceil)
	if p < 1 || q < 1 {
		return TensorType{}, attrError(o, "kernel", fmt.Sprintf("at most the padded input %dx%d", h+pad.Top+pad.Bottom, w+pad.Left+pad.Right),
			fmt.Sprintf("%dx%d", kernel[0], kernel[1]))
	}
	return result(o, in[0].DType, n, c, p, q)
}

// poolExtent is the number of windows along one dimension, below 1 when not even one fits. In ceil mode one that is
// larger than the padded input fits when it reaches less than a stride beyond.
func poolExtent(size, kernel, stride, before, after int, ceil bool) int {
	span := size + before + after - kernel
	quotient, remainder := span/stride, span%stride
	if remainder < 0 { // round down, not towards zero
		quotient--
	}
	n := quotient + 1
	if ceil && remainder != 0 && n*stride < size+before {
		n++
	}
	return n
}

// GlobalAvgPool is the mean over all rows and columns.
//
// Inputs: x [N,C,H,W]. Result: [N,C,1,1]. Source: ONNX GlobalAveragePool.
type GlobalAvgPool struct{}

// Name returns "global_avg_pool".
func (GlobalAvgPool) Name() string { return "global_avg_pool" }

func (o GlobalAvgPool) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	n, c, _, _ := in[0].Shape.NCHW()
	return TensorType{in[0].DType, NewShape(n, c, 1, 1)}, nil
}

func (o GlobalAvgPool) work(in []TensorType, _ TensorType) work {
	return work{flops: int64(in[0].Shape.Elems())}
}
