package vulkan

import (
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
)

// Precision is how a compiled graph stores activations and weights. Inputs and outputs are float32 whatever it is, and so are sums and
// products. The zero value is Float32.
type Precision uint8

// The precisions.
const (
	Float32 Precision = iota
	// Half stores activations and weights as float16, which halves the memory that a layer moves. A layer whose weights, operands or results
	// leave the range of float16 on the calibration input stays float32 (the log says which), and so do operations that have no kernel for
	// float16: linear, softmax, batch_norm, channel_pad, subsample. What leaves the range on other inputs becomes infinite.
	Half
)

// String returns "f32" or "f16".
func (p Precision) String() string {
	switch p {
	case Float32:
		return "f32"
	case Half:
		return "f16"
	}
	return fmt.Sprintf("precision(%d)", uint8(p))
}

// ParsePrecision is the inverse of [Precision.String].
func ParsePrecision(s string) (Precision, error) {
	for _, p := range []Precision{Float32, Half} {
		if s == p.String() {
			return p, nil
		}
	}
	return Float32, fmt.Errorf("read precision: want f32 or f16, got %.40q", s)
}

// Variant returns the backend with another precision, "f32" or "f16".
func (b *vulkan) Variant(name string) (backend.Backend, error) {
	p, err := ParsePrecision(name)
	if err != nil {
		return nil, err
	}
	o := b.opts
	o.Precision = p
	return &vulkan{o}, nil
}
