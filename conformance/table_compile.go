package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

func wantError(what string, e backend.Executable, err error) error {
	if err == nil {
		return errors.Join(fmt.Errorf("contract: %s: want an error, got none", what), e.Close())
	}
	return nil
}

func checkUnbound(ctx context.Context, b *bench) error {
	g, err := runGraphs[0].build()
	if err != nil {
		return err
	}
	e, err := b.dev.Compile(ctx, g)
	return wantError("compile of an unbound graph", e, err)
}

func checkNilGraph(ctx context.Context, b *bench) error {
	e, err := b.dev.Compile(ctx, nil)
	return wantError("compile of no graph", e, err)
}

func checkHalf(ctx context.Context, b *bench) (err error) {
	gb := graph.NewBuilder("half")
	typ := graph.TensorType{DType: graph.Float16, Shape: graph.NewShape(1, 2, 3, 4)}
	gb.Output(gb.Node("y", graph.ReLU{}, gb.Input("x", typ)))
	g, err := gb.Build()
	if err != nil {
		return err
	}
	e, err := b.compile(ctx, g)
	if IsRefusal(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	in, err := newBuffer(ctx, b.dev, graph.Port{Type: typ}, make([]byte, typ.SizeBytes()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := newBuffer(ctx, b.dev, graph.Port{Type: typ}, slices.Repeat([]byte{0x3c}, typ.SizeBytes()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := e.Run(ctx, buffers{in}, buffers{out}); err != nil {
		return fmt.Errorf("contract: run of what Supports and Compile took: %w", err)
	}
	at, err := differs(ctx, out, make([]byte, typ.SizeBytes()))
	if err == nil && at >= 0 {
		return fmt.Errorf("contract: relu of zeros in float16: byte %d is not zero", at)
	}
	return err
}

// laterOp is an op that no device of today has.
type laterOp struct{ graph.ReLU }

func (laterOp) Name() string { return "later_op" }

func checkLaterOp(ctx context.Context, b *bench) error {
	typ := graph.F32(1, 2, 3, 4)
	x := &graph.Value{Name: "x", Type: typ, Kind: graph.InputValue}
	n := &graph.Node{Name: "y", Op: laterOp{}, Inputs: []*graph.Value{x}}
	n.Output = &graph.Value{Name: "y", Type: typ, Kind: graph.NodeValue, Node: n}
	if err := b.dev.Supports(n); !errors.Is(err, backend.ErrUnsupported) {
		return fmt.Errorf("contract: ask for an op of a later version: want backend.ErrUnsupported, got %v", err)
	}
	e, err := b.dev.Compile(ctx, &graph.Graph{Name: "later", Inputs: []*graph.Value{x}, Nodes: []*graph.Node{n}, Outputs: []*graph.Value{n.Output}})
	return wantError("compile of an op of a later version", e, err)
}

// checkDataDropped overwrites the weights of a graph after compile: the executable must not look at them again.
func checkDataDropped(ctx context.Context, b *bench) (err error) {
	c := &Case{Name: b.c.Name, build: runGraphs[0].build}
	g, err := c.Graph()
	if err != nil {
		return err
	}
	inputs := c.Inputs(g)
	want, _, err := b.once(ctx, g, inputs)
	if err != nil {
		return err
	}
	e, err := b.compile(ctx, g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for _, p := range g.Params {
		clear(p.Data.Data)
	}
	t, err := newTray(ctx, b.dev, g.Signature(), inputs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	got, err := again(ctx, e, t)
	if err != nil {
		return err
	}
	return sameBits("a run after the weights were overwritten", t, got, want)
}
