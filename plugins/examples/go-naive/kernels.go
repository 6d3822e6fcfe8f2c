package main

import (
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// tensors holds the values of a run, row-major.
type tensors map[*graph.Value][]float32

// kernels compute the result y of a node, whose inputs are in t, by the name of the operation. An operation that is not
// here is refused. The formulas are in package graph; sums are kept in float64, since accuracy is cheap for slow loops.
var kernels = map[string]func(n *graph.Node, t tensors, y []float32){
	"relu":            relu,
	"add":             add,
	"flatten":         func(n *graph.Node, t tensors, y []float32) { copy(y, t[n.Inputs[0]]) },
	"softmax":         softmax,
	"linear":          linear,
	"global_avg_pool": globalAvgPool,
	"max_pool":        maxPool,
	"conv2d":          conv2d,
	"channel_pad":     channelPad,
	"subsample":       subsample,
}

func relu(n *graph.Node, t tensors, y []float32) {
	for i, v := range t[n.Inputs[0]] {
		y[i] = max(v, 0) // NaN stays NaN
	}
}

func add(n *graph.Node, t tensors, y []float32) {
	b := t[n.Inputs[1]]
	for i, a := range t[n.Inputs[0]] {
		y[i] = a + b[i]
	}
}

func softmax(n *graph.Node, t tensors, y []float32) {
	size := n.Output.Type.Shape.Dim(-1)
	for x := t[n.Inputs[0]]; len(y) > 0; x, y = x[size:], y[size:] {
		top, sum := float64(slices.Max(x[:size])), 0.0
		e := make([]float64, size)
		for i := range e {
			e[i] = math.Exp(float64(x[i]) - top)
			sum += e[i]
		}
		for i := range e {
			y[i] = float32(e[i] / sum)
		}
	}
}

func linear(n *graph.Node, t tensors, y []float32) {
	x, w := t[n.Inputs[0]], t[n.Inputs[1]]
	features, classes := n.Inputs[0].Type.Shape.Dim(1), n.Output.Type.Shape.Dim(1)
	for i := range y {
		row, k := i/classes, i%classes
		sum := 0.0
		for c := range features {
			sum += float64(x[row*features+c]) * float64(w[k*features+c])
		}
		if n.Op.(graph.Linear).Bias {
			sum += float64(t[n.Inputs[2]][k])
		}
		y[i] = float32(sum)
	}
}

func globalAvgPool(n *graph.Node, t tensors, y []float32) {
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	x := t[n.Inputs[0]]
	for i := range y {
		sum := 0.0
		for _, v := range x[i*h*w : (i+1)*h*w] {
			sum += float64(v)
		}
		y[i] = float32(sum / float64(h*w))
	}
}

func maxPool(n *graph.Node, t tensors, y []float32) {
	o := n.Op.(graph.MaxPool)
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	_, _, p, q := n.Output.Type.Shape.NCHW()
	for i := range y {
		plane := t[n.Inputs[0]][i/(p*q)*h*w:][:h*w]
		top, left := i/q%p*o.Stride[0]-o.Padding.Top, i%q*o.Stride[1]-o.Padding.Left
		best := float32(math.Inf(-1)) // padding never wins
		for r := max(top, 0); r < min(top+o.Kernel[0], h); r++ {
			for s := max(left, 0); s < min(left+o.Kernel[1], w); s++ {
				best = max(best, plane[r*w+s]) // NaN wins
			}
		}
		y[i] = best
	}
}

func conv2d(n *graph.Node, t tensors, y []float32) {
	o := n.Op.(graph.Conv2D)
	_, channels, h, w := n.Inputs[0].Type.Shape.NCHW()
	filters, perGroup, kr, ks := n.Inputs[1].Type.Shape.NCHW()
	_, _, p, q := n.Output.Type.Shape.NCHW()
	bias, shortcut := o.Inputs() // their places among the inputs, or -1
	for i := range y {
		image, k := i/(p*q)/filters, i/(p*q)%filters
		top, left := i/q%p*o.Stride[0]-o.Padding.Top, i%q*o.Stride[1]-o.Padding.Left
		sum := 0.0
		for c := range perGroup {
			first := image*channels + k/(filters/o.Groups)*perGroup
			plane := t[n.Inputs[0]][(first+c)*h*w:][:h*w]
			kernel := t[n.Inputs[1]][(k*perGroup+c)*kr*ks:][:kr*ks]
			for tap, weight := range kernel {
				row, column := top+tap/ks*o.Dilation[0], left+tap%ks*o.Dilation[1]
				if row >= 0 && row < h && column >= 0 && column < w { // else it is padding, which is nothing and not 0·weight
					sum += float64(plane[row*w+column]) * float64(weight)
				}
			}
		}
		if bias >= 0 {
			sum += float64(t[n.Inputs[bias]][k])
		}
		if shortcut >= 0 {
			sum += float64(t[n.Inputs[shortcut]][i])
		}
		if o.Act == graph.ActReLU {
			sum = max(sum, 0)
		}
		y[i] = float32(sum)
	}
}

func channelPad(n *graph.Node, t tensors, y []float32) {
	o := n.Op.(graph.ChannelPad)
	_, channels, h, w := n.Inputs[0].Type.Shape.NCHW()
	size, all := channels*h*w, (o.Before+channels+o.After)*h*w
	for x := t[n.Inputs[0]]; len(y) > 0; x, y = x[size:], y[all:] {
		copy(y[o.Before*h*w:], x[:size]) // the rest of y is 0
	}
}

func subsample(n *graph.Node, t tensors, y []float32) {
	o := n.Op.(graph.Subsample)
	_, _, h, w := n.Inputs[0].Type.Shape.NCHW()
	_, _, p, q := n.Output.Type.Shape.NCHW()
	for i := range y {
		y[i] = t[n.Inputs[0]][i/(p*q)*h*w+i/q%p*o.Stride[0]*w+i%q*o.Stride[1]]
	}
}
