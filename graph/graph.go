package graph

import (
	"errors"
	"fmt"
	"sort"
)

// ValueKind says where a value comes from. The zero value is invalid.
type ValueKind uint8

// The kinds of values.
const (
	InvalidValue ValueKind = iota
	InputValue
	ParamValue
	NodeValue
)

// String returns "input", "param" or "node".
func (k ValueKind) String() string {
	switch k {
	case InputValue:
		return "input"
	case ParamValue:
		return "param"
	case NodeValue:
		return "node"
	}
	return fmt.Sprintf("valuekind(%d)", uint8(k))
}

// Value is a tensor in the graph. Its fields are read-only once the graph is built.
type Value struct {
	Name string // unique in the graph; the value of a node has the node's name
	Type TensorType
	Kind ValueKind
	Node *Node   // the producer of a NodeValue, else nil
	Data *Tensor // the data of a ParamValue, nil until it is bound
}

// Node applies an op to values. Its fields are read-only once the graph is built.
type Node struct {
	Name   string
	Op     Op
	Inputs []*Value // in the order that the op documents
	Output *Value
}

// Graph is a network: nodes in an order in which every value is made before it is used.
// Its fields are read-only once it is built.
type Graph struct {
	Name    string
	Inputs  []*Value
	Params  []*Value
	Nodes   []*Node
	Outputs []*Value
}

// Port is one input or output of a graph.
type Port struct {
	Name string
	Type TensorType
}

// Signature is what a caller of a compiled graph must know: its inputs and outputs, in order.
type Signature struct{ Inputs, Outputs []Port }

// Signature returns the inputs and outputs of g.
func (g *Graph) Signature() Signature {
	ports := func(vs []*Value) []Port {
		out := make([]Port, len(vs))
		for i, v := range vs {
			out[i] = Port{v.Name, v.Type}
		}
		return out
	}
	return Signature{ports(g.Inputs), ports(g.Outputs)}
}

// Value returns the value with the given name, nil when there is none.
func (g *Graph) Value(name string) *Value {
	for _, vs := range [][]*Value{g.Inputs, g.Params} {
		for _, v := range vs {
			if v.Name == name {
				return v
			}
		}
	}
	for _, n := range g.Nodes {
		if n.Name == name {
			return n.Output
		}
	}
	return nil
}

// Bound reports whether every parameter has its data.
func (g *Graph) Bound() bool {
	for _, p := range g.Params {
		if p.Data == nil {
			return false
		}
	}
	return true
}

// Bind returns the graph with the data of its parameters set from tensors by name. Names that the graph does not
// know are ignored.
//
// Errors: all that is wrong, joined: parameters without a tensor, and a *[ShapeError] for each of another type.
func (g *Graph) Bind(tensors map[string]*Tensor) (*Graph, error) {
	var errs []error
	for _, p := range g.Params {
		t := tensors[p.Name]
		switch {
		case t == nil:
			errs = append(errs, fmt.Errorf("bind parameter %q: no such tensor, want %v", p.Name, p.Type))
		case t.Type != p.Type:
			errs = append(errs, fmt.Errorf("bind parameter %q: %w", p.Name, &ShapeError{Attr: "type", Want: p.Type.String(), Got: t.Type.String()}))
		case !t.complete(p.Type):
			errs = append(errs, fmt.Errorf("bind parameter %q: want %d bytes, got %d", p.Name, p.Type.SizeBytes(), len(t.Data)))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return g.rebuild(func(v *Value) TensorType { return v.Type }, func(v *Value) *Tensor { return tensors[v.Name] })
}

// WithBatch returns the graph with the first dimension of every input set to n and all other shapes inferred anew.
//
// Errors: a *[ShapeError] when n is negative, when an input has no dimensions, or when a tensor becomes too large.
func (g *Graph) WithBatch(n int) (*Graph, error) {
	batched := map[*Value]TensorType{}
	for _, v := range g.Inputs {
		if n < 0 || v.Type.Shape.Rank() == 0 {
			return nil, &ShapeError{Node: v.Name, Op: "input", Attr: "batch", Want: "a batch of at least 0 in dimension 0", Got: fmt.Sprintf("%d for %v", n, v.Type)}
		}
		dims := v.Type.Shape.Dims()
		dims[0] = n
		s, err := MakeShape(dims)
		if err != nil {
			return nil, &ShapeError{Node: v.Name, Op: "input", Attr: "batch", Want: fmt.Sprintf("at most %d elements", MaxElems), Got: fmt.Sprintf("%d for %v", n, v.Type)}
		}
		batched[v] = TensorType{v.Type.DType, s}
	}
	return g.rebuild(func(v *Value) TensorType {
		if t, ok := batched[v]; ok {
			return t
		}
		return v.Type
	}, func(v *Value) *Tensor { return v.Data })
}

// WithOutputs returns the graph with the named values as its outputs, in that order: the way to look at an
// intermediate value on any backend. Every node is kept.
//
// Errors: a name that is of no value.
func (g *Graph) WithOutputs(names ...string) (*Graph, error) {
	c := *g
	c.Outputs = make([]*Value, len(names))
	for i, name := range names {
		if c.Outputs[i] = g.Value(name); c.Outputs[i] == nil {
			return nil, fmt.Errorf("choose outputs of graph %q: no value %.80q", g.Name, name)
		}
	}
	// Nodes refer to values by pointer, so a copy with its own is needed.
	return c.rebuild(func(v *Value) TensorType { return v.Type }, func(v *Value) *Tensor { return v.Data })
}

// rebuild copies the graph through a Builder, with the types of inputs and params and the data of params mapped.
func (g *Graph) rebuild(typ func(*Value) TensorType, data func(*Value) *Tensor) (*Graph, error) {
	b := NewBuilder(g.Name)
	m := g.copyTo(b, typ, data)
	for _, v := range g.Outputs {
		b.Output(m[v])
	}
	return b.Build()
}

// CopyTo adds everything of the graph but its outputs to b, under the same names, and returns what each value is there: the way
// to build on a graph that is there. b must have none of the names yet. What is wrong, Build says.
func (g *Graph) CopyTo(b *Builder) map[*Value]*Value {
	return g.copyTo(b, func(v *Value) TensorType { return v.Type }, func(v *Value) *Tensor { return v.Data })
}

func (g *Graph) copyTo(b *Builder, typ func(*Value) TensorType, data func(*Value) *Tensor) map[*Value]*Value {
	m := make(map[*Value]*Value, len(g.Inputs)+len(g.Params)+len(g.Nodes))
	for _, v := range g.Inputs {
		m[v] = b.Input(v.Name, typ(v))
	}
	for _, v := range g.Params {
		m[v] = b.Param(v.Name, typ(v), data(v))
	}
	for _, n := range g.Nodes {
		in := make([]*Value, len(n.Inputs))
		for i, v := range n.Inputs {
			in[i] = m[v]
		}
		m[n.Output] = b.Node(n.Name, n.Op, in...)
	}
	return m
}

// Users returns, for every value, the nodes that read it, in order; a node that reads a value twice stands there twice.
func (g *Graph) Users() map[*Value][]*Node {
	u := make(map[*Value][]*Node)
	for _, n := range g.Nodes {
		for _, v := range n.Inputs {
			u[v] = append(u[v], n)
		}
	}
	return u
}

// ParamNames returns the names of the parameters, sorted.
func (g *Graph) ParamNames() []string {
	names := make([]string, len(g.Params))
	for i, p := range g.Params {
		names[i] = p.Name
	}
	sort.Strings(names)
	return names
}
