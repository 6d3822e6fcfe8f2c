package cpu

import (
	"testing"

	"github.com/resnet-run/resnet-run/graph"
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
	backendtest.CheckCase(t, c, func(g *graph.Graph, inputs [][]float32) backendtest.Result {
		return backendtest.Result{Outputs: runGraph(t, d, g, inputs)}
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

// TestClassMapsMatchGradCAM compares the maps of every class with those that PyTorch's gradients give.
func TestClassMapsMatchGradCAM(t *testing.T) {
	backendtest.EachView(t, func(t *testing.T, c golden.Case) {
		eachSet(t, 2, func(t *testing.T, d *device) { checkCase(t, d, c) })
	})
}

// TestNetworksMatchPyTorch runs whole networks with calibrated batch normalisation, after the passes, against the float64 logits of PyTorch
// or, on small pictures, of the reference.
func TestNetworksMatchPyTorch(t *testing.T) {
	backendtest.EachNetwork(t, func(t *testing.T, c golden.Case) {
		eachSet(t, 2, func(t *testing.T, d *device) {
			for _, d.direct = range []bool{false, true} {
				limit := map[bool]float64{true: 2e-6, false: 4e-6}[d.direct] // class A and class B
				backendtest.CheckNetwork(t, c, runGraph(t, d, c.Graph, c.Inputs)[0], limit)
			}
		})
	})
}

// TestExportedNetworksMatchONNXRuntime runs networks of ONNX files against what ONNX Runtime computes in float32.
func TestExportedNetworksMatchONNXRuntime(t *testing.T) {
	backendtest.EachExported(t, func(t *testing.T, c golden.Case) {
		eachSet(t, 2, func(t *testing.T, d *device) {
			backendtest.CheckNetwork(t, c, runGraph(t, d, c.Graph, c.Inputs)[0], 5e-6)
		})
	})
}
