package model

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	pt "github.com/resnet-run/resnet-run/graph/onnx/proto/prototest"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// A network that a file holds gives the same as the one that is found from its weights, logits where the file has
// probabilities, and has labels and preset from the same places.
func TestONNXGivesTheSameAsWeights(t *testing.T) {
	dir := t.TempDir()
	var models [2]*Model
	var logits [2][]float64
	for i, path := range []string{modeltest.WriteModel(t, dir), modeltest.WriteONNX(t, dir)} {
		m, err := Load(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		g, err := m.Graph(2)
		if err != nil {
			t.Fatal(err)
		}
		if !g.Bound() || !m.HasWeights() || len(g.Outputs) != 1 || g.Outputs[0].Type != graph.F32(2, 3) {
			t.Errorf("%s: got bound %t, outputs %v", path, g.Bound(), g.Outputs)
		}
		x := make([]float64, 2*3*8*8)
		for j := range x {
			x[j] = float64(j%17) / 8
		}
		values, err := reference.Eval(t.Context(), g, map[string][]float64{g.Inputs[0].Name: x})
		if err != nil {
			t.Fatal(err)
		}
		models[i], logits[i] = m, values[g.Outputs[0].Name]
	}
	a, b := models[0], models[1]
	for i := range logits[0] { // the epsilon is a float32 in the file
		if d := logits[0][i] - logits[1][i]; d > 1e-9 || d < -1e-9 {
			t.Errorf("logit %d: got %v, want %v", i, logits[1][i], logits[0][i])
		}
	}
	if a.Classes != b.Classes || a.Side != b.Side || a.InChannels != b.InChannels || !slices.Equal(a.Labels, b.Labels) || a.Preprocess != b.Preprocess || a.LabelsFrom != b.LabelsFrom {
		t.Errorf("got %+v of the ONNX file, want as of the weights %+v", b, a)
	}
	if _, ok := b.Config(); ok || b.Architecture() != "a network of an ONNX file by test" {
		t.Errorf("got the architecture %q", b.Architecture())
	}
}

// What a file leaves open follows from the way in which it begins, and from the number of its classes.
func TestONNXPresets(t *testing.T) {
	testdata := filepath.Join("..", "..", "graph", "onnx", "testdata")
	crop := 64
	for _, test := range []struct {
		name   string
		crop   *int
		side   int
		labels string
		resize int
	}{
		{"option_a", nil, 32, "airplane", 32}, // begins with stride 1
		{"resnext", nil, 224, "class 0", 256}, // leaves the extent open, begins with stride 2
		{"channels_last", &crop, 64, "zero", 256},
	} {
		m, err := Load(t.Context(), filepath.Join(testdata, test.name+".onnx"), Options{Overrides: Overrides{Crop: test.crop}})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if m.Side != test.side || m.Labels[0] != test.labels || m.Classes != 10 || m.Preprocess.Resize != test.resize {
			t.Errorf("%s: got side %d, resize %d, %d labels from %q", test.name, m.Side, m.Preprocess.Resize, len(m.Labels), m.Labels[0])
		}
	}
}

// Hugging Face's repositories have config.json above the folder with ONNX files.
func TestONNXFolderOfARepository(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join("..", "..", "graph", "onnx", "testdata", "option_a.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	path := modeltest.WriteFile(t, filepath.Join(dir, "onnx", "model.onnx"), data)
	config := modeltest.WriteFile(t, filepath.Join(dir, "config.json"),
		[]byte(`{"id2label":{"0":"a","1":"b","2":"c","3":"d","4":"e","5":"f","6":"g","7":"h","8":"i","9":"j"}}`))
	m, err := Load(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Labels[9] != "j" || m.LabelsFrom != config {
		t.Errorf("got labels %q from %s", m.Labels, m.LabelsFrom)
	}
	// A file beside it that tells nothing hides nothing, and neither does where one stands.
	modeltest.WriteFile(t, filepath.Join(dir, "onnx", "config.json"), []byte(`{"transformers.js_config": {}}`))
	t.Chdir(filepath.Join(dir, "onnx"))
	for _, ref := range []string{path, "model.onnx"} {
		m, err := Load(t.Context(), ref, Options{})
		if err != nil || m.Labels[9] != "j" {
			t.Errorf("%s: got %v, labels from %s", ref, err, m.LabelsFrom)
		}
	}
	// What lies above is not that of weights.
	weights := modeltest.WriteModel(t, filepath.Join(dir, "onnx"))
	if m, err := Load(t.Context(), weights, Options{}); err != nil || m.LabelsFrom == config {
		t.Errorf("safetensors: got %v, labels from %s", err, m.LabelsFrom)
	}
}

// TestONNXExtentOfSidecars: a network that fits one extent alone, in a file that leaves it open, is built for the pictures that lie beside it.
func TestONNXExtentOfSidecars(t *testing.T) {
	dir := t.TempDir()
	weights := pt.Initializer(pt.Tensor("w", proto.Float, []int64{4, 192}, pt.Raw(make([]byte, 4*4*192))))
	rest := slices.Concat(weights, pt.Output("logits"), pt.Node("Flatten", []string{"x"}, []string{"f"}),
		pt.Node("Gemm", []string{"f", "w"}, []string{"logits"}, pt.AttrInt("transB", 1)))
	open := modeltest.WriteFile(t, filepath.Join(dir, "open.onnx"), pt.Model(13, pt.Input("x", 1, 3, -1, -1), rest))
	half := modeltest.WriteFile(t, filepath.Join(dir, "half.onnx"), pt.Model(13, pt.Input("x", 1, 3, -1, 8), rest))
	if _, err := Load(t.Context(), open, Options{}); err == nil || !strings.Contains(err.Error(), "192") {
		t.Errorf("without sidecars: got %v", err)
	}
	if m, err := Load(t.Context(), half, Options{}); err != nil || m.Side != 8 {
		t.Errorf("one extent of the two: got %v", err)
	}
	modeltest.WriteFile(t, filepath.Join(dir, "config.json"), []byte(`{"pretrained_cfg":{"input_size":[3,8,8]}}`))
	for _, path := range []string{open, half} {
		if m, err := Load(t.Context(), path, Options{}); err != nil || m.Side != 8 || m.Classes != 4 {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestONNXErrorsTellWhatToPass(t *testing.T) {
	dir := t.TempDir()
	testdata := filepath.Join("..", "..", "graph", "onnx", "testdata")
	colour := modeltest.WriteONNX(t, dir)
	file := func(name string, fields ...[]byte) string {
		return modeltest.WriteFile(t, filepath.Join(dir, name), pt.Model(13, fields...))
	}
	relu := file("relu.onnx", pt.Input("x", 1, 3, 8, 8), pt.Output("y"), pt.Node("Relu", []string{"x"}, []string{"y"}))
	grey := file("grey.onnx", pt.Input("x", 1, 1, 8, 8), pt.Output("f"), pt.Node("Flatten", []string{"x"}, []string{"f"}))
	unknown := file("unknown.onnx", pt.Input("x", 1, 3, 8, 8), pt.Output("f"), pt.Node("Det", []string{"x"}, []string{"f"}))
	broken, err := os.ReadFile(colour)
	if err != nil {
		t.Fatal(err)
	}
	cut := modeltest.WriteFile(t, filepath.Join(dir, "cut.onnx"), broken[:len(broken)/2])
	for name, test := range map[string]struct {
		ref  string
		opts Options
		want []string
	}{
		"rows and columns":  {filepath.Join(testdata, "basic.onnx"), Options{}, []string{"40×48", "--crop"}},
		"shortcuts":         {colour, Options{Detect: resnet.DetectOptions{Shortcut: resnet.ZeroPad}}, []string{"want neither --shortcut nor --stride-on-1x1, got --shortcut zero-pad"}},
		"a state dict":      {colour, Options{StateDict: "ema"}, []string{"no state dict"}},
		"as weights":        {"resnet18", Options{Weights: colour}, []string{"colour.onnx", "without --weights"}},
		"no classes":        {relu, Options{}, []string{"relu.onnx", "want one result, numbers for classes"}},
		"grey pictures":     {grey, Options{}, []string{"1 channels: want 3"}},
		"cut":               {cut, Options{}, []string{"cut.onnx", "unexpected EOF"}},
		"unknown operators": {unknown, Options{}, []string{"unknown.onnx", "Det"}},
	} {
		_, err := Load(t.Context(), test.ref, test.opts)
		for _, w := range test.want {
			if !strings.Contains(fmt.Sprint(err), w) {
				t.Errorf("%s: got %v, want %q in it", name, err, w)
			}
		}
	}
}
