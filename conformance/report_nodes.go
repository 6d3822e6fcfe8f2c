package conformance

import (
	"context"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// JudgeNode holds a device's result of one node against what the float64 reference makes of the inputs that the device
// itself gave that node, as the cases of class A do. in has the values of the node's inputs in their order; those of
// parameters are not looked at. Inputs that other nodes made count as known up to one rounding. how is what the executable
// says as a [backend.Transformer]: nodes that it names are judged by class B.
//
// stored is what it says as a [backend.MixedPrecision].
//
// Errors: those of [reference.Bounds], [reference.WinogradBounds] and [reference.WidenBounds].
func JudgeNode(ctx context.Context, n *graph.Node, in [][]float32, got []float32, how map[string]backend.Winograd, stored map[string]backend.Precision) (Finding, error) {
	wide := make([][]float64, len(n.Inputs))
	for i, v := range n.Inputs {
		if v.Kind == graph.ParamValue {
			wide[i] = reference.Widen(v.Data.Float32s())
		} else {
			wide[i] = reference.Widen(in[i])
		}
	}
	return judgeNode(ctx, n, wide, got, how, stored, false, nil)
}
