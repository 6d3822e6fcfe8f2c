package schedule

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// cut gives each part a graph of its own. Parameters are shared with g, not copied. The parts hold all nodes that an output
// needs, in an order in which each reads only from those before it.
func cut(g *graph.Graph, parts []*partPlan) error {
	home := map[*graph.Node]int{}
	for i, p := range parts {
		for _, n := range p.nodes {
			home[n] = i
		}
	}
	wanted := map[*graph.Value]bool{} // is read by another part, or is an output
	for _, v := range g.Outputs {
		wanted[v] = true
	}
	for i, p := range parts {
		have := map[*graph.Value]bool{}
		for _, n := range p.nodes {
			for _, v := range n.Inputs {
				if v.Kind == graph.ParamValue || v.Kind == graph.NodeValue && home[v.Node] == i {
					continue
				}
				if wanted[v] = true; !have[v] {
					have[v] = true
					p.in = append(p.in, v)
				}
			}
		}
		if len(p.in) == 0 { // parameters alone: a graph must have an input, and may leave it unused
			p.in = append(p.in, g.Inputs[0])
		}
	}
	for i, p := range parts {
		for _, n := range p.nodes {
			if wanted[n.Output] {
				p.out = append(p.out, n.Output)
			}
		}
		var err error
		if p.graph, err = p.extract(g, i, len(parts)); err != nil {
			return err
		}
	}
	return nil
}

// maxName is the longest name that package graph accepts.
const maxName = 256

func (p *partPlan) extract(g *graph.Graph, i, of int) (*graph.Graph, error) {
	name := g.Name
	if of > 1 {
		end := fmt.Sprintf("/%d-of-%d", i+1, of)
		name = name[:min(len(name), maxName-len(end))] + end
	}
	b := graph.NewBuilder(name)
	now := map[*graph.Value]*graph.Value{}
	for _, v := range p.in {
		now[v] = b.Input(v.Name, v.Type)
	}
	for _, n := range p.nodes {
		for _, v := range n.Inputs {
			if v.Kind == graph.ParamValue && now[v] == nil {
				now[v] = b.Param(v.Name, v.Type, v.Data)
			}
		}
	}
	for _, n := range p.nodes {
		in := make([]*graph.Value, len(n.Inputs))
		for j, v := range n.Inputs {
			in[j] = now[v]
		}
		now[n.Output] = b.Node(n.Name, n.Op, in...)
	}
	for _, v := range p.out {
		b.Output(now[v])
	}
	return b.Build()
}
