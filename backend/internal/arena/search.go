package arena

import (
	"slices"
	"sort"
)

// maxSteps bounds a search; networks of the family take a few for each interval.
const maxSteps = 1 << 16

// search looks for offsets that need no more than top, and reports whether it found them. It goes through the intervals
// as they begin, tries the places that lie against another one or an end of the arena, and goes back where none is free: what
// greedy placing cannot do is to put a value that lives long now at one end, now at the other.
func search(ivs []*Interval, top, alignment uint64) bool {
	order := slices.Clone(ivs)
	sort.SliceStable(order, func(i, j int) bool {
		return order[i].First < order[j].First || order[i].First == order[j].First && order[i].Last > order[j].Last
	})
	alive := neighbours(order)
	choices := make([][]uint64, len(order)) // still to be tried, by interval
	at := 0
	for steps := 0; at < len(order); steps++ {
		if steps == maxSteps {
			return false
		}
		iv := order[at]
		if choices[at] == nil {
			choices[at] = places(iv, alive[at], top, alignment)
		}
		if len(choices[at]) == 0 {
			choices[at] = nil
			if at--; at < 0 {
				return false
			}
			continue
		}
		iv.Offset, choices[at] = choices[at][0], choices[at][1:]
		at++
	}
	return true
}

// neighbours lists for each interval those before it that are alive when it begins.
func neighbours(order []*Interval) [][]*Interval {
	list := make([][]*Interval, len(order))
	var alive []*Interval
	for i, iv := range order {
		alive = slices.DeleteFunc(alive, func(a *Interval) bool { return a.Last < iv.First })
		list[i] = slices.Clone(alive)
		alive = append(alive, iv)
	}
	return list
}

// places lists the offsets against an end or a neighbour that are free, the lowest first. It is never nil.
func places(iv *Interval, alive []*Interval, top, alignment uint64) []uint64 {
	size := Align(iv.Size, alignment)
	list := []uint64{}
	if size > top {
		return list
	}
	list = append(list, 0, top-size)
	for _, a := range alive {
		list = append(list, a.Offset+Align(a.Size, alignment))
		if a.Offset >= size {
			list = append(list, a.Offset-size)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(at uint64) bool {
		return at+size > top || slices.ContainsFunc(alive, func(a *Interval) bool {
			return a.Offset < at+size && at < a.Offset+Align(a.Size, alignment)
		})
	})
}
