package reference_test

import (
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/reference"
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
