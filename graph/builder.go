package graph

import (
	"errors"
	"fmt"
)

// Builder makes a graph node by node. The first error sticks: later calls return values that must not be looked
// at, and Build reports it. A Builder is used once, by one goroutine.
type Builder struct {
	g     *Graph
	names map[string]bool
	own   map[*Value]bool
	err   error
}

// NewBuilder starts a graph with the given name.
func NewBuilder(name string) *Builder {
	b := &Builder{g: &Graph{Name: name}, names: map[string]bool{}, own: map[*Value]bool{}}
	if err := checkName(name); err != nil {
		b.err = fmt.Errorf("build graph: %w", err)
	}
	return b
}

// Input adds an input.
func (b *Builder) Input(name string, t TensorType) *Value {
	v := b.value(name, t, InputValue)
	b.g.Inputs = append(b.g.Inputs, v)
	return v
}

// Param adds a parameter; data may be nil, to be bound later with [Graph.Bind].
func (b *Builder) Param(name string, t TensorType, data *Tensor) *Value {
	v := b.value(name, t, ParamValue)
	if data != nil && !data.complete(t) {
		b.fail(fmt.Errorf("add parameter %q: want data of %v, got %v in %d bytes", name, t, data.Type, len(data.Data)))
	}
	v.Data = data
	b.g.Params = append(b.g.Params, v)
	return v
}

// Node adds a node and returns its result, whose type is inferred.
func (b *Builder) Node(name string, op Op, inputs ...*Value) *Value {
	n := &Node{Name: name, Op: op, Inputs: append([]*Value(nil), inputs...)}
	v := &Value{Name: name, Kind: NodeValue, Node: n}
	n.Output = v
	if b.err != nil {
		return v
	}
	types := make([]TensorType, len(inputs))
	for i, in := range inputs {
		if in == nil || !b.own[in] {
			b.fail(fmt.Errorf("add node %q: input %d is not a value of this graph", name, i))
			return v
		}
		types[i] = in.Type
	}
	t, err := Infer(op, types...)
	if err != nil {
		b.fail(atNode(err, name))
		return v
	}
	v.Type = t
	b.register(v)
	b.g.Nodes = append(b.g.Nodes, n)
	return v
}

// Output marks values as outputs of the graph, in order: inputs or results of nodes, not parameters.
func (b *Builder) Output(vs ...*Value) {
	for _, v := range vs {
		if b.err == nil && (v == nil || !b.own[v]) {
			b.fail(errors.New("add output: not a value of this graph"))
		} else if b.err == nil && v.Kind == ParamValue {
			b.fail(fmt.Errorf("add output: want an input or the result of a node, got parameter %q", v.Name))
		}
		b.g.Outputs = append(b.g.Outputs, v)
	}
}

// Build returns the finished graph.
//
// Errors: the first that occurred, among them *[ShapeError]; or that there is no input or no output.
func (b *Builder) Build() (*Graph, error) {
	if b.err != nil {
		return nil, b.err
	}
	if len(b.g.Inputs) == 0 || len(b.g.Outputs) == 0 {
		return nil, fmt.Errorf("build graph %q: want at least one input and one output, got %d and %d", b.g.Name, len(b.g.Inputs), len(b.g.Outputs))
	}
	g := b.g
	b.g, b.err = &Graph{}, errors.New("build graph: the builder was used already")
	return g, nil
}

func (b *Builder) value(name string, t TensorType, kind ValueKind) *Value {
	v := &Value{Name: name, Type: t, Kind: kind}
	if b.err != nil {
		return v
	}
	if t.DType.SizeBytes() == 0 {
		b.fail(fmt.Errorf("add %v %q: invalid type %v", kind, name, t))
		return v
	}
	b.register(v)
	return v
}

func (b *Builder) register(v *Value) {
	if err := checkName(v.Name); err != nil {
		b.fail(fmt.Errorf("add %v: %w", v.Kind, err))
	} else if b.names[v.Name] {
		b.fail(fmt.Errorf("add %v %q: the name is taken", v.Kind, v.Name))
	}
	b.names[v.Name] = true
	b.own[v] = true
}

func (b *Builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// atNode puts the node's name into a ShapeError that does not name one yet.
func atNode(err error, name string) error {
	var se *ShapeError
	if errors.As(err, &se) && se.Node == "" {
		c := *se
		c.Node = name
		return &c
	}
	return fmt.Errorf("node %q: %w", name, err)
}

// MaxNameBytes is the longest name of a graph or a value.
const MaxNameBytes = 256

// FreshName is base with a suffix, and a number behind it when that is taken. A long base is cut.
func FreshName(base, suffix string, taken func(name string) bool) string {
	for i := 1; ; i++ {
		end := suffix
		if i > 1 {
			end = fmt.Sprint(suffix, i)
		}
		if name := base[:min(len(base), MaxNameBytes-len(end))] + end; !taken(name) {
			return name
		}
	}
}

// checkName accepts the letters of the text form: ASCII letters, digits and _ . / - : +
func checkName(s string) error {
	if s == "" || len(s) > MaxNameBytes {
		return fmt.Errorf("name %.40q: want 1 to %d characters, got %d", s, MaxNameBytes, len(s))
	}
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return fmt.Errorf("name %q: character %q at %d: want letters, digits and _ . / - : +", s, s[i], i)
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	switch c {
	case '_', '.', '/', '-', ':', '+':
		return true
	}
	return false
}
