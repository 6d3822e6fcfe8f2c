package plan

import (
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Verdict is what is known of a candidate on a device.
type Verdict struct {
	Struck  bool    // it gave a wrong answer, and must not run
	Seconds float64 // that it took; 0 where it was not measured
	Why     string  // for people, where it was measured
}

// choose gives every node a candidate (nil for those that need none), so that the sum of the times of all nodes and of
// the conversions between formats is small. An exact answer would be a search over all nodes; this walks to a minimum
// from two ends, all dense and all packed, and takes the better, which is exact for chains of nodes and in the family.
func choose(lim Limits, opt Options, g *graph.Graph) ([]*Candidate, error) {
	c := &chooser{lim: lim, g: g, made: map[*graph.Value]int{}}
	for i, n := range g.Nodes {
		var list []Candidate
		if n.Output.Type.SizeBytes() > 0 {
			var err error
			if list, err = judged(lim, opt, n); err != nil {
				return nil, fmt.Errorf("node %q (%s): %w", n.Name, n.Op.Name(), err)
			}
		}
		c.lists = append(c.lists, list)
		c.made[n.Output] = i
	}
	c.index()
	var best []int
	least := 0.0
	for _, f := range formats {
		pick := c.start(f)
		c.descend(pick)
		if cost := c.total(pick); best == nil || cost < least {
			best, least = pick, cost
		}
	}
	out := make([]*Candidate, len(g.Nodes))
	for i, list := range c.lists {
		if len(list) > 0 {
			out[i] = &list[best[i]]
			if len(list) > 1 && out[i].Why == "" {
				out[i].Why = "rule: the least, with the conversions between formats"
			}
		}
	}
	return out, nil
}

// judged lists the candidates of a node that may run, with what was measured of them. Where some were measured, the
// estimates of the others are not comparable, and they stay out.
func judged(lim Limits, opt Options, n *graph.Node) ([]Candidate, error) {
	list, err := Candidates(lim, opt, n)
	if err != nil || opt.Judge == nil {
		return list, err
	}
	var keep, measured []Candidate
	for _, c := range list {
		v := opt.Judge(n, c.Name)
		if v.Struck {
			continue
		}
		if v.Seconds > 0 {
			c.cost, c.Why = v.Seconds, v.Why
			measured = append(measured, c)
		}
		keep = append(keep, c)
	}
	if len(measured) > 0 {
		return measured, nil
	}
	if len(keep) == 0 && len(list) > 0 {
		return nil, backend.Unsupported(n.Op.Name(), "a kernel that gives right answers on this device", fmt.Sprintf("%d that do not", len(list)))
	}
	return keep, nil
}

// chooser is the search for candidates.
type chooser struct {
	lim     Limits
	g       *graph.Graph
	made    map[*graph.Value]int // the node of a value
	lists   [][]Candidate        // by node; empty for views, whose results are dense
	readers map[*graph.Value][]int
	dense   map[*graph.Value]bool // values that are wanted dense whatever is chosen
}

// index notes who reads each value.
func (c *chooser) index() {
	c.readers, c.dense = map[*graph.Value][]int{}, map[*graph.Value]bool{}
	for i, n := range c.g.Nodes {
		for _, v := range n.Inputs {
			if v.Kind == graph.ParamValue {
				continue
			}
			if len(c.lists[i]) == 0 {
				c.dense[v] = true // a view is one of the dense elements
				continue
			}
			c.readers[v] = append(c.readers[v], i)
		}
	}
	for _, v := range c.g.Outputs {
		c.dense[v] = true
	}
}

// start picks the cheapest candidate of each node that reads the format, or else the cheapest.
func (c *chooser) start(f Format) []int {
	pick := make([]int, len(c.lists))
	for i, list := range c.lists {
		best := -1
		for j := range list {
			if best < 0 || (list[j].In == f) != (list[best].In == f) && list[j].In == f || (list[j].In == f) == (list[best].In == f) && list[j].cost < list[best].cost {
				best = j
			}
		}
		pick[i] = max(best, 0)
	}
	return pick
}

// maxRounds bounds the descent; networks of the family take three.
const maxRounds = 16

// descend improves one node after another until nothing helps.
func (c *chooser) descend(pick []int) {
	for range maxRounds {
		better := false
		for i, list := range c.lists {
			if len(list) < 2 {
				continue
			}
			old, best := pick[i], pick[i]
			least := c.around(pick, i)
			for j := range list {
				pick[i] = j
				if cost := c.around(pick, i); cost < least {
					best, least = j, cost
				}
			}
			pick[i] = best
			better = better || best != old
		}
		if !better {
			return
		}
	}
}

// around is the cost of what the choice for one node changes: itself, and the conversions of its operands and result.
func (c *chooser) around(pick []int, i int) float64 {
	n := c.g.Nodes[i]
	cost := c.lists[i][pick[i]].cost + c.conversions(pick, n.Output)
	for j, v := range n.Inputs {
		if v.Kind == graph.ParamValue {
			continue
		}
		if !slices.Contains(n.Inputs[:j], v) {
			cost += c.conversions(pick, v)
		}
	}
	return cost
}

// conversions is the cost of the formats that a value is wanted in besides the one it is made in.
func (c *chooser) conversions(pick []int, v *graph.Value) float64 {
	made := Dense
	if i, ok := c.made[v]; ok && len(c.lists[i]) > 0 {
		made = c.lists[i][pick[i]].Out
	}
	var wanted [len(formats) + 1]bool
	wanted[Dense] = c.dense[v]
	for _, i := range c.readers[v] {
		wanted[c.lists[i][pick[i]].In] = true
	}
	cost := 0.0
	for _, f := range formats {
		if wanted[f] && f != made && f.holds(v.Type) {
			cost += float64(made.sizeBytes(v.Type)+f.sizeBytes(v.Type)) / c.lim.bandwidth()
		}
	}
	return cost
}

// total is the cost of everything.
func (c *chooser) total(pick []int) float64 {
	sum := 0.0
	for i, list := range c.lists {
		if len(list) > 0 {
			sum += list[pick[i]].cost + c.conversions(pick, c.g.Nodes[i].Output)
		}
	}
	for _, v := range c.g.Inputs {
		sum += c.conversions(pick, v)
	}
	return sum
}
