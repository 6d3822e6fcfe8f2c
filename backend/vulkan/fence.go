package vulkan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
)

// fenceBytes is how much memory lies behind each tensor with [Options.Fences]: more than the rows that a tile may be too long.
const fenceBytes = 4096

// nanHalf is a NaN of float16, and twice one of float32. So are the nanHalves numbers from there on.
const nanHalf, nanHalves = 0x7fc0, 64

// nans is n bytes of a NaN. What lies in tensors has number 0.
func nans(n uint64, number uint16) []byte {
	half := binary.LittleEndian.AppendUint16(nil, nanHalf+number)
	return bytes.Repeat(half, int(n+1)/len(half))[:n]
}

// fenceNaN is the number of the NaN in a run's i-th fence. Neighbours have others, as a kernel that copies, adds or compares too much moves a NaN unchanged
// from behind what it reads to behind what it writes.
func fenceNaN(i int) uint16 { return uint16(1 + i%(nanHalves-1)) }

// fence is how many bytes belong to no tensor behind each.
func (d *device) fence() uint64 {
	if !d.opts.Fences {
		return 0
	}
	return fenceBytes
}

// mostFlights is how many runs of an executable are on the device at once: whoever looks at fences must have the arena for itself.
func (d *device) mostFlights() int {
	if d.opts.Fences {
		return 1
	}
	return maxFlights
}

// fence is memory behind a tensor that no kernel may write.
type fence struct {
	mem    *memory
	at     uint64
	behind string
}

// fences lists those of a run: in the arena and behind the caller's buffers, of which one may be several inputs.
func (e *executable) fences(in, out []backend.Buffer) []fence {
	var list []fence
	for _, f := range e.plan.Fences {
		list = append(list, fence{e.arena, f.Offset, f.Behind})
	}
	add := func(b *buffer, what, name string) {
		if b.mem.fence > 0 {
			list = append(list, fence{b.mem, uint64(b.typ.SizeBytes()), fmt.Sprintf("%s %q", what, name)})
		}
	}
	for i, b := range in {
		if slices.Index(in, b) == i {
			add(b.(*buffer), "input", e.signature.Inputs[i].Name)
		}
	}
	for i, b := range out {
		add(b.(*buffer), "output", e.signature.Outputs[i].Name)
	}
	return list
}

// raiseFences makes the arena, the outputs and what lies behind the caller's buffers NaN. The caller holds the buffers.
func (e *executable) raiseFences(in, out []backend.Buffer) error {
	if !e.dev.opts.Fences {
		return nil
	}
	s := e.dev.staging
	return s.transfer(func() error {
		if e.arena != nil {
			if err := s.send(e.arena, 0, nans(e.plan.ArenaBytes, 0)); err != nil {
				return err
			}
		}
		for _, b := range out { // none is an input too
			b := b.(*buffer)
			if b.mem.fence == 0 { // a trial's, which has its own numbers in it
				continue
			}
			if err := s.send(b.mem, 0, nans(uint64(b.typ.SizeBytes()), 0)); err != nil {
				return err
			}
		}
		for i, f := range e.fences(in, out) {
			if err := s.send(f.mem, f.at, nans(fenceBytes, fenceNaN(i))); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkFences looks whether a run wrote where no tensor is. The caller still holds the buffers.
func (e *executable) checkFences(in, out []backend.Buffer) error {
	if !e.dev.opts.Fences {
		return nil
	}
	got := make([]byte, fenceBytes)
	for i, f := range e.fences(in, out) {
		if err := e.dev.staging.read(f.mem, f.at, got); err != nil {
			return e.dev.fail(err)
		}
		want := nans(fenceBytes, fenceNaN(i))
		if bytes.Equal(got, want) {
			continue
		}
		first, changed := -1, 0
		for i := range got {
			if got[i] != want[i] {
				changed++
				if first < 0 {
					first = i
				}
			}
		}
		return fmt.Errorf("a kernel wrote outside of its tensor: %d of the %d bytes behind %s have changed, the first of them byte %d", changed, len(got), f.behind, first)
	}
	return nil
}

// reach is how many bytes beyond a tensor in m a kernel can see, whose binding holds so many at most: the fence, unless the step binds a part of the tensor.
func reach(s *plan.Step, r plan.Ref, m *memory, most uint64) uint64 {
	if s.Parts || r.Size+m.fence > most {
		return 0
	}
	return m.fence
}
