package reference

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// NodeReport is the comparison of one node's result.
type NodeReport struct {
	Node *graph.Node
	Report
}

// Err is [Report.Err] with the node's name and op.
func (r NodeReport) Err() error {
	if err := r.Report.Err(); err != nil {
		return fmt.Errorf("node %q (%s): %w", r.Node.Name, graph.OpText(r.Node.Op), err)
	}
	return nil
}

// Check judges a float32 run of a bound graph node by node. The values are those that the device computed, by name:
// every input and every node's result, as a backend.Tapper gives them. Each node is held to the bound for the
// inputs that the device itself gave it, so that an error is found where it is made and nowhere after. The reports
// are in the order of the nodes.
//
// Errors: as [Eval]; a value that is missing or has another number of elements is a *[graph.ShapeError].
func Check(ctx context.Context, g *graph.Graph, values map[string][]float32) ([]NodeReport, error) {
	return CheckTransformed(ctx, g, values, nil)
}

// CheckTransformed is [Check] of an executable that computes some nodes through transforms, as it says by
// [backend.Transformer]: these are held to the bound of class B.
//
// Errors: as [Check], and a transform that does not fit its node.
func CheckTransformed(ctx context.Context, g *graph.Graph, values map[string][]float32, how map[string]backend.Winograd) ([]NodeReport, error) {
	return CheckMixed(ctx, g, values, how, nil)
}

// CheckMixed is [CheckTransformed] of an executable that stores tensors of some nodes in other types, as it says by
// [backend.MixedPrecision].
//
// Errors: as [CheckTransformed], and those of [WidenBounds].
func CheckMixed(ctx context.Context, g *graph.Graph, values map[string][]float32, how map[string]backend.Winograd, stored map[string]backend.Precision) ([]NodeReport, error) {
	if err := check(g); err != nil {
		return nil, fmt.Errorf("check run: %w", err)
	}
	operand := func(v *graph.Value) ([]float64, error) {
		if v.Kind == graph.ParamValue {
			return Widen(v.Data.Float32s()), nil
		}
		data, ok := values[v.Name]
		if !ok || len(data) != v.Type.Shape.Elems() {
			return nil, &graph.ShapeError{Node: v.Name, Attr: "data", Want: fmt.Sprintf("%d elements for %v", v.Type.Shape.Elems(), v.Type), Got: fmt.Sprint(len(data))}
		}
		return Widen(data), nil
	}
	reports := make([]NodeReport, len(g.Nodes))
	for i, n := range g.Nodes {
		if _, err := operand(n.Output); err != nil {
			return nil, fmt.Errorf("check run of graph %q: %w", g.Name, err)
		}
		in := make([][]float64, len(n.Inputs))
		for j, v := range n.Inputs {
			var err error
			if in[j], err = operand(v); err != nil {
				return nil, fmt.Errorf("check run of graph %q: %w", g.Name, err)
			}
		}
		var want, bound []float64
		var err error
		if w, ok := how[n.Name]; ok {
			want, bound, err = WinogradBounds(ctx, n, in, w)
		} else {
			want, bound, err = Bounds(ctx, n, in)
		}
		if err != nil {
			return nil, fmt.Errorf("check run of graph %q: %w", g.Name, err)
		}
		if p, ok := stored[n.Name]; ok {
			if err := WidenBounds(ctx, n, in, want, bound, p); err != nil {
				return nil, fmt.Errorf("check run of graph %q: %w", g.Name, err)
			}
		}
		reports[i] = NodeReport{n, Compare(values[n.Name], want, bound)}
	}
	return reports, nil
}
