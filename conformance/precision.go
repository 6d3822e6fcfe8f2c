package conformance

import (
	"fmt"
	"maps"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// halfLimits are the limits of Agreement where tensors are stored as float16, instead of l2Limit and maxLimit: the roundings of some twenty to
// fifty layers, 2^-11 each, as they add up in whole networks.
const (
	halfL2Limit  = 1e-2
	halfMaxLimit = 2e-2
)

// precisions tells which nodes store tensors in another type than the graph's.
type precisions map[string]backend.Precision

// precisionsOf asks an executable, and holds its answer against the graph, as transformsOf does.
func precisionsOf(e backend.Executable, g *graph.Graph) (precisions, error) {
	m, ok := e.(backend.MixedPrecision)
	if !ok {
		return nil, nil
	}
	stored := precisions(m.Precisions())
	seen := 0
	for _, n := range g.Nodes {
		p, ok := stored[n.Name]
		if !ok {
			continue
		}
		seen++
		if err := p.Check(n); err != nil {
			return nil, fmt.Errorf("precisions: %w", err)
		}
	}
	if seen != len(stored) {
		return nil, fmt.Errorf("precisions: want nodes of the graph, got %q", slices.Sorted(maps.Keys(stored)))
	}
	return stored, nil
}

// half reports whether any tensor is stored as float16.
func (p precisions) half() bool {
	for _, s := range p {
		if s.Operands == graph.Float16 || s.Parameters == graph.Float16 || s.Result == graph.Float16 {
			return true
		}
	}
	return false
}
