package vulkan

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
)

// TestUnifiedMemoryIsNotCopied: where host and device share memory, a buffer is the host's mapping of it, and the staging
// buffer is never made; where they do not, it is.
func TestUnifiedMemoryIsNotCopied(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	for _, force := range []bool{false, true} {
		eachDevice(t, Options{ForceStaging: force}, func(t *testing.T, d *device) {
			if want := !force && d.facts.UnifiedMemory(); d.unified != want {
				t.Errorf("unified: got %v, want %v", d.unified, want)
			}
			e, in, out := ready(t, d, g)
			if err := e.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			v := seededInput(g)[0]
			if got := readFloats(t, in[0]); !slices.Equal(got, v) {
				t.Error("the input does not read as it was written")
			}
			if mapped := in[0].(*buffer).mem.mapped != nil; mapped != d.unified {
				t.Errorf("the input's memory is mapped: %v, want %v", mapped, d.unified)
			}
			if made := d.staging.mem != nil; made == d.unified {
				t.Errorf("a staging buffer was made: %v, want %v", made, !d.unified)
			}
			if !d.unified {
				return
			}
			mapped := floats(in[0].(*buffer).mem.mapped, len(v))
			if !slices.Equal(mapped, v) {
				t.Error("the mapping does not hold what was written")
			}
			mapped[0] = 42
			if got := readFloats(t, in[0]); got[0] != 42 {
				t.Errorf("after 42 was put into the mapping: got %g", got[0])
			}
		})
	}
}

// TestCompileMakesNoCopyOfTheModel counts what Compile allocates from Go's heap, released or not.
func TestCompileMakesNoCopyOfTheModel(t *testing.T) {
	g := seededNetwork(t, "resnet18", 1, 32)
	weights := uint64(g.Cost().ParamBytes)
	for _, force := range []bool{false, true} {
		eachDevice(t, Options{ForceStaging: force, Unproved: true}, func(t *testing.T, d *device) { // a proof has data of its own
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			e, err := d.Compile(context.Background(), g)
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			// Of nodes above the size of the staging buffer there is a copy, of one at a time.
			limit := weights/10 + largeWeights(e.(*executable).plan)
			if got := after.TotalAlloc - before.TotalAlloc; got > limit {
				t.Errorf("staging %v: Compile allocated %d bytes for %d bytes of weights, want at most %d", force, got, weights, limit)
			}
		})
	}
}

// largeWeights is the size of the packed weights of nodes that do not fit into the staging buffer. Those of transforms are larger than the parameters.
func largeWeights(p *plan.Plan) (bytes uint64) {
	for i, w := range p.Weights {
		end := p.PageBytes[w.Page]
		if i+1 < len(p.Weights) && p.Weights[i+1].Page == w.Page {
			end = p.Weights[i+1].Offset
		}
		if size := end - w.Offset; size > stagingBytes {
			bytes += size
		}
	}
	return bytes
}
