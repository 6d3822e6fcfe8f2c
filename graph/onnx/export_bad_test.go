package onnx_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	"github.com/resnet-run/resnet-run/graph/weights"
)

// parsed makes a graph of its text, with ones for its parameters unless they are named in leave.
func parsed(t *testing.T, text string, leave ...string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader("graph g\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Params {
		if slices.Contains(leave, p.Name) {
			continue
		}
		p.Data = graph.NewTensor(p.Type)
		if p.Type.DType == graph.Float32 {
			for i := range p.Data.Float32s() {
				p.Data.Float32s()[i] = 1
			}
		}
	}
	return g
}

func TestExportRefuses(t *testing.T) {
	const x = "input %x : float32[2,4,5,6]\n"
	const norm = x + "param @w : float32[4]\nparam @b : float32[4]\n%y = group_norm(%x, @w, @b) groups=2 epsilon="
	for name, test := range map[string]struct {
		g    *graph.Graph
		opts onnx.ExportOptions
		want string
	}{
		"no data": {parsed(t, x+"param @w : float32[1,4,1,1]\n%y = conv2d(%x, @w)\noutput %y\n", "w"), onnx.ExportOptions{},
			`node "y" (conv2d): parameter "w": want float32 with its data, got float32[1,4,1,1], bound: false`},
		"half": {parsed(t, "input %x : float16[2,4,5,6]\n%y = relu(%x)\noutput %y\n"), onnx.ExportOptions{}, `input "x": want float32, got float16[2,4,5,6]`},
		"small epsilon": {parsed(t, norm+"1e-60\noutput %y\n"), onnx.ExportOptions{},
			`node "y" (group_norm): epsilon: want a number that is finite and above 0 in float32, got 1e-60`},
		"large epsilon": {parsed(t, norm+"1e60\noutput %y\n"), onnx.ExportOptions{}, `got 1e+60`},
		"one batch size": {parsed(t, x+"param @w : float32[2,4,5,6]\n%y = add(%x, @w)\noutput %y\n"), onnx.ExportOptions{DynamicBatch: true},
			"dynamic batch: want a graph for any batch size:"},
		"the batch elsewhere": {parsed(t, "input %x : float32[2,4]\ninput %w : float32[2,4]\n%y = linear(%x, %w)\noutput %y\n"), onnx.ExportOptions{DynamicBatch: true},
			`dynamic batch: output "y": want the batch in dimension 0 alone, got [2,2], and [3,3] for a batch of 3`},
		"no batch":         {parsed(t, "input %x : float32[]\n%y = relu(%x)\noutput %y\n"), onnx.ExportOptions{DynamicBatch: true}, `want a batch in dimension 0, got float32[]`},
		"no external name": {parsed(t, x+"%y = relu(%x)\noutput %y\n"), onnx.ExportOptions{External: io.Discard}, "external data: want the name of its file"},
	} {
		var file bytes.Buffer
		err := onnx.Export(&file, test.g, test.opts)
		if err == nil || !strings.HasPrefix(err.Error(), `export ONNX: graph "g": `) || !strings.Contains(err.Error(), test.want) || file.Len() > 0 {
			t.Errorf("%s: got %v and %d bytes, want %q and none", name, err, file.Len(), test.want)
		}
	}
}

// source is one of a lazy tensor that counts how often it is read, or fails.
type source struct {
	reads int
	err   error
}

func (s *source) ReadFloat32s(dst []float32) error {
	s.reads++
	for i := range dst {
		dst[i] = float32(i)
	}
	return s.err
}
func (s *source) Bound() float64 { return math.MaxFloat32 }
func (s *source) Key() any       { return nil }

// wide is a network with a lazy parameter of that many channels.
func wide(t *testing.T, channels int, src graph.Source) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("wide")
	x := b.Input("x", graph.F32(1, channels, 1, 1))
	w := b.Param("w", graph.F32(8, channels), graph.NewLazy(graph.NewShape(8, channels), src))
	b.Output(b.Node("y", graph.Linear{}, b.Node("f", graph.Flatten{}, x), w))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A model that no reader would take is refused before a parameter is read; with external data it is none.
func TestExportKnowsTheLimitOfAFile(t *testing.T) {
	src := &source{}
	g := wide(t, 1<<26, src) // 2 GiB
	var file bytes.Buffer
	err := onnx.Export(&file, g, onnx.ExportOptions{})
	var large *onnx.TooLargeError
	if !errors.As(err, &large) || large.Size <= 1<<31 || large.Size > 1<<31+1000 || large.Limit != 1<<31-1 || file.Len() > 0 || src.reads > 0 {
		t.Errorf("got %v, %d bytes and %d reads, want a *TooLargeError alone", err, file.Len(), src.reads)
	}
	if !strings.Contains(err.Error(), "2147483647 bytes") {
		t.Errorf("got %v, want the limit", err)
	}
}

func TestExportOfExternalData(t *testing.T) {
	dir := t.TempDir()
	g := parsed(t, "input %x : float32[2,255,2,2]\nparam @a : float32[1024,255,1,1]\nparam @b : float32[1024]\nparam @c : float32[301,1024,1,1]\nparam @d : float32[3]\n"+
		"%u = conv2d(%x, @a, @b) bias=true\n%v = conv2d(%u, @c)\n%s = channel_slice(%v) begin=0 end=3\n%y = batch_norm(%s, @d, @d, @d, @d) epsilon=1\noutput %y\n")
	var file, data bytes.Buffer
	if err := onnx.Export(&file, g, onnx.ExportOptions{External: &data, ExternalName: "g.onnx.data"}); err != nil {
		t.Fatal(err)
	}
	m, err := proto.ReadModel(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range m.Graph.Tensors {
		e := tensor.External
		want := map[string]string{"a": "0", "b": "1044480", "c": "1048576"}[tensor.Name]
		if (e == nil) != (want == "") || e != nil && (e["offset"] != want || e["location"] != "g.onnx.data") {
			t.Errorf("%s: got %v, want offset %q", tensor.Name, e, want)
		}
	}
	if file.Len() > 4096 || data.Len() != 1048576+301*1024*4 {
		t.Errorf("got %d bytes and %d of data", file.Len(), data.Len())
	}
	path := filepath.Join(dir, "g.onnx")
	for name, b := range map[string][]byte{"g.onnx": file.Bytes(), "g.onnx.data": data.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := onnx.New(f)
	if err != nil {
		t.Fatal(err)
	}
	back, err := n.Graph(2, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Params {
		if got := back.Value(p.Name); got == nil || !slices.Equal(got.Data.Float32s(), p.Data.Float32s()) {
			t.Errorf("parameter %q did not come back", p.Name)
		}
	}
}

// Each parameter is read once, and what goes wrong is passed on.
func TestExportReadsLazily(t *testing.T) {
	src := &source{}
	var file bytes.Buffer
	if err := onnx.Export(&file, wide(t, 100, src), onnx.ExportOptions{}); err != nil || src.reads != 1 {
		t.Errorf("got %v and %d reads, want one", err, src.reads)
	}
	src.err = errors.New("disk on fire")
	for name, opts := range map[string]onnx.ExportOptions{"inside": {}, "external": {External: io.Discard, ExternalName: "d"}} {
		err := onnx.Export(io.Discard, wide(t, 100, src), opts)
		if !errors.Is(err, src.err) || !strings.Contains(err.Error(), `read parameter "w"`) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	src.err = nil
	if err := onnx.Export(full{}, wide(t, 100000, src), onnx.ExportOptions{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk: got %v", err)
	}
	if err := onnx.Export(io.Discard, wide(t, 100, src), onnx.ExportOptions{External: full{}, ExternalName: "d"}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a full disk for external data: got %v", err)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// Producer, metadata, versions and the batch stand in the file as they were asked for.
func TestExportSaysWhatItWrites(t *testing.T) {
	g := parsed(t, "input %x : float32[2,4,5,6]\n%y = relu(%x)\n%f = flatten(%y)\noutput %f\noutput %f\noutput %x\n")
	for _, dynamic := range []bool{false, true} {
		var file bytes.Buffer
		err := onnx.Export(&file, g, onnx.ExportOptions{DynamicBatch: dynamic, Version: "v1.2", Metadata: map[string]string{"labels": `["a"]`, "b": "c"}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := proto.ReadModel(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		batch := int64(2)
		if dynamic {
			batch = 0
		}
		if m.IRVersion != 7 || m.Opsets[""] != 13 || m.Producer != "resnet-run" || m.ProducerVersion != "v1.2" || m.Metadata["labels"] != `["a"]` || m.Metadata["b"] != "c" || m.Graph.Name != "g" {
			t.Errorf("got %+v", m)
		}
		in, out := m.Graph.Inputs, m.Graph.Outputs
		if len(in) != 1 || in[0].Name != "x" || in[0].DType != proto.Float || !slices.Equal(in[0].Dims, []int64{batch, 4, 5, 6}) {
			t.Errorf("got inputs %+v", in)
		}
		if len(out) != 3 || out[0].Name != "f" || out[1].Name != "f.output" || out[2].Name != "x.output" || !slices.Equal(out[1].Dims, []int64{batch, 120}) {
			t.Errorf("got outputs %+v", out)
		}
	}
}

// A parameter that operators want in two shapes stands there twice, and one that is read in one shape once.
func TestExportOfAParameterInTwoShapes(t *testing.T) {
	g := parsed(t, "input %x : float32[2,4,5,6]\nparam @w : float32[4]\n%y = group_norm(%x, @w, @w) groups=2 epsilon=1\n%z = batch_norm(%y, @w, @w, @w, @w) epsilon=1\noutput %z\n")
	var file bytes.Buffer
	if err := onnx.Export(&file, g, onnx.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	m, err := proto.ReadModel(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	dims := map[string][]int64{}
	for _, tensor := range m.Graph.Tensors {
		if tensor.DType == proto.Float && !strings.Contains(tensor.Name, ".for.") {
			dims[tensor.Name] = tensor.Dims
		}
	}
	if len(dims) != 2 || !slices.Equal(dims["w"], []int64{4, 1, 1}) || !slices.Equal(dims["w:2"], []int64{4}) {
		t.Errorf("got %v", dims)
	}
}
