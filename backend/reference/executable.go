package reference

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/hostmem"
	"github.com/resnet-run/resnet-run/graph"
)

// executable is a checked graph with parameters of its own.
type executable struct {
	dev    *device
	g      *graph.Graph // without the data of its parameters
	params map[*graph.Value][]float32
	outs   []*graph.Value // the graph's outputs
	sig    graph.Signature
	closed atomic.Bool
}

func newExecutable(d *device, g *graph.Graph) (*executable, error) {
	e := &executable{dev: d, params: map[*graph.Value][]float32{}}
	b := graph.NewBuilder(g.Name)
	own := map[*graph.Value]*graph.Value{}
	for _, v := range g.Inputs {
		own[v] = b.Input(v.Name, v.Type)
	}
	for _, v := range g.Params {
		own[v] = b.Param(v.Name, v.Type, nil)
		e.params[own[v]] = slices.Clone(v.Data.Float32s()) // the caller may unmap the file it lies in
	}
	if err := g.DataErr(); err != nil {
		return nil, fmt.Errorf("compile graph %q: %w", g.Name, err)
	}
	for _, n := range g.Nodes {
		in := make([]*graph.Value, len(n.Inputs))
		for i, v := range n.Inputs {
			in[i] = own[v]
		}
		own[n.Output] = b.Node(n.Name, n.Op, in...)
	}
	for _, v := range g.Outputs {
		e.outs = append(e.outs, own[v])
	}
	b.Output(e.outs...)
	var err error
	if e.g, err = b.Build(); err != nil {
		return nil, fmt.Errorf("compile graph %q: %w", g.Name, err)
	}
	e.sig = e.g.Signature()
	return e, nil
}

func (e *executable) Signature() graph.Signature {
	return graph.Signature{Inputs: slices.Clone(e.sig.Inputs), Outputs: slices.Clone(e.sig.Outputs)}
}

func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if e.closed.Load() || e.dev.Check() != nil {
		return fmt.Errorf("run graph %q: %w", e.g.Name, backend.ErrClosed)
	}
	ins, outs := make([]hostmem.View, len(e.sig.Inputs)), make([]hostmem.View, len(e.sig.Outputs))
	if err := e.dev.Bind(e.sig, ins, outs, in, out); err != nil {
		return fmt.Errorf("run graph %q: %w", e.g.Name, err)
	}
	r := newRun(e.g, func(v *graph.Value) []float64 { return Widen(e.params[v]) })
	for i, v := range e.g.Inputs {
		if err := ins[i].Buffer.Use(func(data []float32) { r.values[v] = Widen(data) }); err != nil {
			return fmt.Errorf("run graph %q: input %d (%q): %w", e.g.Name, i, v.Name, err)
		}
	}
	if err := r.do(ctx, e.outs); err != nil {
		return fmt.Errorf("run graph %q: %w", e.g.Name, err)
	}
	for i, v := range e.outs {
		if err := outs[i].Buffer.Use(func(data []float32) { narrow(data, r.value(v)) }); err != nil {
			return fmt.Errorf("run graph %q: output %d (%q): %w", e.g.Name, i, v.Name, err)
		}
	}
	return nil
}

func narrow(to []float32, from []float64) {
	for i, v := range from {
		to[i] = float32(v)
	}
}

func (e *executable) Close() error {
	e.closed.Store(true)
	return nil
}
