// Package compare runs one network on two devices and finds where they begin to differ from what is right.
//
// # Two ways of looking
//
// Exposed: the graph is run with every node's result as an output. Each result is then held against the float64 reference of
// the inputs that the device itself gave the node, within the bound of float32 arithmetic ([conformance.JudgeNode]). So
// an error is found where it is made and nowhere after, whatever it does to the layers behind.
//
// Plain: the graph is run as it is, where a backend uses memory again and again and may fuse what it likes. An error in that
// is not there when every value is kept. When the plain outputs are farther from float64 than the exposed run, whose
// every node has been proved, explains, the first bad node is found by bisection: run the graph with only the values
// exposed that cross a cut after node k, and see whether any of them is off already. Cuts of residual networks have one or two
// values, so little of the plan changes; what is wrong before the cut is wrong in one of its values, so half of the nodes can be
// ruled out at a time.
//
// # Glossary
//
//   - Fraction: the error of a node as a part of its bound, given its own inputs. Above 1 the node is wrong.
//   - Drift: the distance of a value from the float64 run of the whole network in the L2 norm, relative to its norm. It
//     adds up what all nodes before did, and proves nothing alone.
package compare

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

// Result is what a comparison found.
type Result struct {
	Nodes []Node
	Sides [2]Side
}

// Side is what was found of one of the two devices.
type Side struct {
	Info backend.DeviceInfo
	// Fault is the first node that is wrong; nil when none is.
	Fault *Fault
	// PlainDrift is that of the outputs of the plain run, the greatest of them.
	PlainDrift float64
	Parts      int // runs that were needed to see all values: more than one where memory is short
	Probes     int // runs of the bisection
}

// Fault is a wrong node.
type Fault struct {
	Node int // its place in the graph
	// Hidden tells that the node is right when every value is exposed: it was found by bisection of the plain run.
	Hidden bool
	// Confirmed tells that its error leaves its bound; a hidden fault may hide again from that test.
	Confirmed bool
	Finding   conformance.Finding
	Drift     float64
}

// Node is one node on both sides.
type Node struct {
	Name, Op string
	Shape    graph.Shape
	Sides    [2]Value
	// Difference of the two sides: the greatest, its place, in ULP there, and in the L2 norm relative to the float64 value.
	Max, ULP, L2 float64
	Place        []int
}

// Value is the result of a node on one side.
type Value struct {
	conformance.Finding         // of the exposed run, for the node's own inputs
	Drift               float64 // of the exposed run
}

// OK reports whether the node is within its bound.
func (v Value) OK() bool { return v.Finding.Err() == nil }

// Run compares two devices on a bound graph. inputs are in the order of g.Inputs. step, unless nil, is told what is done.
//
// Errors: a graph that a device refuses (backend.ErrUnsupported) or cannot hold, failing runs, inputs that do not fit, the
// context's error. Wrong numbers are no error.
func Run(ctx context.Context, g *graph.Graph, inputs [][]float32, devices [2]backend.Device, step func(string)) (*Result, error) {
	if step == nil {
		step = func(string) {}
	}
	if err := fits(g, inputs); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	step("float64 reference")
	wide := map[string][]float64{}
	for i, v := range g.Inputs {
		wide[v.Name] = reference.Widen(inputs[i])
	}
	want, err := reference.Eval(ctx, g, wide)
	if err != nil {
		return nil, fmt.Errorf("compare: reference: %w", err)
	}
	r := &Result{Nodes: make([]Node, len(g.Nodes))}
	for i, n := range g.Nodes {
		r.Nodes[i] = Node{Name: n.Name, Op: n.Op.Name(), Shape: n.Output.Type.Shape}
	}
	var exposed [2]map[string][]float32
	for s, dev := range devices {
		l := &looker{g: g, dev: dev, inputs: inputs, want: want, values: map[string][]float32{}, findings: make([]conformance.Finding, len(g.Nodes)), step: step}
		if err := l.look(ctx, r, s); err != nil {
			return nil, fmt.Errorf("compare: %s: %w", dev.Info().Name, err)
		}
		exposed[s] = l.values
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		n.Max, n.Place, n.ULP, n.L2 = difference(n.Shape, exposed[0][n.Name], exposed[1][n.Name], want[n.Name])
	}
	return r, nil
}

func fits(g *graph.Graph, inputs [][]float32) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if !g.Bound() {
		return errors.New("want a graph with weights")
	}
	if len(g.Nodes) == 0 {
		return errors.New("want a graph with nodes")
	}
	if len(inputs) != len(g.Inputs) {
		return fmt.Errorf("want %d inputs, got %d", len(g.Inputs), len(inputs))
	}
	for i, v := range g.Inputs {
		if v.Type.DType != graph.Float32 || len(inputs[i]) != v.Type.Shape.Elems() {
			return &graph.ShapeError{Node: v.Name, Attr: "input", Want: fmt.Sprintf("%v with %d elements", v.Type, v.Type.Shape.Elems()), Got: fmt.Sprint(len(inputs[i]))}
		}
	}
	return nil
}

// looker looks at one device.
type looker struct {
	g        *graph.Graph
	dev      backend.Device
	inputs   [][]float32
	want     map[string][]float64 // of the float64 run
	values   map[string][]float32 // of the exposed run
	findings []conformance.Finding
	how      map[string]backend.Winograd // of the last run
	stored   map[string]backend.Precision
	parts    int
	step     func(string)
}

// look fills in side s of the result.
func (l *looker) look(ctx context.Context, r *Result, s int) error {
	side := &r.Sides[s]
	side.Info = l.dev.Info()
	name := side.Info.Name
	l.step(name + ": plain run")
	plain, err := l.run(ctx, l.g)
	if err != nil {
		return fmt.Errorf("plain run: %w", err)
	}
	l.step(name + ": every value")
	if err := l.expose(ctx, 0, len(l.g.Nodes)); err != nil {
		return fmt.Errorf("run with every value as an output: %w", err)
	}
	side.Parts = l.parts
	for i := range r.Nodes {
		n := &r.Nodes[i]
		n.Sides[s] = Value{l.findings[i], drift(l.values[n.Name], l.want[n.Name])}
		if !n.Sides[s].OK() && side.Fault == nil {
			side.Fault = &Fault{Node: i, Confirmed: true, Finding: l.findings[i], Drift: n.Sides[s].Drift}
		}
	}
	off := false
	for i, v := range l.g.Outputs {
		side.PlainDrift = math.Max(side.PlainDrift, drift(plain[i], l.want[v.Name]))
		off = off || l.off(v.Name, plain[i])
	}
	if side.Fault == nil && off {
		l.step(name + ": bisection")
		side.Fault, side.Probes, err = l.bisect(ctx)
	}
	return err
}

// expose runs the graph with the results of nodes from to to-1 as outputs, and the values that they read, and judges
// them. Where memory is short it does so in parts.
func (l *looker) expose(ctx context.Context, from, to int) error {
	names, have := []string{}, map[string]bool{}
	add := func(v *graph.Value) {
		if v.Kind == graph.NodeValue && !have[v.Name] {
			have[v.Name] = true
			names = append(names, v.Name)
		}
	}
	for _, n := range l.g.Nodes[from:to] {
		for _, v := range n.Inputs {
			add(v)
		}
		add(n.Output)
	}
	g, err := l.g.WithOutputs(names...)
	if err != nil {
		return err
	}
	got, err := l.run(ctx, g)
	if errors.Is(err, backend.ErrOutOfMemory) && to-from > 1 {
		middle := (from + to) / 2
		if err := l.expose(ctx, from, middle); err != nil {
			return err
		}
		return l.expose(ctx, middle, to)
	}
	if err != nil {
		return err
	}
	l.parts++
	values := map[string][]float32{}
	for i, name := range names {
		values[name] = got[i]
	}
	for i := from; i < to; i++ {
		n := l.g.Nodes[i]
		if l.findings[i], err = l.judge(ctx, n, values); err != nil {
			return err
		}
		l.values[n.Name] = values[n.Name]
	}
	return nil
}

// judge holds a node against the inputs among values.
func (l *looker) judge(ctx context.Context, n *graph.Node, values map[string][]float32) (conformance.Finding, error) {
	in := make([][]float32, len(n.Inputs))
	for i, v := range n.Inputs {
		in[i] = values[v.Name]
		for k, input := range l.g.Inputs {
			if input == v || input.Name == v.Name {
				in[i] = l.inputs[k]
			}
		}
	}
	return conformance.JudgeNode(ctx, n, in, values[n.Name], l.how, l.stored)
}
