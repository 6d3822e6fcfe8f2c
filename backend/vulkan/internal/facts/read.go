package facts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// Values of VkStructureType.
const (
	typeIDProperties           = 1000071004
	typeSubgroupProperties     = 1000094000
	typeSMBuiltinsProperties   = 1000154001
	typeDriverProperties       = 1000196000
	typeSubgroupSizeProperties = 1000225000
	typeCoreProperties2        = 1000227000
	typeMemoryBudget           = 1000237000
	typeDotProductProperties   = 1000280001
	typeCoreBuiltinsProperties = 1000497001
)

// Read takes the snapshot of pd. What an old driver cannot say stays zero.
func Read(inst *vk.Instance, pd vk.PhysicalDevice) (Facts, error) {
	p := inst.Properties(pd)
	exts, err := inst.DeviceExtensions(pd)
	if err != nil {
		return Facts{}, fmt.Errorf("read facts of %s: %w", p.Name, err)
	}
	f := Facts{
		Name: p.Name, Type: DeviceType(p.DeviceType), VendorID: p.VendorID, DeviceID: p.DeviceID,
		APIVersion: Version(p.APIVersion), Usable: Version(inst.DeviceVersion(pd)),
		Driver:            Driver{Version: p.DriverVersion},
		PipelineCacheUUID: p.PipelineCacheUUID,
		Limits:            limits(p),
		Extensions:        exts,
		Features:          inst.Features(pd, exts),
	}
	f.Portability = f.HasExtension("VK_KHR_portability_subset")
	types, heaps := inst.Memory(pd)
	for _, t := range types {
		f.MemoryTypes = append(f.MemoryTypes, MemoryType(t))
	}
	for _, h := range heaps {
		f.Heaps = append(f.Heaps, Heap{Size: h.Size, DeviceLocal: h.DeviceLocal})
	}
	for _, q := range inst.QueueFamilies(pd) {
		f.QueueFamilies = append(f.QueueFamilies, QueueFamily(q))
	}
	if uint32(f.Usable) >= vk.Version11 {
		f.readProperties(inst, pd)
		f.Heaps = ReadHeaps(inst, pd, &f)
		f.Limits.MaxMemoryAllocationSize = inst.MaxAllocation(pd)
	}
	if f.Limits.MaxMemoryAllocationSize == 0 {
		for _, h := range f.Heaps {
			f.Limits.MaxMemoryAllocationSize = max(f.Limits.MaxMemoryAllocationSize, h.Size)
		}
	}
	if f.Features.CooperativeMatrix {
		shapes, err := inst.CooperativeMatrices(pd)
		if err != nil {
			return Facts{}, fmt.Errorf("read facts of %s: %w", p.Name, err)
		}
		f.CoopMatrices = matrices(shapes)
	}
	return f, nil
}

// ReadAll takes the snapshots of all devices of the instance, best first by
// [Facts.Score], in the driver's order where scores are equal. The handles are
// in the same order.
func ReadAll(inst *vk.Instance) ([]Facts, []vk.PhysicalDevice, error) {
	handles, err := inst.PhysicalDevices()
	if err != nil {
		return nil, nil, err
	}
	type device struct {
		facts  Facts
		handle vk.PhysicalDevice
	}
	var all []device
	for _, pd := range handles {
		f, err := Read(inst, pd)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, device{f, pd})
	}
	slices.SortStableFunc(all, func(a, b device) int { return b.facts.Score() - a.facts.Score() })
	out := make([]Facts, len(all))
	for k, d := range all {
		out[k], handles[k] = d.facts, d.handle
	}
	return out, handles, nil
}

func limits(p vk.Properties) Limits {
	return Limits{
		MaxStorageBufferRange:               uint64(p.MaxStorageBufferRange),
		MaxMemoryAllocationCount:            p.MaxMemoryAllocationCount,
		MinStorageBufferOffsetAlignment:     p.MinStorageBufferOffsetAlignment,
		MinTexelBufferOffsetAlignment:       p.MinTexelBufferOffsetAlignment,
		MaxTexelBufferElements:              p.MaxTexelBufferElements,
		MinMemoryMapAlignment:               p.MinMemoryMapAlignment,
		NonCoherentAtomSize:                 p.NonCoherentAtomSize,
		BufferImageGranularity:              p.BufferImageGranularity,
		MaxPushConstantsSize:                p.MaxPushConstantsSize,
		MaxComputeWorkgroupCount:            p.MaxComputeWorkGroupCount,
		MaxComputeWorkgroupSize:             p.MaxComputeWorkGroupSize,
		MaxComputeWorkgroupInvocations:      p.MaxComputeWorkGroupInvocations,
		MaxComputeSharedMemorySize:          p.MaxComputeSharedMemorySize,
		MaxPerStageDescriptorStorageBuffers: p.MaxPerStageDescriptorStorageBuffers,
		MaxDescriptorSetStorageBuffers:      p.MaxDescriptorSetStorageBuffers,
		MaxPerStageResources:                p.MaxPerStageResources,
		MaxBoundDescriptorSets:              p.MaxBoundDescriptorSets,
		TimestampPeriod:                     float64(p.TimestampPeriod),
	}
}

// knows tells whether the device has what came with an extension and became
// core in a version.
func (f *Facts) knows(core uint32, extension string) bool {
	return uint32(f.Usable) >= core || f.HasExtension(extension)
}

// readProperties reads the structs of properties newer than Vulkan 1.0.
func (f *Facts) readProperties(inst *vk.Instance, pd vk.PhysicalDevice) {
	var c vk.Chain
	defer c.Free()
	ids := c.Add(typeIDProperties, 48)
	subgroup := c.AddWords(typeSubgroupProperties, 4)
	var driver []byte
	if f.knows(vk.Version12, "VK_KHR_driver_properties") {
		driver = c.Add(typeDriverProperties, 520)
	}
	var sizes, dots []uint32
	if f.knows(vk.Version13, "VK_EXT_subgroup_size_control") {
		sizes = c.AddWords(typeSubgroupSizeProperties, 4)
	}
	if f.knows(vk.Version13, "VK_KHR_shader_integer_dot_product") {
		dots = c.AddWords(typeDotProductProperties, 30)
	}
	cores := make([][]uint32, len(coreCounts))
	for i, k := range coreCounts {
		if f.HasExtension(k.extension) {
			cores[i] = c.AddWords(k.structure, k.words)
		}
	}
	if !inst.QueryProperties(pd, &c) {
		return
	}
	f.DeviceUUID, f.DriverUUID = UUID(ids[0:16]), UUID(ids[16:32])
	f.Subgroup = subgroupOf(subgroup, sizes, f.Features.SubgroupSizeControl)
	if driver != nil {
		f.Driver = driverOf(driver, f.Driver.Version)
	}
	if dots != nil {
		f.DotProduct = dotProductOf(dots)
	}
	f.Multiprocessors = multiprocessorsOf(cores)
}

// coreCounts are the extensions of vendors that tell how many multiprocessors a device has, and the word of their struct that does.
var coreCounts = []struct {
	extension   string
	structure   uint32
	words, word int
}{
	{"VK_NV_shader_sm_builtins", typeSMBuiltinsProperties, 2, 0},
	{"VK_AMD_shader_core_properties2", typeCoreProperties2, 2, 1},
	{"VK_ARM_shader_core_builtins", typeCoreBuiltinsProperties, 4, 2},
}

// multiprocessorsOf takes the structs of coreCounts, nil where the device has not the extension.
func multiprocessorsOf(structs [][]uint32) int {
	for i, w := range structs {
		if w != nil && w[coreCounts[i].word] < 1<<16 { // else nonsense
			return int(w[coreCounts[i].word])
		}
	}
	return 0
}

// driverOf decodes VkPhysicalDeviceDriverProperties after its header: an id, two
// strings of 256 bytes, four bytes of version.
func driverOf(b []byte, version uint32) Driver {
	return Driver{
		Version:     version,
		ID:          DriverID(binary.NativeEndian.Uint32(b)),
		Name:        cString(b[4:260]),
		Info:        cString(b[260:516]),
		Conformance: [4]uint8(b[516:520]),
	}
}

// subgroupOf decodes VkPhysicalDeviceSubgroupProperties (size, stages,
// operations, quads in all stages) and, unless nil, the properties of size
// control (min, max, most subgroups in a workgroup, stages).
func subgroupOf(base, sizes []uint32, sizeControl bool) Subgroup {
	s := Subgroup{Size: base[0], Stages: base[1], Operations: SubgroupOps(base[2]), Min: base[0], Max: base[0]}
	if sizes != nil && sizes[0] != 0 && sizes[1] >= sizes[0] {
		const computeStage = 0x20
		s.Min, s.Max, s.MaxWorkgroupSubgroups = sizes[0], sizes[1], sizes[2]
		s.RequiredSize = sizeControl && sizes[3]&computeStage != 0
	}
	return s
}

// dotProductOf decodes VkPhysicalDeviceShaderIntegerDotProductProperties.
func dotProductOf(w []uint32) DotProduct {
	return DotProduct{
		Int8Unsigned:               w[0] != 0,
		Int8Signed:                 w[1] != 0,
		PackedInt8Unsigned:         w[3] != 0,
		PackedInt8Signed:           w[4] != 0,
		PackedInt8SignedSaturating: w[19] != 0,
	}
}

// ReadHeaps returns the heaps of f with what this process may use of each now, and does use: both change all the time. They are
// zero without VK_EXT_memory_budget.
func ReadHeaps(inst *vk.Instance, pd vk.PhysicalDevice, f *Facts) []Heap {
	heaps := slices.Clone(f.Heaps)
	if uint32(f.Usable) < vk.Version11 || !f.HasExtension("VK_EXT_memory_budget") {
		return heaps
	}
	const most = 16 // VK_MAX_MEMORY_HEAPS
	var c vk.Chain
	defer c.Free()
	b := c.Add(typeMemoryBudget, 2*8*most)
	if !inst.QueryMemory(pd, &c) {
		return heaps
	}
	for k := range heaps {
		heaps[k].Budget = binary.NativeEndian.Uint64(b[8*k:])
		heaps[k].Usage = binary.NativeEndian.Uint64(b[8*(most+k):])
	}
	return heaps
}

func matrices(shapes []vk.CooperativeMatrix) []CooperativeMatrix {
	var out []CooperativeMatrix
	for _, s := range shapes {
		out = append(out, CooperativeMatrix{
			M: s.M, N: s.N, K: s.K,
			A: ComponentType(s.AType), B: ComponentType(s.BType), C: ComponentType(s.CType), Result: ComponentType(s.Result),
			Saturating: s.Saturating, Scope: Scope(s.Scope),
		})
	}
	return out
}

// cString returns the bytes before the first zero.
func cString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
