package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// candidate is a member as the planner sees it; it needs no device.
type candidate struct {
	id       int // its place among the members of the Device
	name     string
	chosen   bool // else it is for nodes that no chosen one supports
	rates    Rates
	supports func(*graph.Node) error
}

// survey is what the members say to each node of a graph.
type survey struct {
	g       *graph.Graph
	members []candidate // with rates in order
	refused [][]error   // by node and member; nil where it is supported
	forced  []int       // by node: the member that a rule names, or -1
	live    []bool      // by node: an output needs it
	times   [][]int64   // by node and member, estimate in ns
	strays  []string    // nodes that no chosen member supports and no rule is about
}

// ask asks every member once for every node; forced says which nodes must go where.
//
// Errors: ErrUnsupported with all nodes that have no member and what each says.
func ask(g *graph.Graph, members []candidate, forced []int) (*survey, error) {
	s := &survey{g: g, members: members, forced: forced, live: liveNodes(g)}
	var nowhere []error
	for i, n := range g.Nodes {
		refused, times, cost := make([]error, len(members)), make([]int64, len(members)), n.Cost()
		for m, c := range members {
			refused[m], times[m] = c.supports(n), c.rates.node(cost)
		}
		s.refused, s.times = append(s.refused, refused), append(s.times, times)
		allowed, stray := s.usual(i, false)
		if len(allowed) == 0 {
			nowhere = append(nowhere, s.refusal(n, refused, forced[i]))
		} else if stray {
			s.strays = append(s.strays, n.Name)
		}
	}
	return s, join(nowhere)
}

// force applies the rules to the nodes: by node the member, or -1.
func force(g *graph.Graph, members []candidate, rules []Rule) []int {
	forced := make([]int, len(g.Nodes))
	for i, n := range g.Nodes {
		forced[i] = memberOf(n, members, rules)
	}
	return forced
}

// memberOf is the member to which a rule forces the node, -1 for none. Rules for a member that is lost do not count any more.
func memberOf(n *graph.Node, members []candidate, rules []Rule) int {
	for _, r := range rules {
		m := slices.IndexFunc(members, func(c candidate) bool { return c.name == r.Device })
		if m >= 0 && r.fits(n) {
			return m
		}
	}
	return -1
}

// usual lists the members that may have node i when the graph is divided: the one it is forced to, or the chosen ones that support
// it, or else the fallback; a stray is of the last kind. When some node needs the fallback, others may go there with it: it saves transfers.
// Not those that the network's work is in: who names a device wants it used, also when the estimate would do without it.
func (s *survey) usual(i int, withFallback bool) (allowed []int, stray bool) {
	if f := s.forced[i]; f >= 0 {
		if s.refused[i][f] == nil {
			allowed = append(allowed, f)
		}
		return allowed, false
	}
	var spare []int
	for m, err := range s.refused[i] {
		if err == nil && s.members[m].chosen {
			allowed = append(allowed, m)
		} else if err == nil {
			spare = append(spare, m)
		}
	}
	if stray = len(allowed) == 0; stray || withFallback && !isWork(s.g.Nodes[i].Op) {
		allowed = append(allowed, spare...)
	}
	return allowed, stray
}

// isWork tells of operations whose arithmetic is worth the transfers.
func isWork(op graph.Op) bool {
	switch op.(type) {
	case graph.Conv2D, graph.Linear:
		return true
	}
	return false
}

// mostly lists the members that may have node i of a share that is meant for member m: that one if it supports the node.
func (s *survey) mostly(i, m int) []int {
	if s.forced[i] < 0 && s.refused[i][m] == nil {
		return []int{m}
	}
	allowed, _ := s.usual(i, false)
	return allowed
}

// supportsAll tells whether member m supports every node that is to be run, and none is forced elsewhere.
func (s *survey) supportsAll(m int) bool {
	for i := range s.refused {
		if s.refused[i][m] != nil || s.forced[i] >= 0 && s.forced[i] != m {
			return false
		}
	}
	return true
}

// refusal is the error of a node that has no member.
func (s *survey) refusal(n *graph.Node, refused []error, forced int) error {
	var said []string
	for m, err := range refused {
		if forced < 0 || m == forced {
			said = append(said, fmt.Sprintf("%s: %v", s.members[m].name, err))
		}
	}
	if forced >= 0 {
		return fmt.Errorf("node %q (%s) is forced to a device that refuses it: %w: %s", n.Name, n.Op.Name(), backend.ErrUnsupported, said[0])
	}
	return fmt.Errorf("node %q (%s) runs on no device: %w: %s", n.Name, n.Op.Name(), backend.ErrUnsupported, strings.Join(said, "; "))
}

// mostListed is how many of many errors or names are told one by one.
const mostListed = 10

// join joins errors of the same kind, the first of them with their text.
func join(errs []error) error {
	if left := len(errs) - mostListed; left > 0 {
		return fmt.Errorf("%w\nand %d more", errors.Join(errs[:mostListed]...), left)
	}
	return errors.Join(errs...)
}

// liveNodes marks the nodes that an output needs.
func liveNodes(g *graph.Graph) []bool {
	needed := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		needed[v] = true
	}
	live := make([]bool, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		if live[i] = needed[n.Output]; live[i] {
			for _, v := range n.Inputs {
				needed[v] = true
			}
		}
	}
	return live
}
