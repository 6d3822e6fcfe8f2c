package pass

import (
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// FuseAdd turns conv2d, gate or split_attention followed by add into one node with the add in its epilogue, the other addend being the
// shortcut. The node moves down to where the add stood: there the shortcut is at hand, whatever the order of
// the two was. It must be read by the add alone and have no epilogue yet; when that is so for both addends, the later
// one is taken and the earlier becomes its shortcut.
func FuseAdd(g *graph.Graph) (*graph.Graph, error) {
	r := newRewrite(g)
	position := map[*graph.Node]int{}
	for i, n := range g.Nodes {
		position[n] = i
		if _, ok := n.Op.(graph.Add); !ok {
			continue
		}
		a, opA := r.adding(n.Inputs[0])
		b, opB := r.adding(n.Inputs[1])
		switch {
		case b != nil && (a == nil || position[b] > position[a]):
			r.fuseAdd(b, opB, n, n.Inputs[0])
		case a != nil:
			r.fuseAdd(a, opA, n, n.Inputs[1])
		}
	}
	if !r.changed() {
		return g, nil
	}
	return r.build()
}

// adding returns the sole producer of v and what it is with an add in its epilogue; nil for one that cannot have it.
func (r *rewrite) adding(v *graph.Value) (*graph.Node, graph.Op) {
	return r.extended(v, func(add *bool, act *graph.Activation) bool {
		fits := !*add && *act == graph.NoActivation
		*add = true
		return fits
	})
}

// activating is [rewrite.adding] for a ReLU.
func (r *rewrite) activating(v *graph.Value) (*graph.Node, graph.Op) {
	return r.extended(v, func(_ *bool, act *graph.Activation) bool {
		fits := *act == graph.NoActivation
		*act = graph.ActReLU
		return fits
	})
}

// extended returns the sole producer of v and what it is with its epilogue changed; nil for one that has none or that change
// refuses.
func (r *rewrite) extended(v *graph.Value, change func(add *bool, act *graph.Activation) bool) (*graph.Node, graph.Op) {
	n := r.sole(v)
	if n == nil {
		return nil, nil
	}
	switch op := n.Op.(type) {
	case graph.Conv2D:
		if change(&op.Add, &op.Act) {
			return n, op
		}
	case graph.Gate:
		if change(&op.Add, &op.Act) {
			return n, op
		}
	case graph.SplitAttention:
		if change(&op.Add, &op.Act) {
			return n, op
		}
	case graph.GroupNorm:
		if added := true; change(&added, &op.Act) { // it takes in no add
			return n, op
		}
	}
	return nil, nil
}

func (r *rewrite) fuseAdd(n *graph.Node, op graph.Op, add *graph.Node, shortcut *graph.Value) {
	r.absorb(n, add, op, append(slices.Clone(n.Inputs), shortcut))
}

// FuseReLU turns conv2d, gate or split_attention, with or without an add in its epilogue, or group_norm, followed by relu into one node
// that activates. The relu must be its only reader.
func FuseReLU(g *graph.Graph) (*graph.Graph, error) {
	r := newRewrite(g)
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.ReLU); !ok {
			continue
		}
		if from, op := r.activating(n.Inputs[0]); from != nil {
			r.absorb(from, n, op, from.Inputs)
		}
	}
	if !r.changed() {
		return g, nil
	}
	return r.build()
}
