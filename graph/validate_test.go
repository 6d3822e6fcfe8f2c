package graph_test

import (
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

// TestValidateCatchesEachCorruption breaks a sound graph in one place at a time.
func TestValidateCatchesEachCorruption(t *testing.T) {
	for _, c := range []struct {
		name    string
		corrupt func(*graph.Graph)
		want    string
	}{
		{"graph name", func(g *graph.Graph) { g.Name = "a b" }, `validate graph: name "a b": character ' ' at 1`},
		{"no inputs", func(g *graph.Graph) { g.Inputs = nil }, `validate graph "small": want at least one input and one output, got 0 and 1`},
		{"no outputs", func(g *graph.Graph) { g.Outputs = nil }, "want at least one input and one output, got 1 and 0"},
		{"nil input", func(g *graph.Graph) { g.Inputs[0] = nil }, "input: nil value"},
		{"nil param", func(g *graph.Graph) { g.Params[1] = nil }, "param: nil value"},
		{"nil node", func(g *graph.Graph) { g.Nodes[2] = nil }, "node 2: want a node with a result, got nil"},
		{"nil result", func(g *graph.Graph) { g.Nodes[1].Output = nil }, "node 1: want a node with a result, got nil"},
		{"input of kind param", func(g *graph.Graph) { g.Inputs[0].Kind = graph.ParamValue }, `input "x": want kind input, a valid type and no producer, got param, float32[2,3,9,7]`},
		{"param of kind 0", func(g *graph.Graph) { g.Params[0].Kind = 0 }, `param "w": want kind param, a valid type and no producer, got valuekind(0)`},
		{"input with a producer", func(g *graph.Graph) { g.Inputs[0].Node = g.Nodes[0] }, `input "x": want kind input`},
		{"input without a type", func(g *graph.Graph) { g.Inputs[0].Type.DType = 0 }, `input "x": want kind input, a valid type and no producer, got input, invalid[2,3,9,7]`},
		{"input with a bad name", func(g *graph.Graph) { g.Inputs[0].Name = "%x" }, `name "%x": character '%' at 0`},
		{"two params of one name", func(g *graph.Graph) { g.Params[1].Name = "w" }, `param "w": the name is taken`},
		{"a param twice", func(g *graph.Graph) { g.Params = append(g.Params, g.Params[0]) }, `param "w": the name is taken`},
		{"a node twice", func(g *graph.Graph) { g.Nodes = append(g.Nodes, g.Nodes[0]) }, `node "c": the name is taken`},
		{"node named as a param", func(g *graph.Graph) { g.Nodes[0].Name, g.Nodes[0].Output.Name = "w", "w" }, `node "w": the name is taken`},
		{"data of another type", func(g *graph.Graph) { g.Params[1].Data = graph.NewTensor(graph.F32(4, 5)) }, `param "fc.w": want data of float32[5,4], got float32[4,5] in 80 bytes`},
		{"data too long", func(g *graph.Graph) {
			g.Params[1].Data = &graph.Tensor{Type: graph.F32(5, 4), Data: make([]byte, 84)}
		}, `param "fc.w": want data of float32[5,4], got float32[5,4] in 84 bytes`},
		{"nodes out of order", func(g *graph.Graph) { g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0] }, `node "g": input 0 is not made before it is used`},
		{"a node is missing", func(g *graph.Graph) { g.Nodes = g.Nodes[1:] }, `node "g": input 0 is not made before it is used`},
		{"nil input of a node", func(g *graph.Graph) { g.Nodes[0].Inputs[1] = nil }, `node "c": input 1 is not made before it is used`},
		{"a stranger's value", func(g *graph.Graph) { v := *g.Params[0]; g.Nodes[0].Inputs[1] = &v }, `node "c": input 1 is not made before it is used`},
		{"no op", func(g *graph.Graph) { g.Nodes[2].Op = nil }, `node "f": op: want an op of package graph by value, got <nil>`},
		{"a pointer to an op", func(g *graph.Graph) { g.Nodes[2].Op = &graph.Flatten{} }, `node "f": op: want an op of package graph by value, got *graph.Flatten`},
		{"attributes that do not fit", func(g *graph.Graph) { g.Nodes[0].Op = graph.Conv2D{} }, `node "c" (conv2d): stride: want two numbers in 1..16777216, got 0,0`},
		{"a result of another type", func(g *graph.Graph) { g.Nodes[0].Output.Type = graph.F32(2, 4, 6, 4) }, `node "c" (conv2d): result: want float32[2,4,4,6], got float32[2,4,6,4]`},
		{"a result of another kind", func(g *graph.Graph) { g.Nodes[0].Output.Kind = graph.InputValue }, `node "c": result "c" does not refer back to it`},
		{"a result of another node", func(g *graph.Graph) { g.Nodes[0].Output.Node = g.Nodes[1] }, `node "c": result "c" does not refer back to it`},
		{"a result of another name", func(g *graph.Graph) { g.Nodes[0].Output.Name = "d" }, `node "c": result "d" does not refer back to it`},
		{"a result with data", func(g *graph.Graph) { g.Nodes[0].Output.Data = &graph.Tensor{} }, `node "c": result "c" does not refer back to it`},
		{"nil output", func(g *graph.Graph) { g.Outputs[0] = nil }, "output 0 is not a value of the graph"},
		{"a stranger's output", func(g *graph.Graph) { g.Outputs = append(g.Outputs, &graph.Value{Name: "x"}) }, "output 1 is not a value of the graph"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustParse(t, smallNet)
			if err := g.Validate(); err != nil {
				t.Fatal(err)
			}
			c.corrupt(g)
			if err := g.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
