package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph/weights"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// What is exported names the same colours, by the preset and labels that went along, whatever it was exported from and how.
func TestExport(t *testing.T) {
	world(t)
	classify := func(model string) string {
		t.Helper()
		o := do(t, "classify", "--model", model, "pictures")
		if o.code != exitOK {
			t.Fatalf("%s: got %+v", model, o)
		}
		return o.stdout
	}
	want := classify("colour.safetensors")
	if !strings.Contains(want, "green") {
		t.Fatalf("got %s", want)
	}
	for name, test := range map[string]struct {
		args  []string
		batch int64
		norms bool
		data  bool
	}{
		"as it is":         {[]string{"--model", "colour.safetensors"}, 0, true, false},
		"fused":            {[]string{"--model", "colour.safetensors", "--fused"}, 0, false, false},
		"of a batch":       {[]string{"--model", "colour.safetensors", "--batch", "3"}, 3, true, false},
		"of ONNX":          {[]string{"--model", "colour.onnx", "-b", "dynamic"}, 0, true, false},
		"of external data": {[]string{"--model", "colour.safetensors", "--external-data"}, 0, true, true},
	} {
		out := strings.ReplaceAll(name, " ", "-") + ".onnx"
		o := do(t, append([]string{"export", "-o", out}, test.args...)...)
		if o.code != exitOK || o.stdout != out+"\n" || o.stderr != "" {
			t.Fatalf("%s: got %+v", name, o)
		}
		if got := classify(out); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		f, err := weights.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		m := f.ONNX()
		if got := m.Graph.Inputs[0].Dims; got[0] != test.batch || got[1] != 3 || got[2] != 8 || got[3] != 8 {
			t.Errorf("%s: got an input of %d", name, got)
		}
		norms := false
		for _, n := range m.Graph.Nodes {
			norms = norms || n.Op == "BatchNormalization"
		}
		if norms != test.norms || m.Producer != "resnet-run" || m.ProducerVersion != buildVersion().Version {
			t.Errorf("%s: got norms %t and %s %s", name, norms, m.Producer, m.ProducerVersion)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(out + ".data"); (err == nil) != test.data {
			t.Errorf("%s: got %v for a file of data, want one: %t", name, err, test.data)
		}
	}
	if o := do(t, "export", "--model", "colour.onnx", "-o", "as-it-is.onnx", "-v"); o.code != exitOK || !strings.Contains(o.stderr, "wrote 14 layers: input input float32[1,3,8,8], logits fc float32[1,3], batch dynamic") {
		t.Errorf("over another file: got %+v", o)
	}
}

func TestExportRefuses(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "there.onnx", []byte("old"))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name string
		args []string
		ctx  context.Context
		code int
		want string
	}{
		{"no file", nil, t.Context(), exitUsage, "--out: want the FILE to write"},
		{"no batch", []string{"-o", "there.onnx", "--batch", "0"}, t.Context(), exitUsage, `--batch: want a number of at least 1, or dynamic, got "0"`},
		{"batch", []string{"-o", "there.onnx", "--batch", "some"}, t.Context(), exitUsage, `got "some"`},
		{"argument", []string{"-o", "there.onnx", "more"}, t.Context(), exitUsage, "unknown command"},
		{"itself", []string{"-o", "./colour.onnx", "--model", "colour.onnx"}, t.Context(), exitUsage, "want another file than the model's own"},
		{"no weights", []string{"-o", "there.onnx", "--model", "resnet18"}, t.Context(), exitModel, "pass --weights FILE"},
		{"no folder", []string{"-o", "none/there.onnx", "--model", "colour.onnx"}, t.Context(), exitRun, "none"},
		{"interrupted", []string{"-o", "there.onnx", "--model", "colour.onnx"}, cancelled, exitInterrupted, "interrupted"},
	} {
		o := run(t, test.ctx, strings.NewReader(""), nil, nil, append([]string{"export"}, test.args...)...)
		if o.code != test.code || !strings.Contains(o.stderr, test.want) || o.stdout != "" {
			t.Errorf("%s: got %+v, want %d and %q", test.name, o, test.code, test.want)
		}
		left, err := os.ReadFile("there.onnx")
		if err != nil || string(left) != "old" {
			t.Errorf("%s: the file that was there has %q, %v", test.name, left, err)
		}
		entries, err := os.ReadDir(".")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".tmp") {
				t.Errorf("%s: left %s", test.name, e.Name())
			}
		}
	}
}
