package vk

// #include "shim.h"
import "C"

import (
	"math"
	"time"
)

// SwapchainExtension is the device extension that the calls of this file need.
const SwapchainExtension = "VK_KHR_swapchain"

// SwapchainOptions describe a swapchain. Its images are written by copies, shown in order, one at each refresh of the screen: of the ways to
// present, that one, FIFO, is there always.
type SwapchainOptions struct {
	Surface   Surface
	MinImages uint32
	Format    SurfaceFormat
	Extent    Extent
	Transform uint32         // see [SurfaceCapabilities]
	Alpha     CompositeAlpha // one way
	Old       Swapchain      // the surface's last one, which is of no more use then and still to be destroyed; 0 where there is none
}

// CreateSwapchain makes a swapchain.
func (d *Device) CreateSwapchain(o SwapchainOptions) (Swapchain, error) {
	var s C.rr_handle
	format := C.rr_SurfaceFormat{format: C.uint32_t(o.Format.Format), space: C.uint32_t(o.Format.ColorSpace)}
	r := C.rr_create_swapchain(d.table, C.rr_handle(o.Surface), C.uint32_t(o.MinImages), format, C.uint32_t(o.Extent.Width), C.uint32_t(o.Extent.Height),
		C.uint32_t(o.Transform), C.uint32_t(o.Alpha), C.rr_handle(o.Old), &s)
	return Swapchain(s), check("vkCreateSwapchainKHR", Result(r))
}

// DestroySwapchain destroys s and its images, which no unfinished work may use.
func (d *Device) DestroySwapchain(s Swapchain) { C.rr_destroy_swapchain(d.table, C.rr_handle(s)) }

// SwapchainImages lists the images of s. They belong to it.
func (d *Device) SwapchainImages(s Swapchain) ([]Image, error) {
	all, err := enumerate("vkGetSwapchainImagesKHR", func(n *C.uint32_t, p *C.rr_handle) C.rr_result {
		return C.rr_swapchain_images(d.table, C.rr_handle(s), n, p)
	})
	out := make([]Image, len(all))
	for k, h := range all {
		out[k] = Image(h)
	}
	return out, err
}

// AcquireNextImage takes the next image that may be written once free is signalled. Its index is -1, without an error, when none came in time; free is
// then as it was. optimal is false when the image can still be shown, but s does not fit the surface exactly any more.
func (d *Device) AcquireNextImage(s Swapchain, timeout time.Duration, free Semaphore) (index int, optimal bool, err error) {
	var k C.uint32_t
	switch r := Result(C.rr_acquire(d.table, C.rr_handle(s), C.uint64_t(min(max(timeout, 0), math.MaxInt64)), C.rr_handle(free), &k)); r {
	case success, suboptimal:
		return int(k), r == success, nil
	case vkTimeout, notReady:
		return -1, true, nil
	default:
		return -1, true, check("vkAcquireNextImageKHR", r)
	}
}

// QueuePresent shows an image after ready was signalled. optimal is as for AcquireNextImage.
func (d *Device) QueuePresent(q Queue, s Swapchain, index int, ready Semaphore) (optimal bool, err error) {
	r := Result(C.rr_present(d.table, C.uintptr_t(q), C.rr_handle(s), C.uint32_t(index), C.rr_handle(ready)))
	if r == suboptimal {
		return false, nil
	}
	return true, check("vkQueuePresentKHR", r)
}

// CreateSemaphore makes a semaphore that is not signalled.
func (d *Device) CreateSemaphore() (Semaphore, error) {
	var s C.rr_handle
	r := C.rr_create_semaphore(d.table, &s)
	return Semaphore(s), check("vkCreateSemaphore", Result(r))
}

// DestroySemaphore destroys s.
func (d *Device) DestroySemaphore(s Semaphore) { C.rr_destroy_semaphore(d.table, C.rr_handle(s)) }

// QueueSubmitBetween hands a command buffer to q whose commands from the stages on wait for one semaphore, and which signals another and f
// when it is done.
func (d *Device) QueueSubmitBetween(q Queue, f Fence, wait Semaphore, stages PipelineStage, cmd CommandBuffer, signal Semaphore) error {
	return check("vkQueueSubmit", Result(C.rr_submit_between(d.table, C.uintptr_t(q), C.rr_handle(f), C.rr_handle(wait), C.uint32_t(stages), C.uintptr_t(cmd), C.rr_handle(signal))))
}

// ImageBarrier is what CmdImageBarrier orders: the whole of an image.
type ImageBarrier struct {
	Image                Image
	Src, Dst             PipelineStage
	SrcAccess, DstAccess Access
	Old, New             ImageLayout
}

// CmdImageBarrier changes the layout of an image between what came before, in the stages Src, and what follows, in the stages Dst.
func (d *Device) CmdImageBarrier(cmd CommandBuffer, b ImageBarrier) {
	C.rr_image_barrier(d.table, C.uintptr_t(cmd), C.uint32_t(b.Src), C.uint32_t(b.Dst), C.uint32_t(b.SrcAccess), C.uint32_t(b.DstAccess),
		C.rr_handle(b.Image), C.uint32_t(b.Old), C.uint32_t(b.New))
}

// CmdCopyBufferToImage copies the rows of a buffer, without gaps from its beginning, to an image of the given extent in the layout TransferDst.
// Bytes stay as they are, also where the format is sRGB.
func (d *Device) CmdCopyBufferToImage(cmd CommandBuffer, src Buffer, dst Image, e Extent) {
	C.rr_copy_to_image(d.table, C.uintptr_t(cmd), C.rr_handle(src), C.rr_handle(dst), C.uint32_t(e.Width), C.uint32_t(e.Height))
}
