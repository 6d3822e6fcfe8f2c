package graph_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func TestBuilderReportsTheFirstError(t *testing.T) {
	x := graph.F32(1, 2)
	other := graph.NewBuilder("other").Input("x", x)
	for _, c := range []struct {
		name  string
		build func(*graph.Builder)
		want  string
	}{
		{"an empty name", func(b *graph.Builder) { b.Input("", x) }, `add input: name "": want 1 to 256 characters, got 0`},
		{"a long name", func(b *graph.Builder) { b.Input(strings.Repeat("n", 257), x) }, "want 1 to 256 characters, got 257"},
		{"a name with a space", func(b *graph.Builder) { b.Param("a b", x, nil) }, `add param: name "a b": character ' ' at 1: want letters, digits and _ . / - : +`},
		{"an input's name taken", func(b *graph.Builder) { b.Input("x", x); b.Input("x", x) }, `add input "x": the name is taken`},
		{"a parameter with an input's name", func(b *graph.Builder) { b.Input("x", x); b.Param("x", x, nil) }, `add param "x": the name is taken`},
		{"a node with an input's name", func(b *graph.Builder) { b.Node("x", graph.ReLU{}, b.Input("x", x)) }, `add node "x": the name is taken`},
		{"no element type", func(b *graph.Builder) { b.Input("x", graph.TensorType{}) }, `add input "x": invalid type invalid[]`},
		{"data of another type", func(b *graph.Builder) { b.Param("p", x, graph.NewTensor(graph.F32(2, 1))) },
			`add parameter "p": want data of float32[1,2], got float32[2,1] in 8 bytes`},
		{"data that is too short", func(b *graph.Builder) { b.Param("p", x, &graph.Tensor{Type: x, Data: make([]byte, 7)}) },
			`add parameter "p": want data of float32[1,2], got float32[1,2] in 7 bytes`},
		{"a nil input", func(b *graph.Builder) { b.Node("n", graph.ReLU{}, nil) }, `add node "n": input 0 is not a value of this graph`},
		{"a value of another graph", func(b *graph.Builder) { b.Node("n", graph.Add{}, b.Input("x", x), other) }, `add node "n": input 1 is not a value of this graph`},
		{"an output of another graph", func(b *graph.Builder) { b.Input("x", x); b.Output(other) }, "add output: not a value of this graph"},
		{"no output", func(b *graph.Builder) { b.Input("x", x) }, `build graph "g": want at least one input and one output, got 1 and 0`},
		{"no input and no output", func(b *graph.Builder) { b.Param("p", x, nil) }, `build graph "g": want at least one input and one output, got 0 and 0`},
		{"a parameter as output", func(b *graph.Builder) { b.Output(b.Param("p", x, nil)) }, `add output: want an input or the result of a node, got parameter "p"`},
		{"a shape error", func(b *graph.Builder) { b.Node("n", graph.GlobalAvgPool{}, b.Input("x", x)) },
			`node "n" (global_avg_pool): input 0: want 4 dimensions [N,C,H,W], got [1,2]`},
		{"two errors", func(b *graph.Builder) {
			v := b.Node("first", graph.GlobalAvgPool{}, b.Input("x", x))
			b.Output(b.Node("second", graph.ReLU{}, v))
			b.Param("", x, nil)
		}, `node "first" (global_avg_pool): input 0: want 4 dimensions [N,C,H,W], got [1,2]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := graph.NewBuilder("g")
			c.build(b)
			g, err := b.Build()
			if g != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want %s", g, err, c.want)
			}
		})
	}
	if _, err := graph.NewBuilder("a\nb").Build(); err == nil || !strings.Contains(err.Error(), `build graph: name "a\nb"`) {
		t.Errorf("graph with a bad name: got %v", err)
	}
}

func TestBuilderIsUsedOnce(t *testing.T) {
	b := graph.NewBuilder("g")
	x := b.Input("x", graph.F32(1, 2))
	b.Output(b.Node("n", graph.ReLU{}, x))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	text := g.Text()
	b.Output(b.Node("m", graph.ReLU{}, b.Input("y", graph.F32(3))))
	b.Param("p", graph.F32(3), nil)
	if again, err := b.Build(); again != nil || err == nil || !strings.Contains(err.Error(), "the builder was used already") {
		t.Errorf("got %v, %v", again, err)
	}
	if g.Text() != text {
		t.Errorf("the finished graph has changed to\n%s", g.Text())
	}
}

func TestNodeCopiesItsInputs(t *testing.T) {
	b := graph.NewBuilder("g")
	in := []*graph.Value{b.Input("x", graph.F32(2)), b.Input("y", graph.F32(2))}
	b.Output(b.Node("n", graph.Add{}, in...))
	in[0] = in[1]
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Nodes[0].Inputs[0].Name; got != "x" {
		t.Errorf("got input %s, want x", got)
	}
}

const smallNet = `graph small
input %x : float32[2,3,9,7]
param @w : float32[4,3,3,2]
param @fc.w : float32[5,4]
%c = conv2d(%x, @w) stride=2,1 : float32[2,4,4,6]
%g = global_avg_pool(%c) : float32[2,4,1,1]
%f = flatten(%g) : float32[2,4]
%fc = linear(%f, @fc.w) : float32[2,5]
output %fc
`

func TestBind(t *testing.T) {
	g := mustParse(t, smallNet)
	w, fcw := graph.NewTensor(graph.F32(4, 3, 3, 2)), graph.NewTensor(graph.F32(5, 4))
	bound, err := g.Bind(map[string]*graph.Tensor{"w": w, "fc.w": fcw, "unknown": w})
	if err != nil {
		t.Fatal(err)
	}
	if g.Bound() || !bound.Bound() {
		t.Errorf("got Bound %v of the old and %v of the new graph, want false and true", g.Bound(), bound.Bound())
	}
	if bound.Params[0].Data != w || bound.Params[1].Data != fcw || bound.Text() != g.Text() {
		t.Error("the parameters have not the tensors of their names")
	}
	if err := bound.Validate(); err != nil {
		t.Error(err)
	}
	again, err := bound.WithBatch(5)
	if err != nil || !again.Bound() || again.Params[1].Data != fcw {
		t.Errorf("WithBatch loses the data: %v", err)
	}
}

func TestBindErrors(t *testing.T) {
	g := mustParse(t, smallNet)
	_, err := g.Bind(map[string]*graph.Tensor{"fc.w": graph.NewTensor(graph.F32(4, 5))})
	var se *graph.ShapeError
	want := "bind parameter \"w\": no such tensor, want float32[4,3,3,2]\nbind parameter \"fc.w\": type: want float32[5,4], got float32[4,5]"
	if err == nil || err.Error() != want || !errors.As(err, &se) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = g.Bind(map[string]*graph.Tensor{"w": graph.NewTensor(graph.F32(4, 3, 3, 2)), "fc.w": {Type: graph.F32(5, 4), Data: make([]byte, 81)}})
	if err == nil || err.Error() != `bind parameter "fc.w": want 80 bytes, got 81` {
		t.Errorf("got %v", err)
	}
}

func TestWithBatch(t *testing.T) {
	g := mustParse(t, smallNet)
	for _, n := range []int{0, 1, 7} {
		got, err := g.WithBatch(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Validate(); err != nil {
			t.Error(err)
		}
		for _, v := range []*graph.Value{got.Inputs[0], got.Nodes[0].Output, got.Outputs[0]} {
			if v.Type.Shape.Dim(0) != n {
				t.Errorf("%s: got %v, want batch %d", v.Name, v.Type, n)
			}
		}
		if back, err := got.WithBatch(2); err != nil || back.Text() != smallNet {
			t.Errorf("back to batch 2: got %v, %v", back, err)
		}
	}
	for _, c := range []struct {
		n    int
		text string
		want string
	}{
		{-1, smallNet, `node "x" (input): batch: want a batch of at least 0 in dimension 0, got -1 for float32[2,3,9,7]`},
		{1 << 58, smallNet, `node "x" (input): batch: want at most 576460752303423487 elements, got 288230376151711744 for float32[2,3,9,7]`},
		{1 << 50, "graph g\ninput %x : float32[1,1]\nparam @w : float32[4096,1]\n%y = linear(%x, @w)\noutput %y", `node "y" (linear): result: want at most`},
		{3, "graph g\ninput %x : float32[]\noutput %x", "batch: want a batch of at least 0 in dimension 0, got 3 for float32[]"},
		{3, "graph g\ninput %x : float32[2,3]\nparam @p : float32[2,3]\n%y = add(%x, @p)\noutput %y", `node "y" (add): input 1: want [3,3] as input 0, got [2,3]`},
	} {
		if _, err := mustParse(t, c.text).WithBatch(c.n); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("batch %d: got %v, want %s", c.n, err, c.want)
		}
	}
}

// TestWithBatchOfEveryOpOfTheFamily: no attribute of an op speaks of the batch.
func TestWithBatchOfEveryOpOfTheFamily(t *testing.T) {
	g := mustParse(t, `graph family
input %x : float32[2,6,4,5]
param @g : float32[6]
param @b : float32[6]
param @w : float32[1,1,3,1]
%norm = group_norm(%x, @g, @b) groups=3 epsilon=1e-05
%first = channel_slice(%norm) begin=0 end=2
%both = concat(%norm, %first)
%mirrored = spatial_pad(%both) padding=3,0,1,2 reflect=true
%pooled = global_avg_pool(%both)
%row = reshape(%pooled) to=1,8,1
%near = conv2d(%row, @w) padding=1,0,1,0
%scores = reshape(%near) to=8,1,1
%y = split_attention(%mirrored, %scores) radix=2 groups=2
output %y
`)
	for _, n := range []int{0, 1, 7} {
		got, err := g.WithBatch(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Validate(); err != nil {
			t.Error(err)
		}
		for _, node := range got.Nodes {
			want := g.Value(node.Name).Type.Shape.WithDim(0, n)
			if node.Output.Type.Shape != want {
				t.Errorf("batch %d: %s is %v, want %v", n, node.Name, node.Output.Type, want)
			}
		}
	}
}

func TestLookingThingsUpInAGraph(t *testing.T) {
	g := mustParse(t, smallNet)
	for _, name := range []string{"x", "w", "fc.w", "c", "fc"} {
		if v := g.Value(name); v == nil || v.Name != name {
			t.Errorf("Value(%q): got %v", name, v)
		}
	}
	if v := g.Value("nothing"); v != nil {
		t.Errorf("Value of an unknown name: got %v", v)
	}
	if got := strings.Join(g.ParamNames(), " "); got != "fc.w w" {
		t.Errorf("ParamNames: got %s", got)
	}
	sig := g.Signature()
	if len(sig.Inputs) != 1 || len(sig.Outputs) != 1 || sig.Inputs[0] != (graph.Port{Name: "x", Type: graph.F32(2, 3, 9, 7)}) ||
		sig.Outputs[0] != (graph.Port{Name: "fc", Type: graph.F32(2, 5)}) {
		t.Errorf("Signature: got %+v", sig)
	}
	twice := mustParse(t, "graph g\ninput %x : float32[2]\n%r = relu(%x)\n%a = add(%x, %x)\noutput %a")
	users := twice.Users()
	if u := users[twice.Inputs[0]]; len(u) != 3 || u[0].Name != "r" || u[1].Name != "a" || u[2].Name != "a" {
		t.Errorf("Users: got %v", u)
	}
	if u := users[twice.Nodes[0].Output]; len(u) != 0 {
		t.Errorf("Users of a dead node: got %v", u)
	}
}
