package cpu

import (
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// TestOpsAreWithinTheirBounds runs every golden op case with each instruction set and holds each element against its
// class A bound.
func TestOpsAreWithinTheirBounds(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	eachSet(t, 3, func(t *testing.T, d *device) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { checkCase(t, d, c) })
		}
	})
}

func checkCase(t *testing.T, d *device, c golden.Case) {
	t.Helper()
	d.direct = true // the bounds are those of class A
	backendtest.CheckCase(t, c, func(g *graph.Graph, inputs [][]float32) ([][]float32, map[string]backend.Winograd) {
		return runGraph(t, d, g, inputs), nil
	})
}

// TestBlocksMatchPyTorch compares every intermediate value of basic and bottleneck blocks.
func TestBlocksMatchPyTorch(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	eachSet(t, 2, func(t *testing.T, d *device) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { checkCase(t, d, c) })
		}
	})
}

// TestNetworksMatchPyTorch runs resnet18 and resnet50 at 224 with calibrated batch normalisation, after the passes,
// against the float64 logits of PyTorch.
func TestNetworksMatchPyTorch(t *testing.T) {
	if testing.Short() {
		t.Skip("whole networks take a while")
	}
	for _, n := range golden.Networks() {
		t.Run(n.Name, func(t *testing.T) {
			c, err := n.Build()
			if err != nil {
				t.Fatal(err)
			}
			g, err := pass.Run(c.Graph, pass.Default())
			if err != nil {
				t.Fatal(err)
			}
			name := g.Outputs[0].Name
			eachSet(t, 2, func(t *testing.T, d *device) {
				for _, d.direct = range []bool{false, true} {
					limit := map[bool]float64{true: 2e-6, false: 4e-6}[d.direct] // class A and class B
					e := golden.L2Error(reference.Widen(runGraph(t, d, g, c.Inputs)[0]), c.Want[name])
					t.Logf("direct %v: relative L2 error of the logits: %.2g", d.direct, e)
					if !(e <= limit) {
						t.Errorf("direct %v: relative L2 error of the logits: got %g, want at most %g", d.direct, e, limit)
					}
				}
			})
		})
	}
}
