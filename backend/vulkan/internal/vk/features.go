package vk

// #include "shim.h"
import "C"

import (
	"slices"

	vulkan "github.com/vulkan-go/vulkan"
)

// Features are the optional abilities of a device that this project may use.
// The names are those of the specification. The same struct tells what a device
// has and what is to be enabled.
type Features struct {
	RobustBufferAccess bool `json:"robustBufferAccess"`
	ShaderFloat64      bool `json:"shaderFloat64"`
	ShaderInt64        bool `json:"shaderInt64"`
	ShaderInt16        bool `json:"shaderInt16"`

	StorageBuffer16BitAccess           bool `json:"storageBuffer16BitAccess"`
	UniformAndStorageBuffer16BitAccess bool `json:"uniformAndStorageBuffer16BitAccess"`
	StoragePushConstant16              bool `json:"storagePushConstant16"`
	StorageBuffer8BitAccess            bool `json:"storageBuffer8BitAccess"`
	UniformAndStorageBuffer8BitAccess  bool `json:"uniformAndStorageBuffer8BitAccess"`
	StoragePushConstant8               bool `json:"storagePushConstant8"`
	ShaderFloat16                      bool `json:"shaderFloat16"`
	ShaderInt8                         bool `json:"shaderInt8"`
	TimelineSemaphore                  bool `json:"timelineSemaphore"`
	VulkanMemoryModel                  bool `json:"vulkanMemoryModel"`
	VulkanMemoryModelDeviceScope       bool `json:"vulkanMemoryModelDeviceScope"`
	ShaderSubgroupExtendedTypes        bool `json:"shaderSubgroupExtendedTypes"`
	SubgroupSizeControl                bool `json:"subgroupSizeControl"`
	ComputeFullSubgroups               bool `json:"computeFullSubgroups"`
	ShaderIntegerDotProduct            bool `json:"shaderIntegerDotProduct"`
	Synchronization2                   bool `json:"synchronization2"`
	Maintenance4                       bool `json:"maintenance4"`
	CooperativeMatrix                  bool `json:"cooperativeMatrix"`
	PipelineExecutableInfo             bool `json:"pipelineExecutableInfo"`
}

// featureField is one VkBool32 of a feature struct.
type featureField struct {
	index int    // among the struct's VkBool32s
	name  string // the field's C name
	of    func(*Features) *bool
}

// featureGroup is one feature struct.
type featureGroup struct {
	cStruct   string
	cType     string // its VkStructureType by name
	sType     uint32
	words     int    // number of VkBool32
	extension string // which brought it
	core      uint32 // the version that made it core, 0 if none
	fields    []featureField
}

// coreFeatures is VkPhysicalDeviceFeatures, without header.
var coreFeatures = featureGroup{
	cStruct: "VkPhysicalDeviceFeatures", words: 55, core: Version10,
	fields: []featureField{
		{0, "robustBufferAccess", func(f *Features) *bool { return &f.RobustBufferAccess }},
		{39, "shaderFloat64", func(f *Features) *bool { return &f.ShaderFloat64 }},
		{40, "shaderInt64", func(f *Features) *bool { return &f.ShaderInt64 }},
		{41, "shaderInt16", func(f *Features) *bool { return &f.ShaderInt16 }},
	},
}

// featureGroups are the structs of later versions. The single structs are used,
// not VkPhysicalDeviceVulkan12Features and its like, as the two must not be mixed.
var featureGroups = []featureGroup{
	{"VkPhysicalDevice16BitStorageFeatures", "PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES", 1000083000, 4, "VK_KHR_16bit_storage", Version11, []featureField{
		{0, "storageBuffer16BitAccess", func(f *Features) *bool { return &f.StorageBuffer16BitAccess }},
		{1, "uniformAndStorageBuffer16BitAccess", func(f *Features) *bool { return &f.UniformAndStorageBuffer16BitAccess }},
		{2, "storagePushConstant16", func(f *Features) *bool { return &f.StoragePushConstant16 }},
	}},
	{"VkPhysicalDevice8BitStorageFeatures", "PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES", 1000177000, 3, "VK_KHR_8bit_storage", Version12, []featureField{
		{0, "storageBuffer8BitAccess", func(f *Features) *bool { return &f.StorageBuffer8BitAccess }},
		{1, "uniformAndStorageBuffer8BitAccess", func(f *Features) *bool { return &f.UniformAndStorageBuffer8BitAccess }},
		{2, "storagePushConstant8", func(f *Features) *bool { return &f.StoragePushConstant8 }},
	}},
	{"VkPhysicalDeviceShaderFloat16Int8Features", "PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES", 1000082000, 2, "VK_KHR_shader_float16_int8", Version12, []featureField{
		{0, "shaderFloat16", func(f *Features) *bool { return &f.ShaderFloat16 }},
		{1, "shaderInt8", func(f *Features) *bool { return &f.ShaderInt8 }},
	}},
	{"VkPhysicalDeviceTimelineSemaphoreFeatures", "PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES", 1000207000, 1, "VK_KHR_timeline_semaphore", Version12, []featureField{
		{0, "timelineSemaphore", func(f *Features) *bool { return &f.TimelineSemaphore }},
	}},
	{"VkPhysicalDeviceVulkanMemoryModelFeatures", "PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES", 1000211000, 3, "VK_KHR_vulkan_memory_model", Version12, []featureField{
		{0, "vulkanMemoryModel", func(f *Features) *bool { return &f.VulkanMemoryModel }},
		{1, "vulkanMemoryModelDeviceScope", func(f *Features) *bool { return &f.VulkanMemoryModelDeviceScope }},
	}},
	{"VkPhysicalDeviceShaderSubgroupExtendedTypesFeatures", "PHYSICAL_DEVICE_SHADER_SUBGROUP_EXTENDED_TYPES_FEATURES", 1000175000, 1, "VK_KHR_shader_subgroup_extended_types", Version12, []featureField{
		{0, "shaderSubgroupExtendedTypes", func(f *Features) *bool { return &f.ShaderSubgroupExtendedTypes }},
	}},
	{"VkPhysicalDeviceSubgroupSizeControlFeatures", "PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES", 1000225002, 2, "VK_EXT_subgroup_size_control", Version13, []featureField{
		{0, "subgroupSizeControl", func(f *Features) *bool { return &f.SubgroupSizeControl }},
		{1, "computeFullSubgroups", func(f *Features) *bool { return &f.ComputeFullSubgroups }},
	}},
	{"VkPhysicalDeviceShaderIntegerDotProductFeatures", "PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES", 1000280000, 1, "VK_KHR_shader_integer_dot_product", Version13, []featureField{
		{0, "shaderIntegerDotProduct", func(f *Features) *bool { return &f.ShaderIntegerDotProduct }},
	}},
	{"VkPhysicalDeviceSynchronization2Features", "PHYSICAL_DEVICE_SYNCHRONIZATION_2_FEATURES", 1000314007, 1, "VK_KHR_synchronization2", Version13, []featureField{
		{0, "synchronization2", func(f *Features) *bool { return &f.Synchronization2 }},
	}},
	{"VkPhysicalDeviceMaintenance4Features", "PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES", 1000413000, 1, "VK_KHR_maintenance4", Version13, []featureField{
		{0, "maintenance4", func(f *Features) *bool { return &f.Maintenance4 }},
	}},
	{"VkPhysicalDeviceCooperativeMatrixFeaturesKHR", "PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR", 1000506000, 2, "VK_KHR_cooperative_matrix", 0, []featureField{
		{0, "cooperativeMatrix", func(f *Features) *bool { return &f.CooperativeMatrix }},
	}},
	{"VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR", "PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR", 1000269000, 1, "VK_KHR_pipeline_executable_properties", 0, []featureField{
		{0, "pipelineExecutableInfo", func(f *Features) *bool { return &f.PipelineExecutableInfo }},
	}},
}

// usable tells whether a device of the given version and extensions knows g.
func (g *featureGroup) usable(version uint32, extensions []string) bool {
	return g.core != 0 && version >= g.core || slices.Contains(extensions, g.extension)
}

// wanted tells whether f has a feature of g.
func (g *featureGroup) wanted(f *Features) bool {
	return slices.ContainsFunc(g.fields, func(e featureField) bool { return *e.of(f) })
}

// store copies g's features from f into the words of the C struct, load back.
func (g *featureGroup) store(words []uint32, f *Features) {
	for _, e := range g.fields {
		if *e.of(f) {
			words[e.index] = 1
		}
	}
}

func (g *featureGroup) load(f *Features, words []uint32) {
	for _, e := range g.fields {
		*e.of(f) = words[e.index] != 0
	}
}

// Features reads what pd has. extensions are those of [Instance.DeviceExtensions].
func (i *Instance) Features(pd PhysicalDevice, extensions []string) Features {
	var f Features
	version := i.DeviceVersion(pd)
	if version < Version11 {
		var core vulkan.PhysicalDeviceFeatures
		vulkan.GetPhysicalDeviceFeatures(cast[vulkan.PhysicalDevice](pd), &core)
		core.Deref()
		core.Free()
		f.RobustBufferAccess = core.RobustBufferAccess != 0
		f.ShaderFloat64 = core.ShaderFloat64 != 0
		f.ShaderInt64 = core.ShaderInt64 != 0
		f.ShaderInt16 = core.ShaderInt16 != 0
		return f
	}
	var c Chain
	defer c.Free()
	coreWords := c.AddWords(structTypeFeatures2, coreFeatures.words)
	words := make([][]uint32, len(featureGroups))
	for k := range featureGroups {
		if g := &featureGroups[k]; g.usable(version, extensions) {
			words[k] = c.AddWords(g.sType, g.words)
		}
	}
	C.rr_features2(i.shared.table, C.uintptr_t(pd), c.head())
	coreFeatures.load(&f, coreWords)
	for k := range featureGroups {
		if words[k] != nil {
			featureGroups[k].load(&f, words[k])
		}
	}
	return f
}

// DeviceVersion is the highest Vulkan version whose functions and structs may be
// used with pd: its own, unless the instance is older.
func (i *Instance) DeviceVersion(pd PhysicalDevice) uint32 {
	return min(i.Properties(pd).APIVersion, i.shared.version)
}

// chain builds the pNext chain that enables exactly f on a device of the given
// version, and adds to extensions those that bring a feature.
func (f Features) chain(version uint32, extensions []string) (*Chain, []string) {
	c := new(Chain)
	coreFeatures.store(c.AddWords(structTypeFeatures2, coreFeatures.words), &f)
	for k := range featureGroups {
		g := &featureGroups[k]
		if !g.wanted(&f) {
			continue
		}
		g.store(c.AddWords(g.sType, g.words), &f)
		if (g.core == 0 || version < g.core) && !slices.Contains(extensions, g.extension) {
			extensions = append(extensions, g.extension)
		}
	}
	return c, extensions
}
