package pass

import "github.com/resnet-run/resnet-run/graph"

// RemoveDead removes the nodes and parameters that reach no output. Inputs stay: they are part of the signature.
func RemoveDead(g *graph.Graph) (*graph.Graph, error) {
	live := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		live[v] = true
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- { // readers before what they read
		if n := g.Nodes[i]; live[n.Output] {
			for _, v := range n.Inputs {
				live[v] = true
			}
		}
	}
	r := newRewrite(g)
	for _, v := range g.Params {
		if !live[v] {
			r.dropped[v] = true
		}
	}
	for _, n := range g.Nodes {
		if !live[n.Output] {
			r.dropped[n.Output] = true
		}
	}
	if !r.changed() {
		return g, nil
	}
	return r.build()
}
