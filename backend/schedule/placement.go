package schedule

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// The placement of nodes on members is found by dynamic programming over the nodes in the graph's order. What the
// future can tell of the past is only which member has the last node and where copies of the values lie that are still needed:
// of all ways to one such state the cheapest is kept, so the cheapest of the last states is the cheapest placement. In a residual network
// one or two values are alive at any node, and there are a few dozen states. Where a wide graph has more than statesFor allows, the cheapest
// go on; then the placement is a good one, and the plan says that it may not be the best.

// maxMembers is bounded by the bits of a places.
const maxMembers = 15

// statesFor bounds the states at a node after which so many values are alive. The product with the width is what a node costs.
func statesFor(alive int) int { return max(8, min(1024, 1<<13/(alive+1))) }

// never is the time of a node on a member that must not have it.
const never = -1

// places is a set of memories that hold a value: bit 0 is the host's, bit 1+m that of member m.
type places uint16

const host places = 1

func memory(member int) places { return 2 << member }

// problem is a graph as the search sees it: numbers alone.
type problem struct {
	nodes  []problemNode
	values []problemValue
	part   []int64 // by member: fixed cost of a part, in ns
}

type problemNode struct {
	times []int64 // by member, in ns; never where it must not run
	in    []int   // the values that it reads, without parameters, each once
	out   int     // the value that it makes
}

type problemValue struct {
	up, down []int64 // by member: time of its way from and to the host, in ns
	last     int     // the last node that reads it, -1 for none
	input    bool    // is in host memory from the start
	output   bool    // must be there at the end
}

// newProblem takes the nodes of g that are listed. times tells what each costs on each member.
func newProblem(g *graph.Graph, nodes []*graph.Node, times [][]int64, rates []Rates) *problem {
	p := &problem{}
	for _, r := range rates {
		p.part = append(p.part, r.PartNanos)
	}
	number := map[*graph.Value]int{}
	add := func(v *graph.Value, input bool) int {
		pv := problemValue{last: -1, input: input}
		bytes := int64(v.Type.SizeBytes())
		for _, r := range rates {
			pv.up, pv.down = append(pv.up, r.move(bytes)), append(pv.down, r.move(bytes))
		}
		p.values = append(p.values, pv)
		number[v] = len(p.values) - 1
		return number[v]
	}
	for _, v := range g.Inputs {
		add(v, true)
	}
	for i, n := range nodes {
		pn := problemNode{times: times[i]}
		for _, v := range n.Inputs {
			if v.Kind == graph.ParamValue {
				continue
			}
			id := number[v]
			p.values[id].last = i
			if !slices.Contains(pn.in, id) {
				pn.in = append(pn.in, id)
			}
		}
		pn.out = add(n.Output, false)
		p.nodes = append(p.nodes, pn)
	}
	for _, v := range g.Outputs {
		p.values[number[v]].output = true
	}
	return p
}

// cost orders placements: by time, then by the number of parts, then by how far down the list of members the nodes are.
type cost struct{ nanos, parts, rank int64 }

func (a cost) compare(b cost) int {
	for _, d := range [3]int64{a.nanos - b.nanos, a.parts - b.parts, a.rank - b.rank} {
		if d != 0 {
			if d < 0 {
				return -1
			}
			return 1
		}
	}
	return 0
}

// state is one way to run the first nodes, as far as those that follow can tell.
type state struct {
	cost
	member int    // of the last node, -1 before the first
	key    string // the member, then the places of the values that are alive, two bytes each
	back   int32  // the state before, by its number among those of the step before
}

// step is what is remembered of a state to walk back.
type step struct {
	back   int32
	member int8
}

// found is a placement.
type found struct {
	member []int // by node
	cost   cost
	exact  bool  // no placement in the graph's order of nodes is cheaper
	tried  int64 // transitions looked at: the measure of the search's work
}

// solve finds the placement. Every node must have a member that may run it.
func (p *problem) solve() found {
	r := found{exact: true}
	var alive []int // values that states hold, in this order
	key := []byte{0}
	for id, v := range p.values {
		if v.input && v.last >= 0 {
			alive, key = append(alive, id), binary.LittleEndian.AppendUint16(key, uint16(host))
		}
	}
	now := []state{{member: -1, key: string(key)}}
	known := map[string]int{}
	walk := make([][]step, len(p.nodes))
	for i := range p.nodes {
		next, left := p.advance(i, now, alive, known, &r)
		if most := statesFor(len(left)); len(next) > most {
			r.exact = false
			slices.SortStableFunc(next, func(a, b state) int { return a.compare(b.cost) })
			next = next[:most]
		}
		walk[i] = make([]step, len(next))
		for j, s := range next {
			walk[i][j] = step{s.back, int8(s.member)}
		}
		now, alive = next, left
	}
	best := 0
	for j := range now {
		if now[j].compare(now[best].cost) < 0 {
			best = j
		}
	}
	r.cost, r.member = now[best].cost, make([]int, len(p.nodes))
	for i, at := len(p.nodes)-1, int32(best); i >= 0; i-- {
		r.member[i], at = int(walk[i][at].member), walk[i][at].back
	}
	return r
}

// advance puts node i on each member that may have it, after each state. known is scratch space.
func (p *problem) advance(i int, now []state, alive []int, known map[string]int, r *found) (next []state, left []int) {
	n := &p.nodes[i]
	stays := make([]bool, len(alive))
	for j, id := range alive {
		if stays[j] = p.values[id].last > i; stays[j] {
			left = append(left, id)
		}
	}
	keep := p.values[n.out].last > i
	if keep {
		left = append(left, n.out)
	}
	clear(known)
	before, held, key := make([]places, len(alive)), make([]places, len(alive)), []byte(nil)
	for from := range now {
		s := &now[from]
		for j := range before {
			before[j] = places(s.key[1+2*j]) | places(s.key[2+2*j])<<8
		}
		for m, t := range n.times {
			if t == never {
				continue
			}
			r.tried++
			copy(held, before)
			c := p.run(n, m, s, held, alive)
			at := memory(m)
			if v := p.values[n.out]; v.output {
				c.nanos += v.down[m]
				at |= host
			}
			key = append(key[:0], byte(m))
			for j, h := range held {
				if stays[j] {
					key = binary.LittleEndian.AppendUint16(key, uint16(h))
				}
			}
			if keep {
				key = binary.LittleEndian.AppendUint16(key, uint16(at))
			}
			id, ok := known[string(key)]
			if !ok {
				own := string(key)
				known[own] = len(next)
				next = append(next, state{cost: c, member: m, key: own, back: int32(from)})
			} else if c.compare(next[id].cost) < 0 {
				next[id].cost, next[id].back = c, int32(from)
			}
		}
	}
	return next, left
}

// run is the cost after node n on member m follows state s, without its result's way to the host; held is updated.
func (p *problem) run(n *problemNode, m int, s *state, held []places, alive []int) cost {
	c := s.cost
	c.nanos += n.times[m]
	c.rank += int64(m)
	if s.member != m {
		c.parts++
		c.nanos += p.part[m]
	}
	for _, id := range n.in {
		j := slices.Index(alive, id)
		c.nanos += p.values[id].bring(&held[j], m)
	}
	return c
}

// bring is the time that it takes to have the value on member m; the copies on the way stay.
func (v *problemValue) bring(at *places, m int) int64 {
	if *at&memory(m) != 0 {
		return 0
	}
	t := v.up[m]
	if *at&host == 0 { // then only the member that made it has it, for every way to another leads through the host
		t += v.down[bits.TrailingZeros16(uint16(*at))-1]
	}
	*at |= host | memory(m)
	return t
}
