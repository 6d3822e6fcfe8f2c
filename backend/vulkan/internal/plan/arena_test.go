package plan

import (
	"fmt"
	"testing"

	"github.com/resnet-run/resnet-run/graph/resnet"
)

// TestArenaIsNearTheLargestLiveSet holds the memory for intermediate tensors of every network of the family against
// the least that could do: whole batches, and batches that go through the graph in parts.
func TestArenaIsNearTheLargestLiveSet(t *testing.T) {
	lim := devices()["big GPU"]
	for _, name := range resnet.Names() {
		t.Run(name, func(t *testing.T) {
			for _, batch := range []int{1, 3, 8} {
				for _, most := range []int{0, 2} {
					p := build(t, lim, Options{MaxChunk: most}, network(t, name, batch))
					what := fmt.Sprintf("batch %d in parts of %d", batch, p.Chunk)
					if p.LiveBytes == 0 {
						t.Errorf("%s: no intermediate tensors", what)
					}
					if got := float64(p.ArenaBytes) / float64(p.LiveBytes); !(got <= 1.15) {
						t.Errorf("%s: the arena has %d bytes, %.3f times the largest live set of %d, want at most 1.15", what, p.ArenaBytes, got, p.LiveBytes)
					}
				}
			}
		})
	}
}
