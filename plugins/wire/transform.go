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
	return decodeNodes("transform", list, g, func(t *pb.Transform) backend.Winograd {
		return backend.Winograd{Rows: t.GetRows(), Columns: t.GetColumns()}
	})
}

// decodeNodes makes a map of messages that each say something of one node of g.
func decodeNodes[M interface{ GetNode() string }, T interface{ Check(*graph.Node) error }](what string, list []M, g *graph.Graph, decode func(M) T) (map[string]T, error) {
	if len(list) == 0 {
		return nil, nil
	}
	nodes := make(map[string]*graph.Node, len(g.Nodes))
	for _, n := range g.Nodes {
		nodes[n.Name] = n
	}
	out := make(map[string]T, len(list))
	for _, m := range list {
		n, there := nodes[m.GetNode()]
		if !there {
			return nil, fmt.Errorf("%s: want a node of graph %q once, got %.80q", what, g.Name, m.GetNode())
		}
		v := decode(m)
		if err := v.Check(n); err != nil {
			return nil, err
		}
		out[n.Name] = v
		delete(nodes, n.Name)
	}
	return out, nil
}
