package vulkan

import (
	"errors"
	"fmt"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// memory is a buffer with its own allocation.
type memory struct {
	buf    vk.Buffer
	mem    vk.Memory
	size   uint64
	spare  uint64 // bytes of the buffer behind them
	fence  uint64 // bytes behind each tensor, within size, that belong to none
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
		m.spare = min(d.limits.SpareBytes(), limit-size)
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

// viewBytes is how long a texel view at the offset is: the longer one, where the memory has so much and it is no more than most.
func (m *memory) viewBytes(offset, size, longer, most uint64) uint64 {
	if longer <= most && offset+longer <= m.size+m.spare {
		return longer
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
