package reference_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

func TestWrongBuffersAreRefused(t *testing.T) {
	d, other := open(t), open(t)
	e, err := d.Compile(t.Context(), smallGraph(t))
	if err != nil {
		t.Fatal(err)
	}
	in, out := io(t, d, e.Signature(), [][]float32{make([]float32, 18)})
	wrong := buffer(t, d, graph.F32(1, 2, 3, 4), nil)
	foreign := buffer(t, other, in[0].Type(), nil)
	closed := buffer(t, d, in[0].Type(), nil)
	closed.Close()
	for _, c := range []struct {
		name    string
		in, out []backend.Buffer
		want    string
		shape   bool
	}{
		{"no input", nil, out, "inputs: want 1 buffers, got 0", true},
		{"two outputs", in, append(out, out[0]), "outputs: want 1 buffers, got 2", true},
		{"another shape", []backend.Buffer{wrong}, out, "want float32[1,2,3,3], got float32[1,2,3,4]", true},
		{"another shape of output", in, []backend.Buffer{wrong}, "want float32[1,2,3,3], got float32[1,2,3,4]", true},
		{"another device's", []backend.Buffer{foreign}, out, "a buffer of the device", true},
		{"nil", []backend.Buffer{nil}, out, "a buffer of the device", true},
		{"input as output", in, in, "given twice", false},
		{"closed input", []backend.Buffer{closed}, out, "input 0 (\"x\"): buffer: closed", false},
		{"closed output", in, []backend.Buffer{closed}, "output 0 (\"y\"): buffer: closed", false},
	} {
		err := e.Run(t.Context(), c.in, c.out)
		var se *graph.ShapeError
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &se) != c.shape {
			t.Errorf("%s: got error %v, want one with %q (ShapeError: %v)", c.name, err, c.want, c.shape)
		}
	}
	if err := e.Run(t.Context(), in, out); err != nil {
		t.Errorf("right buffers after wrong ones: %v", err)
	}
	for _, n := range []int{0, 71, 73} {
		var se *graph.ShapeError
		if err := in[0].Write(t.Context(), make([]byte, n)); !errors.As(err, &se) {
			t.Errorf("write %d bytes: got %v", n, err)
		}
		if err := out[0].Read(t.Context(), make([]byte, n)); !errors.As(err, &se) {
			t.Errorf("read %d bytes: got %v", n, err)
		}
	}
	twice, err := smallGraph(t).WithOutputs("y", "y")
	if err != nil {
		t.Fatal(err)
	}
	two, err := d.Compile(t.Context(), twice)
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Run(t.Context(), in, []backend.Buffer{out[0], out[0]}); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("one buffer for two outputs: got error %v", err)
	}
}

func TestClosedObjectsSaySo(t *testing.T) {
	d := open(t)
	e, err := d.Compile(t.Context(), smallGraph(t))
	if err != nil {
		t.Fatal(err)
	}
	still, err := d.Compile(t.Context(), smallGraph(t))
	if err != nil {
		t.Fatal(err)
	}
	in, out := io(t, d, e.Signature(), [][]float32{make([]float32, 18)})
	closed := buffer(t, d, graph.F32(1), nil)
	for range 2 { // a second Close does nothing
		for _, c := range []interface{ Close() error }{e, closed} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	wantClosed := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, backend.ErrClosed) {
			t.Errorf("%s: got error %v, want ErrClosed", name, err)
		}
	}
	wantClosed("run", e.Run(t.Context(), in, out))
	wantClosed("read", closed.Read(t.Context(), make([]byte, 4)))
	wantClosed("write", closed.Write(t.Context(), make([]byte, 4)))
	if err := still.Run(t.Context(), in, out); err != nil {
		t.Errorf("another executable: %v", err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	wantClosed("run on a closed device", still.Run(t.Context(), in, out))
	wantClosed("read on a closed device", out[0].Read(t.Context(), make([]byte, 72)))
	wantClosed("supports", d.Supports(smallGraph(t).Nodes[0]))
	_, err = d.Compile(t.Context(), smallGraph(t))
	wantClosed("compile", err)
	_, err = d.NewBuffer(t.Context(), graph.F32(1))
	wantClosed("new buffer", err)
}

func TestRefusalsNameTheAttribute(t *testing.T) {
	d := open(t)
	half := graph.TensorType{DType: graph.Float16, Shape: graph.NewShape(2, 2)}
	b := graph.NewBuilder("half")
	b.Output(b.Node("y", graph.ReLU{}, b.Input("x", half)))
	halfGraph, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	b = graph.NewBuilder("huge")
	b.Output(b.Node("y", graph.ReLU{}, b.Input("x", graph.F32(1<<15, 1<<15))))
	hugeGraph, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	good := smallGraph(t).Nodes[1]
	lying := &graph.Value{Name: "y", Kind: graph.NodeValue, Type: graph.F32(1)}
	for _, c := range []struct {
		n    *graph.Node
		want string
	}{
		{halfGraph.Nodes[0], "input 0 dtype: want float32, got float16"},
		{hugeGraph.Nodes[0], "input 0 size: want at most"},
		{nil, "got nil"},
		{&graph.Node{Name: "n", Op: graph.ReLU{}, Inputs: []*graph.Value{nil}, Output: good.Output}, "got nil"},
		{&graph.Node{Name: "n", Op: graph.ReLU{}, Output: good.Output}, "inputs: want 1"},
		{&graph.Node{Name: "n", Op: graph.ReLU{}, Inputs: good.Inputs, Output: lying}, "result: want float32[1,2,3,3], got float32[1]"},
		{&graph.Node{Name: "n", Op: graph.MaxPool{}, Inputs: good.Inputs, Output: good.Output}, "kernel"},
	} {
		if err := d.Supports(c.n); !backend.IsUnsupported(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got error %v, want ErrUnsupported with %q", c.n, err, c.want)
		}
	}
	for _, n := range smallGraph(t).Nodes {
		if err := d.Supports(n); err != nil {
			t.Error(err)
		}
	}
	for _, g := range []*graph.Graph{halfGraph, hugeGraph} {
		if _, err := d.Compile(t.Context(), g); !backend.IsUnsupported(err) {
			t.Errorf("compile %s: got error %v, want ErrUnsupported", g.Name, err)
		}
	}
	if _, err := d.NewBuffer(t.Context(), half); !backend.IsUnsupported(err) {
		t.Errorf("buffer of %v: got error %v", half, err)
	}
	if _, err := d.NewBuffer(t.Context(), graph.F32(1<<20, 1<<20)); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("buffer of 4 TiB: got error %v", err)
	}
	if _, err := reference.New().Open(t.Context(), "gpu"); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("open an unknown device: got error %v", err)
	}
}

func TestGraphsThatCannotBeCompiledOrEvaluated(t *testing.T) {
	unbound, err := graph.Parse(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	d := open(t)
	for want, g := range map[string]*graph.Graph{
		"parameter \"w\" is not bound":             unbound,
		"want a graph, got nil":                    nil,
		"want at least one input and one output":   {Name: "empty"},
		"validate graph: name \"\": want 1 to 256": {},
	} {
		if _, err := d.Compile(t.Context(), g); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("compile: got error %v, want one with %q", err, want)
		}
		if _, err := reference.Eval(t.Context(), g, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("eval: got error %v, want one with %q", err, want)
		}
	}
	g := smallGraph(t)
	if _, err := reference.Eval(t.Context(), g, map[string][]float64{"x": make([]float64, 18)}, "nowhere"); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("unknown value: got error %v", err)
	}
	var se *graph.ShapeError
	for _, x := range [][]float64{nil, make([]float64, 17)} {
		if _, err := reference.Eval(t.Context(), g, map[string][]float64{"x": x}); !errors.As(err, &se) || se.Node != "x" {
			t.Errorf("input of %d elements: got error %v", len(x), err)
		}
	}
	n := g.Nodes[0]
	for _, in := range [][][]float64{nil, {make([]float64, 18)}, {make([]float64, 18), make([]float64, 5)}} {
		if _, _, err := reference.Bounds(t.Context(), n, in); !errors.As(err, &se) {
			t.Errorf("bounds of %d inputs: got error %v", len(in), err)
		}
	}
}
