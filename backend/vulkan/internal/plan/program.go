package plan

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// program is a graph after every node has got its kernels: a list of dispatches over tensors that have no place yet.
type program struct {
	g       *graph.Graph
	tensors []*tensor // in the order in which they are made
	calls   []*call
	values  map[tensorKey]*tensor
	made    map[*graph.Value]Format // the format in which a value was made (a view: Dense): what is converted is converted from that
	root    map[*graph.Value]*graph.Value
	choice  []string // by node, the name of its candidate
	why     []string // and why it was chosen
}

// tensor is a piece of memory that dispatches read and write.
type tensor struct {
	value *graph.Value // what it holds; nil for scratch
	bytes uint64
}

func (t *tensor) String() string {
	if t.value == nil {
		return "scratch memory"
	}
	return fmt.Sprintf("value %q", t.value.Name)
}

// tensorKey tells tensors apart. What is dense is that of the value's root; the other formats depend on the shape.
type tensorKey struct {
	value  *graph.Value
	format Format
}

func (p *program) key(v *graph.Value, f Format) tensorKey {
	if f == Dense {
		v = p.root[v]
	}
	return tensorKey{v, f}
}

// call is a kernel with its tensors.
type call struct {
	*kernel
	node    string    // that it computes, or for the sake of which a value changes its format
	tensors []*tensor // by binding; nil for the packed weights
	reason  string
}

// assemble makes the program of a graph from the candidates chosen for its nodes.
func assemble(lim Limits, g *graph.Graph, choices []*Candidate) (*program, error) {
	p := &program{g: g, values: map[tensorKey]*tensor{}, made: map[*graph.Value]Format{}, root: roots(g)}
	for _, v := range g.Inputs {
		p.tensor(v, Dense)
		p.made[v] = Dense
	}
	for i, n := range g.Nodes {
		c := choices[i]
		if c == nil {
			p.choice, p.why = append(p.choice, ""), append(p.why, "")
			if graph.IsView(n.Op) && n.Output.Type.SizeBytes() > 0 {
				if err := p.need(lim, n, n.Inputs[0], Dense); err != nil { // it is a view of the dense elements
					return nil, err
				}
				p.made[n.Output] = Dense
			}
			continue
		}
		p.choice, p.why = append(p.choice, c.Name), append(p.why, c.Why)
		if err := p.add(lim, n, c); err != nil {
			return nil, err
		}
	}
	for _, v := range g.Outputs {
		if v.Type.SizeBytes() > 0 {
			if err := p.need(lim, v.Node, v, Dense); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// tensor is the value in that format, made when it is not there.
func (p *program) tensor(v *graph.Value, f Format) *tensor {
	key := p.key(v, f)
	t := p.values[key]
	if t == nil {
		t = &tensor{key.value, f.sizeBytes(v.Type)}
		p.values[key], p.tensors = t, append(p.tensors, t)
	}
	return t
}

// need converts a value to a format that it is not there in. n is the node for the sake of which it is.
func (p *program) need(lim Limits, n *graph.Node, v *graph.Value, f Format) error {
	if p.values[p.key(v, f)] != nil {
		return nil
	}
	from := p.values[p.key(v, p.made[v])]
	if from == nil {
		panic(fmt.Sprintf("plan: bug: node %q wants %q, which nothing made", n.Name, v.Name))
	}
	k, err := convert(lim, v.Type, p.made[v], f)
	if err != nil {
		return fmt.Errorf("node %q: %w", n.Name, err)
	}
	name := v.Name
	if v.Node == nil {
		name = n.Name // an input has no node: the conversion is for the sake of its reader
	}
	p.calls = append(p.calls, &call{kernel: k, node: name, tensors: []*tensor{from, p.tensor(v, f)}})
	return nil
}

// add appends the kernels of a node.
func (p *program) add(lim Limits, n *graph.Node, c *Candidate) error {
	for _, v := range n.Inputs {
		if v.Kind != graph.ParamValue {
			if err := p.need(lim, n, v, c.In); err != nil {
				return err
			}
		}
	}
	scratch := make([]*tensor, len(c.scratch))
	for i, bytes := range c.scratch {
		scratch[i] = &tensor{nil, bytes}
		p.tensors = append(p.tensors, scratch[i])
	}
	out := p.tensor(n.Output, c.Out)
	p.made[n.Output] = c.Out
	for _, k := range c.kernels {
		x := &call{kernel: k, node: n.Name, reason: c.Why}
		for _, o := range k.args {
			var t *tensor
			switch {
			case o == result:
				t = out
			case o >= 0:
				t = p.tensor(n.Inputs[o], c.In)
			case o <= scratch0:
				t = scratch[scratch0-o]
			}
			x.tensors = append(x.tensors, t)
		}
		p.calls = append(p.calls, x)
	}
	return nil
}
