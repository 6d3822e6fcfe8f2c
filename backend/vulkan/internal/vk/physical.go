package vk

// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// Properties are what Vulkan 1.0 tells about a physical device: the part of
// VkPhysicalDeviceProperties and of its limits that concerns compute.
type Properties struct {
	Name              string
	VendorID          uint32
	DeviceID          uint32
	DeviceType        uint32 // VkPhysicalDeviceType
	APIVersion        uint32
	DriverVersion     uint32 // packed as the vendor likes
	PipelineCacheUUID [16]byte

	MaxStorageBufferRange               uint32 // bytes
	MaxPushConstantsSize                uint32 // bytes
	MaxMemoryAllocationCount            uint32
	MaxBoundDescriptorSets              uint32
	MaxPerStageDescriptorStorageBuffers uint32
	MaxPerStageResources                uint32
	MaxDescriptorSetStorageBuffers      uint32
	MaxComputeSharedMemorySize          uint32 // bytes
	MaxComputeWorkGroupCount            [3]uint32
	MaxComputeWorkGroupInvocations      uint32
	MaxComputeWorkGroupSize             [3]uint32
	BufferImageGranularity              uint64  // bytes
	MinMemoryMapAlignment               uint64  // bytes
	MinStorageBufferOffsetAlignment     uint64  // bytes
	MinTexelBufferOffsetAlignment       uint64  // bytes
	MaxTexelBufferElements              uint32  // texels
	NonCoherentAtomSize                 uint64  // bytes
	TimestampPeriod                     float32 // nanoseconds a tick
}

// MemoryType is one kind of memory a device offers.
type MemoryType struct {
	Flags MemoryFlags
	Heap  int // index of its heap
}

// MemoryHeap is a pool behind one or more memory types.
type MemoryHeap struct {
	Size        uint64 // bytes
	DeviceLocal bool
}

// QueueFamily is a group of equal queues.
type QueueFamily struct {
	Flags         QueueFlags
	Count         int
	TimestampBits int // valid bits of a timestamp, 0 where there are none
}

// CooperativeMatrix is one shape of matrices that a device multiplies; the types
// are values of VkComponentTypeKHR, the scope one of VkScopeKHR (3: subgroup).
type CooperativeMatrix struct {
	M, N, K                     uint32
	AType, BType, CType, Result uint32
	Saturating                  bool
	Scope                       uint32
}

// PhysicalDevices lists the devices of all drivers, in the loader's order. With
// none the error wraps [ErrNoDriver] and says what to install.
func (i *Instance) PhysicalDevices() ([]PhysicalDevice, error) {
	const call = "vkEnumeratePhysicalDevices"
	for {
		var n uint32
		r := Result(vulkan.EnumeratePhysicalDevices(i.shared.handle, &n, nil))
		if r == ErrInitializationFailed || r == success && n == 0 { // older loaders say the first
			return nil, fmt.Errorf("%w: %s", ErrNoDriver, installHint(runtime.GOOS))
		}
		if r != success {
			return nil, check(call, r)
		}
		handles := make([]vulkan.PhysicalDevice, n)
		r = Result(vulkan.EnumeratePhysicalDevices(i.shared.handle, &n, handles))
		if r == incomplete {
			continue
		}
		if r != success {
			return nil, check(call, r)
		}
		out := make([]PhysicalDevice, n)
		for k, h := range handles[:n] {
			out[k] = cast[PhysicalDevice](h)
		}
		return out, nil
	}
}

// Properties reads what Vulkan 1.0 tells about pd.
func (i *Instance) Properties(pd PhysicalDevice) Properties {
	var p vulkan.PhysicalDeviceProperties
	vulkan.GetPhysicalDeviceProperties(cast[vulkan.PhysicalDevice](pd), &p)
	p.Deref()
	p.Limits.Deref() // points into p's C memory: before Free
	defer p.Free()
	l := &p.Limits
	return Properties{
		Name:              vulkan.ToString(p.DeviceName[:]),
		VendorID:          p.VendorID,
		DeviceID:          p.DeviceID,
		DeviceType:        uint32(p.DeviceType),
		APIVersion:        p.ApiVersion,
		DriverVersion:     p.DriverVersion,
		PipelineCacheUUID: p.PipelineCacheUUID,

		MaxStorageBufferRange:               l.MaxStorageBufferRange,
		MaxPushConstantsSize:                l.MaxPushConstantsSize,
		MaxMemoryAllocationCount:            l.MaxMemoryAllocationCount,
		MaxBoundDescriptorSets:              l.MaxBoundDescriptorSets,
		MaxPerStageDescriptorStorageBuffers: l.MaxPerStageDescriptorStorageBuffers,
		MaxPerStageResources:                l.MaxPerStageResources,
		MaxDescriptorSetStorageBuffers:      l.MaxDescriptorSetStorageBuffers,
		MaxComputeSharedMemorySize:          l.MaxComputeSharedMemorySize,
		MaxComputeWorkGroupCount:            l.MaxComputeWorkGroupCount,
		MaxComputeWorkGroupInvocations:      l.MaxComputeWorkGroupInvocations,
		MaxComputeWorkGroupSize:             l.MaxComputeWorkGroupSize,
		BufferImageGranularity:              uint64(l.BufferImageGranularity),
		MinMemoryMapAlignment:               uint64(l.MinMemoryMapAlignment),
		MinStorageBufferOffsetAlignment:     uint64(l.MinStorageBufferOffsetAlignment),
		MinTexelBufferOffsetAlignment:       uint64(l.MinTexelBufferOffsetAlignment),
		MaxTexelBufferElements:              l.MaxTexelBufferElements,
		NonCoherentAtomSize:                 uint64(l.NonCoherentAtomSize),
		TimestampPeriod:                     l.TimestampPeriod,
	}
}

// Memory reads the memory types and heaps of pd.
func (i *Instance) Memory(pd PhysicalDevice) ([]MemoryType, []MemoryHeap) {
	var m vulkan.PhysicalDeviceMemoryProperties
	vulkan.GetPhysicalDeviceMemoryProperties(cast[vulkan.PhysicalDevice](pd), &m)
	m.Deref()
	defer m.Free()
	types := make([]MemoryType, m.MemoryTypeCount)
	for k := range types {
		t := &m.MemoryTypes[k]
		t.Deref()
		types[k] = MemoryType{Flags: MemoryFlags(t.PropertyFlags), Heap: int(t.HeapIndex)}
	}
	heaps := make([]MemoryHeap, m.MemoryHeapCount)
	for k := range heaps {
		h := &m.MemoryHeaps[k]
		h.Deref()
		const deviceLocal = 1 // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
		heaps[k] = MemoryHeap{Size: uint64(h.Size), DeviceLocal: h.Flags&deviceLocal != 0}
	}
	return types, heaps
}

// QueueFamilies lists the queue families of pd.
func (i *Instance) QueueFamilies(pd PhysicalDevice) []QueueFamily {
	var n C.uint32_t
	C.rr_queue_families(i.shared.table, C.uintptr_t(pd), &n, nil)
	if n == 0 {
		return nil
	}
	all := make([]C.rr_QueueFamily, n)
	C.rr_queue_families(i.shared.table, C.uintptr_t(pd), &n, &all[0])
	out := make([]QueueFamily, n)
	for k, q := range all[:n] {
		out[k] = QueueFamily{Flags: QueueFlags(q.flags), Count: int(q.count), TimestampBits: int(q.timestampBits)}
	}
	return out
}

// DeviceExtensions lists the extensions of pd, sorted.
func (i *Instance) DeviceExtensions(pd PhysicalDevice) ([]string, error) {
	all, err := enumerate("vkEnumerateDeviceExtensionProperties", func(n *C.uint32_t, p *C.rr_ExtensionProperties) C.rr_result {
		return C.rr_device_extensions(i.shared.table, C.uintptr_t(pd), n, p)
	})
	return extensionNames(all), err
}

// QueryProperties fills the structs of c by vkGetPhysicalDeviceProperties2. It
// reports false, and leaves them zero, where the driver is too old for that.
// c must hold only structs that the device knows.
func (i *Instance) QueryProperties(pd PhysicalDevice, c *Chain) bool {
	return withHead(structTypeProperties2, 824, c, func(head unsafe.Pointer) bool {
		return C.rr_properties2(i.shared.table, C.uintptr_t(pd), head) != 0
	})
}

// QueryMemory is QueryProperties for vkGetPhysicalDeviceMemoryProperties2.
func (i *Instance) QueryMemory(pd PhysicalDevice, c *Chain) bool {
	return withHead(structTypeMemoryProperties2, 520, c, func(head unsafe.Pointer) bool {
		return C.rr_memory2(i.shared.table, C.uintptr_t(pd), head) != 0
	})
}

// Values of VkStructureType, and below the sizes of their payloads.
const (
	structTypeFeatures2         = 1000059000
	structTypeProperties2       = 1000059001
	structTypeMemoryProperties2 = 1000059006
	structTypeMaintenance3      = 1000168000
)

// withHead calls f with a chain that starts with a struct of its own, followed
// by those of c.
func withHead(sType uint32, payload int, c *Chain, f func(head unsafe.Pointer) bool) bool {
	var head Chain
	defer head.Free()
	head.Add(sType, payload)
	(*chainHeader)(head.blocks[0]).next = c.head()
	return f(head.blocks[0])
}

// MaxAllocation is the largest size of one memory allocation in bytes, of a
// device of Vulkan 1.1 or later; 0 if it is not known.
func (i *Instance) MaxAllocation(pd PhysicalDevice) uint64 {
	var c Chain
	defer c.Free()
	c.Add(structTypeMaintenance3, int(C.sizeof_rr_Maintenance3-unsafe.Sizeof(chainHeader{})))
	i.QueryProperties(pd, &c)
	return uint64((*C.rr_Maintenance3)(c.head()).allocation)
}

// CooperativeMatrices lists the shapes of VK_KHR_cooperative_matrix, which pd
// must list. A loader without the function gives an empty list.
func (i *Instance) CooperativeMatrices(pd PhysicalDevice) ([]CooperativeMatrix, error) {
	all, err := enumerate("vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", func(n *C.uint32_t, p *C.rr_CoopMatrix) C.rr_result {
		return C.rr_coop_matrices(i.shared.table, C.uintptr_t(pd), n, p)
	})
	out := make([]CooperativeMatrix, len(all))
	for k, m := range all {
		out[k] = CooperativeMatrix{
			M: uint32(m.m), N: uint32(m.n), K: uint32(m.k),
			AType: uint32(m.a), BType: uint32(m.b), CType: uint32(m.c), Result: uint32(m.result),
			Saturating: m.saturating != 0, Scope: uint32(m.scope),
		}
	}
	return out, err
}
