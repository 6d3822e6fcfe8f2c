package onnx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

const (
	// testPython is a Python that has onnx and onnxruntime.
	testPython = "RESNET_RUN_TEST_PYTHON"
	// testPlugins and requirePlugins are as for plugins/examples: with one of them, one is made of the example's packages.
	testPlugins    = "RESNET_RUN_TEST_PLUGINS"
	requirePlugins = "RESNET_RUN_REQUIRE_PLUGINS"
)

// python returns a Python that has onnx and onnxruntime.
func python(t *testing.T) string {
	t.Helper()
	if p := os.Getenv(testPython); p != "" {
		return p
	}
	if os.Getenv(testPlugins) == "" && os.Getenv(requirePlugins) == "" {
		t.Skipf("NOT RUN: it needs ONNX Runtime; %s names a Python that has it, %s=1 fetches it, %s=1 requires that", testPython, testPlugins, requirePlugins)
	}
	dir := filepath.Join(t.TempDir(), "venv")
	bin := filepath.Join(dir, "bin", "python3")
	if runtime.GOOS == "windows" {
		bin = filepath.Join(dir, "Scripts", "python.exe")
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", dir},
		{bin, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "../../plugins/examples/python-onnxruntime/requirements.txt"},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			if os.Getenv(requirePlugins) != "" {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
			t.Skipf("NOT RUN: %v: %v\n%s", args, err, out)
		}
	}
	return bin
}

// runtimeCase is a case of tools/golden/onnx/exported.py.
type runtimeCase struct {
	Name      string         `json:"name"`
	File      string         `json:"file"`
	Inputs    []runtimeValue `json:"inputs"`
	Outputs   []runtimeValue `json:"outputs"`
	Tolerance float64        `json:"tolerance"`
}

type runtimeValue struct {
	Name   string    `json:"name"`
	Shape  []int     `json:"shape"`
	Values []float64 `json:"values"`
}

// runtimeCases writes models, and what is to be computed with them.
type runtimeCases struct {
	dir  string
	list []runtimeCase
}

// add exports a graph, for any batch size where it is made for that, and runs it with its own and with another.
func (r *runtimeCases) add(t *testing.T, name string, g *graph.Graph) {
	t.Helper()
	file := fmt.Sprintf("%d.onnx", len(r.list))
	batches := []int{g.Inputs[0].Type.Shape.Dim(0)}
	var model bytes.Buffer
	if err := onnx.Export(&model, g, onnx.ExportOptions{DynamicBatch: true}); err == nil {
		batches = append(batches, batches[0]+2)
	} else if err := onnx.Export(&model, g, onnx.ExportOptions{}); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, file), model.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range batches {
		if n != batches[0] {
			var err error
			if g, err = g.WithBatch(n); err != nil {
				t.Fatal(err)
			}
		}
		c := runtimeCase{Name: fmt.Sprintf("%s, batch %d", name, n), File: file, Tolerance: 2e-5}
		inputs := map[string][]float64{}
		for _, v := range g.Inputs {
			inputs[v.Name] = reference.Widen(seeded.Uniform(11, v.Name, v.Type.Shape.Elems(), 1))
			c.Inputs = append(c.Inputs, runtimeValue{v.Name, v.Type.Shape.Dims(), inputs[v.Name]})
		}
		values, err := reference.Eval(t.Context(), g, inputs)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range g.Outputs {
			name := v.Name
			if v.Kind == graph.InputValue || slices.Contains(g.Outputs[:i], v) {
				name += ".output"
			}
			c.Outputs = append(c.Outputs, runtimeValue{name, v.Type.Shape.Dims(), values[v.Name]})
		}
		r.list = append(r.list, c)
	}
}

// ONNX's checker finds nothing wrong with what is exported, and ONNX Runtime computes the same with it: every op with all its
// attributes, and small graphs that are drawn, and the networks of the family as they are and after the passes, for the batch of the graph and another one.
func TestONNXRuntimeComputesExports(t *testing.T) {
	py := python(t)
	r := &runtimeCases{dir: t.TempDir()}
	for _, c := range goldenCases(t) {
		r.add(t, c.Name, c.Graph)
	}
	for _, g := range drawnGraphs(t, 100) {
		r.add(t, g.Name, g)
	}
	for i, c := range kinds(t) {
		if i%backendtest.OneIn(4) != 0 {
			continue
		}
		g := member(t, c)
		r.add(t, c.Name, g)
		fused, err := pass.Run(g, pass.Default())
		if err != nil {
			t.Fatal(err)
		}
		r.add(t, c.Name+" after the passes", fused)
	}
	data, err := json.Marshal(r.list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "cases.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), py, filepath.Join("..", "..", "tools", "golden", "onnx", "exported.py"), r.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
