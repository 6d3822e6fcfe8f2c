package graph

// Gate multiplies each channel of a picture by how far its gate is open, between 0 and 1, with an optional epilogue:
//
//	y = act(x·σ(s) + shortcut),  σ(s) = 1/(1 + exp(-s))
//
// It is the end of a squeeze-and-excitation module: s is what two convolutions of 1×1 made of the mean of each channel.
//
// Inputs: x [N,C,H,W], s [N,C,1,1], then shortcut [N,C,H,W] when Add is set. Result: as x.
// Errors: *[ShapeError] when an input has another shape. Source: Hu, Shen and Sun 2018, "Squeeze-and-excitation networks",
// section 3.2; the epilogue is ours.
type Gate struct {
	Add bool       // epilogue: add the last input before the activation
	Act Activation // epilogue
}

// Name returns "gate".
func (Gate) Name() string { return "gate" }

func (o Gate) infer(in []TensorType) (TensorType, error) {
	if err := wantEpilogue(o, in, o.Add, o.Act); err != nil {
		return TensorType{}, err
	}
	n, c, h, w := in[0].Shape.NCHW()
	if err := wantShape(o, 1, "gates", in[1], n, c, 1, 1); err != nil {
		return TensorType{}, err
	}
	if o.Add {
		if err := wantShape(o, 2, "shortcut", in[2], n, c, h, w); err != nil {
			return TensorType{}, err
		}
	}
	return in[0], nil
}

// work counts a gate as four operations, negation, exponential, addition and division, and each step on each element as one.
func (o Gate) work(in []TensorType, out TensorType) work {
	y := int64(out.Shape.Elems())
	return work{flops: plus(plus(times(4, int64(in[1].Shape.Elems())), y), eachStep(y, o.Add, o.Act != NoActivation))}
}
