package cpu

import (
	"slices"
	"testing"
)

// TestHugePagesLeaveMemoryAsItIs: what is asked for concerns whole pages, and with them the memory around the slice.
func TestHugePagesLeaveMemoryAsItIs(t *testing.T) {
	all := make([]float32, 3<<20)
	for i := range all {
		all[i] = float32(i % 1021)
	}
	want := slices.Clone(all)
	for _, part := range [][]float32{nil, all[:0], all[:1], all[len(all)-1:], all[1<<19 : 1<<19+7], all[5 : 2<<20], all} {
		wantHugePages(part)
		if !slices.Equal(all, want) {
			t.Fatalf("%d elements: other numbers", len(part))
		}
	}
	for i := range all { // it can still be written
		all[i]++
	}
}
