// Package facts reads a physical Vulkan device once into an immutable snapshot
// of plain Go values. Whatever is decided from it is a pure function that can be
// tested with imaginary devices.
package facts

import (
	"slices"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// Facts are what a device and its driver say about themselves. Sizes are in
// bytes. The slices are shared by copies of a Facts: do not write to them.
type Facts struct {
	Name       string     `json:"name"`
	Type       DeviceType `json:"type"`
	VendorID   uint32     `json:"vendor_id"`
	DeviceID   uint32     `json:"device_id"`
	APIVersion Version    `json:"api_version"`
	// Usable is the highest version whose functions may be used with the device:
	// APIVersion, or the loader's where that is lower.
	Usable            Version `json:"usable_version"`
	Driver            Driver  `json:"driver"`
	DeviceUUID        UUID    `json:"device_uuid"`
	DriverUUID        UUID    `json:"driver_uuid"`
	PipelineCacheUUID UUID    `json:"pipeline_cache_uuid"`

	Limits     Limits      `json:"limits"`
	Features   vk.Features `json:"features"`
	Subgroup   Subgroup    `json:"subgroup"`
	DotProduct DotProduct  `json:"integer_dot_product"`
	// Multiprocessors are what workgroups are given to: NVIDIA's SMs, AMD's compute units, Arm's shader cores; 0 where the driver does not tell.
	Multiprocessors int `json:"multiprocessors,omitempty"`

	MemoryTypes   []MemoryType        `json:"memory_types"`
	Heaps         []Heap              `json:"heaps"`
	QueueFamilies []QueueFamily       `json:"queue_families"`
	CoopMatrices  []CooperativeMatrix `json:"cooperative_matrices,omitempty"`
	// Portability is set for devices that implement Vulkan only in part, on top
	// of another interface such as Metal.
	Portability bool     `json:"portability_subset"`
	Extensions  []string `json:"extensions"` // sorted
}

// Driver identifies the driver. ID, Name, Info and Conformance are zero where
// the driver does not know VK_KHR_driver_properties.
type Driver struct {
	Version     uint32   `json:"version"` // packed as the vendor likes
	ID          DriverID `json:"id"`
	Name        string   `json:"name,omitempty"`
	Info        string   `json:"info,omitempty"`
	Conformance [4]uint8 `json:"conformance"` // of the test suite: major, minor, subminor, patch
}

// Limits are those a planner needs.
type Limits struct {
	MaxStorageBufferRange uint64 `json:"max_storage_buffer_range"`
	// MaxMemoryAllocationSize is what one allocation may have; a driver that does
	// not say is taken to allow the largest heap.
	MaxMemoryAllocationSize             uint64    `json:"max_memory_allocation_size"`
	MaxMemoryAllocationCount            uint32    `json:"max_memory_allocation_count"`
	MinStorageBufferOffsetAlignment     uint64    `json:"min_storage_buffer_offset_alignment"`
	MinTexelBufferOffsetAlignment       uint64    `json:"min_texel_buffer_offset_alignment"`
	MaxTexelBufferElements              uint32    `json:"max_texel_buffer_elements"`
	MinMemoryMapAlignment               uint64    `json:"min_memory_map_alignment"`
	NonCoherentAtomSize                 uint64    `json:"non_coherent_atom_size"`
	BufferImageGranularity              uint64    `json:"buffer_image_granularity"`
	MaxPushConstantsSize                uint32    `json:"max_push_constants_size"`
	MaxComputeWorkgroupCount            [3]uint32 `json:"max_compute_workgroup_count"`
	MaxComputeWorkgroupSize             [3]uint32 `json:"max_compute_workgroup_size"`
	MaxComputeWorkgroupInvocations      uint32    `json:"max_compute_workgroup_invocations"`
	MaxComputeSharedMemorySize          uint32    `json:"max_compute_shared_memory_size"`
	MaxPerStageDescriptorStorageBuffers uint32    `json:"max_per_stage_descriptor_storage_buffers"`
	MaxDescriptorSetStorageBuffers      uint32    `json:"max_descriptor_set_storage_buffers"`
	MaxPerStageResources                uint32    `json:"max_per_stage_resources"`
	MaxBoundDescriptorSets              uint32    `json:"max_bound_descriptor_sets"`
	TimestampPeriod                     float64   `json:"timestamp_period_ns"` // nanoseconds a tick
}

// Subgroup describes subgroups in compute shaders. All is zero below Vulkan 1.1.
type Subgroup struct {
	Size       uint32      `json:"size"`   // what the driver uses unless told otherwise
	Stages     uint32      `json:"stages"` // VkShaderStageFlags that have the operations
	Operations SubgroupOps `json:"operations"`
	// Min and Max bound the size; they equal Size where VK_EXT_subgroup_size_control
	// is absent. RequiredSize tells whether a compute pipeline may choose one.
	Min          uint32 `json:"min"`
	Max          uint32 `json:"max"`
	RequiredSize bool   `json:"required_size"`
	// MaxWorkgroupSubgroups bounds the subgroups of a workgroup whose pipeline
	// chose a size; 0 where it cannot.
	MaxWorkgroupSubgroups uint32 `json:"max_workgroup_subgroups"`
}

// Compute tells whether compute shaders have all the operations of ops.
func (s Subgroup) Compute(ops SubgroupOps) bool {
	const computeStage = 0x20
	return s.Stages&computeStage != 0 && s.Operations&ops == ops
}

// DotProduct tells which integer dot products the hardware accelerates; that
// they exist at all is Features.ShaderIntegerDotProduct.
type DotProduct struct {
	Int8Signed         bool `json:"int8_signed"`          // 4 × int8 in vectors
	Int8Unsigned       bool `json:"int8_unsigned"`        // 4 × uint8 in vectors
	PackedInt8Signed   bool `json:"packed_int8_signed"`   // 4 × int8 in a 32-bit word
	PackedInt8Unsigned bool `json:"packed_int8_unsigned"` // 4 × uint8 in a 32-bit word
	// The same with a saturating accumulator.
	PackedInt8SignedSaturating bool `json:"packed_int8_signed_saturating"`
}

// MemoryType is one kind of memory.
type MemoryType struct {
	Flags vk.MemoryFlags `json:"flags"`
	Heap  int            `json:"heap"`
}

// Heap is a pool of memory behind memory types.
type Heap struct {
	Size        uint64 `json:"size"`
	DeviceLocal bool   `json:"device_local"`
	// Budget is what this process could have, and Usage what it has, when the
	// facts were read; both 0 without VK_EXT_memory_budget.
	Budget uint64 `json:"budget,omitempty"`
	Usage  uint64 `json:"usage,omitempty"`
}

// QueueFamily is a group of equal queues.
type QueueFamily struct {
	Flags         vk.QueueFlags `json:"flags"`
	Count         int           `json:"count"`
	TimestampBits int           `json:"timestamp_bits"` // valid bits of a timestamp, 0: no timestamps
}

// CooperativeMatrix is one shape a device multiplies: A of M×K, B of K×N, C and
// the result of M×N.
type CooperativeMatrix struct {
	M          uint32        `json:"m"`
	N          uint32        `json:"n"`
	K          uint32        `json:"k"`
	A          ComponentType `json:"a"`
	B          ComponentType `json:"b"`
	C          ComponentType `json:"c"`
	Result     ComponentType `json:"result"`
	Saturating bool          `json:"saturating"`
	Scope      Scope         `json:"scope"`
}

// HasExtension tells whether the device lists an extension.
func (f *Facts) HasExtension(name string) bool {
	_, found := slices.BinarySearch(f.Extensions, name)
	return found
}

// UnifiedMemory tells whether the host can write the memory nearest to the
// device directly, so that copies through a staging buffer gain nothing: the
// device shares the host's memory (integrated or software), and the largest
// device-local heap has a type the host can map. A discrete GPU does not count,
// even if all its memory can be mapped: it is behind a bus. What a virtual GPU
// really is cannot be known, so it does not count either.
func (f *Facts) UnifiedMemory() bool {
	if f.Type == DeviceDiscrete || f.Type == DeviceVirtual {
		return false
	}
	size := f.DeviceMemory()
	return slices.ContainsFunc(f.MemoryTypes, func(t MemoryType) bool {
		const want = vk.MemoryDeviceLocal | vk.MemoryHostVisible
		return t.Flags&want == want && t.Flags&unusable == 0 && f.Heaps[t.Heap].Size == size
	})
}

// unusable are memory types that may be used only with features this project
// does not enable.
const unusable = vk.MemoryProtected | vk.MemoryLazilyAllocated | vk.MemoryDeviceCoherentAMD | vk.MemoryDeviceUncachedAMD

// MemoryType returns the first memory type, in the driver's order of preference,
// that has every flag of want and none of avoid.
func (f *Facts) MemoryType(want, avoid vk.MemoryFlags) (index int, ok bool) {
	return f.MemoryTypeOf(^uint32(0), want, avoid)
}

// MemoryTypeOf is MemoryType among the types whose bit is set in typeBits, as
// vk.Requirements has them.
func (f *Facts) MemoryTypeOf(typeBits uint32, want, avoid vk.MemoryFlags) (index int, ok bool) {
	for k, t := range f.MemoryTypes {
		if typeBits>>k&1 != 0 && t.Flags&want == want && t.Flags&(avoid|unusable&^want) == 0 {
			return k, true
		}
	}
	return 0, false
}

// ComputeQueue returns the queue family to use: one that computes without
// graphics, so that a desktop is disturbed less, otherwise the first that computes.
func (f *Facts) ComputeQueue() (family int, ok bool) {
	compute := func(q QueueFamily) bool { return q.Flags&vk.QueueCompute != 0 && q.Count > 0 }
	alone := func(q QueueFamily) bool { return compute(q) && q.Flags&vk.QueueGraphics == 0 }
	if k := slices.IndexFunc(f.QueueFamilies, alone); k >= 0 {
		return k, true
	}
	if k := slices.IndexFunc(f.QueueFamilies, compute); k >= 0 {
		return k, true
	}
	return 0, false
}

// DeviceMemory is the size of the largest device-local heap, or of the largest
// heap if none is.
func (f *Facts) DeviceMemory() uint64 {
	var local, any uint64
	for _, h := range f.Heaps {
		any = max(any, h.Size)
		if h.DeviceLocal {
			local = max(local, h.Size)
		}
	}
	if local == 0 {
		return any
	}
	return local
}

// Score ranks devices: higher is to be preferred. The kind of the device decides
// (discrete, integrated, virtual, then CPU and other), then its memory.
func (f *Facts) Score() int {
	const step = 1 << 20
	kind := map[DeviceType]int{DeviceDiscrete: 4, DeviceIntegrated: 3, DeviceVirtual: 2}[f.Type]
	if f.isSoftware() {
		kind = 0
	} else {
		kind = max(kind, 1)
	}
	mebibytes := f.DeviceMemory() >> 20
	return kind*step + int(min(mebibytes, step-1))
}

// isSoftware tells whether the "device" is the host's processor.
func (f *Facts) isSoftware() bool {
	switch f.Driver.ID {
	case DriverLavapipe, DriverSwiftShader:
		return true
	}
	return f.Type == DeviceCPU
}
