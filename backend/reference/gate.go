package reference

import (
	"context"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// sigmoid is 1/(1 + exp(-s)), with the relative precision of float64 at both ends.
func sigmoid(s float64) float64 { return 1 / (1 + math.Exp(-s)) }

// gate computes [graph.Gate], one channel of a picture a row.
func gate(ctx context.Context, o graph.Gate, in []tensor, out result) error {
	_, c, h, w := out.shape.NCHW()
	size := h * w
	return rows(ctx, out.shape.Dim(0)*c, func(i int) {
		s := in[1].data[i]
		g, r := sigmoid(s), gateError(s)
		for j := i * size; j < (i+1)*size; j++ {
			x := in[0].data[j]
			v, sum := x*g, 0.0
			if o.Add {
				sum = in[2].data[j]
				v += sum
			}
			if o.Act == graph.ActReLU {
				v = relu(v)
			}
			out.data[j] = v
			if out.bound != nil {
				out.bound[j] = gateBound(o, x, g, r, sum)
			}
		}
	})
}

// gateError is how far a float32 device may be from σ(s), relative to it, in units of the roundoff, product included. An
// exponential is off by 3 + 2·|s| ULP at most (Vulkan specification, "Precision and Operation of SPIR-V Instructions"), of which
// σ feels the part 1 - σ; the addition rounds once, the division by 2.5 ULP, the product once.
func gateError(s float64) float64 {
	part := 1 - sigmoid(s)
	if part == 0 {
		return 7
	}
	return part*2*(3+2*math.Abs(s)) + 7
}

// gateBound is the bound of one element: r roundings of the product, one more of it and one of the shortcut where that is added.
// A gate that is nearly closed may be taken for closed: its exponential overflows, or the quotient is subnormal.
func gateBound(o graph.Gate, x, g, r, shortcut float64) float64 {
	product := math.Abs(x * g)
	bound := gamma(r)*product + flush(2)
	if nearlyClosed(g) {
		bound += product
	}
	if isSubnormal(x) {
		bound += math.Abs(x)
	}
	if o.Add {
		bound += gamma(1)*(product+bound+math.Abs(shortcut)) + flushed(shortcut)
	}
	return within(product+math.Abs(shortcut), bound)
}

// nearlyClosed reports whether float32 may take an open gate for a closed one.
func nearlyClosed(g float64) bool { return g > 0 && g < 4*minNormal }

// eitherGate makes the bounds infinite where an infinite value meets a gate that is nearly closed: that is infinity, or NaN where
// the gate is taken for zero.
func eitherGate(in []tensor, out result) {
	size := out.shape.Dim(2) * out.shape.Dim(3)
	for i, s := range in[1].data {
		if !nearlyClosed(sigmoid(s)) {
			continue
		}
		for j := i * size; j < (i+1)*size; j++ {
			if math.IsInf(in[0].data[j], 0) {
				out.bound[j] = math.Inf(1)
			}
		}
	}
}
