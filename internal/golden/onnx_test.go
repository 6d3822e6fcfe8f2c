package golden

import (
	"strings"
	"testing"
)

func TestONNXHasWhatTheDocumentSays(t *testing.T) {
	cases, err := ONNX()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 95 {
		t.Errorf("got %d tests, want 95", len(cases))
	}
	for _, c := range cases {
		if len(c.Values()) != 1 || len(c.Inputs) != len(c.Graph.Inputs) || len(c.Graph.Nodes) == 0 {
			t.Errorf("%s: values %v, %d inputs:\n%s", c.Name, c.Values(), len(c.Inputs), c.Graph.Text())
		}
	}
}

// FuzzONNX feeds the reader with what is no model, and the mapping with models that are none of onnx's tests.
func FuzzONNX(f *testing.F) {
	folders, names, err := readArchive()
	if err != nil {
		f.Fatal(err)
	}
	for i, name := range names {
		if i%10 == 0 && !strings.HasPrefix(name, "light/") {
			model := folders[name]["model.onnx"]
			f.Add(model)
			f.Add(model[:len(model)/2])
			f.Add(folders[name]["input_0.pb"])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := readModel(data); err == nil && m == nil {
			t.Error("no model and no error")
		}
		if x, err := readTensor(data); err == nil && len(x.f32)+len(x.i64) == 0 && len(x.dims) == 0 {
			t.Error("a scalar without a number")
		}
	})
}
