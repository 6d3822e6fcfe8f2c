package golden

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// Exported returns the networks of graph/onnx/testdata as they were exported, with their outputs as ONNX Runtime computes them in float32,
// or PyTorch in float64.
func Exported() ([]Case, error) {
	root, err := Dir()
	if err != nil {
		return nil, fmt.Errorf("load exported networks: %w", err)
	}
	dir := filepath.Join(root, "..", "..", "graph", "onnx", "testdata")
	var expected map[string]struct {
		Input  [4]int    `json:"input"`
		Output []float64 `json:"output"`
	}
	if err := readJSON(filepath.Join(dir, "expected.json"), &expected); err != nil {
		return nil, fmt.Errorf("load exported networks: %w", err)
	}
	var cases []Case
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		e := expected[name]
		c := Case{Name: name}
		f, err := weights.Open(filepath.Join(dir, name+".onnx"))
		if err != nil {
			return nil, fmt.Errorf("load exported networks: %w", err)
		}
		n, err := onnx.New(f)
		if err == nil {
			c.Graph, err = n.Graph(e.Input[0], e.Input[2], e.Input[3])
		}
		if err != nil {
			return nil, fmt.Errorf("load exported networks: %w", err)
		}
		c.Inputs = [][]float32{exportedInput(e.Input[0] * e.Input[1] * e.Input[2] * e.Input[3])}
		c.Want = map[string][]float64{c.Graph.Outputs[0].Name: e.Output}
		cases = append(cases, c)
	}
	return cases, nil
}

// exportedInput has the numbers of tools/golden/onnx/networks.py.
func exportedInput(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(7919*i%256)/255 - 0.5
	}
	return x
}
