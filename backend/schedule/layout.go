package schedule

import (
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// layout is a plan with what is needed to carry it out.
type layout struct {
	survey *survey // of the whole graph
	batch  int     // samples, 0 where they cannot be told apart
	split  Split
	routes []*routePlan
}

// routePlan is a route as graphs and steps.
type routePlan struct {
	survey       *survey // of the graph for one chunk
	first, share int     // samples of the batch; 0 and 1 when the batch is no matter
	chunk        int
	whole        bool // the samples are not told apart: the graph takes inputs and outputs as they are
	parts        []*partPlan
	flow         flow
	nanos        int64
	exact        bool
}

// partPlan is a part: nodes of the route's graph, as a graph of their own.
type partPlan struct {
	member  int
	nodes   []*graph.Node
	nanos   int64
	graph   *graph.Graph
	in, out []*graph.Value // of the route's graph, in the order of the part's inputs and outputs
}

func (r *routePlan) chunks() int { return r.share / r.chunk }

// sharing lists the members among which the batch is to be divided, none when it is the graph that is.
func (s *survey) sharing(split Split) []int {
	var list []int
	for m, c := range s.members {
		if c.chosen && (split == ByBatch || split == Auto && s.supportsAll(m)) {
			list = append(list, m)
		}
	}
	if len(list) < 2 || batchOf(s.g) < 2 {
		return nil
	}
	return list
}

// probe is the share for which the speeds of so many members are compared.
func (s *survey) probe(members int) int { return (batchOf(s.g) + members - 1) / members }

// estimated guesses the speeds of the members among which the batch is divided, in samples a second.
func (s *survey) estimated(sharing []int) ([]float64, error) {
	speeds := make([]float64, len(s.members))
	for _, m := range sharing {
		r, err := s.shareOf(m, s.probe(len(sharing)))
		if err != nil {
			return nil, err
		}
		speeds[m] = float64(r.share) / float64(max(r.nanos, 1)) * 1e9
	}
	return speeds, nil
}

// byGraph divides the graph over all members.
func (s *survey) byGraph() (*layout, error) {
	r, err := s.inChunks(func(s *survey, i int) []int {
		allowed, _ := s.usual(i, len(s.strays) > 0)
		return allowed
	})
	if err != nil {
		return nil, err
	}
	n := batchOf(s.g)
	r.whole = r.chunk == max(n, 1)
	return &layout{survey: s, batch: n, split: ByGraph, routes: []*routePlan{r}}, nil
}

// inChunks plans a route for all samples at once, and for chunks of them where several members can work at the same time, and takes what is
// estimated faster. The plan for chunks is another one: times are shorter, and members are asked again about other shapes.
func (s *survey) inChunks(allowed func(s *survey, i int) []int) (*routePlan, error) {
	n := max(batchOf(s.g), 1)
	r, err := s.route(allowed)
	if err != nil {
		return nil, err
	}
	r.finish(n, n)
	chunk := chunkOf(n)
	if chunk == n || r.members() < 2 {
		return r, nil
	}
	small, err := s.resized(chunk)
	if err != nil { // a member has the nodes for all samples alone
		return r, nil
	}
	c, err := small.route(allowed)
	if err != nil {
		return nil, err
	}
	if c.finish(n, chunk); c.nanos < r.nanos {
		return c, nil
	}
	return r, nil
}

// byBatch divides the batch by speed, given by member; members of no speed have no share.
//
// Errors: those of asking members about the graph for their share.
func (s *survey) byBatch(speeds []float64) (*layout, error) {
	l := &layout{survey: s, batch: batchOf(s.g), split: ByBatch}
	first := 0
	for m, share := range shares(l.batch, speeds) {
		if share == 0 {
			continue
		}
		r, err := s.shareOf(m, share)
		if err != nil {
			return nil, err
		}
		r.first = first
		first += share
		l.routes = append(l.routes, r)
	}
	return l, nil
}

// shareOf plans the way of a share of the batch through member m, and others where that one does not support a node.
func (s *survey) shareOf(m, share int) (*routePlan, error) {
	c, err := s.resized(share)
	if err != nil {
		return nil, err
	}
	r, err := c.inChunks(func(s *survey, i int) []int { return s.mostly(i, m) })
	if err != nil {
		return nil, err
	}
	r.whole = r.chunk == batchOf(s.g)
	return r, nil
}

// resized is the survey of the graph for n samples.
func (s *survey) resized(n int) (*survey, error) {
	if n == batchOf(s.g) {
		return s, nil
	}
	g, err := s.g.WithBatch(n)
	if err != nil {
		return nil, err
	}
	return ask(g, s.members, s.forced)
}

// route places the nodes on the members that allowed lists for each, and cuts them into parts.
func (s *survey) route(allowed func(s *survey, i int) []int) (*routePlan, error) {
	var nodes []*graph.Node
	var times [][]int64
	for i, n := range s.g.Nodes {
		if !s.live[i] {
			continue
		}
		may := make([]int64, len(s.members))
		list := allowed(s, i)
		for m := range may {
			if may[m] = never; slices.Contains(list, m) {
				may[m] = s.times[i][m]
			}
		}
		nodes, times = append(nodes, n), append(times, may)
	}
	rates := make([]Rates, len(s.members))
	for m, c := range s.members {
		rates[m] = c.rates
	}
	placed := newProblem(s.g, nodes, times, rates).solve()
	r := &routePlan{survey: s, exact: placed.exact}
	for _, list := range group(dependencies(nodes), placed.member, len(s.members)) {
		p := &partPlan{member: placed.member[list[0]]}
		p.nanos = rates[p.member].PartNanos
		for _, i := range list {
			p.nodes = append(p.nodes, nodes[i])
			p.nanos += times[i][p.member]
		}
		r.parts = append(r.parts, p)
	}
	if err := cut(s.g, r.parts); err != nil {
		return nil, fmt.Errorf("cut graph %q into parts: %w", s.g.Name, err)
	}
	r.flow = newFlow(s.g, r.parts)
	return r, nil
}

// dependencies lists for each node those of the list whose results it reads.
func dependencies(nodes []*graph.Node) [][]int {
	number := make(map[*graph.Node]int, len(nodes))
	deps := make([][]int, len(nodes))
	for i, n := range nodes {
		number[n] = i
		for _, v := range n.Inputs {
			if v.Kind == graph.NodeValue {
				deps[i] = append(deps[i], number[v.Node])
			}
		}
	}
	return deps
}

// members is how many members have a part.
func (r *routePlan) members() int { return len(r.busy()) }

// busy is the time that each member works for one chunk, transfers included.
func (r *routePlan) busy() map[int]int64 {
	busy := map[int]int64{}
	for _, p := range r.parts {
		busy[p.member] += p.nanos
	}
	for _, s := range r.flow.steps {
		if s.kind != runPart {
			b := r.flow.bufs[s.buf]
			busy[b.member] += r.survey.members[b.member].rates.move(int64(b.value.Type.SizeBytes()))
		}
	}
	return busy
}

// finish sets the samples and estimates the time: one chunk goes all the way, and the others follow at the pace of the busiest member.
func (r *routePlan) finish(share, chunk int) {
	r.share, r.chunk = share, chunk
	var sum, most int64
	for _, t := range r.busy() {
		sum += t
		most = max(most, t)
	}
	r.nanos = sum + int64(r.chunks()-1)*most
}
