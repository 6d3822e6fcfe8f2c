package facts

// Struct is one that read.go decodes.
type Struct struct {
	Name, TypeName string
	Type, Payload  int
	Offsets        map[string]int // in bytes, after the header
}

// Structs lists what read.go assumes about C structs.
func Structs() []Struct {
	return []Struct{
		{"VkPhysicalDeviceIDProperties", "PHYSICAL_DEVICE_ID_PROPERTIES", typeIDProperties, 48, map[string]int{"deviceUUID": 0, "driverUUID": 16}},
		{"VkPhysicalDeviceSubgroupProperties", "PHYSICAL_DEVICE_SUBGROUP_PROPERTIES", typeSubgroupProperties, 16,
			map[string]int{"subgroupSize": 0, "supportedStages": 4, "supportedOperations": 8}},
		{"VkPhysicalDeviceDriverProperties", "PHYSICAL_DEVICE_DRIVER_PROPERTIES", typeDriverProperties, 520,
			map[string]int{"driverID": 0, "driverName": 4, "driverInfo": 260, "conformanceVersion": 516}},
		{"VkPhysicalDeviceSubgroupSizeControlProperties", "PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES", typeSubgroupSizeProperties, 16,
			map[string]int{"minSubgroupSize": 0, "maxSubgroupSize": 4, "maxComputeWorkgroupSubgroups": 8, "requiredSubgroupSizeStages": 12}},
		{"VkPhysicalDeviceShaderSMBuiltinsPropertiesNV", "PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV", typeSMBuiltinsProperties, 8, map[string]int{"shaderSMCount": 0}},
		{"VkPhysicalDeviceShaderCoreProperties2AMD", "PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD", typeCoreProperties2, 8, map[string]int{"activeComputeUnitCount": 4}},
		{"VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM", "PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM", typeCoreBuiltinsProperties, 16, map[string]int{"shaderCoreCount": 8}},
		{"VkPhysicalDeviceMemoryBudgetPropertiesEXT", "PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT", typeMemoryBudget, 256, map[string]int{"heapBudget": 0, "heapUsage": 128}},
		{"VkPhysicalDeviceShaderIntegerDotProductProperties", "PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES", typeDotProductProperties, 120,
			map[string]int{
				"integerDotProduct8BitUnsignedAccelerated": 0, "integerDotProduct8BitSignedAccelerated": 4,
				"integerDotProduct4x8BitPackedUnsignedAccelerated": 12, "integerDotProduct4x8BitPackedSignedAccelerated": 16,
				"integerDotProductAccumulatingSaturating4x8BitPackedSignedAccelerated": 4 * 19,
			}},
	}
}

// Decoders, for imaginary devices.
var (
	SubgroupOf   = subgroupOf
	DriverOf     = driverOf
	DotProductOf = dotProductOf

	MultiprocessorsOf = multiprocessorsOf
)
