package vulkan

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
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
					fill := func(dst []float32, first int) {
						for i := range dst {
							dst[i] = float32((first*block + i) % 2039) // exact in float16
						}
					}
					w := &plan.Packed{Node: "n", Elems: 3 * block, Block: block, Half: half, Open: func() plan.Filler { return fill }}
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
					fill(want, 0)
					if !bytes.Equal(got, elements(want, half)) {
						t.Errorf("staged %v, half %v, blocks of %d: the weights are other ones", force, half, block)
					}
				}
			}
		})
	}
}

// TestFillAllFillsEveryBlockOnce counts how often each element is written, whatever number of blocks goroutines share.
func TestFillAllFillsEveryBlockOnce(t *testing.T) {
	for _, c := range []struct{ block, blocks int }{{1, 1}, {3, 0}, {7, 5}, {packAlone + 1, 1}, {packAlone, 2}, {packAlone/2 + 1, 7}, {16, packAlone / 4}, {5, packAlone}} {
		const first = 11
		dst := make([]float32, c.block*c.blocks)
		fillAll(func(dst []float32, at int) {
			for i := range dst {
				dst[i] += float32(at + i/c.block)
			}
		}, c.block, dst, first)
		for i, v := range dst {
			if want := float32(first + i/c.block); v != want {
				t.Fatalf("%d blocks of %d: element %d: got %g, want %g", c.blocks, c.block, i, v, want)
			}
		}
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

// counted is a source of numbers that counts how often it is read.
type counted struct{ reads *atomic.Int64 }

func (c counted) ReadFloat32s(dst []float32) error {
	c.reads.Add(1)
	for i := range dst {
		dst[i] = float32(i%7) / 8
	}
	return nil
}

func (counted) Bound() float64 { return 1 }
func (counted) Key() any       { return nil }

// TestLazyWeightsAreReadOnce for all the pieces in which they are packed.
func TestLazyWeightsAreReadOnce(t *testing.T) {
	const c = 512
	b := graph.NewBuilder("g")
	op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
	b.Output(b.Node("y", op, b.Input("x", graph.F32(1, c, 7, 7)), b.Param("w", graph.F32(c, c, 3, 3), nil)))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	reads := map[string]int64{}
	for _, force := range []bool{false, true} {
		eachDevice(t, Options{ForceStaging: force, Unproved: true}, func(t *testing.T, d *device) {
			n := new(atomic.Int64)
			g, err := g.Bind(map[string]*graph.Tensor{"w": graph.NewLazy(graph.F32(c, c, 3, 3).Shape, counted{n})})
			if err != nil {
				t.Fatal(err)
			}
			e, err := d.Compile(context.Background(), g)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			name := d.Info().Name
			if !force {
				reads[name] = n.Load()
			} else if n.Load() != reads[name] {
				t.Errorf("weights in pieces were read %d times, want %d as without", n.Load(), reads[name])
			}
			if n.Load() == 0 {
				t.Error("the weights were not read")
			}
		})
	}
}
