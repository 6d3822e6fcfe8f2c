package pass

import (
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// FoldBatchNorm folds each batch_norm that follows a convolution into the convolution's weights and bias:
//
//	s = weight/sqrt(variance + epsilon),   w' = w·s,   bias' = (bias_conv - mean)·s + bias_norm
//
// computed in float64 and rounded to float32 once. The new parameters are called after the old ones, with
// ".folded" appended: the convolution's weights and bias, or where it has no bias, the batch norm's.
//
// It is left alone when the convolution has another reader, is an output of the graph or has an epilogue, when an
// operand is computed rather than a parameter or is not float32, or when a folded number is not finite.
func FoldBatchNorm(g *graph.Graph) (*graph.Graph, error) {
	for {
		next, err := foldOnce(g)
		if err != nil || next == g {
			return g, err
		}
		g = next // a batch norm after a batch norm can now be folded too
	}
}

func foldOnce(g *graph.Graph) (*graph.Graph, error) {
	r := newRewrite(g)
	for _, n := range g.Nodes {
		norm, ok := n.Op.(graph.BatchNorm)
		if !ok {
			continue
		}
		conv, op, ok := r.plainConv(n.Inputs[0])
		if !ok || !foldable(conv.Inputs[1:]) || !foldable(n.Inputs[1:]) {
			continue
		}
		if err := r.fold(conv, op, n, norm); err != nil {
			return nil, fmt.Errorf("fold node %q into %q: %w", n.Name, conv.Name, err)
		}
	}
	if !r.changed() {
		return g, nil
	}
	return r.build()
}

// foldable reports whether the operands are float32 parameters.
func foldable(operands []*graph.Value) bool {
	return !slices.ContainsFunc(operands, func(v *graph.Value) bool {
		return v.Kind != graph.ParamValue || v.Type.DType != graph.Float32
	})
}

// fold plans the folding of one batch norm, unless a folded number is not finite.
func (r *rewrite) fold(conv *graph.Node, op graph.Conv2D, n *graph.Node, norm graph.BatchNorm) error {
	w, biasName := conv.Inputs[1], n.Inputs[2].Name
	if op.Bias {
		biasName = conv.Inputs[2].Name
	}
	weightType, biasType := w.Type, n.Inputs[2].Type
	var data foldedData
	if bound(conv.Inputs[1:]) && bound(n.Inputs[1:]) {
		var ok bool
		var err error
		if data, ok, err = foldNumbers(conv, op, n, norm); err != nil || !ok {
			return err
		}
	}
	op.Bias = true
	r.absorb(conv, n, op, []*graph.Value{
		conv.Inputs[0],
		r.param(w.Name, ".folded", weightType, data.weights),
		r.param(biasName, ".folded", biasType, data.bias),
	})
	return nil
}

func bound(operands []*graph.Value) bool {
	return !slices.ContainsFunc(operands, func(v *graph.Value) bool { return v.Data == nil })
}

// foldedData is the data of the new parameters, nil while the old ones have none.
type foldedData struct{ weights, bias *graph.Tensor }

// foldNumbers computes the folded weights and bias; ok tells whether all are finite. Weights that are read lazily are
// folded when they are read, so that they never are in memory twice.
func foldNumbers(conv *graph.Node, op graph.Conv2D, n *graph.Node, norm graph.BatchNorm) (d foldedData, ok bool, err error) {
	w := conv.Inputs[1].Data
	scale, shift := n.Inputs[1].Data.Float32s(), n.Inputs[2].Data.Float32s()
	mean, variance := n.Inputs[3].Data.Float32s(), n.Inputs[4].Data.Float32s()
	operands := append([]*graph.Value{conv.Inputs[1]}, n.Inputs[1:]...)
	var convBias []float32
	if op.Bias {
		convBias = conv.Inputs[2].Data.Float32s()
		operands = append(operands, conv.Inputs[2])
	}
	for _, v := range operands {
		if err := v.Data.Err(); err != nil {
			return d, false, fmt.Errorf("read parameter %q: %w", v.Name, err)
		}
	}
	f := &foldedWeights{weights: w, scale: make([]float64, len(scale)), key: foldedKey(operands, norm.Epsilon)}
	bias, largest := make([]float32, len(scale)), 0.0
	for k := range scale {
		s := float64(scale[k]) / math.Sqrt(float64(variance[k])+norm.Epsilon)
		b := -float64(mean[k])
		if op.Bias {
			b += float64(convBias[k])
		}
		f.scale[k], bias[k] = s, float32(b*s+float64(shift[k]))
		if s-s != 0 || !finite(bias[k]) {
			return d, false, nil
		}
		largest = max(largest, math.Abs(s))
	}
	if d.bias, err = graph.FromFloat32s(n.Inputs[2].Type.Shape, bias); err != nil {
		return d, false, err
	}
	// A product of two numbers is at most that of their bounds: only where that overflows is each one looked at.
	f.bound = w.Bound() * largest
	if w.IsLazy() && f.bound <= math.MaxFloat32 {
		d.weights = graph.NewLazy(w.Type.Shape, f)
		return d, true, nil
	}
	weights := make([]float32, w.Type.Shape.Elems())
	if err := f.ReadFloat32s(weights); err != nil {
		return d, false, err
	}
	if slices.ContainsFunc(weights, func(v float32) bool { return !finite(v) }) {
		return d, false, nil
	}
	d.weights, err = graph.FromFloat32s(w.Type.Shape, weights)
	return d, true, err
}

// foldedWeights is the source of the weights [K,...] of a convolution, each filter times a factor.
type foldedWeights struct {
	weights *graph.Tensor
	scale   []float64 // K
	bound   float64
	key     any
}

func (f *foldedWeights) ReadFloat32s(dst []float32) error {
	if err := f.weights.ReadFloat32s(dst); err != nil {
		return err
	}
	perFilter := len(dst) / max(1, len(f.scale))
	for k, s := range f.scale {
		filter := dst[k*perFilter:][:perFilter]
		for i, v := range filter {
			filter[i] = float32(float64(v) * s)
		}
	}
	return nil
}

func (f *foldedWeights) Bound() float64 { return f.bound }
func (f *foldedWeights) Key() any       { return f.key }

// maxFoldedOperands is the weights, the four of the batch norm, and the bias of the convolution.
const maxFoldedOperands = 6

// foldedWeightsKey makes two foldings of the same parameters known as one.
type foldedWeightsKey struct {
	operands [maxFoldedOperands]any
	epsilon  float64
}

func foldedKey(operands []*graph.Value, epsilon float64) any {
	k := foldedWeightsKey{epsilon: epsilon}
	for i, v := range operands {
		if k.operands[i] = v.Data.Key(); k.operands[i] == nil {
			return nil
		}
	}
	return k
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
