package wire

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

// EncodeGraph is the wire form of g's structure; the data of its parameters travels apart (see [SendGraph]).
//
// Errors: g is nil, does not validate, or has more than [MaxValues] values; backend.ErrUnsupported for a node of more
// than [MaxNodeInputs] inputs.
func EncodeGraph(g *graph.Graph) (*pb.Graph, error) {
	if g == nil {
		return nil, errors.New("encode graph: want one, got nil")
	}
	if n := len(g.Inputs) + len(g.Params) + len(g.Nodes); n > MaxValues {
		return nil, fmt.Errorf("encode graph %q: want at most %d values, got %d", g.Name, MaxValues, n)
	}
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("encode graph: %w", err)
	}
	p := &pb.Graph{Name: g.Name}
	for _, v := range g.Inputs {
		p.Inputs = append(p.Inputs, encodeValue(v))
	}
	for _, v := range g.Params {
		p.Parameters = append(p.Parameters, encodeValue(v))
	}
	for _, n := range g.Nodes {
		op, err := encodeOp(n.Op)
		if err != nil {
			return nil, fmt.Errorf("encode node %q: %w", n.Name, err)
		}
		if err := inputsFit(n); err != nil {
			return nil, fmt.Errorf("encode node %q: %w", n.Name, err)
		}
		w := &pb.Node{Name: n.Name, Op: op, Result: EncodeType(n.Output.Type)}
		for _, in := range n.Inputs {
			w.Inputs = append(w.Inputs, in.Name)
		}
		p.Nodes = append(p.Nodes, w)
	}
	for _, v := range g.Outputs {
		p.Outputs = append(p.Outputs, v.Name)
	}
	return p, nil
}

// inputsFit refuses what the other side must not take.
func inputsFit(n *graph.Node) error {
	if len(n.Inputs) > MaxNodeInputs {
		return backend.Unsupported("inputs", fmt.Sprintf("at most %d in the plugin protocol", MaxNodeInputs), fmt.Sprint(len(n.Inputs)))
	}
	return nil
}

func encodeValue(v *graph.Value) *pb.Value {
	return &pb.Value{Name: v.Name, Type: EncodeType(v.Type)}
}

// DecodeGraph is the inverse of [EncodeGraph]: a graph without parameter data that passes [graph.Graph.Validate].
//
// Errors: everything that Validate refuses, *[graph.ShapeError] among it; backend.ErrUnsupported for an operation or an
// element type of a later version.
func DecodeGraph(p *pb.Graph) (*graph.Graph, error) {
	if p == nil {
		return nil, errors.New("decode graph: want one, got none")
	}
	if n := len(p.Inputs) + len(p.Parameters) + len(p.Nodes); n > MaxValues || len(p.Outputs) > MaxValues {
		return nil, fmt.Errorf("decode graph %.40q: want at most %d values and outputs, got %d and %d", p.Name, MaxValues, n, len(p.Outputs))
	}
	d := &decoder{b: graph.NewBuilder(p.Name), values: map[string]*graph.Value{}}
	if err := d.graph(p); err != nil {
		return nil, fmt.Errorf("decode graph %.40q: %w", p.Name, err)
	}
	g, err := d.b.Build()
	if err != nil {
		return nil, fmt.Errorf("decode graph: %w", err)
	}
	return g, nil
}

// decoder feeds a Builder, which does all the checking and keeps its first error to itself until the end.
type decoder struct {
	b      *graph.Builder
	values map[string]*graph.Value
}

func (d *decoder) graph(p *pb.Graph) error {
	for i, v := range p.Inputs {
		if err := d.leaf(v, d.b.Input); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
	}
	for i, v := range p.Parameters {
		if err := d.leaf(v, d.param); err != nil {
			return fmt.Errorf("parameter %d: %w", i, err)
		}
	}
	for i, n := range p.Nodes {
		if err := d.node(n); err != nil {
			return fmt.Errorf("node %d %.40q: %w", i, n.GetName(), err)
		}
	}
	for i, name := range p.Outputs {
		v := d.values[name]
		if v == nil {
			return fmt.Errorf("output %d: no value %.40q", i, name)
		}
		d.b.Output(v)
	}
	return nil
}

func (d *decoder) param(name string, t graph.TensorType) *graph.Value {
	return d.b.Param(name, t, nil)
}

func (d *decoder) leaf(p *pb.Value, add func(string, graph.TensorType) *graph.Value) error {
	t, err := DecodeType(p.GetType())
	if err != nil {
		return fmt.Errorf("%.40q: %w", p.GetName(), err)
	}
	return d.define(p.GetName(), add(p.GetName(), t))
}

// define makes a value known by name. A second one of the name is refused by the Builder too, but only at the end.
func (d *decoder) define(name string, v *graph.Value) error {
	if d.values[name] != nil {
		return fmt.Errorf("%.40q: the name is taken", name)
	}
	d.values[name] = v
	return nil
}

func (d *decoder) node(p *pb.Node) error {
	if len(p.GetInputs()) > MaxNodeInputs {
		return fmt.Errorf("want at most %d inputs, got %d", MaxNodeInputs, len(p.GetInputs()))
	}
	in := make([]*graph.Value, len(p.GetInputs()))
	for i, name := range p.GetInputs() {
		if in[i] = d.values[name]; in[i] == nil {
			return fmt.Errorf("input %d: no value %.40q is made before", i, name)
		}
	}
	n, err := d.apply(p.GetName(), p.GetOp(), p.GetResult(), in)
	if err != nil {
		return err
	}
	return d.define(p.GetName(), n)
}

// apply adds a node whose result must have the type that came with it.
func (d *decoder) apply(name string, wop *pb.Op, result *pb.TensorType, in []*graph.Value) (*graph.Value, error) {
	op, err := decodeOp(wop)
	if err != nil {
		return nil, err
	}
	t, err := DecodeType(result)
	if err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	v := d.b.Node(name, op, in...)
	// A failed Builder leaves the type of its values unset, and Build then has the better error.
	if v.Type.DType != graph.InvalidDType && v.Type != t {
		return nil, &graph.ShapeError{Node: name, Op: op.Name(), Attr: "result", Want: v.Type.String(), Got: t.String()}
	}
	return v, nil
}
