package reference_test

import (
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// tolerance is what two float64 implementations may differ by, relative to the largest value of a tensor: sums of a
// few thousand terms in another order.
const tolerance = 1e-12

func TestEveryOpMatchesPyTorch(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, c := range cases {
		matchGolden(t, c)
		for _, n := range c.Graph.Nodes {
			seen[n.Op.Name()]++
		}
	}
	t.Logf("%d cases: %v", len(cases), seen)
}

// TestRandomGeometryMatchesPyTorch: some hundred larger convolutions and pools, of which sums are known.
func TestRandomGeometryMatchesPyTorch(t *testing.T) {
	if testing.Short() {
		t.Skip("much arithmetic")
	}
	cases, err := golden.Geometry()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	worst := 0.0
	for _, c := range cases {
		got, err := reference.Eval(t.Context(), c.Graph, c.Inputs64(), "y")
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		e := c.Error("y", got["y"])
		if !(e <= tolerance) {
			t.Errorf("%s: relative error of a sum %.3g, want at most %g\n%s", c.Name, e, tolerance, c.Graph.Text())
		}
		if y := got["y"]; len(y) > 0 { // one element that is off by a thousandth of itself must show
			at := len(y) / 2
			for y[at] == 0 && at > 0 {
				at--
			}
			y[at] *= 1.001
			if y[at] != 0 && !(c.Error("y", y) > tolerance) {
				t.Errorf("%s: a wrong element does not show", c.Name)
			}
		}
		worst = max(worst, e)
		seen[c.Graph.Nodes[0].Op.Name()]++
	}
	t.Logf("%d cases: %v; greatest error %.3g", len(cases), seen, worst)
	if seen["conv2d"] < 300 || seen["max_pool"] < 100 || seen["avg_pool"] < 150 {
		t.Errorf("too few cases: %v", seen)
	}
}

// matchGolden holds every golden value of the case against Eval.
func matchGolden(t *testing.T, c golden.Case) {
	t.Helper()
	got, err := reference.Eval(t.Context(), c.Graph, c.Inputs64(), c.Values()...)
	if err != nil {
		t.Errorf("%s: %v", c.Name, err)
		return
	}
	for _, name := range c.Values() {
		if e := golden.MaxRelError(got[name], c.Want[name]); !(e <= tolerance) {
			t.Errorf("%s: value %s: relative error %.3g, want at most %g\n%s", c.Name, name, e, tolerance, strings.TrimSpace(c.Graph.Text()))
		}
	}
}

func TestEveryIntermediateOfTheBlocksMatchesPyTorch(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got, want := len(c.Want), len(c.Graph.Nodes); got != want {
			t.Errorf("%s: golden values of %d nodes, want %d", c.Name, got, want)
		}
		matchGolden(t, c)
	}
}

func TestWholeNetworksMatchPyTorch(t *testing.T) {
	for _, n := range golden.Networks() {
		t.Run(n.Name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes seconds")
			}
			if n.Name == "resnet50" && !backendtest.Thorough() {
				t.Skip("make test runs it: its parts are in the golden ops and blocks")
			}
			c, err := n.Build()
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			got, err := reference.Eval(t.Context(), c.Graph, c.Inputs64(), "fc")
			if err != nil {
				t.Fatal(err)
			}
			e := golden.MaxRelError(got["fc"], c.Want["fc"])
			t.Logf("relative error of the logits %.3g, %.1f s", e, time.Since(begin).Seconds())
			if !(e <= tolerance) {
				t.Errorf("relative error of the logits %.3g, want at most %g", e, tolerance)
			}
		})
	}
}
