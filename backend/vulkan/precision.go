package vulkan

import (
	"fmt"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
)

// Precision is how a compiled graph stores activations and weights. Inputs and outputs are float32 whatever it is, and so are sums and
// products but with HalfArithmetic. The zero value is Float32.
type Precision uint8

// The precisions.
const (
	Float32 Precision = iota
	// Half stores activations and weights as float16, which halves the memory that a layer moves. A layer whose weights, operands or results
	// leave the range of float16 on the calibration input stays float32 (the log says which), and so do operations that have no kernel for
	// float16: linear, softmax. What leaves the range on other inputs becomes infinite.
	Half
	// HalfArithmetic is Half, and convolutions may also be computed by kernels that multiply in float16 and add up to 32 products in it before their sum joins
	// float32; which of all kernels runs is decided as always. Results are less exact: the bounds of backend/reference say by how much
	// ([backend.Precision].HalfTerms). A layer where such sums could leave the range of float16, going by the calibration input, keeps sums of float32.
	// Devices without float16 arithmetic (shaderFloat16) have no such kernels.
	HalfArithmetic
)

// String returns "f32", "f16" or "f16a".
func (p Precision) String() string {
	switch p {
	case Float32:
		return "f32"
	case Half:
		return "f16"
	case HalfArithmetic:
		return "f16a"
	}
	return fmt.Sprintf("precision(%d)", uint8(p))
}

// ParsePrecision is the inverse of [Precision.String].
func ParsePrecision(s string) (Precision, error) {
	for _, p := range []Precision{Float32, Half, HalfArithmetic} {
		if s == p.String() {
			return p, nil
		}
	}
	return Float32, fmt.Errorf("read precision: want f32, f16 or f16a, got %.40q", s)
}

// fenced is the variant with [Options.Fences], or the end of one with a precision before it, as in "f16-fenced".
const fenced = "fenced"

// Variant returns the backend with another precision, "f32", "f16" or "f16a", with fences ("fenced"), or with both ("f16-fenced").
func (b *vulkan) Variant(name string) (backend.Backend, error) {
	o := b.opts
	o.Precision, o.Fences = Float32, name == fenced
	if o.Fences {
		return &vulkan{o}, nil
	}
	var precision string
	precision, o.Fences = strings.CutSuffix(name, "-"+fenced)
	var err error
	if o.Precision, err = ParsePrecision(precision); err != nil {
		return nil, fmt.Errorf("%w, or one of them and -%s, or %[2]s alone", err, fenced)
	}
	return &vulkan{o}, nil
}

// variant is the name by which Variant gives a backend with these options; "" is the default.
func (o *Options) variant() string {
	switch {
	case o.Fences && o.Precision == Float32:
		return fenced
	case o.Fences:
		return o.Precision.String() + "-" + fenced
	case o.Precision != Float32:
		return o.Precision.String()
	}
	return ""
}
