// Package pass rewrites graphs into graphs that compute the same with less: it folds batch normalisation into
// convolutions, moves shortcut adds and activations into their epilogues, and removes what no output needs.
//
// Every pass keeps this promise: a value that is in the result under a name it had before is the same value, up to
// the rounding of folded parameters. A node that takes over the work of others therefore carries the name of the last
// of them, stands in its place, and inputs and outputs keep their names. So intermediate values of a rewritten
// graph can be compared with those of the original by name.
//
// Passes never modify the graph they are given; the result may share parameter data with it. They work on graphs
// whose parameters are not bound too, and give unbound parameters then.
package pass

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// Pass is one rewriting of a graph.
type Pass struct {
	Name string // lower case with underscores
	Run  func(*graph.Graph) (*graph.Graph, error)
}

// Default returns the passes that backends run, in their order. Running them twice changes nothing more.
func Default() []Pass {
	return []Pass{
		// First, for a node that nobody needs may be the second reader that keeps the others from fusing.
		{"remove_dead", RemoveDead},
		// Before the fusions: a batch norm stands between a convolution and what could be fused into it.
		{"fold_batch_norm", FoldBatchNorm},
		// Before fuse_relu: the epilogue adds before it activates, so that once a ReLU is fused no add can be.
		{"fuse_add", FuseAdd},
		// After fuse_add: the ReLU of a block then follows the convolution that took in the add.
		{"fuse_relu", FuseReLU},
		// Last: the parameters that folding replaced are left without a reader.
		{"remove_dead", RemoveDead},
	}
}

// Run runs the passes in order and validates the graph before the first and after each.
//
// Errors: an invalid graph, or what a pass returns, with the name of the pass.
func Run(g *graph.Graph, passes []Pass) (*graph.Graph, error) {
	if g == nil {
		return nil, fmt.Errorf("run passes: want a graph, got nil")
	}
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("run passes: %w", err)
	}
	for _, p := range passes {
		next, err := p.Run(g)
		if err != nil {
			return nil, fmt.Errorf("run pass %s: %w", p.Name, err)
		}
		if err := next.Validate(); err != nil {
			return nil, fmt.Errorf("run pass %s: result: %w", p.Name, err)
		}
		g = next
	}
	return g, nil
}
