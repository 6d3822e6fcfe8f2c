package wire

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

// EncodeNode is the wire form of a node that is asked about on its own.
//
// Errors: a node that is nil or lacks its operation, an input or its result; backend.ErrUnsupported for more than
// [MaxNodeInputs] inputs.
func EncodeNode(n *graph.Node) (*pb.NodeQuery, error) {
	if n == nil || n.Output == nil {
		return nil, errors.New("encode node: want one with a result, got none")
	}
	op, err := encodeOp(n.Op)
	if err != nil {
		return nil, fmt.Errorf("encode node %q: %w", n.Name, err)
	}
	if err := inputsFit(n); err != nil {
		return nil, fmt.Errorf("encode node %q: %w", n.Name, err)
	}
	q := &pb.NodeQuery{Name: n.Name, Op: op, Result: EncodeType(n.Output.Type)}
	for i, v := range n.Inputs {
		if v == nil {
			return nil, fmt.Errorf("encode node %q: input %d: want a value, got nil", n.Name, i)
		}
		q.Inputs = append(q.Inputs, &pb.Operand{Value: encodeValue(v), Parameter: v.Kind == graph.ParamValue})
	}
	return q, nil
}

// DecodeNode is the inverse of [EncodeNode]. The node stands in a graph of its own: what was a node's result among its
// inputs is an input of that graph, and parameters have no data.
//
// Errors: as [DecodeGraph].
func DecodeNode(p *pb.NodeQuery) (*graph.Node, error) {
	n, err := decodeNode(p)
	if err != nil {
		return nil, fmt.Errorf("decode node %.40q: %w", p.GetName(), err)
	}
	return n, nil
}

func decodeNode(p *pb.NodeQuery) (*graph.Node, error) {
	if len(p.GetInputs()) > MaxNodeInputs {
		return nil, fmt.Errorf("want at most %d inputs, got %d", MaxNodeInputs, len(p.GetInputs()))
	}
	d := &decoder{b: graph.NewBuilder("node"), values: map[string]*graph.Value{}}
	in := make([]*graph.Value, len(p.GetInputs()))
	for i, o := range p.GetInputs() {
		if err := d.operand(o); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		in[i] = d.values[o.GetValue().GetName()]
	}
	v, err := d.apply(p.GetName(), p.GetOp(), p.GetResult(), in)
	if err != nil {
		return nil, err
	}
	d.b.Output(v)
	if !hasInput(in) {
		// Build wants an input, which this node does not have: one that it does not read.
		name := "_"
		for d.values[name] != nil || name == p.GetName() {
			name += "_"
		}
		d.b.Input(name, graph.F32())
	}
	if _, err := d.b.Build(); err != nil {
		return nil, err
	}
	return v.Node, nil
}

func hasInput(in []*graph.Value) bool {
	for _, v := range in {
		if v.Kind == graph.InputValue {
			return true
		}
	}
	return false
}

// operand defines an input, unless the node reads it a second time.
func (d *decoder) operand(o *pb.Operand) error {
	kind, add := graph.InputValue, d.b.Input
	if o.GetParameter() {
		kind, add = graph.ParamValue, d.param
	}
	old := d.values[o.GetValue().GetName()]
	if old == nil {
		return d.leaf(o.GetValue(), add)
	}
	t, err := DecodeType(o.GetValue().GetType())
	if err != nil {
		return err
	}
	if old.Type != t || old.Kind != kind {
		return fmt.Errorf("%.40q: want %v %v as before, got %v %v", old.Name, old.Kind, old.Type, kind, t)
	}
	return nil
}
