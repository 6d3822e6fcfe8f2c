package conformance

import (
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// transforms tells which nodes are computed through transforms and are judged by class B.
type transforms map[string]backend.Winograd

// transformsOf asks an executable, and holds its answer against the graph: a device may not choose its bound by a claim
// that cannot be true.
func transformsOf(e backend.Executable, g *graph.Graph) (transforms, error) {
	t, ok := e.(backend.Transformer)
	if !ok {
		return nil, nil
	}
	how := transforms(t.Transforms())
	seen := 0
	for _, n := range g.Nodes {
		w, ok := how[n.Name]
		if !ok {
			continue
		}
		seen++
		if err := w.Check(n); err != nil {
			return nil, fmt.Errorf("transforms: %w", err)
		}
	}
	if seen != len(how) {
		names := make([]string, 0, len(how))
		for name := range how {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("transforms: want nodes of the graph, got %q", names)
	}
	return how, nil
}
