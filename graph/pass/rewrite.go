package pass

import "github.com/resnet-run/resnet-run/graph"

// rewrite plans changes to a graph and then builds the changed one. Nodes keep their order and their names; what
// changes is which are there, and what those that are compute from.
type rewrite struct {
	g        *graph.Graph
	users    map[*graph.Value][]*graph.Node
	isOutput map[*graph.Value]bool
	names    map[string]bool
	dropped  map[*graph.Value]bool // results of nodes, and parameters, that are left out
	steps    map[*graph.Node]step  // what nodes are replaced by
	added    []*graph.Value        // new parameters
}

// step is what a node does: an op and the values it reads.
type step struct {
	op     graph.Op
	inputs []*graph.Value
}

func newRewrite(g *graph.Graph) *rewrite {
	r := &rewrite{
		g:        g,
		users:    g.Users(),
		isOutput: map[*graph.Value]bool{},
		names:    map[string]bool{},
		dropped:  map[*graph.Value]bool{},
		steps:    map[*graph.Node]step{},
	}
	for _, v := range g.Outputs {
		r.isOutput[v] = true
	}
	for _, vs := range [][]*graph.Value{g.Inputs, g.Params} {
		for _, v := range vs {
			r.names[v.Name] = true
		}
	}
	for _, n := range g.Nodes {
		r.names[n.Name] = true
	}
	return r
}

// absorb replaces the work of node n by op on inputs, which include the work of the node first: that one is left out.
// The caller has made sure with sole that only n reads it.
func (r *rewrite) absorb(first, n *graph.Node, op graph.Op, inputs []*graph.Value) {
	r.dropped[first.Output] = true
	r.steps[n] = step{op, inputs}
}

// param adds a parameter named base plus suffix, plus a number when that is taken. A long base is cut.
func (r *rewrite) param(base, suffix string, t graph.TensorType, data *graph.Tensor) *graph.Value {
	name := graph.FreshName(base, suffix, func(name string) bool { return r.names[name] })
	r.names[name] = true
	v := &graph.Value{Name: name, Type: t, Kind: graph.ParamValue, Data: data}
	r.added = append(r.added, v)
	return v
}

// sole returns the node that made v when nobody would miss v if the one reader took over its work: it is read once and is
// no output of the graph. It is nil otherwise.
func (r *rewrite) sole(v *graph.Value) *graph.Node {
	if v.Kind != graph.NodeValue || len(r.users[v]) != 1 || r.isOutput[v] {
		return nil
	}
	return v.Node
}

// plainConv is sole for a convolution without an epilogue.
func (r *rewrite) plainConv(v *graph.Value) (*graph.Node, graph.Conv2D, bool) {
	n := r.sole(v)
	if n == nil {
		return nil, graph.Conv2D{}, false
	}
	op, ok := n.Op.(graph.Conv2D)
	return n, op, ok && !op.Add && op.Act == graph.NoActivation
}

// changed reports whether anything is planned.
func (r *rewrite) changed() bool { return len(r.dropped)+len(r.steps)+len(r.added) > 0 }

// build makes the changed graph.
func (r *rewrite) build() (*graph.Graph, error) {
	b := graph.NewBuilder(r.g.Name)
	now := map[*graph.Value]*graph.Value{}
	for _, v := range r.g.Inputs {
		now[v] = b.Input(v.Name, v.Type)
	}
	for _, vs := range [][]*graph.Value{r.g.Params, r.added} {
		for _, v := range vs {
			if !r.dropped[v] {
				now[v] = b.Param(v.Name, v.Type, v.Data)
			}
		}
	}
	for _, n := range r.g.Nodes {
		if r.dropped[n.Output] {
			continue
		}
		s, ok := r.steps[n]
		if !ok {
			s = step{n.Op, n.Inputs}
		}
		in := make([]*graph.Value, len(s.inputs))
		for i, v := range s.inputs {
			in[i] = now[v]
		}
		now[n.Output] = b.Node(n.Name, s.op, in...)
	}
	for _, v := range r.g.Outputs {
		b.Output(now[v])
	}
	return b.Build()
}
