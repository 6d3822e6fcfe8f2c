package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// Graph makes the network for pictures of the given batch size and extent: one input [batch,C,height,width] and the
// outputs of the file, with its weights bound. Nodes have the names that they have in the file, those that make an output the
// name of that; what a name of a graph must not have is replaced.
//
// Errors: an [*Error] with the node that the IR cannot express or that the extent does not fit (a *[graph.ShapeError] in
// its chain), and those of package weights for weights that are not finite.
func (n *Network) Graph(batch, height, width int) (*graph.Graph, error) {
	channels, _, _ := n.Input()
	if channels == 0 {
		return nil, n.fail(nil, fmt.Errorf("input %s: want a fixed number of channels, got %d", quote(n.input.Name), n.input.Dims))
	}
	shape, err := graph.MakeShape([]int{batch, channels, height, width})
	if err != nil {
		return nil, n.fail(nil, fmt.Errorf("input %s: %w", quote(n.input.Name), err))
	}
	m := &importer{n: n, names: namer{}, values: map[string]value{}, params: map[key]*graph.Value{}, taken: map[*proto.Node]bool{}}
	m.b = graph.NewBuilder(namer{}.legal(cmp.Or(n.model.Graph.Name, "onnx"))) // values may have that name too
	in := m.b.Input(m.names.legal(cmp.Or(n.input.Name, "input")), graph.TensorType{DType: graph.Float32, Shape: shape})
	m.values[n.input.Name] = value{v: in, channelsLast: n.channelsLast}
	for _, node := range n.nodes {
		if err := m.node(node); err != nil {
			return nil, n.fail(node, err)
		}
	}
	for _, o := range n.model.Graph.Outputs {
		x, err := m.activation(o.Name)
		if err != nil {
			return nil, n.fail(nil, fmt.Errorf("output %s: %w", quote(o.Name), err))
		}
		m.b.Output(x)
	}
	g, err := m.b.Build()
	if err != nil {
		return nil, n.fail(nil, err)
	}
	return g, nil
}

// value is what a name of the file stands for while a graph is made. Exactly one of v, ints and constant is set.
type value struct {
	v            *graph.Value  // computed by the network
	pad          graph.Padding // zeros round v that its reader has to add
	gate         bool          // σ(v), for a Mul
	shares       *shares       // a softmax over branches of v, for a Mul
	weighted     *weighted     // branches of v times such a softmax, for a ReduceSum
	terms        *terms        // products of branches and their shares of such a softmax, for an Add
	branches     int           // when above 0, v's channels are so many branches that its reader has to add
	norm         *norm         // a group norm of v that its reader has to add
	view         *view         // other dimensions that v has in the file
	by           *proto.Node   // the node that left one of these to be done
	channelsLast bool          // v is [N,C,H,W] here and [N,H,W,C] in the file
	ints         *ints         // the result of arithmetic of shapes
	constant     *constant     // a parameter that is made, in place of one that is in the file
}

// key names a parameter: a tensor of the file, or what is made of it.
type key struct {
	name string // of the tensor, or of the result of the node that makes one
	how  string // what is done to it, empty for nothing
}

// constant is a parameter.
type constant struct {
	key
	tensor *graph.Tensor
	reads  int // how many tensors of the file it is computed of, when above 1
}

// importer makes one graph.
type importer struct {
	n      *Network
	b      *graph.Builder
	names  namer
	values map[string]value
	params map[key]*graph.Value
	taken  map[*proto.Node]bool // nodes that another has taken over
}

// node adds what a node does.
func (m *importer) node(node *proto.Node) error {
	if m.taken[node] {
		return nil
	}
	if len(node.Outputs) == 0 || node.Outputs[0] == "" {
		return errors.New("want a first result, got none")
	}
	for _, other := range node.Outputs[1:] {
		if node.Op != "Split" && m.reads(other) {
			return fmt.Errorf("result %s: only the first is computed, and something reads this one", quote(other))
		}
	}
	return importers[node.Op](m, node)
}

// reads reports whether a node or an output of the graph reads the value.
func (m *importer) reads(name string) bool {
	if name == "" {
		return false
	}
	return m.n.outputs[name] || len(m.n.readers[name]) > 0
}

// add adds a node of the graph for the result of a node of the file.
func (m *importer) add(node *proto.Node, op graph.Op, in ...*graph.Value) (*graph.Value, error) {
	name := nodeName(node)
	if out := m.resultOf(node); m.n.outputs[out] {
		name = out
	}
	return m.step(name, op, in...)
}

// step adds a node of the graph.
func (m *importer) step(name string, op graph.Op, in ...*graph.Value) (*graph.Value, error) {
	types := make([]graph.TensorType, len(in))
	for i, v := range in { // a builder would say so at its end only, without the node
		if v == nil {
			return nil, fmt.Errorf("input %d: want a value, got none", i)
		}
		types[i] = v.Type
	}
	if _, err := graph.Infer(op, types...); err != nil {
		return nil, err
	}
	return m.b.Node(m.names.legal(name), op, in...), nil
}

// resultOf is the result of a node, or of the Add that it has taken over.
func (m *importer) resultOf(node *proto.Node) string {
	out := node.Outputs[0]
	for {
		readers := m.n.readers[out]
		if len(readers) != 1 || !m.taken[readers[0]] {
			return out
		}
		out = readers[0].Outputs[0]
	}
}

// set adds a node whose result is the first of the file's node.
func (m *importer) set(node *proto.Node, op graph.Op, in ...*graph.Value) error {
	return m.setIn(node, false, op, in...)
}

// setIn is [importer.set] for a result in the layout of its operands.
func (m *importer) setIn(node *proto.Node, channelsLast bool, op graph.Op, in ...*graph.Value) error {
	v, err := m.add(node, op, in...)
	if err == nil {
		m.values[node.Outputs[0]] = value{v: v, channelsLast: channelsLast}
	}
	return err
}

// input returns the name of an input of a node, empty when it is left out.
func input(node *proto.Node, i int) string {
	if i < len(node.Inputs) {
		return node.Inputs[i]
	}
	return ""
}

// activation returns a value that the network computes, which nothing remains to be done to.
func (m *importer) activation(name string) (*graph.Value, error) {
	x, err := m.picture(name)
	if err == nil {
		err = channelsFirst(x, name)
	}
	return x.v, err
}

// padded is [importer.picture] for a reader that has a padding of its own.
func (m *importer) padded(name string) (value, error) {
	x, err := m.computed(name)
	if err == nil {
		err = x.refuse(name)
	}
	if err == nil {
		x, err = m.finish(name, x)
	}
	if err == nil {
		x, err = m.shaped(name, x)
	}
	return x, err
}

// computed returns a value that the network computes, with what remains to be done to it.
func (m *importer) computed(name string) (value, error) {
	x, ok := m.values[name]
	switch {
	case name == "":
		return x, errors.New("input: want a value, got none")
	case !ok && m.isParam(name), x.ints != nil, x.constant != nil:
		return x, fmt.Errorf("input %s: want what the network computes from the picture, got a constant", quote(name))
	case !ok:
		return x, fmt.Errorf("input %s: want the picture, a constant or the result of a node before this one, got a name of none of them", quote(name))
	}
	return x, nil
}

// isParam reports whether the file has a tensor of that name.
func (m *importer) isParam(name string) bool {
	_, ok := m.n.file.Info(name)
	return ok
}

// isConstant reports whether the value is a tensor that no picture changes.
func (m *importer) isConstant(name string) bool {
	return m.values[name].constant != nil || m.isParam(name)
}

// constant returns a parameter's name and elements.
func (m *importer) constant(name, what string) (constant, error) {
	if c := m.values[name].constant; c != nil {
		return *c, nil
	}
	if !m.isParam(name) {
		return constant{}, fmt.Errorf("%s %s: want a constant, got what is computed", what, quote(name))
	}
	k := key{name: name}
	t, err := m.n.keep(k, func() (*graph.Tensor, error) { return m.n.file.Lazy(name) })
	return constant{key: k, tensor: t}, err
}

// param returns the value of a constant, which must have that shape.
func (m *importer) param(c constant, what string, dims ...int) (*graph.Value, error) {
	if want := graph.NewShape(dims...); c.tensor.Type.Shape != want {
		return nil, fmt.Errorf("%s %s: want %v, got %v", what, quote(c.name), want, c.tensor.Type.Shape)
	}
	if v := m.params[c.key]; v != nil {
		return v, nil
	}
	v := m.b.Param(m.names.legal(c.name), c.tensor.Type, c.tensor)
	m.params[c.key] = v
	return v, nil
}

// namer makes names that a graph may have, no two alike.
type namer map[string]bool

// maxName is below what a graph allows, with room for a number.
const maxName = 200

func (n namer) legal(name string) string {
	if len(name) > maxName {
		name = name[len(name)-maxName:] // the end of a path says more than its beginning
	}
	b := []byte(name)
	for i, c := range b {
		if !strings.ContainsRune("_./-:+", rune(c)) && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			b[i] = '_'
		}
	}
	base := cmp.Or(string(b), "value")
	legal := base
	for i := 2; n[legal]; i++ {
		legal = fmt.Sprintf("%s:%d", base, i)
	}
	n[legal] = true
	return legal
}
