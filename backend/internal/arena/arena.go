// Package arena lays tensors with known lifetimes into one block of memory.
package arena

import "sort"

// Interval is a tensor that must lie somewhere in the arena from step First to step Last, both included.
type Interval struct {
	First, Last int
	Size        uint64
	Offset      uint64 // the result of [Assign]
}

// Assign gives each interval an offset so that none overlaps another that is alive at the same step, and returns
// the size needed; offsets and size are multiples of alignment, in whatever unit the sizes have. Greedy by size: the
// largest first, each at the lowest gap that holds it (Pisarchyk and Lee 2020, "Efficient memory management for deep
// neural net inference").
func Assign(ivs []*Interval, alignment uint64) uint64 {
	bySize := append([]*Interval(nil), ivs...)
	sort.SliceStable(bySize, func(i, j int) bool { return bySize[i].Size > bySize[j].Size })
	var placed []*Interval // by offset
	var total uint64
	for _, iv := range bySize {
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
