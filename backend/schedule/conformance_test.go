package schedule

import (
	"os"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

// everyday is the part of the quick profile that is run without RESNET_RUN_FULL: what a schedule could get wrong by itself.
const everyday = "^(contract|replay|concurrent|recompile|cancel|outputs|inputs|network)/"

// TestConformance holds a schedule against the suite, over a device that refuses some ops and the cpu backend: as a partition
// of the graph, as a division of the batch, and over two devices that have everything.
func TestConformance(t *testing.T) {
	full := os.Getenv("RESNET_RUN_FULL") != ""
	var o conformance.Options
	if !full {
		o.Filter = everyday
	}
	if testing.Short() {
		o.Filter = "^(contract|cancel|outputs|inputs)/|concurrent/(softmax|pools)" // the race detector makes the rest slow
	}
	some := op("add", "max_pool", "linear", "softmax")
	odd := func(n *graph.Node) bool {
		c, ok := n.Op.(graph.Conv2D)
		return ok && (c.Add || c.Groups > 1 || c.Stride != [2]int{1, 1}) || some(n)
	}
	for _, c := range []struct {
		name   string
		refuse func(*graph.Node) bool
		split  Split
	}{{"parts", odd, ByGraph}, {"shares", odd, ByBatch}, {"alike", nothing, Auto}} {
		t.Run(c.name, func(t *testing.T) {
			open := func(t *testing.T) backend.Device {
				a := newFake(t, "fake")
				a.refuse = c.refuse
				d, err := New(Options{Devices: members(a), Fallback: Member{"cpu", newFake(t, "cpu").Device}, Split: c.split, Rates: steep("fake")})
				if c.split != ByGraph {
					d, err = New(Options{Devices: members(a, newFake(t, "second")), Split: c.split, Rates: freeMoves})
				}
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			s := conformance.Run(t, open, o)
			if least := map[bool]int{true: 1000, false: 30}[full && !testing.Short()]; s.Run < least || s.Refused+s.Skipped > 0 {
				t.Errorf("got %v, want at least %d run and none refused", s, least)
			}
		})
	}
}
