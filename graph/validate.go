package graph

import "fmt"

// Validate checks everything that a backend may rely on: names are unique and well formed, every value is made
// before it is used and belongs to the graph, kinds and back references agree, every node's result has the type that
// its op infers, outputs are inputs or results, and bound data has the size of its type. Graphs from a [Builder] always pass.
func (g *Graph) Validate() error {
	c := &checker{names: map[string]bool{}, known: map[*Value]bool{}}
	if err := checkName(g.Name); err != nil {
		return fmt.Errorf("validate graph: %w", err)
	}
	if len(g.Inputs) == 0 || len(g.Outputs) == 0 {
		return fmt.Errorf("validate graph %q: want at least one input and one output, got %d and %d", g.Name, len(g.Inputs), len(g.Outputs))
	}
	for _, v := range g.Inputs {
		if err := c.leaf(v, InputValue); err != nil {
			return fmt.Errorf("validate graph %q: %w", g.Name, err)
		}
	}
	for _, v := range g.Params {
		if err := c.leaf(v, ParamValue); err != nil {
			return fmt.Errorf("validate graph %q: %w", g.Name, err)
		}
		if v.Data != nil && !v.Data.complete(v.Type) {
			return fmt.Errorf("validate graph %q: param %q: want data of %v, got %v in %d bytes", g.Name, v.Name, v.Type, v.Data.Type, len(v.Data.Data))
		}
	}
	for i, n := range g.Nodes {
		if n == nil || n.Output == nil {
			return fmt.Errorf("validate graph %q: node %d: want a node with a result, got nil", g.Name, i)
		}
		if err := c.node(n); err != nil {
			return fmt.Errorf("validate graph %q: %w", g.Name, err)
		}
	}
	for i, v := range g.Outputs {
		if v == nil || !c.known[v] {
			return fmt.Errorf("validate graph %q: output %d is not a value of the graph", g.Name, i)
		}
		if v.Kind == ParamValue {
			return fmt.Errorf("validate graph %q: output %d: want an input or the result of a node, got parameter %q", g.Name, i, v.Name)
		}
	}
	return nil
}

type checker struct {
	names map[string]bool
	known map[*Value]bool
}

func (c *checker) leaf(v *Value, kind ValueKind) error {
	if v == nil {
		return fmt.Errorf("%v: nil value", kind)
	}
	if v.Kind != kind || v.Node != nil || v.Type.DType.SizeBytes() == 0 {
		return fmt.Errorf("%v %q: want kind %v, a valid type and no producer, got %v, %v", kind, v.Name, kind, v.Kind, v.Type)
	}
	return c.add(v)
}

func (c *checker) node(n *Node) error {
	types := make([]TensorType, len(n.Inputs))
	for i, v := range n.Inputs {
		if v == nil || !c.known[v] {
			return fmt.Errorf("node %q: input %d is not made before it is used", n.Name, i)
		}
		types[i] = v.Type
	}
	t, err := Infer(n.Op, types...)
	if err != nil {
		return atNode(err, n.Name)
	}
	o := n.Output
	if o.Kind != NodeValue || o.Node != n || o.Name != n.Name || o.Data != nil {
		return fmt.Errorf("node %q: result %q does not refer back to it", n.Name, o.Name)
	}
	if o.Type != t {
		return &ShapeError{Node: n.Name, Op: n.Op.Name(), Attr: "result", Want: t.String(), Got: o.Type.String()}
	}
	return c.add(o)
}

func (c *checker) add(v *Value) error {
	if err := checkName(v.Name); err != nil {
		return err
	}
	if c.names[v.Name] {
		return fmt.Errorf("%v %q: the name is taken", v.Kind, v.Name)
	}
	c.names[v.Name], c.known[v] = true, true
	return nil
}
