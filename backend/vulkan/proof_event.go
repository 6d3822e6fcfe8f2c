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

// choicesAmong are some candidates of a node.
func choicesAmong(n *graph.Node, all []plan.Candidate) []choice {
	list := make([]choice, len(all))
	for i := range all {
		list[i] = choice{n, all[i].Name}
	}
	return list
}

// ProofEvent says how far the proofs of a compilation are.
type ProofEvent struct {
	Device      string // its name
	Done, Total int    // kernels for layers; the last event of several has as many done as there are, or the compilation has failed
}

// unproved are the choices that are still to be proved, each kernel for a shape once. One that was struck off is among them: it does not pass.
func (o *outcomes) unproved(chosen []choice) (list []choice) {
	met := map[tune.Key]bool{}
	for _, c := range chosen {
		shape := shapeOf(c.node)
		key := tune.Key{Kernel: c.candidate, Hash: o.hash(c.node, shape, c.candidate), Shape: shape}
		if !met[key] && !o.passed(key) {
			list = append(list, c)
		}
		met[key] = true
	}
	return list
}

// passed reports whether a kernel has proved itself on the small shapes and on that of the key.
func (o *outcomes) passed(key tune.Key) bool {
	own, ok := o.proof(key)
	key.Shape = ""
	small, okSmall := o.proof(key)
	return ok && okSmall && !own.Struck && !small.Struck
}

// tell says how far the proofs are to whom it concerns; it is nothing where none is to be made.
func (o *outcomes) tell(done, total int) {
	if o.dev.opts.OnProof != nil && total > 0 {
		o.dev.opts.OnProof(ProofEvent{Device: o.dev.info.Name, Done: done, Total: total})
	}
}
