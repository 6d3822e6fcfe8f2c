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

	fences []Fence
}

// Fence is memory behind a tensor in the arena that no kernel may write.
type Fence struct {
	Ref
	Behind string // the value, or what the memory is for
}

// roots maps every value to the one whose memory it shares, if both are dense: itself, but for views, which move nothing.
func roots(g *graph.Graph) map[*graph.Value]*graph.Value {
	m := make(map[*graph.Value]*graph.Value)
	for _, v := range g.Inputs {
		m[v] = v
	}
	for _, n := range g.Nodes {
		m[n.Output] = n.Output
		if graph.IsView(n.Op) {
			m[n.Output] = m[n.Inputs[0]]
		}
	}
	return m
}

// place gives every tensor its memory. Inputs and outputs are the caller's buffers when direct is set; what cannot be
// written there in place, and everything when direct is not set, lies in the arena, with so many bytes for a fence behind each tensor.
func place(p *program, lim Limits, direct bool, fence uint64) *layout {
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
	apart(ivs, len(p.calls), fence)
	l.arena = arena.Assign(ivs, lim.alignment())
	l.live = arena.LargestLiveSet(ivs)
	for i, iv := range ivs {
		l.place[tensors[i]] = Ref{ArenaSpace, 0, iv.Offset, iv.Size}
	}
	l.raise(tensors, fence)
	return l
}

// apart makes room for fences and gives each tensor memory of its own: what a kernel does to a fence must be there at the end.
func apart(ivs []*arena.Interval, end int, fence uint64) {
	if fence == 0 {
		return
	}
	for _, iv := range ivs {
		iv.First, iv.Last, iv.Size = -1, end, iv.Size+fence
	}
}

// raise takes the fences from the tensors that have room for them.
func (l *layout) raise(tensors []*tensor, fence uint64) {
	if fence == 0 {
		return
	}
	for _, t := range tensors {
		r := l.place[t]
		r.Size -= fence
		l.place[t] = r
		l.fences = append(l.fences, Fence{Ref{r.Space, r.Index, r.Offset + r.Size, fence}, t.String()})
	}
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
