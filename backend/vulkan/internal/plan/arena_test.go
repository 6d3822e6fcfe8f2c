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
	for i, name := range resnet.Names() {
		t.Run(name, func(t *testing.T) {
			for _, batch := range []int{1, 3, 8} {
				for _, most := range []int{0, 2} {
					if i%4 != 0 && (batch != 3 || most != 2) { // one of each is enough: the family has many of a kind
						continue
					}
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

// TestFencesStandBehindAllTensors and no tensor shares memory with another, nor with a fence.
func TestFencesStandBehindAllTensors(t *testing.T) {
	const fence = 512
	lim := devices()["big GPU"]
	for _, most := range []int{0, 2} {
		p := build(t, lim, Options{Fence: fence, MaxChunk: most}, network(t, "resnet18", 3))
		checkPlan(t, lim, p)
		tensors := map[Ref]bool{}
		for _, s := range p.Steps {
			for _, r := range s.Bindings {
				if r.Space == ArenaSpace {
					tensors[r] = true
				}
			}
		}
		if len(tensors) < 20 || len(p.Fences) < len(tensors) {
			t.Fatalf("%d tensors in the arena and %d fences", len(tensors), len(p.Fences))
		}
		var all []Ref
		behind := map[uint64]bool{}
		for _, f := range p.Fences {
			if f.Size != fence || f.Behind == "" || f.Offset+f.Size > p.ArenaBytes {
				t.Errorf("fence %v behind %q in an arena of %d bytes", f.Ref, f.Behind, p.ArenaBytes)
			}
			all = append(all, f.Ref)
			behind[f.Offset] = true
		}
		for r := range tensors {
			if !behind[r.Offset+r.Size] {
				t.Errorf("no fence behind %v", r)
			}
			all = append(all, r)
		}
		for i, a := range all {
			for _, b := range all[:i] {
				if a.overlaps(b) {
					t.Errorf("%v and %v overlap", a, b)
				}
			}
		}
	}
}
