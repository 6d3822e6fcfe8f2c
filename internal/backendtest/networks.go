package backendtest

import (
	"math"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// EachNetwork runs f for golden networks: resnet18 on a small picture, or when tests are thorough resnet18 and resnet50 on one of
// 224×224. Short runs have none.
func EachNetwork(t *testing.T, f func(t *testing.T, c golden.Case)) {
	t.Helper()
	if testing.Short() {
		t.Skip("whole networks take a while")
	}
	names, side := []string{"resnet18"}, 64
	if Thorough() {
		names, side = append(names, "resnet50"), 224
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { f(t, GoldenNetwork(t, name, side)) })
	}
}

// EachExported runs f for networks as exporters write them, with the passes run: all of them, or those that are named.
func EachExported(t *testing.T, f func(t *testing.T, c golden.Case), names ...string) {
	t.Helper()
	cases, err := golden.Exported()
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range cases {
		if len(names) > 0 && !slices.Contains(names, c.Name) {
			continue
		}
		ran++
		if c.Graph, err = pass.Run(c.Graph, pass.Default()); err != nil {
			t.Fatal(err)
		}
		t.Run(c.Name, func(t *testing.T) { f(t, c) })
	}
	if ran == 0 || ran < len(names) {
		t.Errorf("%d networks were run, want all of %v", ran, names)
	}
}

// GoldenNetwork is a golden network with the passes run, for a picture of side×side, and the logits that it must give:
// those of PyTorch in float64 at 224, else those of the reference.
func GoldenNetwork(t testing.TB, name string, side int) golden.Case {
	t.Helper()
	list := golden.Networks()
	c, err := list[slices.IndexFunc(list, func(n golden.Network) bool { return n.Name == name })].Build()
	if err != nil {
		t.Fatal(err)
	}
	if side != c.Graph.Inputs[0].Type.Shape.Dim(2) {
		resize(t, &c, side)
	}
	if c.Graph, err = pass.Run(c.Graph, pass.Default()); err != nil {
		t.Fatal(err)
	}
	return c
}

// resize makes the network one for another size of picture with the same weights, and the logits those of the reference.
func resize(t testing.TB, c *golden.Case, side int) {
	t.Helper()
	config, err := resnet.Lookup(c.Name)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]*graph.Tensor{}
	for _, p := range c.Graph.Params {
		data[p.Name] = p.Data
	}
	if c.Graph, err = config.Build(1, side, side); err == nil {
		c.Graph, err = c.Graph.Bind(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Inputs[0] = c.Inputs[0][:3*side*side]
	if c.Want, err = reference.Eval(t.Context(), c.Graph, c.Inputs64()); err != nil {
		t.Fatal(err)
	}
}

// CheckNetwork holds the logits of a golden network against what they must be, in the Euclidean norm.
func CheckNetwork(t testing.TB, c golden.Case, logits []float32, limit float64) {
	t.Helper()
	e := golden.L2Error(reference.Widen(logits), c.Want[c.Graph.Outputs[0].Name])
	t.Logf("relative L2 error of the logits: %.2g", e)
	if !(e <= limit) {
		t.Errorf("relative L2 error of the logits: got %g, want at most %g", e, limit)
	}
}

// CheckLogits runs a golden network twice on a device and holds its logits against what they must be: a relative L2 error of
// at most 1e-5, and the same first class.
func CheckLogits(t testing.TB, d backend.Device, c golden.Case) {
	t.Helper()
	input, err := graph.FromFloat32s(c.Graph.Inputs[0].Type.Shape, c.Inputs[0])
	if err != nil {
		t.Fatal(err)
	}
	want := c.Want[c.Graph.Outputs[0].Name]
	e, err := d.Compile(t.Context(), c.Graph)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, e)
	x, err := d.NewBuffer(t.Context(), e.Signature().Inputs[0].Type)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, x)
	y, err := d.NewBuffer(t.Context(), e.Signature().Outputs[0].Type)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, y)
	for range 2 {
		if err := x.Write(t.Context(), input.Data); err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context(), []backend.Buffer{x}, []backend.Buffer{y}); err != nil {
			t.Fatal(err)
		}
		got := ReadFloats(t, y)
		CheckNetwork(t, c, got, 1e-5)
		if top(got) != top(want) {
			t.Errorf("first class: got %d, want %d", top(got), top(want))
		}
	}
}

func closed(t testing.TB, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func top[T float32 | float64](v []T) int {
	best := 0
	for i := range v {
		if v[i] > v[best] || math.IsNaN(float64(v[i])) {
			best = i
		}
	}
	return best
}
