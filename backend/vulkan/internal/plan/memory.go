package plan

import (
	"github.com/resnet-run/resnet-run/backend/internal/arena"
	"github.com/resnet-run/resnet-run/graph"
)

// layout says where the tensors of a program lie.
type layout struct {
	place map[*tensor]Ref
	arena uint64 // bytes
	live  uint64 // bytes of the largest set of tensors that are alive at the same step: what the arena cannot be below
}

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

// place gives every tensor its memory. Inputs and outputs are the caller's buffers when direct is set; what cannot be
// written there in place, and everything when direct is not set, lies in the arena.
func place(p *program, lim Limits, direct bool) *layout {
	l := &layout{place: map[*tensor]Ref{}}
	if direct {
		for i, v := range p.g.Inputs {
			l.place[p.tensor(v, Dense)] = Ref{InputSpace, i, 0, uint64(v.Type.SizeBytes())}
		}
		for i, v := range p.g.Outputs {
			if v.Type.SizeBytes() == 0 {
				continue
			}
			t := p.tensor(v, Dense)
			if _, taken := l.place[t]; !taken { // a value given out twice, or an input passed through, is copied
				l.place[t] = Ref{OutputSpace, i, 0, uint64(v.Type.SizeBytes())}
			}
		}
	}
	tensors, ivs := lifetimes(p, l)
	l.arena = arena.Assign(ivs, lim.alignment())
	l.live = arena.LargestLiveSet(ivs)
	for i, iv := range ivs {
		l.place[tensors[i]] = Ref{ArenaSpace, 0, iv.Offset, iv.Size}
	}
	return l
}

// lifetimes lists the tensors that need arena memory, each with the steps at which they must keep it: from the one that
// writes them (inputs: -1) to the last that reads them (outputs: one past the end, where they are copied out).
func lifetimes(p *program, l *layout) (tensors []*tensor, ivs []*arena.Interval) {
	known := map[*tensor]*arena.Interval{}
	touch := func(t *tensor, step int) {
		if _, placed := l.place[t]; placed || t == nil || t.bytes == 0 {
			return
		}
		iv := known[t]
		if iv == nil {
			iv = &arena.Interval{First: step, Size: t.bytes}
			known[t] = iv
			tensors, ivs = append(tensors, t), append(ivs, iv)
		}
		iv.Last = max(iv.Last, step)
	}
	for _, v := range p.g.Inputs {
		touch(p.tensor(v, Dense), -1)
	}
	for i, c := range p.calls {
		for _, t := range c.tensors {
			touch(t, i)
		}
	}
	for _, v := range p.g.Outputs {
		if v.Type.SizeBytes() > 0 {
			touch(p.tensor(v, Dense), len(p.calls))
		}
	}
	return tensors, ivs
}
