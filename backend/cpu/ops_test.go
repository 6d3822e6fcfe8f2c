package cpu

import (
	"context"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph/pass"
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

// checkCase runs a case with every node's value as an output. The reference judges each node on what the device made
// of its inputs, so that errors do not pile up; the values themselves are held against PyTorch's.
func checkCase(t *testing.T, d *device, c golden.Case) {
	t.Helper()
	d.direct = true // the bounds are those of class A
	names := make([]string, len(c.Graph.Nodes))
	for i, n := range c.Graph.Nodes {
		names[i] = n.Name
	}
	tapped, err := c.Graph.WithOutputs(names...)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float32{}
	for i, v := range tapped.Inputs {
		values[v.Name] = c.Inputs[i]
	}
	for i, v := range runGraph(t, d, tapped, c.Inputs) {
		values[names[i]] = v
	}
	reports, err := reference.Check(context.Background(), tapped, values)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != len(names) {
		t.Errorf("%d nodes were judged, want %d", len(reports), len(names))
	}
	for _, r := range reports {
		if err := r.Err(); err != nil {
			t.Error(err)
		}
	}
	for name, want := range c.Want {
		if e := golden.MaxRelError(reference.Widen(values[name]), want); !(e < 1e-4) {
			t.Errorf("value %q differs from PyTorch: relative error %g", name, e)
		}
	}
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
