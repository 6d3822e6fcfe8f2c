package vulkan

import (
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
)

// choice is a node and the candidate that was chosen for it.
type choice struct {
	node      *graph.Node
	candidate string
}

// choicesOf are those of a plan, for each batch that goes through it.
func choicesOf(g *graph.Graph, p *plan.Plan) (list []choice, err error) {
	for _, batch := range batches(p) {
		part, err := withBatch(g, p, batch)
		if err != nil {
			return nil, err
		}
		for i, n := range part.Nodes {
			if len(p.Choices) > 0 && p.Choices[i] != "" {
				list = append(list, choice{n, p.Choices[i]})
			}
		}
	}
	return list, nil
}

// ProofEvent says how far the proofs of a compilation are.
type ProofEvent struct {
	Device      string // its name
	Done, Total int    // kernels for layers; the last event of several has as many done as there are, or the compilation has failed
}

// teller returns what is to be called before each choice is proved, and with none at the end: it tells of those that are not proved yet.
func (o *outcomes) teller(chosen []choice) func(choice) {
	if o.dev.opts.OnProof == nil {
		return func(choice) {}
	}
	left := map[tune.Key]bool{}
	keyOf := func(c choice) tune.Key {
		shape := shapeOf(c.node)
		return tune.Key{Kernel: c.candidate, Hash: o.hash(c.node, shape, c.candidate), Shape: shape}
	}
	for _, c := range chosen {
		key := keyOf(c)
		if _, ok := o.proof(key); !ok {
			left[key] = true
		}
	}
	e := ProofEvent{Device: o.dev.info.Name, Total: len(left)}
	return func(c choice) {
		switch {
		case e.Total == 0:
			return
		case c.node == nil:
			e.Done = e.Total
		default:
			key := keyOf(c)
			if !left[key] {
				return
			}
			delete(left, key)
			e.Done = e.Total - len(left) - 1
		}
		o.dev.opts.OnProof(e)
	}
}
