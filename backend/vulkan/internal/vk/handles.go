package vk

import (
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// Handles of Vulkan objects. The zero value of each is VK_NULL_HANDLE, which
// every Destroy and Free method accepts and ignores.
type (
	// PhysicalDevice is a device as the driver presents it, before it is opened.
	PhysicalDevice uintptr
	// Queue is where command buffers are submitted.
	Queue uintptr
	// CommandBuffer records commands.
	CommandBuffer uintptr

	// Buffer is a range of device memory, once bound.
	Buffer uint64
	// BufferView reads a range of a buffer through a format.
	BufferView uint64
	// Memory is one allocation of device memory.
	Memory uint64
	// ShaderModule holds SPIR-V.
	ShaderModule uint64
	// DescriptorSetLayout says what a descriptor set holds.
	DescriptorSetLayout uint64
	// DescriptorPool is where descriptor sets come from.
	DescriptorPool uint64
	// DescriptorSet binds buffers to a shader.
	DescriptorSet uint64
	// PipelineLayout joins set layouts and a push-constant size.
	PipelineLayout uint64
	// PipelineCache keeps compiled pipelines.
	PipelineCache uint64
	// Pipeline is a compiled compute shader.
	Pipeline uint64
	// CommandPool is where command buffers come from.
	CommandPool uint64
	// QueryPool holds timestamps.
	QueryPool uint64
	// Fence tells the host that a submission is done.
	Fence uint64
	// Semaphore orders work of queues with each other and with presentation.
	Semaphore uint64
	// Surface is a window, or what else can be presented to.
	Surface uint64
	// Swapchain is a surface's images, of which one is shown while others are drawn.
	Swapchain uint64
	// Image is an image; those of a swapchain belong to it.
	Image uint64
)

// vulkan-go's non-dispatchable handles are pointers or uint64, always 8 bytes;
// its dispatchable ones are pointers. Another size does not compile.
var (
	_ [8]byte                         = [unsafe.Sizeof(*new(vulkan.Buffer))]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(*new(vulkan.Device))]byte{}
)

// cast reinterprets a handle of this package as one of vulkan-go or back.
func cast[To, From any](h From) To { return *(*To)(unsafe.Pointer(&h)) }
