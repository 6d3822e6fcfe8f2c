// Package head looks at the end of a classifier, where a ResNet takes the mean of each channel over all places and weighs the means for
// every class: what it computes besides logits follows from there.
//
//	features [N,C,H,W] ──mean over places──► embedding [N,C] ──linear──► logits [N,K]
//
// [Embedding] stops before the linear layer: pictures of like things have like means. [ClassMaps] takes the mean and the linear layer in the
// other order. Both are linear, so that the logit of a class is the mean of its map, and the map says which places it comes from: the class
// activation map of Zhou et al. 2016 (arXiv 1512.04150). For such a head Grad-CAM (Selvaraju et al. 2017, section 3 and appendix A) is the same
// but for a factor and the bias, without a gradient.
//
// Graphs are made before any pass, as the loaders give them; passes and devices take them as any other.
package head

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// ErrOther is wrapped when a network ends in another way than is wanted.
var ErrOther = errors.New("the network does not end so")

// classifier returns the linear layer that makes the first output.
func classifier(g *graph.Graph) (*graph.Node, error) {
	n := g.Outputs[0].Node
	if n == nil {
		return nil, fmt.Errorf("%w: want a linear layer as the last, got an input", ErrOther)
	}
	if _, ok := n.Op.(graph.Linear); !ok {
		return nil, fmt.Errorf("%w: want a linear layer as the last, got %s %q", ErrOther, n.Op.Name(), n.Name)
	}
	return n, nil
}

// Embedding returns the graph with what its last, linear layer reads [N,C] as its only output, and without the nodes behind it.
//
// Errors: one that wraps [ErrOther] when the first output is no linear layer's.
func Embedding(g *graph.Graph) (*graph.Graph, error) {
	n, err := classifier(g)
	if err != nil {
		return nil, fmt.Errorf("find embedding of graph %q: %w", g.Name, err)
	}
	return g.WithOutputs(n.Inputs[0].Name)
}

// ClassMaps returns the graph with two outputs: the first is that of g, the logits [N,K], the second a map for each class [N,K,H,W]
// whose mean over all places is the class's logit. H and W are those of the last feature map, 7 and 7 for a picture of 224×224.
//
// Errors: one that wraps [ErrOther] when the first output is no linear layer's over means of channels.
func ClassMaps(g *graph.Graph) (*graph.Graph, error) {
	n, features, err := overMeans(g)
	if err != nil {
		return nil, fmt.Errorf("find class maps of graph %q: %w", g.Name, err)
	}
	b := graph.NewBuilder(g.Name)
	now := g.CopyTo(b)
	taken := map[string]bool{}
	for v := range now {
		taken[v.Name] = true
	}
	fresh := func(base string) string {
		name := graph.FreshName(base, ".maps", func(name string) bool { return taken[name] })
		taken[name] = true
		return name
	}
	// The linear layer as a convolution of 1×1: its weights, [K,C] with two dimensions more, at every place instead of once.
	weight := n.Inputs[1]
	t := graph.TensorType{DType: weight.Type.DType, Shape: graph.NewShape(weight.Type.Shape.Dim(0), weight.Type.Shape.Dim(1), 1, 1)}
	var data *graph.Tensor
	if weight.Data != nil {
		if data, err = weight.Data.WithShape(t.Shape); err != nil {
			return nil, err
		}
	}
	op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1, Bias: n.Op.(graph.Linear).Bias}
	in := []*graph.Value{now[features], b.Param(fresh(weight.Name), t, data)}
	if op.Bias {
		in = append(in, now[n.Inputs[2]])
	}
	maps := b.Node(fresh(n.Name), op, in...)
	b.Output(now[n.Output], maps)
	return b.Build()
}

// overMeans returns the linear layer and the value of whose channels' means it is.
func overMeans(g *graph.Graph) (*graph.Node, *graph.Value, error) {
	n, err := classifier(g)
	if err != nil {
		return nil, nil, err
	}
	want := func(v *graph.Value) error {
		got := v.Kind.String()
		if v.Node != nil {
			got = v.Node.Op.Name()
		}
		return fmt.Errorf("%w: want the mean over all places before the linear layer %q, got %s %q", ErrOther, n.Name, got, v.Name)
	}
	x := n.Inputs[0]
	if x.Node == nil {
		return nil, nil, want(x)
	}
	if _, ok := x.Node.Op.(graph.Flatten); !ok {
		return nil, nil, want(x)
	}
	mean := x.Node.Inputs[0]
	if mean.Node == nil || !isMean(mean.Node) {
		return nil, nil, want(mean)
	}
	features := mean.Node.Inputs[0]
	if bias := n.Inputs[2:]; len(bias) > 0 && bias[0].Kind != graph.ParamValue || n.Inputs[1].Kind != graph.ParamValue {
		return nil, nil, fmt.Errorf("%w: want parameters as weights of the linear layer %q", ErrOther, n.Name)
	}
	return n, features, nil
}

// isMean reports whether a node takes the mean of each channel over all places.
func isMean(n *graph.Node) bool {
	switch op := n.Op.(type) {
	case graph.GlobalAvgPool:
		return true
	case graph.AvgPool: // a window as large as the picture: what exporters wrote for pictures of 224×224
		_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
		return op.Kernel == [2]int{h, w} && op.Padding == graph.Padding{}
	}
	return false
}
