package wire

import (
	"fmt"
	"maps"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

// EncodeTransforms is the wire form of what a [backend.Transformer] says, in the order of the nodes' names.
func EncodeTransforms(how map[string]backend.Winograd) []*pb.Transform {
	out := make([]*pb.Transform, 0, len(how))
	for _, node := range slices.Sorted(maps.Keys(how)) {
		out = append(out, &pb.Transform{Node: node, Rows: how[node].Rows, Columns: how[node].Columns})
	}
	return out
}

// DecodeTransforms is the inverse of [EncodeTransforms] for an executable of g.
//
// Errors: a node that g has not, or that is named twice; those of [backend.Winograd.Check].
func DecodeTransforms(list []*pb.Transform, g *graph.Graph) (map[string]backend.Winograd, error) {
	if len(list) == 0 {
		return nil, nil
	}
	nodes := make(map[string]*graph.Node, len(g.Nodes))
	for _, n := range g.Nodes {
		nodes[n.Name] = n
	}
	out := make(map[string]backend.Winograd, len(list))
	for _, t := range list {
		n, there := nodes[t.GetNode()]
		if !there {
			return nil, fmt.Errorf("transform: want a node of graph %q once, got %.80q", g.Name, t.GetNode())
		}
		w := backend.Winograd{Rows: t.GetRows(), Columns: t.GetColumns()}
		if err := w.Check(n); err != nil {
			return nil, err
		}
		out[n.Name] = w
		delete(nodes, n.Name)
	}
	return out, nil
}
