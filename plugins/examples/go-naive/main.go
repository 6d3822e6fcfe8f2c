// Command resnet-run-backend-go-naive is the smallest backend that is of use, as a plugin of resnet-run: it computes what
// most of a ResNet is made of, and leaves the rest to other backends. README.md says how to go on from a copy.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/hostmem"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/plugins"
)

func main() { plugins.Serve(naive{}) }

var info = backend.DeviceInfo{Backend: "go-naive", ID: "0", Name: "plain Go loops", Type: backend.CPU}

type naive struct{}

func (naive) Name() string { return info.Backend }
func (naive) Devices(context.Context) ([]backend.DeviceInfo, error) {
	return []backend.DeviceInfo{info}, nil
}

func (naive) Open(_ context.Context, id string) (backend.Device, error) {
	if id != info.ID {
		return nil, backend.ErrNoDevice
	}
	return &device{}, nil
}

type device struct{ hostmem.Owner } // has NewBuffer and Close: the tensors lie in ordinary memory

func (d *device) Info() backend.DeviceInfo { return info }

// Supports binds: what it accepts must compile, run and be right; what it refuses, Compile must refuse.
func (d *device) Supports(n *graph.Node) error {
	if kernels[n.Op.Name()] == nil || n.Output.Type.DType != graph.Float32 {
		return backend.Unsupported("op", "float32 and one of "+fmt.Sprint(slices.Sorted(maps.Keys(kernels))), n.Op.Name()+" of "+n.Output.Type.String())
	}
	return d.Check()
}

func (d *device) Compile(_ context.Context, g *graph.Graph) (backend.Executable, error) {
	if g == nil {
		return nil, errors.New("compile: want a graph, got nil")
	}
	errs := []error{d.Check(), g.Validate()}
	for _, n := range g.Nodes {
		errs = append(errs, d.Supports(n))
	}
	weights := tensors{}
	for _, p := range g.Params {
		if p.Data == nil || p.Type.DType != graph.Float32 {
			return nil, backend.Unsupported(p.Name, "float32 data", p.Type.String())
		}
		weights[p] = slices.Clone(p.Data.Float32s()) // the caller's may be gone after the call
	}
	return &executable{d, g, weights, atomic.Bool{}}, errors.Join(append(errs, g.DataErr())...)
}

type executable struct {
	dev          *device
	*graph.Graph // has the Signature
	weights      tensors
	closed       atomic.Bool
}

func (e *executable) Close() error { e.closed.Store(true); return nil }

func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.dev.Check(); err != nil || e.closed.Load() {
		return backend.ErrClosed
	}
	x, y := make([]hostmem.View, len(e.Inputs)), make([]hostmem.View, len(e.Outputs))
	if err := e.dev.Bind(e.Signature(), x, y, in, out); err != nil {
		return err
	}
	values := maps.Clone(e.weights)
	for i, v := range e.Inputs {
		values[v] = x[i].Data
	}
	for _, n := range e.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		values[n.Output] = make([]float32, n.Output.Type.Shape.Elems())
		kernels[n.Op.Name()](n, values, values[n.Output])
	}
	for i, v := range e.Outputs {
		copy(y[i].Data, values[v])
	}
	return nil
}

// tensors holds the values of a run, row-major.
type tensors map[*graph.Value][]float32

// kernels compute the result y of a node, whose inputs are in t, by the name of the operation. An operation that is not
// here is refused. The formulas are in package graph; sums are kept in float64, since accuracy is cheap for slow loops.
var kernels = map[string]func(n *graph.Node, t tensors, y []float32){"relu": relu, "add": add, "conv2d": conv2d}

func relu(n *graph.Node, t tensors, y []float32) {
	for i, v := range t[n.Inputs[0]] {
		y[i] = max(v, 0) // NaN stays NaN
	}
}

func add(n *graph.Node, t tensors, y []float32) {
	for i, v := range t[n.Inputs[0]] {
		y[i] = v + t[n.Inputs[1]][i]
	}
}

func conv2d(n *graph.Node, t tensors, y []float32) {
	o := n.Op.(graph.Conv2D)
	_, channels, h, w := n.Inputs[0].Type.Shape.NCHW()
	filters, perGroup, kr, ks := n.Inputs[1].Type.Shape.NCHW()
	_, _, p, q := n.Output.Type.Shape.NCHW()
	x, weights := t[n.Inputs[0]], t[n.Inputs[1]]
	bias, shortcut := o.Inputs() // their places among the inputs, or -1
	for i := range y {
		image, k, sum := i/(p*q)/filters, i/(p*q)%filters, 0.0
		for tap := range perGroup * kr * ks {
			c := image*channels + k/(filters/o.Groups)*perGroup + tap/(kr*ks)
			row := i/q%p*o.Stride[0] - o.Padding.Top + tap/ks%kr*o.Dilation[0]
			column := i%q*o.Stride[1] - o.Padding.Left + tap%ks*o.Dilation[1]
			if row >= 0 && row < h && column >= 0 && column < w { // else it is padding, which is nothing and not 0·weight
				sum += float64(x[(c*h+row)*w+column]) * float64(weights[k*perGroup*kr*ks+tap])
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
