package onnx_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// reimport exports a graph and reads it back for the same pictures; why says why the importer does not read it.
func reimport(t *testing.T, g *graph.Graph, opts onnx.ExportOptions) (back *graph.Graph, why error) {
	t.Helper()
	var file bytes.Buffer
	if err := onnx.Export(&file, g, opts); err != nil {
		t.Fatalf("%v\n%s", err, g.Text())
	}
	f, err := weights.OpenBytes(g.Name, file.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, g.Text())
	}
	t.Cleanup(func() { f.Close() })
	n, err := onnx.New(f)
	if err != nil {
		return nil, err
	}
	_, _, h, w := g.Inputs[0].Type.Shape.NCHW() // which New wants
	return n.Graph(g.Inputs[0].Type.Shape.Dim(0), h, w)
}

// sameNumbers holds the outputs of a graph that was read back against those of the one that was exported. The format has an epsilon in
// float32, which moves numbers by less than the tolerance.
func sameNumbers(t *testing.T, g, back *graph.Graph, inputs map[string][]float64) {
	t.Helper()
	want, err := reference.Eval(t.Context(), g, inputs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := reference.Eval(t.Context(), back, inputs)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range g.Outputs {
		out := back.Outputs[i]
		if out.Type != v.Type {
			t.Errorf("output %q: got %v, want %v\n%s", v.Name, out.Type, v.Type, g.Text())
		} else if e := golden.MaxRelError(got[out.Name], want[v.Name]); !(e <= 1e-7) {
			t.Errorf("output %q: relative error %.3g\n%s", v.Name, e, g.Text())
		}
	}
}

// notRead are the reasons why what is exported is not read back: networks here have one picture as their input, and parameters in the
// places that a layer has for them.
var notRead = []string{
	"inputs: want one picture, got", "want 4 dimensions, got", "want what the network computes from the picture, got a constant",
	"want a constant, got what is computed", "(Softmax): want two dimensions and axis 1",
}

func isNotRead(err error) bool {
	return slices.ContainsFunc(notRead, func(reason string) bool { return strings.Contains(err.Error(), reason) })
}

// goldenCases are graphs of every op with all its attributes, and the numbers of PyTorch or ONNX Runtime.
func goldenCases(t *testing.T) []golden.Case {
	t.Helper()
	var all []golden.Case
	for _, load := range []func() ([]golden.Case, error){golden.Ops, golden.Blocks, golden.Heads, golden.Exported} {
		cases, err := load()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cases...)
	}
	return all
}

// Whatever is exported is read back as a network that gives the same numbers, as it is and after the passes.
func TestExportedGraphsComeBack(t *testing.T) {
	ops, read, refused := map[string]int{}, 0, 0
	for i, c := range goldenCases(t) {
		if testing.Short() && i%4 != 0 {
			continue
		}
		fused, err := pass.Run(c.Graph, pass.Default())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range []*graph.Graph{c.Graph, fused} {
			back, err := reimport(t, g, onnx.ExportOptions{})
			if err != nil {
				if refused++; !isNotRead(err) {
					t.Errorf("%s: %v\n%s", c.Name, err, g.Text())
				}
				continue
			}
			read++
			for _, n := range g.Nodes {
				ops[n.Op.Name()]++
			}
			sameNumbers(t, g, back, c.Inputs64())
		}
	}
	t.Logf("%d read, %d refused, of %v", read, refused, ops)
	if !testing.Short() && (len(ops) != 19 || read < 750) {
		t.Errorf("got %d ops and %d graphs that were read: %v, want all 19 and at least 750", len(ops), read, slices.Sorted(maps.Keys(ops)))
	}
}

// member is a network of the family of one kind, small, with numbers for its parameters.
func member(t *testing.T, c resnet.Config) *graph.Graph {
	t.Helper()
	g, err := c.Build(2, c.InputSize, c.InputSize)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		s := p.Type.Shape
		mean, std := 0.0, 0.1
		switch {
		case s.Rank() > 1:
			std = 1
			for i := 1; i < s.Rank(); i++ {
				std /= float64(s.Dim(i))
			}
		case strings.HasSuffix(p.Name, "weight"), strings.HasSuffix(p.Name, "running_var"):
			mean = 1
		}
		if tensors[p.Name], err = graph.FromFloat32s(s, seeded.UniformAround(5, p.Name, s.Elems(), mean, std)); err != nil {
			t.Fatal(err)
		}
	}
	if g, err = g.Bind(tensors); err != nil {
		t.Fatal(err)
	}
	return g
}

// kinds are the networks of the family made small, without those that are then the same as another.
func kinds(t *testing.T) []resnet.Config {
	t.Helper()
	seen := map[string]bool{}
	var list []resnet.Config
	for _, name := range resnet.Names() {
		c, err := resnet.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		c.Depths, c.Widths, c.Classes, c.InputSize = [resnet.MaxStages]int{1, 2}, [resnet.MaxStages]int{32, 64}, 5, 33
		if c.Stem == resnet.CIFARStem {
			c.InputSize = 13
		}
		c.WidthPerGroup = min(c.WidthPerGroup, 64)
		c.Name = ""
		if key := fmt.Sprintf("%+v", c); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		c.Name = name
		list = append(list, c)
	}
	return list
}

// A member of the family comes back as it was, and after the passes with the same numbers.
func TestExportedFamilyComesBack(t *testing.T) {
	list := kinds(t)
	if len(list) < 60 {
		t.Fatalf("got %d kinds, want at least 60", len(list))
	}
	for i, c := range list {
		if testing.Short() && i%8 != 0 {
			continue
		}
		g := member(t, c)
		back, err := reimport(t, g, onnx.ExportOptions{DynamicBatch: true})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		sameStructure(t, c.Name, g, back)
		if i%backendtest.OneIn(4) != 0 {
			continue
		}
		fused, err := pass.Run(g, pass.Default())
		if err != nil {
			t.Fatal(err)
		}
		if back, err = reimport(t, fused, onnx.ExportOptions{DynamicBatch: true}); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		sameNumbers(t, fused, back, map[string][]float64{"input": reference.Widen(seeded.Uniform(7, "input", g.Inputs[0].Type.Shape.Elems(), 1))})
	}
}

// sameStructure holds a graph that was read back against the exported one, in which nothing is fused: the same ops, and the same names
// but for those of views and paddings, which the importer adds where they are read.
func sameStructure(t *testing.T, network string, g, back *graph.Graph) {
	t.Helper()
	ops := func(g *graph.Graph) []string {
		var list []string
		for _, n := range g.Nodes {
			switch op := n.Op.(type) { // the format has an epsilon in float32
			case graph.BatchNorm:
				op.Epsilon = float64(float32(op.Epsilon))
				n = &graph.Node{Op: op, Output: n.Output}
			case graph.GroupNorm:
				op.Epsilon = float64(float32(op.Epsilon))
				n = &graph.Node{Op: op, Output: n.Output}
			}
			list = append(list, fmt.Sprintf("%s : %v", graph.OpText(n.Op), n.Output.Type))
		}
		slices.Sort(list)
		return list
	}
	if got, want := ops(back), ops(g); !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", network, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, n := range g.Nodes {
		switch n.Op.(type) {
		case graph.Reshape, graph.SpatialPad:
			continue
		}
		if v := back.Value(n.Name); v == nil || v.Kind != graph.NodeValue {
			t.Errorf("%s: node %q is not there", network, n.Name)
		}
	}
	if got, want := back.ParamNames(), g.ParamNames(); !slices.Equal(got, want) {
		t.Errorf("%s: got parameters %q, want %q", network, got, want)
	}
}
