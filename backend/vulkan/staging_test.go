package vulkan

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
)

// TestStagingMovesEveryByte writes and reads buffers of sizes round those of the two slots.
func TestStagingMovesEveryByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	eachDevice(t, Options{ForceStaging: true}, func(t *testing.T, d *device) {
		for _, n := range []int{4, slotBytes - 4, slotBytes, slotBytes + 4, stagingBytes, stagingBytes + 4, 3*slotBytes + 4} {
			b, err := d.NewBuffer(context.Background(), graph.F32(n/4))
			if err != nil {
				t.Fatal(err)
			}
			want, got := make([]byte, n), make([]byte, n)
			for i := range want {
				want[i] = byte(rng.Uint32())
			}
			if err := b.Write(context.Background(), want); err != nil {
				t.Fatal(err)
			}
			if err := b.Read(context.Background(), got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes: other bytes came back", n)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestPackLargeBlocks packs weights whose blocks are larger than what is packed at a time, and larger than a slot.
func TestPackLargeBlocks(t *testing.T) {
	for _, force := range []bool{false, true} {
		eachDevice(t, Options{ForceStaging: force}, func(t *testing.T, d *device) {
			for _, half := range []bool{false, true} {
				for _, block := range []int{packElems/3 + 1, packElems + 1, slotBytes/4 + 1} {
					w := &plan.Packed{Node: "n", Elems: 3 * block, Block: block, Half: half, Fill: func(dst []float32, first int) {
						for i := range dst {
							dst[i] = float32((first*block + i) % 2039) // exact in float16
						}
					}}
					const offset = 256
					m, err := d.allocate(offset+uint64(4*w.Elems), deviceMemory)
					if err != nil {
						t.Fatal(err)
					}
					got := make([]byte, w.ElemBytes()*uint64(w.Elems))
					if _, err = d.staging.pack(m, offset, w, nil); err == nil {
						err = d.staging.read(m, offset, got)
					}
					d.free(m)
					if err != nil {
						t.Fatal(err)
					}
					want := make([]float32, w.Elems)
					w.Fill(want, 0)
					if !bytes.Equal(got, elements(want, half)) {
						t.Errorf("staged %v, half %v, blocks of %d: the weights are other ones", force, half, block)
					}
				}
			}
		})
	}
}

// TestStagedWeightsAreTheSame runs a network whose last layers are packed in several pieces, after packing them as a whole and through the
// staging buffer.
func TestStagedWeightsAreTheSame(t *testing.T) {
	g := seededNetwork(t, "resnet18", 1, 32)
	for _, p := range []Precision{Float32, Half} {
		want := map[string][]float32{} // of devices
		for _, force := range []bool{false, true} {
			eachDevice(t, Options{Precision: p, ForceStaging: force, Unproved: true}, func(t *testing.T, d *device) {
				e, in, out := ready(t, d, g)
				if err := e.Run(context.Background(), in, out); err != nil {
					t.Fatal(err)
				}
				name, got := d.Info().Name, readFloats(t, out[0])
				if !force {
					want[name] = got
				} else if !slices.Equal(got, want[name]) {
					t.Errorf("%v: staged weights give other results", p)
				}
			})
		}
	}
}

// TestCopiesOnAnotherQueue runs a network on a device that copies through a queue of their own. Software drivers have a single queue, which
// stands for both here: what is tested is that commands are valid and wait for what they must.
func TestCopiesOnAnotherQueue(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 3, 32)
	eachDevice(t, Options{ForceStaging: true, Unproved: true}, func(t *testing.T, d *device) {
		defer func() { d.copies = d.compute }()
		var results [][]float32
		for _, q := range []*queue{d.compute, {handle: d.compute.handle}} {
			d.copies = q
			e, in, out := ready(t, d, g)
			if err := e.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			results = append(results, readFloats(t, out[0]))
			if _, err := e.(backend.Profiler).Profile(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(results[0], results[1]) {
			t.Errorf("another queue gives other results: got %v, want %v", results[1], results[0])
		}
	})
}
