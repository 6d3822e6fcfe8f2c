package kernel

import (
	"testing"
	"unsafe"
)

// TestTheAssemblyKnowsTheLayout: the offsets are those of internal/cmd/genkernels/tile.go.
func TestTheAssemblyKnowsTheLayout(t *testing.T) {
	var x Tile
	var s Segment
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"Arena", unsafe.Offsetof(x.Arena), 0},
		{"Weights", unsafe.Offsetof(x.Weights), 24},
		{"Segments", unsafe.Offsetof(x.Segments), 48},
		{"In", unsafe.Offsetof(x.In), 72},
		{"Out", unsafe.Offsetof(x.Out), 96},
		{"Add", unsafe.Offsetof(x.Add), 120},
		{"Bias", unsafe.Offsetof(x.Bias), 144},
		{"Flags", unsafe.Offsetof(x.Flags), 168},
		{"Last", unsafe.Offsetof(x.Last), 176},
		{"Segment.Offset", unsafe.Offsetof(s.Offset), 0},
		{"Segment.Len", unsafe.Offsetof(s.Len), 8},
		{"size of Segment", unsafe.Sizeof(s), 16},
	} {
		if c.got != c.want {
			t.Errorf("%s is at %d, the assembly has %d", c.name, c.got, c.want)
		}
	}
	if Accumulate != 1 || AddBias != 2 || AddShortcut != 4 || ReLU != 8 {
		t.Error("the flags are not those of the assembly")
	}
}
