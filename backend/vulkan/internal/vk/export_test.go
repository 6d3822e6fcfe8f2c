package vk

import (
	"fmt"
	"strings"
	"unsafe"
)

// structs pairs our structs with those of vulkan_core.h: names, then fields as
// ours=theirs, or one name where both agree.
const structs = `
rr_ExtensionProperties VkExtensionProperties name=extensionName specVersion
rr_LayerProperties VkLayerProperties name=layerName specVersion implVersion=implementationVersion description
rr_QueueFamily VkQueueFamilyProperties flags=queueFlags count=queueCount timestampBits=timestampValidBits granularity=minImageTransferGranularity
rr_AppInfo VkApplicationInfo sType next=pNext app=pApplicationName appVersion=applicationVersion engine=pEngineName engineVersion api=apiVersion
rr_InstanceInfo VkInstanceCreateInfo sType next=pNext flags app=pApplicationInfo layerCount=enabledLayerCount layers=ppEnabledLayerNames extCount=enabledExtensionCount exts=ppEnabledExtensionNames
rr_QueueInfo VkDeviceQueueCreateInfo sType next=pNext flags family=queueFamilyIndex count=queueCount priorities=pQueuePriorities
rr_DeviceInfo VkDeviceCreateInfo sType next=pNext flags queueCount=queueCreateInfoCount queues=pQueueCreateInfos layerCount=enabledLayerCount layers=ppEnabledLayerNames extCount=enabledExtensionCount exts=ppEnabledExtensionNames features=pEnabledFeatures
rr_DebugData VkDebugUtilsMessengerCallbackDataEXT sType next=pNext flags idName=pMessageIdName idNumber=messageIdNumber text=pMessage queueLabels=queueLabelCount queueLabel=pQueueLabels cmdLabels=cmdBufLabelCount cmdLabel=pCmdBufLabels objectCount objects=pObjects
rr_MessengerInfo VkDebugUtilsMessengerCreateInfoEXT sType next=pNext flags severities=messageSeverity types=messageType fn=pfnUserCallback user=pUserData
rr_PipelineInfo VkPipelineInfoKHR sType next=pNext pipeline
rr_ExecutableProperties VkPipelineExecutablePropertiesKHR sType next=pNext stages name description subgroupSize
rr_ExecutableInfo VkPipelineExecutableInfoKHR sType next=pNext pipeline index=executableIndex
rr_ExecutableStatistic VkPipelineExecutableStatisticKHR sType next=pNext name description format value
rr_ValidationFeatures VkValidationFeaturesEXT sType next=pNext enableCount=enabledValidationFeatureCount enable=pEnabledValidationFeatures disableCount=disabledValidationFeatureCount disable=pDisabledValidationFeatures
rr_ObjectName VkDebugUtilsObjectNameInfoEXT sType next=pNext type=objectType handle=objectHandle name=pObjectName
rr_Maintenance3 VkPhysicalDeviceMaintenance3Properties sType next=pNext perSet=maxPerSetDescriptors allocation=maxMemoryAllocationSize
rr_MappedRange VkMappedMemoryRange sType next=pNext memory offset size
rr_ShaderInfo VkShaderModuleCreateInfo sType next=pNext flags size=codeSize code=pCode
rr_Binding VkDescriptorSetLayoutBinding binding type=descriptorType count=descriptorCount stages=stageFlags samplers=pImmutableSamplers
rr_SetLayoutInfo VkDescriptorSetLayoutCreateInfo sType next=pNext flags count=bindingCount bindings=pBindings
rr_PushRange VkPushConstantRange stages=stageFlags offset size
rr_LayoutInfo VkPipelineLayoutCreateInfo sType next=pNext flags setCount=setLayoutCount sets=pSetLayouts pushCount=pushConstantRangeCount pushes=pPushConstantRanges
rr_SpecEntry VkSpecializationMapEntry id=constantID offset size
rr_SpecInfo VkSpecializationInfo count=mapEntryCount entries=pMapEntries size=dataSize data=pData
rr_RequiredSubgroup VkPipelineShaderStageRequiredSubgroupSizeCreateInfo sType next=pNext size=requiredSubgroupSize
rr_StageInfo VkPipelineShaderStageCreateInfo sType next=pNext flags stage module entry=pName spec=pSpecializationInfo
rr_ComputeInfo VkComputePipelineCreateInfo sType next=pNext flags stage layout base=basePipelineHandle baseIndex=basePipelineIndex
rr_CacheInfo VkPipelineCacheCreateInfo sType next=pNext flags size=initialDataSize data=pInitialData
rr_BufferViewInfo VkBufferViewCreateInfo sType next=pNext flags buffer format offset range
rr_PoolSize VkDescriptorPoolSize type count=descriptorCount
rr_PoolInfo VkDescriptorPoolCreateInfo sType next=pNext flags maxSets sizeCount=poolSizeCount sizes=pPoolSizes
rr_SetAllocInfo VkDescriptorSetAllocateInfo sType next=pNext pool=descriptorPool count=descriptorSetCount layouts=pSetLayouts
rr_BufferRange VkDescriptorBufferInfo buffer offset range
rr_Write VkWriteDescriptorSet sType next=pNext set=dstSet binding=dstBinding element=dstArrayElement count=descriptorCount type=descriptorType images=pImageInfo buffers=pBufferInfo texels=pTexelBufferView
rr_MemoryBarrier VkMemoryBarrier sType next=pNext src=srcAccessMask dst=dstAccessMask
rr_Copy VkBufferCopy src=srcOffset dst=dstOffset size
rr_SurfaceCapabilities VkSurfaceCapabilitiesKHR minImages=minImageCount maxImages=maxImageCount width=currentExtent.width height=currentExtent.height minWidth=minImageExtent.width minHeight=minImageExtent.height maxWidth=maxImageExtent.width maxHeight=maxImageExtent.height maxLayers=maxImageArrayLayers transforms=supportedTransforms transform=currentTransform alphas=supportedCompositeAlpha usages=supportedUsageFlags
rr_SurfaceFormat VkSurfaceFormatKHR format space=colorSpace
rr_HeadlessInfo VkHeadlessSurfaceCreateInfoEXT sType next=pNext flags
rr_SemaphoreInfo VkSemaphoreCreateInfo sType next=pNext flags
rr_SwapchainInfo VkSwapchainCreateInfoKHR sType next=pNext flags surface minImages=minImageCount format=imageFormat space=imageColorSpace width=imageExtent.width height=imageExtent.height layers=imageArrayLayers usage=imageUsage sharing=imageSharingMode familyCount=queueFamilyIndexCount families=pQueueFamilyIndices transform=preTransform alpha=compositeAlpha mode=presentMode clipped old=oldSwapchain
rr_PresentInfo VkPresentInfoKHR sType next=pNext waitCount=waitSemaphoreCount waits=pWaitSemaphores count=swapchainCount swapchains=pSwapchains indices=pImageIndices results=pResults
rr_ImageBarrier VkImageMemoryBarrier sType next=pNext src=srcAccessMask dst=dstAccessMask oldLayout newLayout srcFamily=srcQueueFamilyIndex dstFamily=dstQueueFamilyIndex image aspect=subresourceRange.aspectMask mip=subresourceRange.baseMipLevel mips=subresourceRange.levelCount layer=subresourceRange.baseArrayLayer layers=subresourceRange.layerCount
rr_BufferImageCopy VkBufferImageCopy offset=bufferOffset rowTexels=bufferRowLength rows=bufferImageHeight aspect=imageSubresource.aspectMask mip=imageSubresource.mipLevel layer=imageSubresource.baseArrayLayer layers=imageSubresource.layerCount x=imageOffset.x y=imageOffset.y z=imageOffset.z width=imageExtent.width height=imageExtent.height depth=imageExtent.depth
rr_SubmitInfo VkSubmitInfo sType next=pNext waitCount=waitSemaphoreCount waits=pWaitSemaphores waitStages=pWaitDstStageMask cmdCount=commandBufferCount cmds=pCommandBuffers signalCount=signalSemaphoreCount signals=pSignalSemaphores
`

// constants pairs our values with those of vulkan_core.h.
const constants = `
RR_ERROR_OUT_OF_HOST_MEMORY VK_ERROR_OUT_OF_HOST_MEMORY
RR_ERROR_INITIALIZATION_FAILED VK_ERROR_INITIALIZATION_FAILED
RR_ERROR_EXTENSION_NOT_PRESENT VK_ERROR_EXTENSION_NOT_PRESENT
RR_ST_APPLICATION VK_STRUCTURE_TYPE_APPLICATION_INFO
RR_ST_INSTANCE VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
RR_ST_DEVICE_QUEUE VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO
RR_ST_DEVICE VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO
RR_ST_SUBMIT VK_STRUCTURE_TYPE_SUBMIT_INFO
RR_ST_MAPPED_RANGE VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE
RR_ST_SEMAPHORE VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO
RR_ST_IMAGE_BARRIER VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER
RR_ST_SWAPCHAIN VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR
RR_ST_PRESENT VK_STRUCTURE_TYPE_PRESENT_INFO_KHR
RR_ST_HEADLESS_SURFACE VK_STRUCTURE_TYPE_HEADLESS_SURFACE_CREATE_INFO_EXT
RR_IMAGE_TRANSFER_DST VK_IMAGE_USAGE_TRANSFER_DST_BIT
RR_SHARING_EXCLUSIVE VK_SHARING_MODE_EXCLUSIVE
RR_PRESENT_FIFO VK_PRESENT_MODE_FIFO_KHR
RR_LAYOUT_TRANSFER_DST VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL
RR_ASPECT_COLOR VK_IMAGE_ASPECT_COLOR_BIT
RR_ST_BUFFER_VIEW VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO
RR_ST_SHADER VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO
RR_ST_PIPELINE_CACHE VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO
RR_ST_STAGE VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO
RR_ST_COMPUTE_PIPELINE VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO
RR_ST_PIPELINE_LAYOUT VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO
RR_ST_SET_LAYOUT VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO
RR_ST_DESCRIPTOR_POOL VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO
RR_ST_SET_ALLOCATE VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO
RR_ST_WRITE_SET VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET
RR_ST_MEMORY_BARRIER VK_STRUCTURE_TYPE_MEMORY_BARRIER
RR_ST_OBJECT_NAME VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT
RR_ST_MESSENGER VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT
RR_ST_REQUIRED_SUBGROUP VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO
RR_ST_PIPELINE_INFO VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR
RR_ST_EXECUTABLE_PROPERTIES VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR
RR_ST_EXECUTABLE_INFO VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR
RR_ST_EXECUTABLE_STATISTIC VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR
RR_ST_VALIDATION_FEATURES VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT
RR_STAGE_COMPUTE VK_SHADER_STAGE_COMPUTE_BIT
RR_BIND_COMPUTE VK_PIPELINE_BIND_POINT_COMPUTE
RR_DESCRIPTOR_UNIFORM_TEXEL_BUFFER VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
RR_DESCRIPTOR_STORAGE_BUFFER VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
RR_QUERY_64 VK_QUERY_RESULT_64_BIT
RR_QUERY_WAIT VK_QUERY_RESULT_WAIT_BIT
RR_SEVERITY_WARNING VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT
RR_SEVERITY_ERROR VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT
RR_TYPE_GENERAL VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT
RR_TYPE_VALIDATION VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT
RR_TYPE_PERFORMANCE VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT
RR_VALIDATION_SYNCHRONIZATION VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
`

// goConstants pairs values of Go constants with those of vulkan_core.h.
var goConstants = map[string]uint64{
	"VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2":               uint64(structTypeFeatures2),
	"VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2":             uint64(structTypeProperties2),
	"VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2":      uint64(structTypeMemoryProperties2),
	"VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES": uint64(structTypeMaintenance3),
	"VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR":           uint64(flagEnumeratePortable),
	"VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT": uint64(stageRequireFullSubgroups),
	"VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT":                        uint64(MemoryDeviceLocal),
	"VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT":                        uint64(MemoryHostVisible),
	"VK_MEMORY_PROPERTY_HOST_COHERENT_BIT":                       uint64(MemoryHostCoherent),
	"VK_MEMORY_PROPERTY_HOST_CACHED_BIT":                         uint64(MemoryHostCached),
	"VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT":                    uint64(MemoryLazilyAllocated),
	"VK_MEMORY_PROPERTY_PROTECTED_BIT":                           uint64(MemoryProtected),
	"VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD":                 uint64(MemoryDeviceCoherentAMD),
	"VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD":                 uint64(MemoryDeviceUncachedAMD),
	"VK_QUEUE_GRAPHICS_BIT":                                      uint64(QueueGraphics),
	"VK_QUEUE_COMPUTE_BIT":                                       uint64(QueueCompute),
	"VK_QUEUE_TRANSFER_BIT":                                      uint64(QueueTransfer),
	"VK_BUFFER_USAGE_TRANSFER_SRC_BIT":                           uint64(BufferTransferSrc),
	"VK_BUFFER_USAGE_TRANSFER_DST_BIT":                           uint64(BufferTransferDst),
	"VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT":                         uint64(BufferUniform),
	"VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT":                   uint64(BufferUniformTexel),
	"VK_FORMAT_R32G32B32A32_SFLOAT":                              uint64(FormatRGBA32Float),
	"VK_BUFFER_USAGE_STORAGE_BUFFER_BIT":                         uint64(BufferStorage),
	"VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT":                        uint64(BufferIndirect),
	"VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT":                          uint64(StageTopOfPipe),
	"VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT":                        uint64(StageDrawIndirect),
	"VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT":                       uint64(StageCompute),
	"VK_PIPELINE_STAGE_TRANSFER_BIT":                             uint64(StageTransfer),
	"VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT":                       uint64(StageBottomOfPipe),
	"VK_PIPELINE_STAGE_HOST_BIT":                                 uint64(StageHost),
	"VK_PIPELINE_STAGE_ALL_COMMANDS_BIT":                         uint64(StageAllCommands),
	"VK_ACCESS_INDIRECT_COMMAND_READ_BIT":                        uint64(AccessIndirectRead),
	"VK_ACCESS_UNIFORM_READ_BIT":                                 uint64(AccessUniformRead),
	"VK_ACCESS_SHADER_READ_BIT":                                  uint64(AccessShaderRead),
	"VK_ACCESS_SHADER_WRITE_BIT":                                 uint64(AccessShaderWrite),
	"VK_ACCESS_TRANSFER_READ_BIT":                                uint64(AccessTransferRead),
	"VK_ACCESS_TRANSFER_WRITE_BIT":                               uint64(AccessTransferWrite),
	"VK_ACCESS_HOST_READ_BIT":                                    uint64(AccessHostRead),
	"VK_ACCESS_HOST_WRITE_BIT":                                   uint64(AccessHostWrite),
	"VK_ACCESS_MEMORY_READ_BIT":                                  uint64(AccessMemoryRead),
	"VK_ACCESS_MEMORY_WRITE_BIT":                                 uint64(AccessMemoryWrite),
	"VK_OBJECT_TYPE_QUEUE":                                       uint64(ObjectQueue),
	"VK_OBJECT_TYPE_COMMAND_BUFFER":                              uint64(ObjectCommandBuffer),
	"VK_OBJECT_TYPE_FENCE":                                       uint64(ObjectFence),
	"VK_OBJECT_TYPE_DEVICE_MEMORY":                               uint64(ObjectMemory),
	"VK_OBJECT_TYPE_BUFFER":                                      uint64(ObjectBuffer),
	"VK_OBJECT_TYPE_SHADER_MODULE":                               uint64(ObjectShaderModule),
	"VK_OBJECT_TYPE_PIPELINE":                                    uint64(ObjectPipeline),
	"VK_OBJECT_TYPE_DESCRIPTOR_SET":                              uint64(ObjectDescriptorSet),
	"VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR":              pipelineCaptureStatistics,
	"VK_PIPELINE_CREATE_DISPATCH_BASE_BIT":                       pipelineDispatchBase,
	"VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR":         statisticBool32,
	"VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR":          statisticInt64,
	"VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR":         statisticUint64,
	"VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR":        statisticFloat64,
	"VK_FORMAT_R8G8B8A8_UNORM":                                   uint64(FormatRGBA8),
	"VK_FORMAT_R8G8B8A8_SRGB":                                    uint64(FormatRGBA8SRGB),
	"VK_FORMAT_B8G8R8A8_UNORM":                                   uint64(FormatBGRA8),
	"VK_FORMAT_B8G8R8A8_SRGB":                                    uint64(FormatBGRA8SRGB),
	"VK_FORMAT_A8B8G8R8_UNORM_PACK32":                            uint64(FormatABGR32),
	"VK_FORMAT_A8B8G8R8_SRGB_PACK32":                             uint64(FormatABGR32SRGB),
	"VK_IMAGE_LAYOUT_UNDEFINED":                                  uint64(LayoutUndefined),
	"VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL":                       uint64(LayoutTransferDst),
	"VK_IMAGE_LAYOUT_PRESENT_SRC_KHR":                            uint64(LayoutPresent),
	"VK_IMAGE_USAGE_TRANSFER_DST_BIT":                            uint64(ImageTransferDst),
	"VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR":                          uint64(AlphaOpaque),
	"VK_COMPOSITE_ALPHA_INHERIT_BIT_KHR":                         uint64(AlphaInherit),
	"VK_COLOR_SPACE_SRGB_NONLINEAR_KHR":                          uint64(spaceSRGB),
	"VK_WHOLE_SIZE":                                              WholeSize,
	"VK_API_VERSION_1_0":                                         uint64(Version10),
	"VK_API_VERSION_1_1":                                         uint64(Version11),
	"VK_API_VERSION_1_2":                                         uint64(Version12),
	"VK_API_VERSION_1_3":                                         uint64(Version13),
}

// LayoutAssertions writes everything to be compared as C.
func LayoutAssertions() string {
	var b strings.Builder
	add := func(what, ours, theirs string) {
		fmt.Fprintf(&b, "_Static_assert((%s) == (%s), \"%s\");\n", ours, theirs, what)
	}
	for line := range strings.Lines(strings.TrimSpace(structs)) {
		f := strings.Fields(line)
		ours, theirs := f[0], f[1]
		add(ours, "sizeof("+ours+")", "sizeof("+theirs+")")
		for _, pair := range f[2:] {
			o, v, two := strings.Cut(pair, "=")
			if !two {
				v = o
			}
			add(ours+"."+o, "offsetof("+ours+", "+o+")", "offsetof("+theirs+", "+v+")")
			add("size of "+ours+"."+o, "sizeof((("+ours+"*)0)->"+o+")", "sizeof((("+theirs+"*)0)->"+v+")")
		}
	}
	for line := range strings.Lines(strings.TrimSpace(constants)) {
		f := strings.Fields(line)
		add(f[0], f[0], f[1])
	}
	for name, value := range goConstants {
		add(name, fmt.Sprintf("%#xull", value), "(uint64_t)"+name)
	}
	for r, name := range resultNames {
		add(name, fmt.Sprint(int32(r)), name)
	}
	featureAssertions(&b, add)
	return b.String()
}

// featureAssertions compares the tables of features.go.
func featureAssertions(b *strings.Builder, add func(what, ours, theirs string)) {
	add("VkPhysicalDeviceFeatures", fmt.Sprint(4*coreFeatures.words), "sizeof(VkPhysicalDeviceFeatures)")
	for _, e := range coreFeatures.fields {
		add(e.name, fmt.Sprint(4*e.index), "offsetof(VkPhysicalDeviceFeatures, "+e.name+")")
	}
	for _, g := range featureGroups {
		fmt.Fprintf(b, "#ifdef %s\n", g.extension) // as old as the headers are
		add(g.cStruct, fmt.Sprint(g.sType), "VK_STRUCTURE_TYPE_"+g.cType)
		add(g.cStruct, fmt.Sprintf("(sizeof(VkBaseOutStructure) + %d + 7) & ~7ull", 4*g.words), "(sizeof("+g.cStruct+") + 7) & ~7ull")
		for _, e := range g.fields {
			add(e.name, fmt.Sprintf("sizeof(VkBaseOutStructure) + %d", 4*e.index), "offsetof("+g.cStruct+", "+e.name+")")
		}
		b.WriteString("#endif\n")
	}
	b.WriteString("#ifdef VK_EXT_layer_settings\n")
	add("rr_LayerSetting", "sizeof(rr_LayerSetting)", "sizeof(VkLayerSettingEXT)")
	add("rr_LayerSettings", "sizeof(rr_LayerSettings)", "sizeof(VkLayerSettingsCreateInfoEXT)")
	add("RR_ST_LAYER_SETTINGS", "RR_ST_LAYER_SETTINGS", "VK_STRUCTURE_TYPE_LAYER_SETTINGS_CREATE_INFO_EXT")
	add("RR_SETTING_BOOL32", "RR_SETTING_BOOL32", "VK_LAYER_SETTING_TYPE_BOOL32_EXT")
	for ours, theirs := range map[string]string{
		"rr_LayerSetting.layer": "VkLayerSettingEXT.pLayerName", "rr_LayerSetting.setting": "VkLayerSettingEXT.pSettingName", "rr_LayerSetting.type": "VkLayerSettingEXT.type",
		"rr_LayerSetting.count": "VkLayerSettingEXT.valueCount", "rr_LayerSetting.values": "VkLayerSettingEXT.pValues",
		"rr_LayerSettings.next": "VkLayerSettingsCreateInfoEXT.pNext", "rr_LayerSettings.count": "VkLayerSettingsCreateInfoEXT.settingCount",
		"rr_LayerSettings.settings": "VkLayerSettingsCreateInfoEXT.pSettings",
	} {
		add(ours, "offsetof("+strings.Replace(ours, ".", ", ", 1)+")", "offsetof("+strings.Replace(theirs, ".", ", ", 1)+")")
	}
	b.WriteString("#endif\n#ifdef VK_KHR_cooperative_matrix\n")
	add("rr_CoopMatrix", "sizeof(rr_CoopMatrix)", "sizeof(VkCooperativeMatrixPropertiesKHR)")
	add("RR_ST_COOP_MATRIX", "RR_ST_COOP_MATRIX", "VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR")
	for o, v := range map[string]string{"m": "MSize", "n": "NSize", "k": "KSize", "a": "AType", "b": "BType", "c": "CType",
		"result": "ResultType", "saturating": "saturatingAccumulation", "scope": "scope"} {
		add("rr_CoopMatrix."+o, "offsetof(rr_CoopMatrix, "+o+")", "offsetof(VkCooperativeMatrixPropertiesKHR, "+v+")")
	}
	b.WriteString("#endif\n")
	for ours, theirs := range map[int]string{824: "VkPhysicalDeviceProperties2", 520: "VkPhysicalDeviceMemoryProperties2"} {
		add(theirs, fmt.Sprintf("(int)(sizeof(%s) - sizeof(VkBaseOutStructure)) <= %d", theirs, ours), "1")
	}
}

// Internals for the tests outside the package.
var (
	LoaderNames = loaderNames
	OpenLoader  = openLoader
	InstallHint = installHint
	Check       = check
)

// FeatureChain lists the sTypes and words of the chain that enables f, and the
// extensions added.
func FeatureChain(f Features, version uint32, extensions ...string) (map[uint32][]uint32, []string) {
	c, exts := f.chain(version, extensions)
	defer c.Free()
	words := map[uint32][]uint32{}
	for p := c.head(); p != nil; p = (*chainHeader)(p).next {
		sType := (*chainHeader)(p).sType
		n := coreFeatures.words
		for _, g := range featureGroups {
			if g.sType == sType {
				n = g.words
			}
		}
		first := (*uint32)(unsafe.Add(p, unsafe.Sizeof(chainHeader{})))
		words[sType] = append([]uint32(nil), unsafe.Slice(first, n)...)
	}
	return words, exts
}

// SetCooperativeMatrixFunction replaces the driver's function, and returns what
// puts it back.
func SetCooperativeMatrixFunction(i *Instance, f unsafe.Pointer) (restore func()) {
	field := (*unsafe.Pointer)(unsafe.Pointer(&i.shared.table.GetCoopMatrices))
	old := *field
	*field = f
	return func() { *field = old }
}
