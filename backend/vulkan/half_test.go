package vulkan

import (
	"context"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// runMixed is runGraph that also tells how tensors are stored.
func runMixed(t *testing.T, d backend.Device, g *graph.Graph, inputs [][]float32) ([][]float32, map[string]backend.Precision) {
	t.Helper()
	e, err := d.Compile(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	return runGraph(t, d, g, inputs), e.(backend.MixedPrecision).Precisions()
}

// TestHalfOpsAreWithinTheirBounds runs golden op cases with float16 storage, with each convolution kernel for it.
func TestHalfOpsAreWithinTheirBounds(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	type run struct {
		name  string
		o     Options
		every int
	}
	runs := []run{{"default", Options{}, 6}, {"staging", Options{ForceStaging: true}, 40}}
	for _, k := range plan.HalfConvKernels() {
		runs = append(runs, run{k, Options{Kernels: []string{k, "conv2d_regtile4_f32"}}, 16})
	}
	for i, o := range runs {
		o.o.Precision = Half
		t.Run(o.name, func(t *testing.T) {
			eachDevice(t, o.o, func(t *testing.T, d *device) {
				narrow, picked := 0, 0
				for j, c := range cases {
					conv := c.Graph.Nodes[len(c.Graph.Nodes)-1].Op.Name() == "conv2d"
					if j%o.every != i%o.every || i > 1 && !conv {
						continue
					}
					if picked++; testing.Short() && narrow > 0 && picked%4 != 1 {
						continue
					}
					t.Run(c.Name, func(t *testing.T) { narrow += checkHalf(t, d, c) })
				}
				if narrow == 0 {
					t.Error("no node was float16")
				}
			})
		})
	}
}

// checkHalf is checkCase with the roundings of float16. It returns how many nodes had them.
func checkHalf(t *testing.T, d *device, c golden.Case) int {
	t.Helper()
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
	out, stored := runMixed(t, d, tapped, c.Inputs)
	for i, v := range out {
		values[names[i]] = v
	}
	reports, err := reference.CheckMixed(context.Background(), tapped, values, nil, stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if err := r.Err(); err != nil {
			t.Errorf("node %q, %v: %v", r.Node, stored[r.Node.Name], err)
		}
		if r.Unbounded > 0 {
			t.Errorf("node %q: %d elements without a bound", r.Node, r.Unbounded)
		}
	}
	return len(stored)
}

// TestHalfBlocks runs basic and bottleneck blocks.
func TestHalfBlocks(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	eachDevice(t, Options{Precision: Half}, func(t *testing.T, d *device) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				if checkHalf(t, d, c) == 0 {
					t.Error("no node was float16")
				}
			})
		}
	})
}

// TestHalfNetworks runs resnet18 and resnet50 at 224 with float16 storage against the float64 logits of PyTorch.
func TestHalfNetworks(t *testing.T) {
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
			eachDevice(t, Options{Precision: Half}, func(t *testing.T, d *device) {
				out, stored := runMixed(t, d, g, c.Inputs)
				for _, n := range g.Nodes {
					if p := stored[n.Name]; n.Op.Name() == "conv2d" && (p.Operands != graph.Float16 || p.Parameters != graph.Float16 || p.Result != graph.Float16) {
						t.Errorf("node %q: got %v, want float16", n.Name, p)
					}
				}
				e := golden.L2Error(reference.Widen(out[0]), c.Want[g.Outputs[0].Name])
				t.Logf("relative L2 error of the logits: %.2g", e)
				if !(e <= 3e-3) {
					t.Errorf("relative L2 error of the logits: got %g, want at most 3e-3", e)
				}
			})
		})
	}
}
