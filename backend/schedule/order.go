package schedule

import "slices"

// group puts nodes into parts: lists of nodes, each on one member, such that the parts can run one after the other. The
// graph's own order is one such order; where independent branches lie interleaved on two members, another has fewer parts. So
// each part takes all that is ready, and all that this makes ready, before another member has its turn. For two members
// no order has fewer parts (taking more, earlier, never makes a later part impossible); for more it is a good rule.
//
// deps lists for each node those it reads from, which come before it; member has a number in 0..members-1.
func group(deps [][]int, member []int, members int) [][]int {
	readers := make([][]int, len(deps))
	for n, list := range deps {
		for _, d := range list {
			readers[d] = append(readers[d], n)
		}
	}
	var best [][]int
	for first := range members {
		if parts := groupFrom(first, deps, readers, member, members); parts != nil && (best == nil || len(parts) < len(best)) {
			best = parts
		}
	}
	return best
}

// groupFrom is group beginning with a given member; nil when nothing is ready there.
func groupFrom(first int, deps, readers [][]int, member []int, members int) [][]int {
	waits := make([]int, len(deps))
	ready := make([][]int, members)
	for n, list := range deps {
		if waits[n] = len(list); waits[n] == 0 {
			ready[member[n]] = append(ready[member[n]], n)
		}
	}
	if len(ready[first]) == 0 {
		return nil
	}
	var parts [][]int
	for m := first; m >= 0; m = fullest(ready) {
		var part []int
		for len(ready[m]) > 0 {
			n := ready[m][0]
			ready[m] = ready[m][1:]
			part = append(part, n)
			for _, r := range readers[n] {
				if waits[r]--; waits[r] == 0 {
					ready[member[r]] = append(ready[member[r]], r)
				}
			}
		}
		slices.Sort(part) // the graph's order is right inside a part, and is what people expect
		parts = append(parts, part)
	}
	return parts
}

// fullest is the member with the most nodes ready, the first of equals; -1 when nothing is left.
func fullest(ready [][]int) int {
	best := -1
	for m, list := range ready {
		if len(list) > 0 && (best < 0 || len(list) > len(ready[best])) {
			best = m
		}
	}
	return best
}
