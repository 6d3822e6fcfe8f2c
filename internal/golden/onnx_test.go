package golden

import "testing"

func TestONNXHasWhatTheDocumentSays(t *testing.T) {
	cases, err := ONNX()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 119 {
		t.Errorf("got %d tests, want 119", len(cases))
	}
	for _, c := range cases {
		if len(c.Values()) != 1 || len(c.Inputs) != len(c.Graph.Inputs) || len(c.Graph.Nodes) == 0 {
			t.Errorf("%s: values %v, %d inputs:\n%s", c.Name, c.Values(), len(c.Inputs), c.Graph.Text())
		}
	}
}
