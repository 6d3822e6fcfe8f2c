package onnx_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// expected is what tools/golden/onnx/networks.py wrote of each network.
type expected struct {
	Input  [4]int    `json:"input"`
	Output []float64 `json:"output"`
}

func golden(t *testing.T) map[string]expected {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]expected
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func open(t *testing.T, name string) *onnx.Network {
	t.Helper()
	f, err := weights.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	n, err := onnx.New(f)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// picture is the input of the script.
func picture(n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(float32(7919*i%256)/255 - 0.5)
	}
	return x
}

// The networks give what ONNX Runtime computes in float32, as they are and after all passes.
func TestNetworksMatchONNXRuntime(t *testing.T) {
	for name, want := range golden(t) {
		t.Run(name, func(t *testing.T) {
			n := open(t, name+".onnx")
			in := want.Input
			g, err := n.Graph(in[0], in[2], in[3])
			if err != nil {
				t.Fatal(err)
			}
			fused, err := pass.Run(g, pass.Default())
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range []*graph.Graph{g, fused} {
				x := map[string][]float64{g.Inputs[0].Name: picture(in[0] * in[1] * in[2] * in[3])}
				values, err := reference.Eval(t.Context(), g, x)
				if err != nil {
					t.Fatal(err)
				}
				got := values[g.Outputs[0].Name]
				if len(got) != len(want.Output) {
					t.Fatalf("got %d results, want %d", len(got), len(want.Output))
				}
				worst, scale := 0.0, 0.0
				for j, w := range want.Output {
					worst, scale = max(worst, math.Abs(got[j]-w)), max(scale, math.Abs(w))
				}
				if !(worst <= 3e-6*scale) {
					t.Errorf("graph %d: results differ by up to %.3g of %.3g", i, worst, scale)
				}
			}
			if err := g.DataErr(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
