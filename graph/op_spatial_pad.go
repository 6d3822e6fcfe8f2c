package graph

import "fmt"

// SpatialPad adds rows and columns round each picture: zeros, or with Reflect the picture mirrored at its first and last row and
// column, which are not repeated: left of a, b, c come c, b.
//
// Inputs: x [N,C,H,W]. Result: [N,C,Top+H+Bottom,Left+W+Right].
// Errors: *[ShapeError] when a padding is not smaller than the picture with Reflect.
// Source: PyTorch nn.ZeroPad2d and nn.ReflectionPad2d.
type SpatialPad struct {
	Padding Padding
	Reflect bool
}

// Name returns "spatial_pad".
func (SpatialPad) Name() string { return "spatial_pad" }

func (o SpatialPad) infer(in []TensorType) (TensorType, error) {
	if err := wantInputs(o, in, 1, "x"); err != nil {
		return TensorType{}, err
	}
	if err := wantNCHW(o, 0, in[0]); err != nil {
		return TensorType{}, err
	}
	if err := wantPadding(o, o.Padding); err != nil {
		return TensorType{}, err
	}
	n, c, h, w := in[0].Shape.NCHW()
	p := o.Padding
	if o.Reflect && (max(p.Top, p.Bottom) >= h || max(p.Left, p.Right) >= w) {
		return TensorType{}, attrError(o, "padding", fmt.Sprintf("less than the picture %dx%d on each side to reflect it", h, w), fmt.Sprint(p))
	}
	return result(o, in[0].DType, n, c, p.Top+h+p.Bottom, p.Left+w+p.Right)
}

func (o SpatialPad) work([]TensorType, TensorType) work { return work{} }
