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
	var weightData, biasData *graph.Tensor
	if bound(conv.Inputs[1:]) && bound(n.Inputs[1:]) {
		weights, bias, ok := foldNumbers(conv, op, n, norm)
		if !ok {
			return nil
		}
		var err error
		if weightData, err = graph.FromFloat32s(weightType.Shape, weights); err != nil {
			return err
		}
		if biasData, err = graph.FromFloat32s(biasType.Shape, bias); err != nil {
			return err
		}
	}
	op.Bias = true
	r.absorb(conv, n, op, []*graph.Value{
		conv.Inputs[0],
		r.param(w.Name, ".folded", weightType, weightData),
		r.param(biasName, ".folded", biasType, biasData),
	})
	return nil
}

func bound(operands []*graph.Value) bool {
	return !slices.ContainsFunc(operands, func(v *graph.Value) bool { return v.Data == nil })
}

// foldNumbers computes the folded weights and bias; ok tells whether all are finite.
func foldNumbers(conv *graph.Node, op graph.Conv2D, n *graph.Node, norm graph.BatchNorm) (weights, bias []float32, ok bool) {
	w := conv.Inputs[1].Data.Float32s()
	scale, shift := n.Inputs[1].Data.Float32s(), n.Inputs[2].Data.Float32s()
	mean, variance := n.Inputs[3].Data.Float32s(), n.Inputs[4].Data.Float32s()
	weights, bias = make([]float32, len(w)), make([]float32, len(scale))
	perFilter := len(w) / len(scale)
	for k := range scale {
		s := float64(scale[k]) / math.Sqrt(float64(variance[k])+norm.Epsilon)
		b := -float64(mean[k])
		if op.Bias {
			b += float64(conv.Inputs[2].Data.Float32s()[k])
		}
		bias[k] = float32(b*s + float64(shift[k]))
		if !finite(bias[k]) {
			return nil, nil, false
		}
		for i := k * perFilter; i < (k+1)*perFilter; i++ {
			weights[i] = float32(float64(w[i]) * s)
			if !finite(weights[i]) {
				return nil, nil, false
			}
		}
	}
	return weights, bias, true
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
