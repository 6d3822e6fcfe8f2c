package conformance_test

import (
	"math"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

// TestSumsOfCancelCancel: where there is a sum, one at least of its results is less than a fiftieth of what its terms are without their signs.
func TestSumsOfCancelCancel(t *testing.T) {
	sums := map[string]int{}
	for _, c := range conformance.Cases() {
		if c.Values != conformance.Cancel {
			continue
		}
		g, err := c.Graph()
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Nodes) != 1 || !isSum(g.Nodes[0]) {
			continue
		}
		signed, unsigned := map[string][]float64{}, map[string][]float64{}
		for i, x := range c.Inputs(g) {
			name := g.Inputs[i].Name
			signed[name] = reference.Widen(x)
			for _, v := range signed[name] {
				unsigned[name] = append(unsigned[name], math.Abs(v))
			}
		}
		y, err := reference.Eval(t.Context(), g, signed)
		if err != nil {
			t.Fatal(err)
		}
		all, err := reference.Eval(t.Context(), g, unsigned)
		if err != nil {
			t.Fatal(err)
		}
		name, cancelled := g.Outputs[0].Name, 0
		for i, v := range y[name] {
			if math.Abs(v) < all[name][i]/50 {
				cancelled++
			}
		}
		if cancelled == 0 {
			t.Errorf("%s: nothing cancels", c.Name)
		}
		sums[g.Nodes[0].Op.Name()]++
	}
	for _, op := range []string{"conv2d", "linear", "add", "avg_pool", "global_avg_pool"} {
		if sums[op] == 0 {
			t.Errorf("%s: no case in which large terms cancel", op)
		}
	}
}

// isSum reports whether a node is a sum of several terms, and no more.
func isSum(n *graph.Node) bool {
	switch op := n.Op.(type) {
	case graph.Conv2D:
		w := n.Inputs[1].Type.Shape
		return op.Act == graph.NoActivation && (op.Add || w.Elems() > w.Dim(0))
	case graph.AvgPool:
		return op.Kernel[0]*op.Kernel[1] > 1
	}
	return slices.Contains([]string{"linear", "add", "global_avg_pool"}, n.Op.Name())
}
