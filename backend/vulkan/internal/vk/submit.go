package vk

// #include "shim.h"
import "C"

import (
	"math"
	"time"
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// CreateFence makes a fence that is not signalled.
func (d *Device) CreateFence() (Fence, error) {
	info := vulkan.FenceCreateInfo{SType: vulkan.StructureTypeFenceCreateInfo}
	defer info.Free()
	var f vulkan.Fence
	r := vulkan.CreateFence(d.handle, &info, nil, &f)
	return cast[Fence](f), check("vkCreateFence", Result(r))
}

// DestroyFence destroys f.
func (d *Device) DestroyFence(f Fence) { vulkan.DestroyFence(d.handle, cast[vulkan.Fence](f), nil) }

// SubmitsWithoutAllocation is how many command buffers travel to C by value.
const SubmitsWithoutAllocation = len(C.rr_batch{}.cmds)

// QueueSubmit hands command buffers to q, in order; f, unless 0, is signalled
// when all of them are done. Up to [SubmitsWithoutAllocation] command buffers it
// does not allocate.
// Submissions to one queue must not overlap.
func (d *Device) QueueSubmit(q Queue, f Fence, cmds ...CommandBuffer) error {
	var batch C.rr_batch
	n := C.uint32_t(len(cmds))
	if len(cmds) <= len(batch.cmds) {
		for k, c := range cmds {
			batch.cmds[k] = C.uintptr_t(c)
		}
		return check("vkQueueSubmit", Result(C.rr_submit(d.table, C.uintptr_t(q), C.rr_handle(f), n, batch)))
	}
	many := make([]C.uintptr_t, len(cmds))
	for k, c := range cmds {
		many[k] = C.uintptr_t(c)
	}
	return check("vkQueueSubmit", Result(C.rr_submit_many(d.table, C.uintptr_t(q), C.rr_handle(f), n, unsafe.SliceData(many))))
}

// Forever is a timeout that never ends.
const Forever = time.Duration(math.MaxInt64)

// WaitFence waits for f and reports whether it was signalled within timeout; 0
// looks without waiting.
func (d *Device) WaitFence(f Fence, timeout time.Duration) (bool, error) {
	ns := uint64(max(timeout, 0))
	if timeout == Forever {
		ns = math.MaxUint64
	}
	switch r := Result(C.rr_wait_fence(d.table, C.rr_handle(f), C.uint64_t(ns))); r {
	case success:
		return true, nil
	case vkTimeout:
		return false, nil
	default:
		return false, check("vkWaitForFences", r)
	}
}

// ResetFence makes f unsignalled again; no submission that uses it may be
// unfinished.
func (d *Device) ResetFence(f Fence) error {
	return check("vkResetFences", Result(C.rr_reset_fence(d.table, C.rr_handle(f))))
}

// FenceSignalled tells whether f is signalled.
func (d *Device) FenceSignalled(f Fence) (bool, error) {
	switch r := Result(C.rr_fence_status(d.table, C.rr_handle(f))); r {
	case success:
		return true, nil
	case notReady:
		return false, nil
	default:
		return false, check("vkGetFenceStatus", r)
	}
}
