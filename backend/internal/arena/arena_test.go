package arena

import (
	"math/rand/v2"
	"testing"
)

// TestArenaOfRandomLifetimes: nothing that lives together overlaps, and offsets are aligned.
func TestArenaOfRandomLifetimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var ivs []*Interval
		for range 1 + rng.IntN(30) {
			first := rng.IntN(20)
			ivs = append(ivs, &Interval{First: first, Last: first + rng.IntN(6), Size: uint64(1 + rng.IntN(5000))})
		}
		total := Assign(ivs, 64)
		if live := LargestLiveSet(ivs); total < live {
			t.Fatalf("an arena of %d holds a live set of %d", total, live)
		}
		for i, a := range ivs {
			if a.Offset%64 != 0 || a.Offset+a.Size > total {
				t.Fatalf("interval %+v: misplaced in an arena of %d bytes", *a, total)
			}
			for _, b := range ivs[:i] {
				together := a.First <= b.Last && b.First <= a.Last
				if together && a.Offset < b.Offset+b.Size && b.Offset < a.Offset+a.Size {
					t.Fatalf("%+v and %+v overlap", *a, *b)
				}
			}
		}
	}
}

func TestMemoryIsUsedAgain(t *testing.T) {
	ivs := []*Interval{{First: 0, Last: 1, Size: 100}, {First: 1, Last: 2, Size: 60}, {First: 2, Last: 3, Size: 100}}
	if got, live := Assign(ivs, 4), LargestLiveSet(ivs); got != 160 || live != 160 {
		t.Errorf("a chain of three: got an arena of %d and a live set of %d, want 160 and 160", got, live)
	}
}
