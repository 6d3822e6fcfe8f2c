package backendtest

import (
	"math"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// ResNet50 is the golden network with the passes run, for a picture of side×side, and the logits that it must give: those
// of PyTorch in float64 at 224, else those of the reference.
func ResNet50(t testing.TB, side int) (g *graph.Graph, input *graph.Tensor, want []float64) {
	t.Helper()
	var c golden.Case
	for _, n := range golden.Networks() {
		if n.Name == "resnet50" {
			var err error
			if c, err = n.Build(); err != nil {
				t.Fatal(err)
			}
		}
	}
	g, x := c.Graph, c.Inputs[0]
	if side == g.Inputs[0].Type.Shape.Dim(2) {
		want = c.Want[g.Outputs[0].Name]
	} else {
		x = x[:3*side*side]
		g, want = resized(t, g, x, side)
	}
	input, err := graph.FromFloat32s(g.Inputs[0].Type.Shape, x)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = pass.Run(g, pass.Default()); err != nil {
		t.Fatal(err)
	}
	return g, input, want
}

// resized is the network with its weights for another size of picture, and what the reference makes of x.
func resized(t testing.TB, g *graph.Graph, x []float32, side int) (*graph.Graph, []float64) {
	t.Helper()
	config, err := resnet.Lookup("resnet50")
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		data[p.Name] = p.Data
	}
	if g, err = config.Build(1, side, side); err == nil {
		g, err = g.Bind(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	output := g.Outputs[0].Name
	values, err := reference.Eval(t.Context(), g, map[string][]float64{g.Inputs[0].Name: reference.Widen(x)}, output)
	if err != nil {
		t.Fatal(err)
	}
	return g, values[output]
}

// CheckLogits runs a network twice on a device and holds its logits against what they must be: a relative L2 error of at
// most 1e-5, and the same first class.
func CheckLogits(t testing.TB, d backend.Device, g *graph.Graph, input *graph.Tensor, want []float64) {
	t.Helper()
	e, err := d.Compile(t.Context(), g)
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
		l2 := golden.L2Error(reference.Widen(got), want)
		t.Logf("relative L2 error of the logits: %.2g", l2)
		if !(l2 <= 1e-5) {
			t.Errorf("relative L2 error of the logits: got %g, want at most 1e-5", l2)
		}
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
