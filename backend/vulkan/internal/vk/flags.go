package vk

import (
	"fmt"
	"strings"
)

// MemoryFlags are properties of a memory type, VkMemoryPropertyFlags.
type MemoryFlags uint32

// Properties of a memory type.
const (
	MemoryDeviceLocal     MemoryFlags = 0x1
	MemoryHostVisible     MemoryFlags = 0x2
	MemoryHostCoherent    MemoryFlags = 0x4
	MemoryHostCached      MemoryFlags = 0x8
	MemoryLazilyAllocated MemoryFlags = 0x10
	MemoryProtected       MemoryFlags = 0x20
	// MemoryDeviceCoherentAMD and MemoryDeviceUncachedAMD may be used only with a
	// feature that this package does not enable.
	MemoryDeviceCoherentAMD MemoryFlags = 0x40
	MemoryDeviceUncachedAMD MemoryFlags = 0x80
)

// QueueFlags are abilities of a queue family, VkQueueFlags.
type QueueFlags uint32

// Abilities of a queue family.
const (
	QueueGraphics QueueFlags = 0x1
	QueueCompute  QueueFlags = 0x2
	QueueTransfer QueueFlags = 0x4
)

// BufferUsage says what a buffer may be used for, VkBufferUsageFlags.
type BufferUsage uint32

// Uses of a buffer.
const (
	BufferTransferSrc  BufferUsage = 0x1
	BufferTransferDst  BufferUsage = 0x2
	BufferUniformTexel BufferUsage = 0x4
	BufferUniform      BufferUsage = 0x10
	BufferStorage      BufferUsage = 0x20
	BufferIndirect     BufferUsage = 0x100
)

// Format is how a texel buffer's bytes are read, VkFormat.
type Format uint32

// FormatRGBA32Float is four float32. Every device can read a uniform texel buffer of it.
const FormatRGBA32Float Format = 109

// FormatRGBA16Float is four float16. Every device can read a uniform texel buffer of it too.
const FormatRGBA16Float Format = 97

// Formats of 8 bits a channel that pictures are presented in. The bytes of an sRGB format are those of the linear one beside it: only
// reads and writes of shaders convert, copies do not.
const (
	FormatRGBA8      Format = 37 // R8G8B8A8_UNORM
	FormatRGBA8SRGB  Format = 43
	FormatBGRA8      Format = 44
	FormatBGRA8SRGB  Format = 50
	FormatABGR32     Format = 51 // A8B8G8R8_UNORM_PACK32: on a little-endian machine the bytes of RGBA8
	FormatABGR32SRGB Format = 57
)

// ImageLayout is how an image lies in memory, VkImageLayout.
type ImageLayout uint32

// Layouts of images.
const (
	LayoutUndefined   ImageLayout = 0 // the contents are of no use
	LayoutTransferDst ImageLayout = 7
	LayoutPresent     ImageLayout = 1000001002
)

// ImageUsage says what an image may be used for, VkImageUsageFlags.
type ImageUsage uint32

// ImageTransferDst: copies may write to the image.
const ImageTransferDst ImageUsage = 0x2

// CompositeAlpha is a set of ways to treat the alpha channel of what is shown, VkCompositeAlphaFlagsKHR.
type CompositeAlpha uint32

// Ways to treat alpha.
const (
	AlphaOpaque  CompositeAlpha = 0x1 // as if it were 1
	AlphaInherit CompositeAlpha = 0x8 // as the window system was told in its own way
)

// DescriptorType is what a binding of a descriptor set holds, VkDescriptorType.
type DescriptorType uint32

// Types of descriptors.
const (
	DescriptorUniformTexel DescriptorType = 4 // a buffer read through a format
	DescriptorStorage      DescriptorType = 7 // a buffer read and written as it is
)

// PipelineStage is a set of stages of execution, VkPipelineStageFlags.
type PipelineStage uint32

// Stages of execution.
const (
	StageTopOfPipe    PipelineStage = 0x1
	StageDrawIndirect PipelineStage = 0x2
	StageCompute      PipelineStage = 0x800
	StageTransfer     PipelineStage = 0x1000
	StageBottomOfPipe PipelineStage = 0x2000
	StageHost         PipelineStage = 0x4000
	StageAllCommands  PipelineStage = 0x10000
)

// Access is a set of kinds of memory access, VkAccessFlags.
type Access uint32

// Kinds of memory access.
const (
	AccessIndirectRead  Access = 0x1
	AccessUniformRead   Access = 0x8
	AccessShaderRead    Access = 0x20
	AccessShaderWrite   Access = 0x40
	AccessTransferRead  Access = 0x800
	AccessTransferWrite Access = 0x1000
	AccessHostRead      Access = 0x2000
	AccessHostWrite     Access = 0x4000
	AccessMemoryRead    Access = 0x8000
	AccessMemoryWrite   Access = 0x10000
)

// ObjectType tells [Device.SetName] what a handle is, VkObjectType.
type ObjectType uint32

// Kinds of objects that can have a name.
const (
	ObjectQueue         ObjectType = 4
	ObjectCommandBuffer ObjectType = 6
	ObjectFence         ObjectType = 7
	ObjectMemory        ObjectType = 8
	ObjectBuffer        ObjectType = 9
	ObjectShaderModule  ObjectType = 15
	ObjectPipeline      ObjectType = 19
	ObjectDescriptorSet ObjectType = 23
)

// WholeSize stands for "to the end" where a size in bytes is asked for.
const WholeSize = ^uint64(0)

// String lists the flags, such as "device-local|host-visible".
func (f MemoryFlags) String() string {
	return flagNames(uint32(f), "device-local", "host-visible", "host-coherent", "host-cached", "lazily-allocated", "protected",
		"device-coherent-amd", "device-uncached-amd")
}

// String lists the flags, such as "graphics|compute".
func (f QueueFlags) String() string { return flagNames(uint32(f), "graphics", "compute", "transfer") }

// flagNames joins the names of the bits that are set, the first name for bit 0;
// bits without a name appear as one number.
func flagNames(bits uint32, names ...string) string {
	var parts []string
	for k, name := range names {
		if bits>>k&1 != 0 {
			parts = append(parts, name)
		}
	}
	if rest := bits >> len(names) << len(names); rest != 0 {
		parts = append(parts, fmt.Sprintf("0x%x", rest))
	}
	return strings.Join(parts, "|")
}
