package wire

import (
	"maps"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

// EncodePrecisions is the wire form of what a [backend.MixedPrecision] says, in the order of the nodes' names.
func EncodePrecisions(stored map[string]backend.Precision) []*pb.Precision {
	out := make([]*pb.Precision, 0, len(stored))
	for _, node := range slices.Sorted(maps.Keys(stored)) {
		p := stored[node]
		out = append(out, &pb.Precision{
			Node: node, Operands: dtypes[p.Operands], Parameters: dtypes[p.Parameters], Result: dtypes[p.Result], Truncated: p.Truncated,
			HalfTerms: uint32(p.HalfTerms),
		})
	}
	return out
}

// DecodePrecisions is the inverse of [EncodePrecisions] for an executable of g.
//
// Errors: a node that g has not, or that is named twice; those of [backend.Precision.Check].
func DecodePrecisions(list []*pb.Precision, g *graph.Graph) (map[string]backend.Precision, error) {
	return decodeNodes("precision", list, g, func(m *pb.Precision) backend.Precision {
		return backend.Precision{
			Operands: dtypesBack[m.GetOperands()], Parameters: dtypesBack[m.GetParameters()], Result: dtypesBack[m.GetResult()], Truncated: m.GetTruncated(),
			HalfTerms: int(m.GetHalfTerms()),
		}
	})
}
