package vulkan

import (
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// TestOpsAreWithinTheirBounds runs every golden op case with each convolution kernel, and with and without staging,
// and holds each element against its class A bound. What is the same geometry to a kernel is in the conformance suite too, so the everyday
// run takes one in six.
func TestOpsAreWithinTheirBounds(t *testing.T) {
	cases, err := golden.Ops()
	if err != nil {
		t.Fatal(err)
	}
	type part struct {
		name  string
		opts  Options
		only  string // op, "" for all
		every int    // of the cases only each so many, another one with each kernel
		gpu   bool   // by the rule of a GPU
	}
	plain := Options{Unproved: true}
	runs := []part{
		{"default", plain, "", backendtest.OneIn(6), false}, {"staging", Options{ForceStaging: true, Unproved: true}, "add", 1, false},
		{"rule of a GPU", plain, "", 5 * backendtest.OneIn(2), true}, {"linear by the rule of a GPU", plain, "linear", 1, true},
	}
	for _, k := range plan.ConvKernels() {
		every := 18 * backendtest.OneIn(3)
		if strings.Contains(k, "depthwise") { // few convolutions are for it
			every = 1
		}
		runs = append(runs, part{k, Options{Kernels: []string{k, "conv2d_regtile4_f32"}, Fences: true}, "conv2d", every, false})
	}
	for i, o := range runs {
		t.Run(o.name, func(t *testing.T) {
			eachDevice(t, o.opts, func(t *testing.T, d *device) {
				if o.gpu {
					d.limits.SoftwareDriver = false
				}
				ran, picked := 0, 0
				for _, c := range cases {
					last := c.Graph.Nodes[len(c.Graph.Nodes)-1]
					if o.only != "" && last.Op.Name() != o.only || strings.Contains(o.name, "depthwise") && !d.offers(last, o.name) {
						continue
					}
					ran++
					if ran%o.every != i%o.every {
						continue
					}
					if picked++; testing.Short() && picked%6 != 1 {
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

// TestClassMapsMatchGradCAM compares the maps of every class with those that PyTorch's gradients give.
func TestClassMapsMatchGradCAM(t *testing.T) {
	backendtest.EachView(t, func(t *testing.T, c golden.Case) {
		eachDevice(t, Options{}, func(t *testing.T, d *device) { checkCase(t, d, c) })
	})
}

// TestNetworksMatchPyTorch runs whole networks with calibrated batch normalisation, after the passes, against the float64 logits of PyTorch
// or, on small pictures, of the reference.
func TestNetworksMatchPyTorch(t *testing.T) {
	backendtest.EachNetwork(t, func(t *testing.T, c golden.Case) {
		eachDevice(t, Options{}, func(t *testing.T, d *device) {
			backendtest.CheckNetwork(t, c, runGraph(t, d, c.Graph, c.Inputs)[0], 1e-5)
		})
	})
}

// TestExportedNetworksMatchONNXRuntime runs networks of ONNX files against what ONNX Runtime computes in float32: gates and average
// pools between packed tensors, a padding of its own, a shortcut of zeros.
func TestExportedNetworksMatchONNXRuntime(t *testing.T) {
	backendtest.EachExported(t, func(t *testing.T, c golden.Case) {
		eachDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
			backendtest.CheckNetwork(t, c, runGraph(t, d, c.Graph, c.Inputs)[0], 1e-5)
		})
	}, "squeeze_excitation_dynamo", "channels_last", "option_a")
}
