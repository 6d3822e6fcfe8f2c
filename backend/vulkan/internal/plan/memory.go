package plan

import (
	"github.com/resnet-run/resnet-run/backend/internal/arena"
	"github.com/resnet-run/resnet-run/graph"
)

// layout says where the values of a graph lie.
type layout struct {
	place map[*graph.Value]Ref // by root value; see roots
	root  map[*graph.Value]*graph.Value
	arena uint64 // bytes
	live  uint64 // bytes of the largest set of tensors that are alive at the same step: what the arena cannot be below
}

func (l *layout) ref(v *graph.Value) Ref { return l.place[l.root[v]] }

// roots maps every value to the one whose memory it shares: itself, but for flatten, which moves nothing.
func roots(g *graph.Graph) map[*graph.Value]*graph.Value {
	m := make(map[*graph.Value]*graph.Value)
	for _, v := range g.Inputs {
		m[v] = v
	}
	for _, n := range g.Nodes {
		m[n.Output] = n.Output
		if _, ok := n.Op.(graph.Flatten); ok {
			m[n.Output] = m[n.Inputs[0]]
		}
	}
	return m
}

// place gives every activation its memory. Inputs and outputs are the caller's buffers when direct is set; what
// cannot be written there in place, and everything when direct is not set, lies in the arena.
func place(g *graph.Graph, lim Limits, direct bool) *layout {
	l := &layout{place: map[*graph.Value]Ref{}, root: roots(g)}
	if direct {
		for i, v := range g.Inputs {
			l.place[v] = Ref{InputSpace, i, 0, uint64(v.Type.SizeBytes())}
		}
		for i, v := range g.Outputs {
			r := l.root[v]
			if _, taken := l.place[r]; !taken { // a value given out twice, or an input passed through, is copied
				l.place[r] = Ref{OutputSpace, i, 0, uint64(v.Type.SizeBytes())}
			}
		}
	}
	roots, ivs := lifetimes(g, l)
	l.arena = arena.Assign(ivs, lim.MinStorageBufferOffsetAlignment)
	l.live = arena.LargestLiveSet(ivs)
	for i, iv := range ivs {
		l.place[roots[i]] = Ref{ArenaSpace, 0, iv.Offset, iv.Size}
	}
	return l
}

// lifetimes lists the values that need arena memory, each with the steps at which they must keep it: from the one that
// writes them (inputs: -1) to the last that reads them (outputs: one past the end, where they are copied out).
func lifetimes(g *graph.Graph, l *layout) (values []*graph.Value, ivs []*arena.Interval) {
	byRoot := map[*graph.Value]*arena.Interval{}
	touch := func(v *graph.Value, step int) {
		r := l.root[v]
		if _, placed := l.place[r]; placed || r.Type.SizeBytes() == 0 {
			return
		}
		iv := byRoot[r]
		if iv == nil {
			iv = &arena.Interval{First: step, Size: uint64(r.Type.SizeBytes())}
			byRoot[r] = iv
			values, ivs = append(values, r), append(ivs, iv)
		}
		iv.Last = max(iv.Last, step)
	}
	for _, v := range g.Inputs {
		touch(v, -1)
	}
	for i, n := range g.Nodes {
		for _, v := range n.Inputs {
			if v.Kind != graph.ParamValue {
				touch(v, i)
			}
		}
		touch(n.Output, i)
	}
	for _, v := range g.Outputs {
		touch(v, len(g.Nodes))
	}
	return values, ivs
}
