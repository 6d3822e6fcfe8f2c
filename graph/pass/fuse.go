package pass

import (
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// FuseAdd turns conv2d followed by add into one conv2d with the add in its epilogue, the other addend being the
// shortcut. The convolution moves down to where the add stood: there the shortcut is at hand, whatever the order of
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
		a, opA, okA := r.plainConv(n.Inputs[0])
		b, opB, okB := r.plainConv(n.Inputs[1])
		switch {
		case okB && (!okA || position[b] > position[a]):
			r.fuseAdd(b, opB, n, n.Inputs[0])
		case okA:
			r.fuseAdd(a, opA, n, n.Inputs[1])
		}
	}
	if !r.changed() {
		return g, nil
	}
	return r.build()
}

func (r *rewrite) fuseAdd(conv *graph.Node, op graph.Conv2D, add *graph.Node, shortcut *graph.Value) {
	op.Add = true
	r.absorb(conv, add, op, append(slices.Clone(conv.Inputs), shortcut))
}

// FuseReLU turns conv2d, with or without an add in its epilogue, followed by relu into one conv2d that activates. The
// relu must be the only reader of the convolution.
func FuseReLU(g *graph.Graph) (*graph.Graph, error) {
	r := newRewrite(g)
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.ReLU); !ok {
			continue
		}
		if conv, op, ok := r.soleConv(n.Inputs[0]); ok && op.Act == graph.NoActivation {
			op.Act = graph.ActReLU
			r.absorb(conv, n, op, conv.Inputs)
		}
	}
	if !r.changed() {
		return g, nil
	}
	return r.build()
}
