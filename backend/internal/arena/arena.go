// Package arena lays tensors with known lifetimes into one block of memory.
package arena

import (
	"slices"
	"sort"
)

// Interval is a tensor that must lie somewhere in the arena from step First to step Last, both included.
type Interval struct {
	First, Last int
	Size        uint64
	Offset      uint64 // the result of [Assign]
}

// Assign gives each interval an offset so that none overlaps another that is alive at the same step, and returns
// the size needed; offsets and size are multiples of alignment, in whatever unit the sizes have.
//
// Each interval in turn goes to the lowest gap that holds it. The order decides: the largest first (Pisarchyk and Lee
// 2020, "Efficient memory management for deep neural net inference"), those alive at the fullest steps first, or the
// earliest first; then what ended up on top goes first, as long as that helps. The best of all counts.
func Assign(ivs []*Interval, alignment uint64) uint64 {
	least := Align(LargestLiveSet(ivs), alignment)
	crowd := crowds(ivs)
	var best uint64
	offsets := make([]uint64, len(ivs))
	keep := func(total uint64) {
		if best == 0 || total < best {
			best = total
			for i, iv := range ivs {
				offsets[i] = iv.Offset
			}
		}
	}
	for _, less := range []func(a, b *Interval) bool{
		func(a, b *Interval) bool { return a.Size > b.Size },
		func(a, b *Interval) bool { return crowd[a] > crowd[b] || crowd[a] == crowd[b] && a.Size > b.Size },
		func(a, b *Interval) bool { return a.First < b.First },
	} {
		order := slices.Clone(ivs)
		sort.SliceStable(order, func(i, j int) bool { return less(order[i], order[j]) })
		for range rounds {
			total := assign(order, alignment)
			keep(total)
			if best <= least || !raise(order, total, alignment) {
				break
			}
		}
	}
	for _, percent := range []uint64{100, 105, 110} { // of the least that is possible
		if top := Align(least*percent/100, alignment); best <= top || search(ivs, top, alignment) {
			if best > top {
				keep(extent(ivs, alignment))
			}
			break
		}
	}
	for i, iv := range ivs {
		iv.Offset = offsets[i]
	}
	return best
}

// extent is where the last interval ends.
func extent(ivs []*Interval, alignment uint64) uint64 {
	var total uint64
	for _, iv := range ivs {
		total = max(total, iv.Offset+iv.Size)
	}
	return Align(total, alignment)
}

// rounds is how often the order is changed; networks of the family take few.
const rounds = 32

// raise moves to the front what reaches the top of the arena, and reports whether that changed the order.
func raise(order []*Interval, total, alignment uint64) bool {
	var top, rest []*Interval
	for _, iv := range order {
		if Align(iv.Offset+iv.Size, alignment) == total {
			top = append(top, iv)
		} else {
			rest = append(rest, iv)
		}
	}
	moved := false
	for i, iv := range append(top, rest...) {
		moved = moved || order[i] != iv
		order[i] = iv
	}
	return moved
}

// crowds tells for each interval the size of the largest set alive at one of its steps.
func crowds(ivs []*Interval) map[*Interval]uint64 {
	at := map[int]uint64{}
	for _, iv := range ivs {
		for s := iv.First; s <= iv.Last; s++ {
			at[s] += iv.Size
		}
	}
	most := map[*Interval]uint64{}
	for _, iv := range ivs {
		for s := iv.First; s <= iv.Last; s++ {
			most[iv] = max(most[iv], at[s])
		}
	}
	return most
}

// assign places the intervals in the order given.
func assign(order []*Interval, alignment uint64) uint64 {
	var placed []*Interval // by offset
	var total uint64
	for _, iv := range order {
		var at uint64
		for _, p := range placed {
			if p.Last < iv.First || iv.Last < p.First {
				continue
			}
			if p.Offset >= at+iv.Size {
				break
			}
			at = max(at, Align(p.Offset+p.Size, alignment))
		}
		iv.Offset = at
		total = max(total, at+iv.Size)
		i := sort.Search(len(placed), func(i int) bool { return placed[i].Offset > at })
		placed = append(placed, nil)
		copy(placed[i+1:], placed[i:])
		placed[i] = iv
	}
	return Align(total, alignment)
}

// LargestLiveSet is the size of the largest set of intervals that are alive at the same step: what no arena can be below.
func LargestLiveSet(ivs []*Interval) uint64 {
	at := map[int]uint64{}
	var most uint64
	for _, iv := range ivs {
		for s := iv.First; s <= iv.Last; s++ {
			at[s] += iv.Size
			most = max(most, at[s])
		}
	}
	return most
}

// Align rounds n up to a multiple of to.
func Align(n, to uint64) uint64 { return (n + to - 1) / to * to }
