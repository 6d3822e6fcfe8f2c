package onnx_test

import (
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// The networks give what ONNX Runtime computes in float32, as they are and after all passes.
func TestNetworksMatchONNXRuntime(t *testing.T) {
	cases, err := golden.Exported()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 41 {
		t.Fatalf("got %d networks, want at least 41", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			fused, err := pass.Run(c.Graph, pass.Default())
			if err != nil {
				t.Fatal(err)
			}
			out := c.Graph.Outputs[0].Name
			for what, g := range map[string]*graph.Graph{"as it is": c.Graph, "after the passes": fused} {
				values, err := reference.Eval(t.Context(), g, c.Inputs64())
				if err != nil {
					t.Fatal(err)
				}
				if e := golden.L2Error(values[out], c.Want[out]); !(e <= 2e-6) {
					t.Errorf("%s: relative L2 error %.3g, want at most 2e-6", what, e)
				}
			}
			if err := c.Graph.DataErr(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
