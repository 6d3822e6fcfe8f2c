package vk

// #include "shim.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// HeadlessExtensions are what [Instance.CreateHeadlessSurface] needs, see InstanceOptions.Surfaces.
var HeadlessExtensions = []string{extSurface, "VK_EXT_headless_surface"}

// spaceSRGB is the colour space that every surface has, VK_COLOR_SPACE_SRGB_NONLINEAR_KHR.
const spaceSRGB = 0

// SurfaceFormat is what the images of a swapchain may be.
type SurfaceFormat struct {
	Format     Format
	ColorSpace uint32 // VkColorSpaceKHR
}

// SRGB tells whether values mean what they mean in a picture file.
func (f SurfaceFormat) SRGB() bool { return f.ColorSpace == spaceSRGB }

// Extent is a width and a height in pixels.
type Extent struct{ Width, Height uint32 }

// SurfaceCapabilities say what a device can do with a surface now.
type SurfaceCapabilities struct {
	MinImages, MaxImages uint32 // of a swapchain; a maximum of 0 is none
	// Current is the surface's extent, which a swapchain must have; [AnyExtent] where the swapchain decides.
	Current, Min, Max Extent
	Transform         uint32 // the one that costs nothing, VkSurfaceTransformFlagBitsKHR
	Alphas            CompositeAlpha
	Usages            ImageUsage
}

// AnyExtent is the width and the height of a surface that takes the extent of its swapchain.
const AnyExtent = ^uint32(0)

// Handle is the VkInstance, for libraries that make surfaces. It is valid as long as the share is open.
func (i *Instance) Handle() unsafe.Pointer { return unsafe.Pointer(i.shared.table.instance) }

// CreateHeadlessSurface makes a surface that nobody sees. A driver that has not VK_EXT_headless_surface itself, which the
// loader may hide, must not be asked about it: the kind of surface is none that it knows.
func (i *Instance) CreateHeadlessSurface() (Surface, error) {
	var s C.rr_handle
	r := C.rr_create_headless(i.shared.table, &s)
	return Surface(s), check("vkCreateHeadlessSurfaceEXT", Result(r))
}

// DestroySurface destroys s; its swapchains must be gone, its window must be there still.
func (i *Instance) DestroySurface(s Surface) { C.rr_destroy_surface(i.shared.table, C.rr_handle(s)) }

// SurfaceSupport tells whether queues of the family can present to s.
func (i *Instance) SurfaceSupport(pd PhysicalDevice, family int, s Surface) (bool, error) {
	var yes C.uint32_t
	r := C.rr_surface_support(i.shared.table, C.uintptr_t(pd), C.uint32_t(family), C.rr_handle(s), &yes)
	return yes != 0, check("vkGetPhysicalDeviceSurfaceSupportKHR", Result(r))
}

// SurfaceCapabilities reads what pd can do with s.
func (i *Instance) SurfaceCapabilities(pd PhysicalDevice, s Surface) (SurfaceCapabilities, error) {
	var c C.rr_SurfaceCapabilities
	r := C.rr_surface_capabilities(i.shared.table, C.uintptr_t(pd), C.rr_handle(s), &c)
	return SurfaceCapabilities{
		MinImages: uint32(c.minImages), MaxImages: uint32(c.maxImages),
		Current: Extent{uint32(c.width), uint32(c.height)}, Min: Extent{uint32(c.minWidth), uint32(c.minHeight)}, Max: Extent{uint32(c.maxWidth), uint32(c.maxHeight)},
		Transform: uint32(c.transform), Alphas: CompositeAlpha(c.alphas), Usages: ImageUsage(c.usages),
	}, check("vkGetPhysicalDeviceSurfaceCapabilitiesKHR", Result(r))
}

// SurfaceFormats lists the formats of swapchains of s, in the driver's order.
func (i *Instance) SurfaceFormats(pd PhysicalDevice, s Surface) ([]SurfaceFormat, error) {
	all, err := enumerate("vkGetPhysicalDeviceSurfaceFormatsKHR", func(n *C.uint32_t, p *C.rr_SurfaceFormat) C.rr_result {
		return C.rr_surface_formats(i.shared.table, C.uintptr_t(pd), C.rr_handle(s), n, p)
	})
	out := make([]SurfaceFormat, len(all))
	for k, f := range all {
		out[k] = SurfaceFormat{Format(f.format), uint32(f.space)}
	}
	return out, err
}

// String returns the extent as in "640x480".
func (e Extent) String() string { return fmt.Sprintf("%dx%d", e.Width, e.Height) }
