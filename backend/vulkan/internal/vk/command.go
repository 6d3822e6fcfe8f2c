package vk

// #include "shim.h"
import "C"

import (
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// CreateCommandPool makes a pool whose command buffers can be reset one by one,
// for the device's queue family.
func (d *Device) CreateCommandPool() (CommandPool, error) {
	info := vulkan.CommandPoolCreateInfo{
		SType:            vulkan.StructureTypeCommandPoolCreateInfo,
		Flags:            vulkan.CommandPoolCreateFlags(vulkan.CommandPoolCreateResetCommandBufferBit),
		QueueFamilyIndex: uint32(d.family),
	}
	defer info.Free()
	var p vulkan.CommandPool
	r := vulkan.CreateCommandPool(d.handle, &info, nil, &p)
	return cast[CommandPool](p), check("vkCreateCommandPool", Result(r))
}

// DestroyCommandPool destroys p and all command buffers allocated from it.
func (d *Device) DestroyCommandPool(p CommandPool) {
	vulkan.DestroyCommandPool(d.handle, cast[vulkan.CommandPool](p), nil)
}

// AllocateCommandBuffer takes a primary command buffer from p.
func (d *Device) AllocateCommandBuffer(p CommandPool) (CommandBuffer, error) {
	info := vulkan.CommandBufferAllocateInfo{
		SType:              vulkan.StructureTypeCommandBufferAllocateInfo,
		CommandPool:        cast[vulkan.CommandPool](p),
		Level:              vulkan.CommandBufferLevelPrimary,
		CommandBufferCount: 1,
	}
	defer info.Free()
	cmds := make([]vulkan.CommandBuffer, 1)
	r := vulkan.AllocateCommandBuffers(d.handle, &info, cmds)
	return cast[CommandBuffer](cmds[0]), check("vkAllocateCommandBuffers", Result(r))
}

// FreeCommandBuffer gives cmd back to p.
func (d *Device) FreeCommandBuffer(p CommandPool, cmd CommandBuffer) {
	if cmd != 0 {
		vulkan.FreeCommandBuffers(d.handle, cast[vulkan.CommandPool](p), 1, []vulkan.CommandBuffer{cast[vulkan.CommandBuffer](cmd)})
	}
}

// BeginCommandBuffer starts recording, for any number of submissions; with once
// for a single one. A command buffer that was recorded before is reset.
func (d *Device) BeginCommandBuffer(cmd CommandBuffer, once bool) error {
	info := vulkan.CommandBufferBeginInfo{SType: vulkan.StructureTypeCommandBufferBeginInfo}
	if once {
		info.Flags = vulkan.CommandBufferUsageFlags(vulkan.CommandBufferUsageOneTimeSubmitBit)
	}
	defer info.Free()
	r := vulkan.BeginCommandBuffer(cast[vulkan.CommandBuffer](cmd), &info)
	return check("vkBeginCommandBuffer", Result(r))
}

// EndCommandBuffer ends recording.
func (d *Device) EndCommandBuffer(cmd CommandBuffer) error {
	return check("vkEndCommandBuffer", Result(vulkan.EndCommandBuffer(cast[vulkan.CommandBuffer](cmd))))
}

// ResetCommandBuffer empties cmd, which must not be pending.
func (d *Device) ResetCommandBuffer(cmd CommandBuffer) error {
	return check("vkResetCommandBuffer", Result(vulkan.ResetCommandBuffer(cast[vulkan.CommandBuffer](cmd), 0)))
}

// CmdBindPipeline makes p the compute pipeline of the dispatches that follow.
func (d *Device) CmdBindPipeline(cmd CommandBuffer, p Pipeline) {
	C.rr_bind_pipeline(d.table, C.uintptr_t(cmd), C.rr_handle(p))
}

// CmdBindDescriptorSet binds set as number index of layout.
func (d *Device) CmdBindDescriptorSet(cmd CommandBuffer, layout PipelineLayout, index int, set DescriptorSet) {
	C.rr_bind_set(d.table, C.uintptr_t(cmd), C.rr_handle(layout), C.uint32_t(index), C.rr_handle(set))
}

// MaxPushBytes is the most push-constant bytes CmdPushConstants passes on,
// whatever the device offers.
const MaxPushBytes = int(unsafe.Sizeof(C.rr_push{}))

// CmdPushConstants sets the push constants from offset 0 on; len(data) is a
// multiple of 4, at most [MaxPushBytes] and at most the layout's size. It panics
// if data is longer than MaxPushBytes; no data is no call.
func (d *Device) CmdPushConstants(cmd CommandBuffer, layout PipelineLayout, data []byte) {
	if len(data) == 0 {
		return
	}
	var p C.rr_push
	if copied := copy(unsafe.Slice((*byte)(unsafe.Pointer(&p)), MaxPushBytes), data); copied < len(data) {
		panic("vk: push constants longer than MaxPushBytes")
	}
	C.rr_push_constants(d.table, C.uintptr_t(cmd), C.rr_handle(layout), C.uint32_t(len(data)), p)
}

// CmdDispatch runs x×y×z workgroups.
func (d *Device) CmdDispatch(cmd CommandBuffer, x, y, z uint32) {
	C.rr_dispatch(d.table, C.uintptr_t(cmd), C.uint32_t(x), C.uint32_t(y), C.uint32_t(z))
}

// CmdDispatchBase runs workgroups whose numbers begin at base, with a pipeline that was made for it ([ComputePipeline.Base]).
func (d *Device) CmdDispatchBase(cmd CommandBuffer, base, groups [3]uint32) {
	C.rr_dispatch_base(d.table, C.uintptr_t(cmd), (*C.uint32_t)(&base[0]), (*C.uint32_t)(&groups[0]))
}

// CmdBarrier is a global memory barrier: what follows, in the stages dst, waits
// for what came before, in the stages src, and sees its writes.
func (d *Device) CmdBarrier(cmd CommandBuffer, src, dst PipelineStage, srcAccess, dstAccess Access) {
	C.rr_barrier(d.table, C.uintptr_t(cmd), C.uint32_t(src), C.uint32_t(dst), C.uint32_t(srcAccess), C.uint32_t(dstAccess))
}

// BufferCopy is one region of CmdCopyBuffer, in bytes.
type BufferCopy struct{ SrcOffset, DstOffset, Size uint64 }

// CmdCopyBuffer copies regions of src to dst. They must not overlap.
func (d *Device) CmdCopyBuffer(cmd CommandBuffer, src, dst Buffer, regions ...BufferCopy) {
	if len(regions) == 0 {
		return
	}
	first := (*C.rr_Copy)(unsafe.Pointer(unsafe.SliceData(regions)))
	C.rr_copy(d.table, C.uintptr_t(cmd), C.rr_handle(src), C.rr_handle(dst), C.uint32_t(len(regions)), first)
}

// BufferCopy is passed to C as it is; another size does not compile.
var _ [unsafe.Sizeof(BufferCopy{})]byte = [C.sizeof_rr_Copy]byte{}

// CmdFillBuffer sets every 32-bit word of size bytes from offset on to word; both
// are multiples of 4, or size is [WholeSize].
func (d *Device) CmdFillBuffer(cmd CommandBuffer, b Buffer, offset, size uint64, word uint32) {
	vulkan.CmdFillBuffer(cast[vulkan.CommandBuffer](cmd), cast[vulkan.Buffer](b), vulkan.DeviceSize(offset), vulkan.DeviceSize(size), word)
}

// CreateTimestampPool makes a pool of n timestamps.
func (d *Device) CreateTimestampPool(n int) (QueryPool, error) {
	info := vulkan.QueryPoolCreateInfo{
		SType:      vulkan.StructureTypeQueryPoolCreateInfo,
		QueryType:  vulkan.QueryTypeTimestamp,
		QueryCount: uint32(n),
	}
	defer info.Free()
	var p vulkan.QueryPool
	r := vulkan.CreateQueryPool(d.handle, &info, nil, &p)
	return cast[QueryPool](p), check("vkCreateQueryPool", Result(r))
}

// DestroyQueryPool destroys p.
func (d *Device) DestroyQueryPool(p QueryPool) {
	vulkan.DestroyQueryPool(d.handle, cast[vulkan.QueryPool](p), nil)
}

// CmdResetQueries makes n timestamps from first on writable again; each must be
// reset before it is written, the first time too.
func (d *Device) CmdResetQueries(cmd CommandBuffer, p QueryPool, first, n int) {
	vulkan.CmdResetQueryPool(cast[vulkan.CommandBuffer](cmd), cast[vulkan.QueryPool](p), uint32(first), uint32(n))
}

// CmdWriteTimestamp writes the k-th timestamp when all earlier commands have
// finished stage.
func (d *Device) CmdWriteTimestamp(cmd CommandBuffer, stage PipelineStage, p QueryPool, k int) {
	vulkan.CmdWriteTimestamp(cast[vulkan.CommandBuffer](cmd), vulkan.PipelineStageFlagBits(stage), cast[vulkan.QueryPool](p), uint32(k))
}

// Timestamps reads len(out) timestamps from first on, in ticks of timestampPeriod
// nanoseconds, of which only the queue family's TimestampBits low bits count. It
// waits until they are written.
func (d *Device) Timestamps(p QueryPool, first int, out []uint64) error {
	if len(out) == 0 {
		return nil
	}
	r := C.rr_query_results(d.table, C.rr_handle(p), C.uint32_t(first), C.uint32_t(len(out)), (*C.uint64_t)(&out[0]))
	return check("vkGetQueryPoolResults", Result(r))
}
