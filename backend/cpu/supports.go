package cpu

import (
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// maxTensorBytes bounds one tensor, its halo and a node's packed weights.
const maxTensorBytes = 1 << 31

// isParam reports whether input i of an op must be a parameter: weights, bias and statistics are packed by Compile.
func isParam(op graph.Op, i int) bool {
	switch op := op.(type) {
	case graph.Conv2D:
		_, shortcut := op.Inputs()
		return i > 0 && i != shortcut
	case graph.Linear, graph.BatchNorm, graph.GroupNorm:
		return i > 0
	}
	return false
}

// supports holds a node that may come from anywhere against what the steps rely on.
func supports(n *graph.Node) error {
	if n == nil || n.Op == nil || n.Output == nil || slices.Contains(n.Inputs, nil) {
		return backend.Unsupported("node", "an op, inputs and a result", "nil")
	}
	types := make([]graph.TensorType, len(n.Inputs))
	for i, v := range n.Inputs {
		types[i] = v.Type
		what := fmt.Sprintf("input %d", i)
		if isParam, wantsParam := v.Kind == graph.ParamValue, isParam(n.Op, i); isParam != wantsParam {
			want := map[bool]string{true: "a parameter", false: "an input of the graph or a result"}
			return backend.Unsupported(what, want[wantsParam], fmt.Sprintf("%v %q", v.Kind, v.Name))
		}
		if err := supportsType(what, v.Type); err != nil {
			return err
		}
	}
	t, err := graph.Infer(n.Op, types...)
	if err != nil {
		return fmt.Errorf("%w: %w", backend.ErrUnsupported, err)
	}
	if n.Output.Type != t {
		return backend.Unsupported("result", t.String(), n.Output.Type.String())
	}
	if err := supportsType("result", t); err != nil {
		return err
	}
	op, ok := n.Op.(graph.Conv2D)
	if !ok {
		return nil
	}
	x := placeOf(types[0])
	x.widen(n.Inputs[0], op, types[1].Shape, t.Shape)
	if x.elems() > maxTensorBytes/4 {
		return backend.Unsupported("padding", fmt.Sprintf("a padded input of at most %d bytes", maxTensorBytes), fmt.Sprintf("%v of %v", op.Padding, types[0]))
	}
	return nil
}

func supportsType(what string, t graph.TensorType) error {
	if t.DType != graph.Float32 {
		return backend.Unsupported(what+" dtype", graph.Float32.String(), t.DType.String())
	}
	if t.Shape.Elems() > maxTensorBytes/4 {
		return backend.Unsupported(what+" size", fmt.Sprintf("at most %d bytes", maxTensorBytes), t.String())
	}
	return nil
}

// check holds a graph against what Compile needs.
func check(g *graph.Graph) error {
	if g == nil {
		return fmt.Errorf("want a graph, got nil")
	}
	if err := g.Validate(); err != nil {
		return err
	}
	for _, p := range g.Params {
		if p.Data == nil {
			return fmt.Errorf("graph %q: parameter %q is not bound", g.Name, p.Name)
		}
	}
	for _, n := range g.Nodes {
		if err := supports(n); err != nil {
			return fmt.Errorf("graph %q: node %q (%s): %w", g.Name, n.Name, n.Op.Name(), err)
		}
	}
	for _, v := range slices.Concat(g.Inputs, g.Params) {
		if err := supportsType(v.Name, v.Type); err != nil {
			return fmt.Errorf("graph %q: %v %q: %w", g.Name, v.Kind, v.Name, err)
		}
	}
	return nil
}
