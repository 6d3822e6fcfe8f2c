package onnx_test

import (
	"archive/zip"
	"fmt"
	"io"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	pt "github.com/resnet-run/resnet-run/graph/onnx/proto/prototest"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// archive returns the files of ONNX's backend tests by folder; docs/conformance/oracles.md says which they are.
func archive(t *testing.T) map[string]map[string][]byte {
	t.Helper()
	r, err := zip.OpenReader(filepath.Join("..", "..", "testdata", "golden", "onnx.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	folders := map[string]map[string][]byte{}
	for _, f := range r.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		dir, name := path.Split(f.Name)
		if folders[dir] == nil {
			folders[dir] = map[string][]byte{}
		}
		folders[dir][name] = data
	}
	return folders
}

// withParameters makes initializers of the inputs after the first, whose names are those in the graph: a test of an operator gives
// them as inputs, and a network has them as weights.
func withParameters(t *testing.T, model []byte, names []string, tensors [][]byte) []byte {
	t.Helper()
	var out []byte
	for rest := model; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		if number != 7 {
			out, rest = append(out, rest[:n]...), rest[n:]
			continue
		}
		_, _, tag := protowire.ConsumeTag(rest)
		body, _ := protowire.ConsumeBytes(rest[tag:])
		parts := [][]byte{body}
		for i, name := range names {
			parts = append(parts, pt.Initializer(append(slices.Clone(tensors[i]), pt.Text(8, name)...)))
		}
		out, rest = append(out, pt.Bytes(7, parts...)...), rest[n:]
	}
	return out
}

// reasons are why a test of an operator is none of a network for pictures. Those with signals and matrices as their input are
// there for the reference (internal/golden).
var reasons = []string{"want 4 dimensions, got", `result "z": only the first is computed`, "(Softmax): want two dimensions and axis 1, got [2,3,4,5]"}

// coarse are the tests whose results were written by hand, to four digits.
var coarse = []string{"node/test_averagepool_2d_ceil_last_window_starts_on_pad/"}

// ONNX's own tests of operators give what they say, or are refused for a reason that is listed.
func TestONNXBackendTests(t *testing.T) {
	passed, refused := 0, 0
	for folder, files := range archive(t) {
		if strings.HasPrefix(folder, "light/") {
			continue // has no input
		}
		got, want, why := runNode(t, folder, files)
		if why != "" {
			refused++
			if !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(why, r) }) {
				t.Errorf("%s: %s", folder, why)
			}
			continue
		}
		passed++
		tolerance := 1e-5
		if slices.Contains(coarse, folder) {
			tolerance = 1e-4
		}
		for i, w := range want {
			if !(math.Abs(got[i]-w) <= tolerance*max(1, math.Abs(w))) {
				t.Errorf("%s: result %d is %v, want %v", folder, i, got[i], w)
				break
			}
		}
	}
	if passed != 62 || refused != 57 {
		t.Errorf("%d tests were run and %d refused, want 62 and 57", passed, refused)
	}
}

func runNode(t *testing.T, folder string, files map[string][]byte) (got, want []float64, why string) {
	t.Helper()
	m, err := proto.ReadModel(files["model.onnx"])
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var tensors [][]byte
	for i, in := range m.Graph.Inputs[1:] {
		if data := files[fmt.Sprintf("input_%d.pb", i+1)]; data != nil {
			names, tensors = append(names, in.Name), append(tensors, data)
		}
	}
	f, err := weights.OpenBytes(folder, withParameters(t, files["model.onnx"], names, tensors))
	if err != nil {
		return nil, nil, err.Error()
	}
	defer f.Close()
	n, err := onnx.New(f)
	if err != nil {
		return nil, nil, err.Error()
	}
	x, err := proto.ReadTensor(files["input_0.pb"])
	if err != nil {
		t.Fatal(err)
	}
	d := x.Dims
	g, err := n.Graph(int(d[0]), int(d[2]), int(d[3]))
	if err != nil {
		return nil, nil, err.Error()
	}
	y, err := proto.ReadTensor(files["output_0.pb"])
	if err != nil {
		t.Fatal(err)
	}
	values, err := reference.Eval(t.Context(), g, map[string][]float64{g.Inputs[0].Name: float64s(t, x)})
	if err != nil {
		t.Fatal(err)
	}
	got, want = values[g.Outputs[0].Name], float64s(t, y)
	if len(got) != len(want) {
		t.Fatalf("%s: got %v, want %d elements", folder, g.Outputs[0].Type, len(want))
	}
	return got, want, ""
}

func float64s(t *testing.T, x proto.Tensor) []float64 {
	t.Helper()
	dims := make([]int, len(x.Dims))
	for i, d := range x.Dims {
		dims[i] = int(d)
	}
	tensor := graph.Tensor{Type: graph.F32(dims...), Data: x.Data}
	return reference.Widen(tensor.Float32s())
}

// light_resnet50 is ResNet-50 as Caffe2 exported it, its weights made by nodes: it has the work of the family's resnet50, and a
// batch size and an extent of its own do not matter.
func TestLightResNet50(t *testing.T) {
	f, err := weights.OpenBytes("light_resnet50", archive(t)["light/light_resnet50/"]["model.onnx"])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := onnx.New(f)
	if err != nil {
		t.Fatal(err)
	}
	if c, h, w := n.Input(); c != 3 || h != 224 || w != 224 || n.Stride() != 2 {
		t.Errorf("got an input of %d channels, %d×%d, stride %d", c, h, w, n.Stride())
	}
	g, err := n.Graph(1, 224, 224)
	if err != nil {
		t.Fatal(err)
	}
	config, err := resnet.Lookup("resnet50")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := config.Build(1, 224, 224)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := g.Cost().MACs, ours.Cost().MACs; got != want {
		t.Errorf("got %d multiply-accumulates, want %d", got, want)
	}
	other, err := n.Graph(2, 224, 224)
	if err != nil {
		t.Fatal(err)
	}
	if got := other.Outputs[0].Type.Shape.Dim(0); got != 2 {
		t.Errorf("got a batch of %d, want 2", got)
	}
	if other.Params[0].Data != g.Params[0].Data {
		t.Error("two graphs of a network do not share their weights")
	}
}
