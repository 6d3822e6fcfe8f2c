//go:build amd64 || arm64

package kernel

import (
	"testing"
	"unsafe"
)

// TestTheAssemblyKnowsTheLayout: the offsets are those of internal/cmd/genkernels/{tile,winograd}.go.
func TestTheAssemblyKnowsTheLayout(t *testing.T) {
	var x Tile
	var s Segment
	var w Transform
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
		{"Ahead", unsafe.Offsetof(x.Ahead), 184},
		{"Step", unsafe.Offsetof(x.Step), 192},
		{"Transform.Arena", unsafe.Offsetof(w.Arena), 0},
		{"Transform.In", unsafe.Offsetof(w.In), 24},
		{"Transform.InStep", unsafe.Offsetof(w.InStep), 40},
		{"Transform.Out", unsafe.Offsetof(w.Out), 48},
		{"Transform.OutStep", unsafe.Offsetof(w.OutStep), 64},
		{"Transform.Add", unsafe.Offsetof(w.Add), 72},
		{"Transform.AddStep", unsafe.Offsetof(w.AddStep), 88},
		{"Transform.Bias", unsafe.Offsetof(w.Bias), 96},
		{"Transform.Vectors", unsafe.Offsetof(w.Vectors), 120},
		{"Transform.Rows", unsafe.Offsetof(w.Rows), 128},
		{"Transform.Cols", unsafe.Offsetof(w.Cols), 136},
		{"Transform.Flags", unsafe.Offsetof(w.Flags), 144},
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
