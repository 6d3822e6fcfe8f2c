// Declarations of our own for the calls that must not go through vulkan-go (see
// doc.go). Only what is used is declared. Names carry an rr_ prefix so that this
// file can stand beside any Vulkan header; layout_test.go compares every struct
// with the system's vulkan_core.h.
#ifndef RESNET_RUN_VK_SHIM_H
#define RESNET_RUN_VK_SHIM_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define RR_CALL __stdcall
#else
#define RR_CALL
#endif

typedef void *rr_disp;      // dispatchable handle: instance, device, queue, command buffer
typedef uint64_t rr_handle; // non-dispatchable handle: 64 bits on every ABI
typedef int32_t rr_result;

// Values of VkResult, VkStructureType, flag bits and other enumerations.
enum {
  RR_ERROR_OUT_OF_HOST_MEMORY = -1,
  RR_ERROR_INITIALIZATION_FAILED = -3,
  RR_ERROR_EXTENSION_NOT_PRESENT = -7,

  RR_ST_APPLICATION = 0,
  RR_ST_INSTANCE = 1,
  RR_ST_DEVICE_QUEUE = 2,
  RR_ST_DEVICE = 3,
  RR_ST_SUBMIT = 4,
  RR_ST_MAPPED_RANGE = 6,
  RR_ST_SEMAPHORE = 9,
  RR_ST_BUFFER_VIEW = 13,
  RR_ST_SHADER = 16,
  RR_ST_PIPELINE_CACHE = 17,
  RR_ST_STAGE = 18,
  RR_ST_COMPUTE_PIPELINE = 29,
  RR_ST_PIPELINE_LAYOUT = 30,
  RR_ST_SET_LAYOUT = 32,
  RR_ST_DESCRIPTOR_POOL = 33,
  RR_ST_SET_ALLOCATE = 34,
  RR_ST_WRITE_SET = 35,
  RR_ST_IMAGE_BARRIER = 45,
  RR_ST_MEMORY_BARRIER = 46,
  RR_ST_SWAPCHAIN = 1000001000,
  RR_ST_PRESENT = 1000001001,
  RR_ST_OBJECT_NAME = 1000128000,
  RR_ST_MESSENGER = 1000128004,
  RR_ST_REQUIRED_SUBGROUP = 1000225001,
  RR_ST_VALIDATION_FEATURES = 1000247000,
  RR_ST_HEADLESS_SURFACE = 1000256000,
  RR_ST_PIPELINE_INFO = 1000269001,
  RR_ST_EXECUTABLE_PROPERTIES = 1000269002,
  RR_ST_EXECUTABLE_INFO = 1000269003,
  RR_ST_EXECUTABLE_STATISTIC = 1000269004,
  RR_ST_LAYER_SETTINGS = 1000496000,
  RR_ST_COOP_MATRIX = 1000506001,

  RR_STAGE_COMPUTE = 0x20,           // VkShaderStageFlagBits
  RR_BIND_COMPUTE = 1,               // VkPipelineBindPoint
  RR_DESCRIPTOR_UNIFORM_TEXEL_BUFFER = 4, // VkDescriptorType
  RR_DESCRIPTOR_STORAGE_BUFFER = 7,
  RR_QUERY_64 = 1,                   // VkQueryResultFlagBits
  RR_QUERY_WAIT = 2,
  RR_SEVERITY_WARNING = 0x100,       // VkDebugUtilsMessageSeverityFlagBitsEXT
  RR_SEVERITY_ERROR = 0x1000,
  RR_TYPE_GENERAL = 1,               // VkDebugUtilsMessageTypeFlagBitsEXT
  RR_TYPE_VALIDATION = 2,
  RR_TYPE_PERFORMANCE = 4,
  RR_VALIDATION_SYNCHRONIZATION = 4, // VkValidationFeatureEnableEXT
  RR_SETTING_BOOL32 = 0,             // VkLayerSettingTypeEXT
  RR_IMAGE_TRANSFER_DST = 2,         // VkImageUsageFlagBits
  RR_SHARING_EXCLUSIVE = 0,          // VkSharingMode
  RR_PRESENT_FIFO = 2,               // VkPresentModeKHR
  RR_LAYOUT_TRANSFER_DST = 7,        // VkImageLayout
  RR_ASPECT_COLOR = 1,               // VkImageAspectFlagBits
};

typedef struct { char name[256]; uint32_t specVersion; } rr_ExtensionProperties;
typedef struct { char name[256]; uint32_t specVersion, implVersion; char description[256]; } rr_LayerProperties;
typedef struct { uint32_t flags, count, timestampBits, granularity[3]; } rr_QueueFamily;

typedef struct { uint32_t sType; const void *next; const char *app; uint32_t appVersion; const char *engine; uint32_t engineVersion, api; } rr_AppInfo;
typedef struct { uint32_t sType; const void *next; uint32_t flags; const rr_AppInfo *app; uint32_t layerCount; const char *const *layers; uint32_t extCount; const char *const *exts; } rr_InstanceInfo;
typedef struct { uint32_t sType; const void *next; uint32_t flags, family, count; const float *priorities; } rr_QueueInfo;
typedef struct { uint32_t sType; const void *next; uint32_t flags, queueCount; const rr_QueueInfo *queues; uint32_t layerCount; const char *const *layers; uint32_t extCount; const char *const *exts; const void *features; } rr_DeviceInfo;

typedef struct { uint32_t sType; const void *next; uint32_t flags; const char *idName; int32_t idNumber; const char *text; uint32_t queueLabels; const void *queueLabel; uint32_t cmdLabels; const void *cmdLabel; uint32_t objectCount; const void *objects; } rr_DebugData;
typedef uint32_t(RR_CALL *rr_DebugFn)(uint32_t severity, uint32_t types, const rr_DebugData *, void *user);
typedef struct { uint32_t sType; const void *next; uint32_t flags, severities, types; rr_DebugFn fn; void *user; } rr_MessengerInfo;
typedef struct { uint32_t sType; const void *next; uint32_t enableCount; const uint32_t *enable; uint32_t disableCount; const uint32_t *disable; } rr_ValidationFeatures;
typedef struct { const char *layer, *setting; uint32_t type, count; const void *values; } rr_LayerSetting;
typedef struct { uint32_t sType; const void *next; uint32_t count; const rr_LayerSetting *settings; } rr_LayerSettings;
typedef struct { uint32_t sType; const void *next; uint32_t type; uint64_t handle; const char *name; } rr_ObjectName;

typedef struct { uint32_t sType; void *next; uint32_t m, n, k, a, b, c, result, saturating, scope; } rr_CoopMatrix;

typedef struct { uint32_t sType; void *next; uint32_t perSet; uint64_t allocation; } rr_Maintenance3;

typedef struct { uint32_t sType; const void *next; rr_handle memory; uint64_t offset, size; } rr_MappedRange;
typedef struct { uint32_t sType; const void *next; uint32_t flags; size_t size; const uint32_t *code; } rr_ShaderInfo;
typedef struct { uint32_t binding, type, count, stages; const rr_handle *samplers; } rr_Binding;
typedef struct { uint32_t sType; const void *next; uint32_t flags, count; const rr_Binding *bindings; } rr_SetLayoutInfo;
typedef struct { uint32_t stages, offset, size; } rr_PushRange;
typedef struct { uint32_t sType; const void *next; uint32_t flags, setCount; const rr_handle *sets; uint32_t pushCount; const rr_PushRange *pushes; } rr_LayoutInfo;
typedef struct { uint32_t id, offset; size_t size; } rr_SpecEntry;
typedef struct { uint32_t count; const rr_SpecEntry *entries; size_t size; const void *data; } rr_SpecInfo;
typedef struct { uint32_t sType; void *next; uint32_t size; } rr_RequiredSubgroup;
typedef struct { uint32_t sType; const void *next; uint32_t flags, stage; rr_handle module; const char *entry; const rr_SpecInfo *spec; } rr_StageInfo;
typedef struct { uint32_t sType; const void *next; uint32_t flags; rr_StageInfo stage; rr_handle layout, base; int32_t baseIndex; } rr_ComputeInfo;
typedef struct { uint32_t sType; const void *next; uint32_t flags; size_t size; const void *data; } rr_CacheInfo;

typedef struct { uint32_t sType; const void *next; rr_handle pipeline; } rr_PipelineInfo;
typedef struct { uint32_t sType; void *next; uint32_t stages; char name[256], description[256]; uint32_t subgroupSize; } rr_ExecutableProperties;
typedef struct { uint32_t sType; const void *next; rr_handle pipeline; uint32_t index; } rr_ExecutableInfo;
typedef struct { uint32_t sType; void *next; char name[256], description[256]; uint32_t format; uint64_t value; } rr_ExecutableStatistic;

typedef struct { uint32_t sType; const void *next; uint32_t flags; rr_handle buffer; uint32_t format; uint64_t offset, range; } rr_BufferViewInfo;
typedef struct { uint32_t type, count; } rr_PoolSize;
typedef struct { uint32_t sType; const void *next; uint32_t flags, maxSets, sizeCount; const rr_PoolSize *sizes; } rr_PoolInfo;
typedef struct { uint32_t sType; const void *next; rr_handle pool; uint32_t count; const rr_handle *layouts; } rr_SetAllocInfo;
typedef struct { rr_handle buffer; uint64_t offset, range; } rr_BufferRange;
typedef struct { uint32_t sType; const void *next; rr_handle set; uint32_t binding, element, count, type; const void *images; const rr_BufferRange *buffers; const rr_handle *texels; } rr_Write;

typedef struct { uint32_t sType; const void *next; uint32_t src, dst; } rr_MemoryBarrier;
typedef struct { uint64_t src, dst, size; } rr_Copy;
typedef struct { uint32_t sType; const void *next; uint32_t waitCount; const rr_handle *waits; const uint32_t *waitStages; uint32_t cmdCount; const rr_disp *cmds; uint32_t signalCount; const rr_handle *signals; } rr_SubmitInfo;

typedef struct { uint32_t minImages, maxImages, width, height, minWidth, minHeight, maxWidth, maxHeight, maxLayers, transforms, transform, alphas, usages; } rr_SurfaceCapabilities;
typedef struct { uint32_t format, space; } rr_SurfaceFormat;
typedef struct { uint32_t sType; const void *next; uint32_t flags; } rr_HeadlessInfo;
typedef struct { uint32_t sType; const void *next; uint32_t flags; } rr_SemaphoreInfo;
typedef struct { uint32_t sType; const void *next; uint32_t flags; rr_handle surface; uint32_t minImages, format, space, width, height, layers, usage, sharing, familyCount; const uint32_t *families; uint32_t transform, alpha, mode, clipped; rr_handle old; } rr_SwapchainInfo;
typedef struct { uint32_t sType; const void *next; uint32_t waitCount; const rr_handle *waits; uint32_t count; const rr_handle *swapchains; const uint32_t *indices; rr_result *results; } rr_PresentInfo;
typedef struct { uint32_t sType; const void *next; uint32_t src, dst, oldLayout, newLayout, srcFamily, dstFamily; rr_handle image; uint32_t aspect, mip, mips, layer, layers; } rr_ImageBarrier;
typedef struct { uint64_t offset; uint32_t rowTexels, rows, aspect, mip, layer, layers; int32_t x, y, z; uint32_t width, height, depth; } rr_BufferImageCopy;

typedef void(RR_CALL *rr_fn)(void);
typedef rr_fn(RR_CALL *rr_getProc)(rr_disp, const char *);

// Functions of one instance.
typedef struct {
  rr_disp instance;
  rr_handle messenger;
  rr_getProc GetDeviceProcAddr;
  rr_result(RR_CALL *EnumerateDeviceExtensions)(rr_disp, const char *, uint32_t *, rr_ExtensionProperties *);
  void(RR_CALL *GetQueueFamilies)(rr_disp, uint32_t *, rr_QueueFamily *);
  rr_result(RR_CALL *CreateDevice)(rr_disp, const rr_DeviceInfo *, const void *, rr_disp *);
  void(RR_CALL *GetFeatures2)(rr_disp, void *);
  void(RR_CALL *GetProperties2)(rr_disp, void *);
  void(RR_CALL *GetMemory2)(rr_disp, void *);
  rr_result(RR_CALL *GetCoopMatrices)(rr_disp, uint32_t *, rr_CoopMatrix *);
  rr_result(RR_CALL *CreateMessenger)(rr_disp, const rr_MessengerInfo *, const void *, rr_handle *);
  void(RR_CALL *DestroyMessenger)(rr_disp, rr_handle, const void *);
  rr_result(RR_CALL *SetObjectName)(rr_disp, const rr_ObjectName *);
  // Only where the extensions of surfaces are enabled.
  rr_result(RR_CALL *CreateHeadless)(rr_disp, const rr_HeadlessInfo *, const void *, rr_handle *);
  void(RR_CALL *DestroySurface)(rr_disp, rr_handle, const void *);
  rr_result(RR_CALL *GetSurfaceSupport)(rr_disp, uint32_t, rr_handle, uint32_t *);
  rr_result(RR_CALL *GetSurfaceCapabilities)(rr_disp, rr_handle, rr_SurfaceCapabilities *);
  rr_result(RR_CALL *GetSurfaceFormats)(rr_disp, rr_handle, uint32_t *, rr_SurfaceFormat *);
} rr_instance;

// Functions of one device.
typedef struct {
  rr_disp device;
  rr_result(RR_CALL *FlushRanges)(rr_disp, uint32_t, const rr_MappedRange *);
  rr_result(RR_CALL *InvalidateRanges)(rr_disp, uint32_t, const rr_MappedRange *);
  rr_result(RR_CALL *CreateShaderModule)(rr_disp, const rr_ShaderInfo *, const void *, rr_handle *);
  rr_result(RR_CALL *CreateBufferView)(rr_disp, const rr_BufferViewInfo *, const void *, rr_handle *);
  rr_result(RR_CALL *CreateSetLayout)(rr_disp, const rr_SetLayoutInfo *, const void *, rr_handle *);
  rr_result(RR_CALL *CreatePipelineLayout)(rr_disp, const rr_LayoutInfo *, const void *, rr_handle *);
  rr_result(RR_CALL *CreateComputePipelines)(rr_disp, rr_handle, uint32_t, const rr_ComputeInfo *, const void *, rr_handle *);
  rr_result(RR_CALL *CreateCache)(rr_disp, const rr_CacheInfo *, const void *, rr_handle *);
  rr_result(RR_CALL *GetCacheData)(rr_disp, rr_handle, size_t *, void *);
  rr_result(RR_CALL *GetExecutables)(rr_disp, const rr_PipelineInfo *, uint32_t *, rr_ExecutableProperties *);
  rr_result(RR_CALL *GetStatistics)(rr_disp, const rr_ExecutableInfo *, uint32_t *, rr_ExecutableStatistic *);
  rr_result(RR_CALL *CreateDescriptorPool)(rr_disp, const rr_PoolInfo *, const void *, rr_handle *);
  rr_result(RR_CALL *AllocateSets)(rr_disp, const rr_SetAllocInfo *, rr_handle *);
  void(RR_CALL *UpdateSets)(rr_disp, uint32_t, const rr_Write *, uint32_t, const void *);
  void(RR_CALL *CmdBindPipeline)(rr_disp, uint32_t, rr_handle);
  void(RR_CALL *CmdBindSets)(rr_disp, uint32_t, rr_handle, uint32_t, uint32_t, const rr_handle *, uint32_t, const uint32_t *);
  void(RR_CALL *CmdPushConstants)(rr_disp, rr_handle, uint32_t, uint32_t, uint32_t, const void *);
  void(RR_CALL *CmdDispatch)(rr_disp, uint32_t, uint32_t, uint32_t);
  void(RR_CALL *CmdDispatchBase)(rr_disp, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
  void(RR_CALL *CmdBarrier)(rr_disp, uint32_t, uint32_t, uint32_t, uint32_t, const rr_MemoryBarrier *, uint32_t, const void *, uint32_t, const rr_ImageBarrier *);
  void(RR_CALL *CmdCopyBuffer)(rr_disp, rr_handle, rr_handle, uint32_t, const rr_Copy *);
  rr_result(RR_CALL *GetQueryResults)(rr_disp, rr_handle, uint32_t, uint32_t, size_t, void *, uint64_t, uint32_t);
  rr_result(RR_CALL *QueueSubmit)(rr_disp, uint32_t, const rr_SubmitInfo *, rr_handle);
  rr_result(RR_CALL *WaitForFences)(rr_disp, uint32_t, const rr_handle *, uint32_t, uint64_t);
  rr_result(RR_CALL *ResetFences)(rr_disp, uint32_t, const rr_handle *);
  rr_result(RR_CALL *GetFenceStatus)(rr_disp, rr_handle);
  rr_result(RR_CALL *CreateSemaphore)(rr_disp, const rr_SemaphoreInfo *, const void *, rr_handle *);
  void(RR_CALL *DestroySemaphore)(rr_disp, rr_handle, const void *);
  void(RR_CALL *CmdCopyBufferToImage)(rr_disp, rr_handle, rr_handle, uint32_t, uint32_t, const rr_BufferImageCopy *);
  // Only where VK_KHR_swapchain is enabled.
  rr_result(RR_CALL *CreateSwapchain)(rr_disp, const rr_SwapchainInfo *, const void *, rr_handle *);
  void(RR_CALL *DestroySwapchain)(rr_disp, rr_handle, const void *);
  rr_result(RR_CALL *GetSwapchainImages)(rr_disp, rr_handle, uint32_t *, rr_handle *);
  rr_result(RR_CALL *AcquireNextImage)(rr_disp, rr_handle, uint64_t, rr_handle, rr_handle, uint32_t *);
  rr_result(RR_CALL *QueuePresent)(rr_disp, const rr_PresentInfo *);
} rr_device;

// Push constants travel by value: 256 bytes, the most any known device offers.
typedef struct { uint32_t words[64]; } rr_push;
// Command buffers of one submission, by value.
typedef struct { uintptr_t cmds[16]; } rr_batch;

// What vkCreateInstance is to be asked for; strings and arrays in C memory.
typedef struct { uint32_t flags, api, validate, synchronize, settings, layerCount, extCount; char **layers, **exts; } rr_InstanceRequest;

rr_result rr_enumerate_version(void *getProc, uint32_t *version);
rr_result rr_enumerate_layers(void *getProc, uint32_t *n, rr_LayerProperties *out);
rr_result rr_enumerate_extensions(void *getProc, const char *layer, uint32_t *n, rr_ExtensionProperties *out);
rr_result rr_create_instance(void *getProc, const rr_InstanceRequest *, uintptr_t *instance);
rr_result rr_load_instance(rr_instance *, void *getProc, uintptr_t instance, int validate);
void rr_unload_instance(rr_instance *);
rr_result rr_device_extensions(rr_instance *, uintptr_t physical, uint32_t *n, rr_ExtensionProperties *out);
void rr_queue_families(rr_instance *, uintptr_t physical, uint32_t *n, rr_QueueFamily *out);
int rr_features2(rr_instance *, uintptr_t physical, void *chain);
int rr_properties2(rr_instance *, uintptr_t physical, void *chain);
int rr_memory2(rr_instance *, uintptr_t physical, void *chain);
rr_result rr_coop_matrices(rr_instance *, uintptr_t physical, uint32_t *n, rr_CoopMatrix *out);

rr_result rr_create_device(rr_instance *, uintptr_t physical, uint32_t family, uint32_t queues, uint32_t extCount, char **exts, void *features, rr_device *out);
rr_result rr_set_name(rr_instance *, rr_device *, uint32_t type, uint64_t handle, const char *name);
rr_result rr_flush(rr_device *, rr_handle memory, uint64_t offset, uint64_t size);
rr_result rr_invalidate(rr_device *, rr_handle memory, uint64_t offset, uint64_t size);
rr_result rr_create_shader(rr_device *, size_t words, const uint32_t *code, rr_handle *out);
rr_result rr_create_set_layout(rr_device *, uint32_t n, const uint32_t *types, rr_handle *out);
rr_result rr_create_layout(rr_device *, uint32_t n, const rr_handle *sets, uint32_t pushBytes, rr_handle *out);
rr_result rr_create_compute(rr_device *, rr_handle cache, rr_handle layout, rr_handle module, const char *entry, uint32_t n, const uint32_t *spec, uint32_t subgroup, uint32_t stageFlags, uint32_t flags, rr_handle *out);
rr_result rr_create_cache(rr_device *, size_t size, const uint8_t *data, rr_handle *out);
rr_result rr_cache_data(rr_device *, rr_handle cache, size_t *size, uint8_t *data);
rr_result rr_executables(rr_device *, rr_handle pipeline, uint32_t *n, rr_ExecutableProperties *out);
rr_result rr_statistics(rr_device *, rr_handle pipeline, uint32_t index, uint32_t *n, rr_ExecutableStatistic *out);
rr_result rr_create_descriptor_pool(rr_device *, uint32_t sets, uint32_t buffers, uint32_t texels, rr_handle *out);
rr_result rr_create_buffer_view(rr_device *, rr_handle buffer, uint32_t format, uint64_t offset, uint64_t range, rr_handle *out);
rr_result rr_allocate_set(rr_device *, rr_handle pool, rr_handle layout, rr_handle *out);
void rr_update_set(rr_device *, rr_handle set, uint32_t n, const uint32_t *types, const rr_BufferRange *, const rr_handle *views);

void rr_bind_pipeline(rr_device *, uintptr_t cmd, rr_handle pipeline);
void rr_bind_set(rr_device *, uintptr_t cmd, rr_handle layout, uint32_t index, rr_handle set);
void rr_push_constants(rr_device *, uintptr_t cmd, rr_handle layout, uint32_t bytes, rr_push);
void rr_dispatch(rr_device *, uintptr_t cmd, uint32_t x, uint32_t y, uint32_t z);
void rr_dispatch_base(rr_device *, uintptr_t cmd, const uint32_t base[3], const uint32_t groups[3]);
void rr_barrier(rr_device *, uintptr_t cmd, uint32_t srcStages, uint32_t dstStages, uint32_t srcAccess, uint32_t dstAccess);
void rr_copy(rr_device *, uintptr_t cmd, rr_handle src, rr_handle dst, uint32_t n, const rr_Copy *);
rr_result rr_query_results(rr_device *, rr_handle pool, uint32_t first, uint32_t n, uint64_t *out);
rr_result rr_submit(rr_device *, uintptr_t queue, rr_handle fence, uint32_t n, rr_batch);
rr_result rr_submit_many(rr_device *, uintptr_t queue, rr_handle fence, uint32_t n, const uintptr_t *cmds);
rr_result rr_wait_fence(rr_device *, rr_handle fence, uint64_t timeoutNs);
rr_result rr_reset_fence(rr_device *, rr_handle fence);
rr_result rr_fence_status(rr_device *, rr_handle fence);

rr_result rr_create_headless(rr_instance *, rr_handle *out);
void rr_destroy_surface(rr_instance *, rr_handle surface);
rr_result rr_surface_support(rr_instance *, uintptr_t physical, uint32_t family, rr_handle surface, uint32_t *out);
rr_result rr_surface_capabilities(rr_instance *, uintptr_t physical, rr_handle surface, rr_SurfaceCapabilities *out);
rr_result rr_surface_formats(rr_instance *, uintptr_t physical, rr_handle surface, uint32_t *n, rr_SurfaceFormat *out);
rr_result rr_create_semaphore(rr_device *, rr_handle *out);
void rr_destroy_semaphore(rr_device *, rr_handle semaphore);
rr_result rr_create_swapchain(rr_device *, rr_handle surface, uint32_t minImages, rr_SurfaceFormat format, uint32_t width, uint32_t height, uint32_t transform, uint32_t alpha, rr_handle old, rr_handle *out);
void rr_destroy_swapchain(rr_device *, rr_handle swapchain);
rr_result rr_swapchain_images(rr_device *, rr_handle swapchain, uint32_t *n, rr_handle *out);
rr_result rr_acquire(rr_device *, rr_handle swapchain, uint64_t timeoutNs, rr_handle semaphore, uint32_t *index);
rr_result rr_present(rr_device *, uintptr_t queue, rr_handle swapchain, uint32_t index, rr_handle wait);
rr_result rr_submit_between(rr_device *, uintptr_t queue, rr_handle fence, rr_handle wait, uint32_t waitStages, uintptr_t cmd, rr_handle signal);
void rr_image_barrier(rr_device *, uintptr_t cmd, uint32_t srcStages, uint32_t dstStages, uint32_t srcAccess, uint32_t dstAccess, rr_handle image, uint32_t oldLayout, uint32_t newLayout);
void rr_copy_to_image(rr_device *, uintptr_t cmd, rr_handle buffer, rr_handle image, uint32_t width, uint32_t height);

#endif
