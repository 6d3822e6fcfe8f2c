package reference_test

import (
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// TestONNXBackendTests holds the reference against the tests that the onnx package brings for every backend: their results are
// float32, so that each element must be within the bound of its node.
func TestONNXBackendTests(t *testing.T) {
	cases, err := golden.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	worst := 0.0
	for _, c := range cases {
		in := map[*graph.Value][]float64{}
		for i, v := range c.Graph.Inputs {
			in[v] = reference.Widen(c.Inputs[i])
		}
		for _, v := range c.Graph.Params {
			in[v] = reference.Widen(v.Data.Float32s())
		}
		var bound []float64
		for _, n := range c.Graph.Nodes {
			seen[n.Op.Name()]++
			var operands [][]float64
			for _, v := range n.Inputs {
				operands = append(operands, in[v])
			}
			if in[n.Output], bound, err = reference.Bounds(t.Context(), n, operands); err != nil {
				t.Fatal(err)
			}
		}
		if c.Name == "node/test_averagepool_2d_ceil_last_window_starts_on_pad" { // its results are written with four digits, not the nearest ones
			for i := range bound {
				bound[i] = 1e-4
			}
		}
		y := c.Graph.Outputs[0]
		r := reference.Compare(reference.Narrow(c.Want[y.Name]), in[y], bound)
		if r.Elements == 0 || !r.OK() {
			t.Errorf("%s: %v\n%s", c.Name, r.Err(), c.Graph.Text())
		}
		worst = max(worst, r.Fraction)
	}
	t.Logf("%d tests: %v; greatest part of a bound %.3g", len(cases), seen, worst)
	for op, least := range map[string]int{"conv2d": 20, "max_pool": 15, "avg_pool": 12, "linear": 10, "softmax": 6, "batch_norm": 4, "flatten": 3, "relu": 2, "add": 3, "global_avg_pool": 2,
		"group_norm": 5, "channel_slice": 7, "concat": 5, "reshape": 3, "spatial_pad": 3} {
		if seen[op] < least {
			t.Errorf("%s: %d tests, want at least %d", op, seen[op], least)
		}
	}
}

// lightFill is distribution() of tools/golden/onnx/light.py.
func lightFill(name, role string, shape graph.Shape) []float32 {
	mean, std := 0.0, 0.1
	switch role {
	case "conv":
		std = math.Sqrt(2 / float64(shape.Dim(1)*shape.Dim(2)*shape.Dim(3)))
	case "matrix":
		std = math.Sqrt(1 / float64(shape.Dim(1)))
	case "weight":
		mean = 1
		if strings.Contains(name, "branch2c") {
			mean, std = 0.3, 0.03
		}
	case "variance":
		mean, std = 1, 0.2
	}
	return seeded.UniformAround(50, "light_resnet50/"+name, shape.Elems(), mean, std)
}

// TestLightResNet50 evaluates the network of the onnx package: as it is, where every class has the same probability, and when tests are thorough with seeded
// weights, for which onnx's own reference has computed logits and probabilities in float64.
func TestLightResNet50(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	light, other, err := golden.LightResNet50(lightFill, seeded.Uniform(50, "light_resnet50/input", 3*224*224, 1))
	if err != nil {
		t.Fatal(err)
	}
	ops := map[string]int{}
	for _, n := range light.Graph.Nodes {
		ops[n.Op.Name()]++
	}
	if ops["conv2d"] != 53 || ops["batch_norm"] != 53 || ops["add"] != 16 || len(light.Graph.Nodes) != 176 {
		t.Errorf("the graph has %v", ops)
	}
	y := light.Graph.Outputs[0].Name
	got, err := reference.Eval(t.Context(), light.Graph, light.Inputs64(), y)
	if err != nil {
		t.Fatal(err)
	}
	if e := golden.MaxRelError(got[y], light.Want[y]); !(e <= 1e-6) { // float32
		t.Errorf("as it is: relative error %.3g", e)
	}
	if !backendtest.Thorough() {
		return
	}
	logits := other.Graph.Nodes[len(other.Graph.Nodes)-2].Name
	got, err = reference.Eval(t.Context(), other.Graph, other.Inputs64(), logits, y)
	if err != nil {
		t.Fatal(err)
	}
	want, err := golden.LightResNet50Want()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{logits, y} {
		e := golden.MaxRelError(got[name], want[i])
		t.Logf("value %s: relative error %.3g", name, e)
		if !(e <= tolerance) {
			t.Errorf("seeded weights: value %s: relative error %.3g, want at most %g", name, e, tolerance)
		}
	}
}
