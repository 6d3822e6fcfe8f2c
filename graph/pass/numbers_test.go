package pass_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// networks are real members at small inputs that keep every layer's kind: option A, basic and bottleneck blocks with
// projections, groups, max pool, deep stem, pooled shortcuts, gates.
var networks = []struct {
	name                 string
	batch, height, width int
}{
	{"resnet20-cifar", 2, 16, 20},
	{"resnet18", 1, 40, 33},
	{"resnet50", 1, 33, 40},
	{"resnext50_32x4d", 1, 33, 34},
	{"resnet18d", 1, 34, 33},  // deep stem, average-pooled shortcuts
	{"seresnet18", 1, 33, 34}, // gates
	{"seresnet50", 1, 33, 33},
}

// TestFusedNetworksComputeTheSame holds every value that the rewritten graph still has against the original's.
// Moving adds and activations into epilogues changes no bit of the reference's arithmetic. Folding rounds weights
// to float32, once each.
func TestFusedNetworksComputeTheSame(t *testing.T) {
	for _, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			if testing.Short() && n.name != "resnet20-cifar" {
				t.Skip("takes seconds")
			}
			c, err := resnet.Lookup(n.name)
			if err != nil {
				t.Fatal(err)
			}
			structure, err := c.Build(n.batch, n.height, n.width)
			if err != nil {
				t.Fatal(err)
			}
			g := bind(t, structure)
			in := map[string][]float64{"input": reference.Widen(seeded.Uniform(1, "input", g.Inputs[0].Type.Shape.Elems(), 1))}
			want := eval(t, g, in)

			fused := run(t, g, without(pass.Default(), "fold_batch_norm"))
			for name, got := range eval(t, fused, in) {
				for i := range got {
					if math.Float64bits(got[i]) != math.Float64bits(want[name][i]) {
						t.Fatalf("without folding: %s[%d] = %v, want %v", name, i, got[i], want[name][i])
					}
				}
			}

			all := run(t, g, pass.Default())
			checkFullyFused(t, structure, all)
			for name, got := range eval(t, all, in) {
				if e := golden.L2Error(got, want[name]); !(e <= 1e-6) {
					t.Errorf("%s: relative error %.3g after folding, want at most 1e-6", name, e)
				}
			}
			if again := run(t, all, pass.Default()); again.Text() != all.Text() {
				t.Errorf("the passes are not idempotent:\n%s", again.Text())
			}
		})
	}
}

// checkFullyFused holds the rewritten graph against what fusion promises for networks of this family, bound or not.
func checkFullyFused(t *testing.T, structure, fused *graph.Graph) {
	t.Helper()
	if unbound := run(t, structure, pass.Default()); unbound.Text() != fused.Text() || unbound.Bound() {
		t.Errorf("without data the passes make another graph:\n%s\nwant\n%s", unbound.Text(), fused.Text())
	}
	if !fused.Bound() {
		t.Error("the passes lost parameter data")
	}
	count := func(g *graph.Graph) (convs, rest int) {
		for _, n := range g.Nodes {
			switch n.Op.(type) {
			case graph.Conv2D:
				convs++
			case graph.BatchNorm, graph.ReLU, graph.Add:
				rest++
			}
		}
		return convs, rest
	}
	before, _ := count(structure)
	if after, rest := count(fused); after != before || rest != 0 {
		t.Errorf("%d convolutions and %d batch norms, ReLUs and adds are left, want %d and 0", after, rest, before)
	}
}

// TestFoldedConvolutionIsWithinOneRoundingOfItsParts bounds each folded node by itself: with weights and bias off by
// at most u relative, the result is off by at most u·S, less than the class A bound of the folded node.
func TestFoldedConvolutionIsWithinOneRoundingOfItsParts(t *testing.T) {
	for _, bias := range []string{"", "bias"} {
		text := `graph g
input %x : float32[2,6,7,5]
param @w : float32[8,3,3,2]
param @cb : float32[8]
param @g : float32[8]
param @b : float32[8]
param @m : float32[8]
param @v : float32[8]
`
		if bias == "" {
			text += "%c = conv2d(%x, @w) stride=2,1 groups=2 padding=1,0,2,1\n"
		} else {
			text += "%c = conv2d(%x, @w, @cb) stride=2,1 groups=2 padding=1,0,2,1 bias=true\n"
		}
		text += "%y = batch_norm(%c, @g, @b, @m, @v) epsilon=0.001\noutput %y\n"
		structure, err := graph.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		g := bind(t, structure)
		in := map[string][]float64{"x": reference.Widen(seeded.Uniform(2, "x", g.Inputs[0].Type.Shape.Elems(), 1))}
		want := eval(t, g, in)["y"]

		folded := run(t, g, pass.Default())
		n := folded.Nodes[0]
		if len(folded.Nodes) != 1 || n.Name != "y" {
			t.Fatalf("want one node y, got\n%s", folded.Text())
		}
		operands := [][]float64{in["x"]}
		for _, p := range n.Inputs[1:] {
			operands = append(operands, reference.Widen(p.Data.Float32s()))
		}
		got, bounds, err := reference.Bounds(t.Context(), n, operands)
		if err != nil {
			t.Fatal(err)
		}
		terms := float64(3*3*2 + 1)
		for i := range got {
			if limit := bounds[i] / terms; !(math.Abs(got[i]-want[i]) <= limit) { // u·S, for the bound is about terms·u·S
				t.Errorf("bias %q: y[%d] = %v, want %v within %.3g", bias, i, got[i], want[i], limit)
			}
		}
	}
}

const convAndNorm = `graph g
input %x : float32[1,1,1,1]
param @w : float32[1,1,1,1]
param @g : float32[1]
param @b : float32[1]
param @m : float32[1]
param @v : float32[1]
%c = conv2d(%x, @w)
%y = batch_norm(%c, @g, @b, @m, @v) epsilon=0.125
output %y
`

// TestFoldingLeavesWhatWouldNotBeFinite: a variance of -epsilon would divide by zero, a large scale overflow.
func TestFoldingLeavesWhatWouldNotBeFinite(t *testing.T) {
	for name, c := range map[string]struct{ scale, mean, variance float32 }{
		"infinite scale": {1, 0, -0.125}, "not a number": {1, 0, -1}, "weights overflow": {3e38, 0, 0}, "bias overflows": {1, 3e38, 0},
	} {
		g, err := graph.Parse(strings.NewReader(convAndNorm))
		if err != nil {
			t.Fatal(err)
		}
		params := map[string]*graph.Tensor{}
		for _, p := range g.Params {
			v := map[string]float32{"w": 2, "g": c.scale, "m": c.mean, "v": c.variance}[p.Name]
			if params[p.Name], err = graph.FromFloat32s(p.Type.Shape, []float32{v}); err != nil {
				t.Fatal(err)
			}
		}
		if g, err = g.Bind(params); err != nil {
			t.Fatal(err)
		}
		if got := run(t, g, pass.Default()); got.Text() != g.Text() {
			t.Errorf("%s: got\n%s\nwant it unchanged", name, got.Text())
		}
	}
}

// TestFoldingPartlyBoundGraphs: as long as one operand has no data, the folded parameters have none.
func TestFoldingPartlyBoundGraphs(t *testing.T) {
	g, err := graph.Parse(strings.NewReader(convAndNorm))
	if err != nil {
		t.Fatal(err)
	}
	want := run(t, g, pass.Default()).Text()
	for _, missing := range []string{"w", "g", "b", "m", "v"} {
		partly := bind(t, g)
		for _, p := range partly.Params {
			if p.Name == missing {
				p.Data = nil
			}
		}
		got := run(t, partly, pass.Default())
		if got.Text() != want || got.Params[0].Data != nil || got.Params[1].Data != nil {
			t.Errorf("without %s: got\n%s\nwith data %v, %v", missing, got.Text(), got.Params[0].Data, got.Params[1].Data)
		}
	}
}

func TestRunNamesThePassThatFails(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1]\n%y = relu(%x)\noutput %y\n"))
	if err != nil {
		t.Fatal(err)
	}
	broken := pass.Pass{Name: "breaks_it", Run: func(g *graph.Graph) (*graph.Graph, error) {
		return &graph.Graph{Name: g.Name, Inputs: g.Inputs, Nodes: g.Nodes}, nil // no outputs
	}}
	for _, c := range []struct {
		g      *graph.Graph
		passes []pass.Pass
		want   string
	}{
		{g, []pass.Pass{broken}, "run pass breaks_it: result: validate graph"},
		{nil, pass.Default(), "want a graph, got nil"},
		{&graph.Graph{Name: "empty"}, nil, "run passes: validate graph"},
	} {
		if _, err := pass.Run(c.g, c.passes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
}

func TestLongNamesAreCutToFit(t *testing.T) {
	long := strings.Repeat("w", 256)
	g, err := graph.Parse(strings.NewReader(strings.ReplaceAll(`graph g
input %x : float32[1,1,1,1]
param @LONG : float32[1,1,1,1]
param @p : float32[1]
%c = conv2d(%x, @LONG)
%y = batch_norm(%c, @p, @p, @p, @p) epsilon=0.125
%z = conv2d(%y, @LONG)
%e = batch_norm(%z, @p, @p, @p, @p) epsilon=0.125
output %e
`, "LONG", long)))
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, g, pass.Default())
	want := []string{"p.folded", "p.folded2", long[:248] + ".folded2", long[:249] + ".folded"}
	if names := got.ParamNames(); !slices.Equal(names, want) {
		t.Errorf("got parameters %q, want %q", names, want)
	}
}

// bind gives every parameter seeded numbers of a size that keeps activations near 1.
func bind(t *testing.T, g *graph.Graph) *graph.Graph {
	t.Helper()
	tensors := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		s := p.Type.Shape
		mean, std := 0.0, 0.3
		switch {
		case s.Rank() > 1:
			std = math.Sqrt(2 * float64(s.Dim(0)) / float64(s.Elems()))
		case strings.HasSuffix(p.Name, "var") || p.Name == "v":
			mean, std = 1, 0.4
		case strings.HasSuffix(p.Name, "weight") || p.Name == "g":
			mean, std = 0.8, 0.2
		}
		data, err := graph.FromFloat32s(s, seeded.UniformAround(3, p.Name, s.Elems(), mean, std))
		if err != nil {
			t.Fatal(err)
		}
		tensors[p.Name] = data
	}
	bound, err := g.Bind(tensors)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

func run(t *testing.T, g *graph.Graph, passes []pass.Pass) *graph.Graph {
	t.Helper()
	out, err := pass.Run(g, passes)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func eval(t *testing.T, g *graph.Graph, in map[string][]float64) map[string][]float64 {
	t.Helper()
	out, err := reference.Eval(t.Context(), g, in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func without(passes []pass.Pass, name string) []pass.Pass {
	var out []pass.Pass
	for _, p := range passes {
		if p.Name != name {
			out = append(out, p)
		}
	}
	return out
}

// TestWeightsThatAreReadLazilyAreFoldedWhenTheyAreRead, to the same bits, and are known to be the same when folded again.
func TestWeightsThatAreReadLazilyAreFoldedWhenTheyAreRead(t *testing.T) {
	c, err := resnet.Lookup("resnet20-cifar")
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Build(1, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	g = bind(t, g)
	want := run(t, g, pass.Default())
	frozen := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		frozen[p.Name] = graph.Freeze(p.Data)
	}
	lazy, err := g.Bind(frozen)
	if err != nil {
		t.Fatal(err)
	}
	got, again := run(t, lazy, pass.Default()), run(t, lazy, pass.Default())
	if got.Text() != want.Text() {
		t.Fatalf("got\n%s\nwant\n%s", got.Text(), want.Text())
	}
	keys := map[any]bool{}
	for i, p := range got.Params {
		if !slices.Equal(p.Data.Float32s(), want.Params[i].Data.Float32s()) {
			t.Errorf("%s: other numbers than those folded at once", p.Name)
		}
		if p.Type.Shape.Rank() != 4 {
			continue
		}
		if !p.Data.IsLazy() || p.Data.Bound() < want.Params[i].Data.Bound() {
			t.Errorf("%s: lazy %v, bound %g, want at least %g", p.Name, p.Data.IsLazy(), p.Data.Bound(), want.Params[i].Data.Bound())
		}
		k := p.Data.Key()
		if k == nil || k != again.Params[i].Data.Key() || keys[k] {
			t.Errorf("%s: got keys %v and %v, want one that no other has", p.Name, k, again.Params[i].Data.Key())
		}
		keys[k] = true
	}
}
