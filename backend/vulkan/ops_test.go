package vulkan

import (
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// TestOpsAreWithinTheirBounds runs every golden op case with each convolution kernel, and with and without staging,
// and holds each element against its class A bound.
func TestOpsAreWithinTheirBounds(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	type run struct {
		name  string
		opts  Options
		only  string // op, "" for all
		every int    // of the cases only each so many, another one with each kernel
		gpu   bool   // by the rule of a GPU
	}
	plain := Options{Unproved: true}
	runs := []run{
		{"default", plain, "", 1, false}, {"staging", Options{ForceStaging: true, Unproved: true}, "add", 1, false},
		{"rule of a GPU", plain, "", 5, true}, {"linear by the rule of a GPU", plain, "linear", 1, true},
	}
	for _, k := range plan.ConvKernels() {
		runs = append(runs, run{k, Options{Kernels: []string{k, "conv2d_regtile4_f32"}}, "conv2d", 18, false}) // not each takes all groups
	}
	for i, o := range runs {
		t.Run(o.name, func(t *testing.T) {
			eachDevice(t, o.opts, func(t *testing.T, d *device) {
				if o.gpu {
					d.limits.SoftwareDriver = false
				}
				ran := 0
				for _, c := range cases {
					if o.only != "" && c.Graph.Nodes[len(c.Graph.Nodes)-1].Op.Name() != o.only {
						continue
					}
					ran++
					if ran%o.every != i%o.every {
						continue
					}
					if testing.Short() && ran%6 != 1 {
						continue // pipelines take long to compile, the more so with the race detector
					}
					t.Run(c.Name, func(t *testing.T) { checkCase(t, d, c) })
				}
				if ran == 0 {
					t.Errorf("no golden case of op %q", o.only)
				}
			})
		})
	}
}

func checkCase(t *testing.T, d *device, c golden.Case) {
	t.Helper()
	backendtest.CheckCase(t, c, func(g *graph.Graph, inputs [][]float32) ([][]float32, map[string]backend.Winograd) {
		return runTransformed(t, d, g, inputs)
	})
}

// TestBlocksMatchPyTorch compares every intermediate value of basic and bottleneck blocks.
func TestBlocksMatchPyTorch(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no golden blocks")
	}
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
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
			eachDevice(t, Options{}, func(t *testing.T, d *device) {
				e := golden.L2Error(reference.Widen(runGraph(t, d, g, c.Inputs)[0]), c.Want[name])
				t.Logf("relative L2 error of the logits: %.2g", e)
				if !(e <= 1e-5) {
					t.Errorf("relative L2 error of the logits: got %g, want at most 1e-5", e)
				}
			})
		})
	}
}
