package vulkan

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
)

// stagingBytes is the host memory that copies between host and device go through: two halves, so that one is filled or emptied by the
// host while the device copies the other.
const stagingBytes, slotBytes = 8 << 20, stagingBytes / 2

// staging moves data between the host and memory that is not mapped. Its memory is made on first use.
type staging struct {
	dev   *device
	mu    sync.Mutex // held for a whole transfer
	mem   *memory
	pool  vk.CommandPool
	slots [2]slot
	last  int // the slot that was used last
}

// slot is a half of the staging memory.
type slot struct {
	offset uint64
	cmd    vk.CommandBuffer
	done   vk.Fence
	busy   bool   // a copy is on the device
	dst    []byte // where what it reads is to go
}

func newStaging(d *device) (*staging, error) {
	s := &staging{dev: d}
	var err error
	if s.pool, err = d.dev.CreateCommandPool(); err != nil {
		return nil, err
	}
	for i := range s.slots {
		p := &s.slots[i]
		p.offset = uint64(i) * slotBytes
		if p.cmd, err = d.dev.AllocateCommandBuffer(s.pool); err == nil {
			p.done, err = d.dev.CreateFence()
		}
		if err != nil {
			s.destroy()
			return nil, err
		}
	}
	return s, nil
}

func (s *staging) destroy() {
	for _, p := range s.slots {
		if p.done != 0 {
			s.dev.dev.DestroyFence(p.done)
		}
	}
	s.dev.dev.DestroyCommandPool(s.pool)
	s.dev.free(s.mem)
}

// write copies src to m from offset on.
func (s *staging) write(m *memory, offset uint64, src []byte) error {
	if m.mapped != nil {
		return s.send(m, offset, src)
	}
	return s.transfer(func() error { return s.send(m, offset, src) })
}

// read copies m from offset on to dst.
func (s *staging) read(m *memory, offset uint64, dst []byte) error {
	if m.mapped != nil {
		copy(dst, m.mapped[offset:])
		return nil
	}
	return s.transfer(func() error {
		for len(dst) > 0 {
			n := min(slotBytes, len(dst))
			p, err := s.take()
			if err != nil {
				return err
			}
			if err := s.copy(p, m.buf, s.mem.buf, vk.BufferCopy{SrcOffset: offset, DstOffset: p.offset, Size: uint64(n)}); err != nil {
				return err
			}
			p.dst = dst[:n]
			dst, offset = dst[n:], offset+uint64(n)
		}
		return nil
	})
}

// packElems is how many elements of weights are packed at a time: packing them takes far longer than starting a copy, and a megabyte
// of the heap is little.
const packElems = 1 << 18

// pack writes weights to m from offset on, block by block. Float32 goes straight into memory of the host's; what is converted, and
// a block that is too large for a slot, is packed into wide first, which pack grows and returns for the next node.
func (s *staging) pack(m *memory, offset uint64, w *plan.Packed, wide []float32) ([]float32, error) {
	if w.Elems == 0 {
		return wide, nil
	}
	fill := w.Open()
	if m.mapped != nil && !w.Half {
		fillAll(fill, w.Block, floats(m.mapped[offset:], w.Elems), 0) // offset is aligned to 4 by the plan
		return wide, nil
	}
	step := max(packElems/w.Block, 1) * w.Block
	direct := !w.Half && 4*step <= slotBytes
	if !direct {
		if n := min(step, w.Elems); cap(wide) < n {
			wide = make([]float32, max(n, min(2*n, packElems)))
		}
	}
	return wide, s.transfer(func() error {
		for at := 0; at < w.Elems; at += step {
			n, first := min(step, w.Elems-at), at/w.Block
			var err error
			if direct {
				err = s.put(m, offset, 4*n, func(b []byte) { fillAll(fill, w.Block, floats(b, n), first) })
			} else {
				fillAll(fill, w.Block, wide[:n], first)
				err = s.send(m, offset, elements(wide[:n], w.Half))
			}
			if err != nil {
				return err
			}
			offset += uint64(n) * w.ElemBytes()
		}
		return nil
	})
}

// packAlone is how many elements of weights are at least worth a goroutine of their own.
const packAlone = 1 << 16

// fillAll fills dst with the blocks from number first on, by as many goroutines as run at once.
func fillAll(fill plan.Filler, block int, dst []float32, first int) {
	blocks := len(dst) / block
	parts := max(1, min(runtime.GOMAXPROCS(0), blocks, len(dst)/packAlone))
	var wg sync.WaitGroup
	for i := range parts {
		from, to := i*blocks/parts, (i+1)*blocks/parts
		part := func() { fill(dst[from*block:to*block], first+from) }
		if i < parts-1 {
			wg.Go(part)
		} else {
			part()
		}
	}
	wg.Wait()
}

// floats is the first n elements of memory that is aligned to 4 bytes.
func floats(b []byte, n int) []float32 { return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), n) }

// elements is the bytes of v; as float16 they take the place of its first half.
func elements(v []float32, half bool) []byte {
	b := bytesOf(v)
	if !half {
		return b
	}
	for i, x := range v {
		binary.NativeEndian.PutUint16(b[2*i:], graph.Float16Bits(x))
	}
	return b[:2*len(v)]
}

// transfer locks the staging memory while f starts copies, and until they are done.
func (s *staging) transfer(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := f()
	for range s.slots { // the older copy first
		if ended := s.finish(s.turn()); err == nil {
			err = ended
		}
	}
	return err
}

// send starts copying src to m from offset on; within a transfer, unless m is mapped. src is free when it returns.
func (s *staging) send(m *memory, offset uint64, src []byte) error {
	if m.mapped != nil {
		copy(m.mapped[offset:], src)
		return nil
	}
	for len(src) > 0 {
		n := min(slotBytes, len(src))
		if err := s.put(m, offset, n, func(b []byte) { copy(b, src) }); err != nil {
			return err
		}
		src, offset = src[n:], offset+uint64(n)
	}
	return nil
}

// put lets fill write n bytes, at most slotBytes, and starts copying them to m from offset on.
func (s *staging) put(m *memory, offset uint64, n int, fill func([]byte)) error {
	p, err := s.take()
	if err != nil {
		return err
	}
	fill(s.mem.mapped[p.offset:][:n])
	return s.copy(p, s.mem.buf, m.buf, vk.BufferCopy{SrcOffset: p.offset, DstOffset: offset, Size: uint64(n)})
}

// take returns the next slot when it is free.
func (s *staging) take() (*slot, error) {
	if s.mem == nil {
		m, err := s.dev.allocate(stagingBytes, stagingMemory)
		if err != nil {
			return nil, err
		}
		if m.mapped == nil {
			s.dev.free(m)
			return nil, errors.New("vulkan: bug: staging memory is not mapped")
		}
		s.mem = m
	}
	p := s.turn()
	return p, s.finish(p)
}

// turn returns the slots by turns.
func (s *staging) turn() *slot {
	s.last = (s.last + 1) % len(s.slots)
	return &s.slots[s.last]
}

// finish waits for the copy of a slot, and empties it.
func (s *staging) finish(p *slot) error {
	if !p.busy {
		return nil
	}
	if err := waitFence(s.dev.dev, p.done); err != nil {
		return err
	}
	p.busy = false
	copy(p.dst, s.mem.mapped[p.offset:])
	p.dst = nil
	return nil
}

// copy starts a copy from or to a slot.
func (s *staging) copy(p *slot, src, dst vk.Buffer, region vk.BufferCopy) error {
	d := s.dev.dev
	if err := s.dev.begin(p.cmd, true); err != nil {
		return err
	}
	d.CmdCopyBuffer(p.cmd, src, dst, region)
	d.CmdBarrier(p.cmd, vk.StageTransfer, vk.StageHost|afterRun, vk.AccessTransferWrite, vk.AccessHostRead|accessAfterRun)
	if err := d.EndCommandBuffer(p.cmd); err != nil {
		return err
	}
	if err := s.dev.submit(s.dev.copies, p.done, p.cmd); err != nil {
		return err
	}
	p.busy = true
	return nil
}
