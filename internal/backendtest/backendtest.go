// Package backendtest has what the tests of several backends share: networks with seeded weights, the golden networks at
// any size, and the check of a golden case node by node.
//
// # What it does not do
//
// It opens no device; vulkantest opens one of Vulkan. What every backend must do is package conformance's business.
package backendtest

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// Thorough reports whether tests take every case, at full size: make test and CI do (RESNET_RUN_THOROUGH), and so do
// long comparisons (RESNET_RUN_FULL). Else they take some of the cases, always the same, and smaller networks.
func Thorough() bool {
	return os.Getenv("RESNET_RUN_THOROUGH") != "" || os.Getenv("RESNET_RUN_FULL") != ""
}

// OneIn is of how many cases a test takes one: n, but each when tests are thorough.
func OneIn(n int) int {
	if Thorough() {
		return 1
	}
	return n
}

// Network builds a member of the family with seeded weights for pictures of side×side, after the passes.
func Network(t testing.TB, name string, batch, side int) *graph.Graph {
	t.Helper()
	c, err := resnet.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Build(batch, side, side)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		data[p.Name] = Param(t, p)
	}
	if g, err = g.Bind(data); err != nil {
		t.Fatal(err)
	}
	if g, err = pass.Run(g, pass.Default()); err != nil {
		t.Fatal(err)
	}
	return g
}

// Param keeps activations near a standard deviation of 1: He's initialisation, and statistics that do little.
func Param(t testing.TB, p *graph.Value) *graph.Tensor {
	t.Helper()
	s := p.Type.Shape
	fan := 1
	for i := 1; i < s.Rank(); i++ {
		fan *= s.Dim(i)
	}
	std, mean := math.Sqrt(2/float64(fan)), 0.0
	switch {
	case strings.HasSuffix(p.Name, "running_var"), s.Rank() == 1 && strings.HasSuffix(p.Name, "weight"):
		std, mean = 0.1, 1
	case s.Rank() == 1:
		std = 0.1
	}
	x, err := graph.FromFloat32s(s, seeded.UniformAround(7, p.Name, s.Elems(), mean, std))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Input makes the inputs of a graph.
func Input(g *graph.Graph) [][]float32 {
	var in [][]float32
	for _, v := range g.Inputs {
		in = append(in, seeded.Uniform(9, v.Name, v.Type.Shape.Elems(), 1))
	}
	return in
}

// ReadFloats reads a buffer of float32.
func ReadFloats(t testing.TB, b backend.Buffer) []float32 {
	t.Helper()
	x := graph.NewTensor(b.Type())
	if err := b.Read(context.Background(), x.Data); err != nil {
		t.Fatal(err)
	}
	return x.Float32s()
}

// Result is what a device made of a graph, and how.
type Result struct {
	Outputs    [][]float32
	Transforms map[string]backend.Winograd  // the nodes that were computed through transforms
	Precisions map[string]backend.Precision // the nodes that were stored in other types than float32
}

// Judge runs a graph with every node's value as an output. The reference judges each node on what the device made of its
// inputs, so that errors do not pile up.
func Judge(t testing.TB, g *graph.Graph, inputs [][]float32, run func(g *graph.Graph, inputs [][]float32) Result) (values map[string][]float32, r Result) {
	t.Helper()
	names := make([]string, len(g.Nodes))
	for i, n := range g.Nodes {
		names[i] = n.Name
	}
	tapped, err := g.WithOutputs(names...)
	if err != nil {
		t.Fatal(err)
	}
	values = map[string][]float32{}
	for i, v := range tapped.Inputs {
		values[v.Name] = inputs[i]
	}
	r = run(tapped, inputs)
	for i, v := range r.Outputs {
		values[names[i]] = v
	}
	reports, err := reference.CheckMixed(t.Context(), tapped, values, r.Transforms, r.Precisions)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != len(names) {
		t.Errorf("%d nodes were judged, want %d", len(reports), len(names))
	}
	for _, n := range reports {
		if err := n.Err(); err != nil {
			t.Errorf("graph %q: node %q: %v", g.Name, n.Node, err)
		}
		if n.Unbounded > 0 {
			t.Errorf("graph %q: node %q: %d elements without a bound", g.Name, n.Node, n.Unbounded)
		}
	}
	return values, r
}

// CheckCase judges a golden case, and holds its values against PyTorch's where all are stored as float32.
func CheckCase(t testing.TB, c golden.Case, run func(g *graph.Graph, inputs [][]float32) Result) Result {
	t.Helper()
	values, r := Judge(t, c.Graph, c.Inputs, run)
	for name, want := range c.Want {
		if e := golden.MaxRelError(reference.Widen(values[name]), want); len(r.Precisions) == 0 && !(e < 1e-4) {
			t.Errorf("value %q differs from PyTorch: relative error %g", name, e)
		}
	}
	return r
}
