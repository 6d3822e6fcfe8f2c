package vk

// #include "shim.h"
import "C"

import (
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// Requirements say what memory a buffer needs.
type Requirements struct {
	Size      uint64 // bytes
	Alignment uint64 // bytes
	TypeBits  uint32 // bit k: memory type k will do
}

// CreateBuffer makes a buffer of size bytes, still without memory.
func (d *Device) CreateBuffer(size uint64, usage BufferUsage) (Buffer, error) {
	info := vulkan.BufferCreateInfo{
		SType: vulkan.StructureTypeBufferCreateInfo,
		Size:  vulkan.DeviceSize(size),
		Usage: vulkan.BufferUsageFlags(usage),
	}
	defer info.Free()
	var b vulkan.Buffer
	r := vulkan.CreateBuffer(d.handle, &info, nil, &b)
	return cast[Buffer](b), check("vkCreateBuffer", Result(r))
}

// DestroyBuffer destroys b, which no unfinished work may use.
func (d *Device) DestroyBuffer(b Buffer) { vulkan.DestroyBuffer(d.handle, cast[vulkan.Buffer](b), nil) }

// BufferRequirements asks what memory b needs.
func (d *Device) BufferRequirements(b Buffer) Requirements {
	var m vulkan.MemoryRequirements
	vulkan.GetBufferMemoryRequirements(d.handle, cast[vulkan.Buffer](b), &m)
	m.Deref()
	defer m.Free()
	return Requirements{Size: uint64(m.Size), Alignment: uint64(m.Alignment), TypeBits: m.MemoryTypeBits}
}

// AllocateMemory allocates size bytes of the memory type with the given index.
func (d *Device) AllocateMemory(size uint64, typeIndex int) (Memory, error) {
	info := vulkan.MemoryAllocateInfo{
		SType:           vulkan.StructureTypeMemoryAllocateInfo,
		AllocationSize:  vulkan.DeviceSize(size),
		MemoryTypeIndex: uint32(typeIndex),
	}
	defer info.Free()
	var m vulkan.DeviceMemory
	r := vulkan.AllocateMemory(d.handle, &info, nil, &m)
	return cast[Memory](m), check("vkAllocateMemory", Result(r))
}

// FreeMemory frees m, and unmaps it.
func (d *Device) FreeMemory(m Memory) {
	vulkan.FreeMemory(d.handle, cast[vulkan.DeviceMemory](m), nil)
}

// BindBuffer gives b the memory m from offset bytes on, a multiple of the
// alignment required. It can be done once for a buffer.
func (d *Device) BindBuffer(b Buffer, m Memory, offset uint64) error {
	r := vulkan.BindBufferMemory(d.handle, cast[vulkan.Buffer](b), cast[vulkan.DeviceMemory](m), vulkan.DeviceSize(offset))
	return check("vkBindBufferMemory", Result(r))
}

// MapMemory makes size bytes of host-visible memory from offset on readable and
// writable. The slice lies outside the Go heap: it must not be used after
// UnmapMemory or FreeMemory.
func (d *Device) MapMemory(m Memory, offset, size uint64) ([]byte, error) {
	var p unsafe.Pointer
	r := vulkan.MapMemory(d.handle, cast[vulkan.DeviceMemory](m), vulkan.DeviceSize(offset), vulkan.DeviceSize(size), 0, &p)
	if err := check("vkMapMemory", Result(r)); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), size), nil
}

// UnmapMemory ends the mapping of m.
func (d *Device) UnmapMemory(m Memory) { vulkan.UnmapMemory(d.handle, cast[vulkan.DeviceMemory](m)) }

// FlushMemory makes host writes to mapped memory that is not coherent visible to
// the device. offset and size are multiples of nonCoherentAtomSize, or size is
// [WholeSize].
func (d *Device) FlushMemory(m Memory, offset, size uint64) error {
	r := C.rr_flush(d.table, C.rr_handle(m), C.uint64_t(offset), C.uint64_t(size))
	return check("vkFlushMappedMemoryRanges", Result(r))
}

// InvalidateMemory makes device writes visible to the host, as FlushMemory does
// the other way round.
func (d *Device) InvalidateMemory(m Memory, offset, size uint64) error {
	r := C.rr_invalidate(d.table, C.rr_handle(m), C.uint64_t(offset), C.uint64_t(size))
	return check("vkInvalidateMappedMemoryRanges", Result(r))
}
