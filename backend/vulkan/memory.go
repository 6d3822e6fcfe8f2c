package vulkan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
)

// memory is a buffer with its own allocation.
type memory struct {
	buf    vk.Buffer
	mem    vk.Memory
	size   uint64
	spare  uint64 // bytes of the buffer behind them
	taken  uint64 // bytes of device memory behind it; at least size
	mapped []byte // nil where the host cannot write it
}

// memoryKind says who uses the memory.
type memoryKind int

const (
	deviceMemory  memoryKind = iota // kernels; mapped where memory is unified
	viewedMemory                    // the same, and kernels may read it through texel views
	stagingMemory                   // the host, and copies
)

const coherent = vk.MemoryHostVisible | vk.MemoryHostCoherent

// preferences lists the properties to ask for, best first. The specification promises a type that is host visible
// and coherent, and one that is device local, for every buffer.
func (d *device) preferences(kind memoryKind) []vk.MemoryFlags {
	switch {
	case kind == stagingMemory:
		return []vk.MemoryFlags{coherent | vk.MemoryHostCached, coherent}
	case d.unified:
		return []vk.MemoryFlags{
			vk.MemoryDeviceLocal | coherent | vk.MemoryHostCached, vk.MemoryDeviceLocal | coherent, coherent,
		}
	}
	return []vk.MemoryFlags{vk.MemoryDeviceLocal, 0}
}

// allocate makes a buffer of at least size bytes with memory behind it.
func (d *device) allocate(size uint64, kind memoryKind) (*memory, error) {
	size = max(size, 4) // Vulkan has no empty buffers
	limit := d.limits.MaxMemoryAllocationSize
	if size > limit {
		return nil, fmt.Errorf("%w: want at most %d bytes in one allocation (maxMemoryAllocationSize), got %d", backend.ErrOutOfMemory, limit, size)
	}
	m := &memory{size: size}
	if kind == viewedMemory { // only there, since GPU-assisted validation takes the end of a buffer for the end of what a kernel may access
		m.spare = min(viewStep, limit-size)
	}
	var err error
	if m.buf, err = d.dev.CreateBuffer(size+m.spare, vk.BufferStorage|vk.BufferUniformTexel|vk.BufferTransferSrc|vk.BufferTransferDst); err != nil {
		return nil, err
	}
	req := d.dev.BufferRequirements(m.buf)
	for _, want := range d.preferences(kind) {
		t, ok := d.facts.MemoryTypeOf(req.TypeBits, want, 0)
		if !ok {
			continue
		}
		m.mem, err = d.allocateMemory(req.Size, t)
		if err == nil {
			m.taken = req.Size
			err = d.dev.BindBuffer(m.buf, m.mem, 0)
		}
		if err == nil && want&coherent == coherent {
			m.mapped, err = d.dev.MapMemory(m.mem, 0, size)
		}
		if err != nil {
			d.free(m)
			return nil, err
		}
		return m, nil
	}
	d.free(m)
	return nil, fmt.Errorf("%w: no memory type fits a storage buffer", backend.ErrOutOfMemory)
}

// viewStep and viewPeriod: of a view whose bytes are a multiple of the period and less than a step more, Mesa's llvmpipe (22.3) takes the length for
// the last level of a picture, and compiles the kernel again. Worse, its cache on disk files what a process compiles second for a kernel under
// a key that no other process asks for, so that each second start would compile a third of ResNet-50's kernels anew.
const viewStep, viewPeriod = 256, 65536

// viewBytes is how long a texel view of so many bytes at the offset is: a step more, which kernels do not read, where that saves a compilation and
// is no more than most.
func (m *memory) viewBytes(offset, size, most uint64) uint64 {
	if longer := size + viewStep; size%viewPeriod < viewStep && longer <= most && offset+longer <= m.size+m.spare {
		return size + viewStep
	}
	return size
}

// allocateMemory counts what is allocated: drivers need not refuse what is beyond maxMemoryAllocationCount.
func (d *device) allocateMemory(size uint64, memoryType int) (vk.Memory, error) {
	if limit := int64(d.facts.Limits.MaxMemoryAllocationCount); d.allocations.Add(1) > limit {
		d.allocations.Add(-1)
		return 0, fmt.Errorf("%w: want at most %d allocations at once (maxMemoryAllocationCount)", backend.ErrOutOfMemory, limit)
	}
	m, err := d.dev.AllocateMemory(size, memoryType)
	if err != nil {
		d.allocations.Add(-1)
		return m, err
	}
	d.allocatedBytes.Add(int64(size))
	return m, nil
}

func (d *device) free(m *memory) {
	if m == nil {
		return
	}
	d.dev.DestroyBuffer(m.buf)
	if m.mem != 0 {
		d.dev.FreeMemory(m.mem)
		d.allocations.Add(-1)
		d.allocatedBytes.Add(-int64(m.taken))
	}
	*m = memory{}
}

// stagingBytes is how much one copy between host and device moves at most.
const stagingBytes = 8 << 20

// staging moves data between the host and memory that is not mapped. It is made on first use.
type staging struct {
	dev  *device
	mu   sync.Mutex
	mem  *memory
	pool vk.CommandPool
	cmd  vk.CommandBuffer
	done vk.Fence
}

func newStaging(d *device) (*staging, error) {
	s := &staging{dev: d}
	var err error
	if s.pool, err = d.dev.CreateCommandPool(); err != nil {
		return nil, err
	}
	if s.cmd, err = d.dev.AllocateCommandBuffer(s.pool); err == nil {
		s.done, err = d.dev.CreateFence()
	}
	if err != nil {
		s.destroy()
		return nil, err
	}
	return s, nil
}

func (s *staging) destroy() {
	if s.done != 0 {
		s.dev.dev.DestroyFence(s.done)
	}
	s.dev.dev.DestroyCommandPool(s.pool)
	s.dev.free(s.mem)
}

// write copies src to m from offset on.
func (s *staging) write(m *memory, offset uint64, src []byte) error {
	if m.mapped != nil {
		copy(m.mapped[offset:], src)
		return nil
	}
	return s.pieces(len(src), func(at, n int) error {
		copy(s.mem.mapped, src[at:at+n])
		return s.copy(s.mem.buf, m.buf, vk.BufferCopy{DstOffset: offset + uint64(at), Size: uint64(n)})
	})
}

// read copies m from offset on to dst.
func (s *staging) read(m *memory, offset uint64, dst []byte) error {
	if m.mapped != nil {
		copy(dst, m.mapped[offset:])
		return nil
	}
	return s.pieces(len(dst), func(at, n int) error {
		err := s.copy(m.buf, s.mem.buf, vk.BufferCopy{SrcOffset: offset + uint64(at), Size: uint64(n)})
		copy(dst[at:at+n], s.mem.mapped)
		return err
	})
}

// packElems is how many elements of weights are packed at a time: packing them takes far longer than starting a copy, and a megabyte
// of the heap is little.
const packElems = 1 << 18

// pack writes weights to m from offset on, block by block. Float32 goes straight into memory of the host's; what is converted, and
// a block that is too large for the staging buffer, is packed into wide first, which pack grows and returns for the next node.
func (s *staging) pack(m *memory, offset uint64, w *plan.Packed, wide []float32) ([]float32, error) {
	if w.Elems == 0 {
		return wide, nil
	}
	step := max(packElems/w.Block, 1) * w.Block
	if m.mapped != nil && !w.Half {
		step = w.Elems
	}
	for at := 0; at < w.Elems; at += step {
		n, first := min(step, w.Elems-at), at/w.Block
		var err error
		switch {
		case !w.Half && m.mapped != nil:
			w.Fill(floats(m.mapped[offset:], n), first) // offset is aligned to 4 by the plan
		case !w.Half && 4*n <= stagingBytes:
			err = s.pieces(4*n, func(_, size int) error {
				w.Fill(floats(s.mem.mapped, n), first)
				return s.copy(s.mem.buf, m.buf, vk.BufferCopy{DstOffset: offset, Size: uint64(size)})
			})
		default:
			if cap(wide) < n {
				wide = make([]float32, max(n, min(2*n, packElems)))
			}
			w.Fill(wide[:n], first)
			err = s.write(m, offset, elements(wide[:n], w.Half))
		}
		if err != nil {
			return wide, err
		}
		offset += uint64(n) * w.ElemBytes()
	}
	return wide, nil
}

// floats is the first n elements of memory that is aligned to 4 bytes.
func floats(b []byte, n int) []float32 { return unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), n) }

// elements is the bytes of v; as float16 they take the place of its first half.
func elements(v []float32, half bool) []byte {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
	if !half {
		return b
	}
	for i, x := range v {
		binary.NativeEndian.PutUint16(b[2*i:], graph.Float16Bits(x))
	}
	return b[:2*len(v)]
}

// pieces calls f for pieces of at most stagingBytes, with the staging memory locked.
func (s *staging) pieces(n int, f func(at, n int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem == nil && n > 0 {
		m, err := s.dev.allocate(stagingBytes, stagingMemory)
		if err != nil {
			return err
		}
		if m.mapped == nil {
			s.dev.free(m)
			return errors.New("vulkan: bug: staging memory is not mapped")
		}
		s.mem = m
	}
	for at := 0; at < n; at += stagingBytes {
		if err := f(at, min(stagingBytes, n-at)); err != nil {
			return err
		}
	}
	return nil
}

// copy runs one copy and waits for it. Copies before and after are kept apart by the wait.
func (s *staging) copy(src, dst vk.Buffer, region vk.BufferCopy) error {
	d := s.dev.dev
	if err := d.BeginCommandBuffer(s.cmd, true); err != nil {
		return err
	}
	d.CmdCopyBuffer(s.cmd, src, dst, region)
	d.CmdBarrier(s.cmd, vk.StageTransfer, vk.StageHost|afterRun, vk.AccessTransferWrite, vk.AccessHostRead|accessAfterRun)
	if err := d.EndCommandBuffer(s.cmd); err != nil {
		return err
	}
	if err := s.dev.submit(s.cmd, s.done); err != nil {
		return err
	}
	return waitFence(d, s.done)
}

// waitFence waits until f is signalled, however long that takes, and resets it.
func waitFence(d *vk.Device, f vk.Fence) error {
	for {
		ok, err := d.WaitFence(f, time.Second)
		if err != nil {
			return err
		}
		if ok {
			return d.ResetFence(f)
		}
	}
}

func isLost(err error) bool { return errors.Is(err, backend.ErrDeviceLost) }
