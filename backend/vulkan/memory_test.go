package vulkan

import (
	"context"
	"runtime"
	"slices"
	"testing"
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

// TestCompileMakesNoCopyOfTheModel counts what Compile allocates from Go's heap, released or not. The layers of 512 channels have more packed
// weights than the staging buffer holds, those for Winograd's algorithm four times as many.
func TestCompileMakesNoCopyOfTheModel(t *testing.T) {
	g := seededNetwork(t, "resnet18", 1, 32)
	weights := uint64(g.Cost().ParamBytes)
	for _, c := range []struct {
		name string
		opt  Options
	}{
		{"in place", Options{}}, {"staged", Options{ForceStaging: true}},
		{"float16 in place", Options{Precision: Half}}, {"float16 staged", Options{Precision: Half, ForceStaging: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opt.Unproved = true // a proof has data of its own
			eachDevice(t, c.opt, func(t *testing.T, d *device) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				e, err := d.Compile(context.Background(), g)
				runtime.ReadMemStats(&after)
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				got := after.TotalAlloc - before.TotalAlloc
				t.Logf("%d bytes for %d bytes of weights", got, weights)
				// Planning takes some of it; a copy of one layer of 512 channels would be a fifth of the weights.
				if limit := weights / 4; got > limit {
					t.Errorf("Compile allocated %d bytes for %d bytes of weights, want at most %d", got, weights, limit)
				}
			})
		})
	}
}
