#include "shim.h"

#include <stdlib.h>

// Defined in Go (message.go): hands a message to the instances' handlers.
// A result of 1 makes the layer skip the faulty call.
extern uint32_t rrMessage(uint32_t severity, uint32_t types, char *id, char *text);

static rr_fn proc(void *getProc, uintptr_t instance, const char *name) {
  return ((rr_getProc)getProc)((rr_disp)instance, name);
}

// Looks a function up under its core name, then with the suffix of its extension.
#define LOAD(get, handle, table, field, name, alias)                                  \
  do {                                                                                \
    *(rr_fn *)&(table)->field = (get)((handle), (name));                              \
    if (!(table)->field && (alias)) *(rr_fn *)&(table)->field = (get)((handle), (alias)); \
  } while (0)

// ---- instance ----

rr_result rr_enumerate_version(void *getProc, uint32_t *version) {
  rr_result(RR_CALL * fn)(uint32_t *);
  *(rr_fn *)&fn = proc(getProc, 0, "vkEnumerateInstanceVersion");
  if (!fn) { // a Vulkan 1.0 loader
    *version = 1u << 22;
    return 0;
  }
  return fn(version);
}

rr_result rr_enumerate_layers(void *getProc, uint32_t *n, rr_LayerProperties *out) {
  rr_result(RR_CALL * fn)(uint32_t *, rr_LayerProperties *);
  *(rr_fn *)&fn = proc(getProc, 0, "vkEnumerateInstanceLayerProperties");
  return fn ? fn(n, out) : RR_ERROR_INITIALIZATION_FAILED;
}

rr_result rr_enumerate_extensions(void *getProc, const char *layer, uint32_t *n, rr_ExtensionProperties *out) {
  rr_result(RR_CALL * fn)(const char *, uint32_t *, rr_ExtensionProperties *);
  *(rr_fn *)&fn = proc(getProc, 0, "vkEnumerateInstanceExtensionProperties");
  return fn ? fn(layer, n, out) : RR_ERROR_INITIALIZATION_FAILED;
}

static uint32_t RR_CALL on_message(uint32_t severity, uint32_t types, const rr_DebugData *d, void *user) {
  (void)user;
  return rrMessage(severity, types, (char *)d->idName, (char *)d->text);
}

static rr_MessengerInfo messenger_info(const void *next) {
  rr_MessengerInfo m = {RR_ST_MESSENGER, next, 0, RR_SEVERITY_WARNING | RR_SEVERITY_ERROR,
                        RR_TYPE_GENERAL | RR_TYPE_VALIDATION | RR_TYPE_PERFORMANCE, on_message, 0};
  return m;
}

rr_result rr_create_instance(void *getProc, const rr_InstanceRequest *q, uintptr_t *instance) {
  rr_result(RR_CALL * create)(const rr_InstanceInfo *, const void *, rr_disp *);
  *(rr_fn *)&create = proc(getProc, 0, "vkCreateInstance");
  if (!create) return RR_ERROR_INITIALIZATION_FAILED;
  // Layers of today (1.4.309) look at what shaders access only when they are told to. Older ones (1.3.239) always do, and have no settings.
  uint32_t enable[1] = {RR_VALIDATION_SYNCHRONIZATION}, yes = 1;
  rr_LayerSetting setting = {"VK_LAYER_KHRONOS_validation", "syncval_shader_accesses_heuristic", RR_SETTING_BOOL32, 1, &yes};
  rr_LayerSettings settings = {RR_ST_LAYER_SETTINGS, 0, 1, &setting};
  rr_ValidationFeatures features = {RR_ST_VALIDATION_FEATURES, q->settings ? &settings : 0, 1, enable, 0, 0};
  rr_MessengerInfo messenger = messenger_info(q->synchronize ? &features : 0);
  rr_AppInfo app = {RR_ST_APPLICATION, 0, "resnet-run", 1, "resnet-run", 1, q->api};
  rr_InstanceInfo info = {RR_ST_INSTANCE, q->validate ? &messenger : 0, q->flags, &app,
                          q->layerCount, (const char *const *)q->layers, q->extCount, (const char *const *)q->exts};
  rr_disp out = 0;
  rr_result r = create(&info, 0, &out);
  *instance = (uintptr_t)out;
  return r;
}

rr_result rr_load_instance(rr_instance *t, void *getProc, uintptr_t instance, int validate) {
  rr_getProc get = (rr_getProc)getProc;
  rr_disp inst = t->instance = (rr_disp)instance;
  LOAD(get, inst, t, GetDeviceProcAddr, "vkGetDeviceProcAddr", 0);
  LOAD(get, inst, t, EnumerateDeviceExtensions, "vkEnumerateDeviceExtensionProperties", 0);
  LOAD(get, inst, t, GetQueueFamilies, "vkGetPhysicalDeviceQueueFamilyProperties", 0);
  LOAD(get, inst, t, CreateDevice, "vkCreateDevice", 0);
  LOAD(get, inst, t, GetFeatures2, "vkGetPhysicalDeviceFeatures2", "vkGetPhysicalDeviceFeatures2KHR");
  LOAD(get, inst, t, GetProperties2, "vkGetPhysicalDeviceProperties2", "vkGetPhysicalDeviceProperties2KHR");
  LOAD(get, inst, t, GetMemory2, "vkGetPhysicalDeviceMemoryProperties2", "vkGetPhysicalDeviceMemoryProperties2KHR");
  LOAD(get, inst, t, GetCoopMatrices, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR", 0);
  LOAD(get, inst, t, CreateMessenger, "vkCreateDebugUtilsMessengerEXT", 0);
  LOAD(get, inst, t, DestroyMessenger, "vkDestroyDebugUtilsMessengerEXT", 0);
  LOAD(get, inst, t, SetObjectName, "vkSetDebugUtilsObjectNameEXT", 0);
  LOAD(get, inst, t, CreateHeadless, "vkCreateHeadlessSurfaceEXT", 0);
  LOAD(get, inst, t, DestroySurface, "vkDestroySurfaceKHR", 0);
  LOAD(get, inst, t, GetSurfaceSupport, "vkGetPhysicalDeviceSurfaceSupportKHR", 0);
  LOAD(get, inst, t, GetSurfaceCapabilities, "vkGetPhysicalDeviceSurfaceCapabilitiesKHR", 0);
  LOAD(get, inst, t, GetSurfaceFormats, "vkGetPhysicalDeviceSurfaceFormatsKHR", 0);
  if (!t->GetDeviceProcAddr || !t->EnumerateDeviceExtensions || !t->GetQueueFamilies || !t->CreateDevice)
    return RR_ERROR_INITIALIZATION_FAILED;
  if (!validate) {
    t->SetObjectName = 0; // belongs to VK_EXT_debug_utils, which is enabled for validation only
    return 0;
  }
  if (!t->CreateMessenger || !t->DestroyMessenger) return RR_ERROR_EXTENSION_NOT_PRESENT;
  rr_MessengerInfo m = messenger_info(0);
  return t->CreateMessenger(inst, &m, 0, &t->messenger);
}

void rr_unload_instance(rr_instance *t) {
  if (t->messenger) t->DestroyMessenger(t->instance, t->messenger, 0);
  t->messenger = 0;
}

// ---- physical device ----

rr_result rr_device_extensions(rr_instance *t, uintptr_t physical, uint32_t *n, rr_ExtensionProperties *out) {
  return t->EnumerateDeviceExtensions((rr_disp)physical, 0, n, out);
}

void rr_queue_families(rr_instance *t, uintptr_t physical, uint32_t *n, rr_QueueFamily *out) {
  t->GetQueueFamilies((rr_disp)physical, n, out);
}

int rr_features2(rr_instance *t, uintptr_t physical, void *chain) {
  if (!t->GetFeatures2) return 0;
  t->GetFeatures2((rr_disp)physical, chain);
  return 1;
}

int rr_properties2(rr_instance *t, uintptr_t physical, void *chain) {
  if (!t->GetProperties2) return 0;
  t->GetProperties2((rr_disp)physical, chain);
  return 1;
}

int rr_memory2(rr_instance *t, uintptr_t physical, void *chain) {
  if (!t->GetMemory2) return 0;
  t->GetMemory2((rr_disp)physical, chain);
  return 1;
}

rr_result rr_coop_matrices(rr_instance *t, uintptr_t physical, uint32_t *n, rr_CoopMatrix *out) {
  if (!t->GetCoopMatrices) { // some loaders list the extension without the function
    *n = 0;
    return 0;
  }
  for (uint32_t i = 0; out && i < *n; i++) out[i].sType = RR_ST_COOP_MATRIX;
  return t->GetCoopMatrices((rr_disp)physical, n, out);
}

// ---- device ----

static int load_device(rr_instance *i, rr_device *t) {
  rr_getProc get = i->GetDeviceProcAddr;
#define NEED(field, name)                       \
  LOAD(get, t->device, t, field, name, 0);      \
  if (!t->field) return 0
  NEED(FlushRanges, "vkFlushMappedMemoryRanges");
  NEED(InvalidateRanges, "vkInvalidateMappedMemoryRanges");
  NEED(CreateShaderModule, "vkCreateShaderModule");
  NEED(CreateSetLayout, "vkCreateDescriptorSetLayout");
  NEED(CreateBufferView, "vkCreateBufferView");
  NEED(CreatePipelineLayout, "vkCreatePipelineLayout");
  NEED(CreateComputePipelines, "vkCreateComputePipelines");
  NEED(CreateCache, "vkCreatePipelineCache");
  NEED(GetCacheData, "vkGetPipelineCacheData");
  NEED(CreateDescriptorPool, "vkCreateDescriptorPool");
  NEED(AllocateSets, "vkAllocateDescriptorSets");
  NEED(UpdateSets, "vkUpdateDescriptorSets");
  NEED(CmdBindPipeline, "vkCmdBindPipeline");
  NEED(CmdBindSets, "vkCmdBindDescriptorSets");
  NEED(CmdPushConstants, "vkCmdPushConstants");
  NEED(CmdDispatch, "vkCmdDispatch");
  NEED(CmdDispatchBase, "vkCmdDispatchBase");
  NEED(CmdBarrier, "vkCmdPipelineBarrier");
  NEED(CmdCopyBuffer, "vkCmdCopyBuffer");
  NEED(GetQueryResults, "vkGetQueryPoolResults");
  NEED(QueueSubmit, "vkQueueSubmit");
  NEED(WaitForFences, "vkWaitForFences");
  NEED(ResetFences, "vkResetFences");
  NEED(GetFenceStatus, "vkGetFenceStatus");
  NEED(CreateSemaphore, "vkCreateSemaphore");
  NEED(DestroySemaphore, "vkDestroySemaphore");
  NEED(CmdCopyBufferToImage, "vkCmdCopyBufferToImage");
#undef NEED
  // Only where VK_KHR_pipeline_executable_properties is enabled.
  LOAD(get, t->device, t, GetExecutables, "vkGetPipelineExecutablePropertiesKHR", 0);
  LOAD(get, t->device, t, GetStatistics, "vkGetPipelineExecutableStatisticsKHR", 0);
  // Only where VK_KHR_swapchain is.
  LOAD(get, t->device, t, CreateSwapchain, "vkCreateSwapchainKHR", 0);
  LOAD(get, t->device, t, DestroySwapchain, "vkDestroySwapchainKHR", 0);
  LOAD(get, t->device, t, GetSwapchainImages, "vkGetSwapchainImagesKHR", 0);
  LOAD(get, t->device, t, AcquireNextImage, "vkAcquireNextImageKHR", 0);
  LOAD(get, t->device, t, QueuePresent, "vkQueuePresentKHR", 0);
  return 1;
}

rr_result rr_create_device(rr_instance *t, uintptr_t physical, uint32_t family, uint32_t queues, uint32_t extCount, char **exts, void *features, rr_device *out) {
  float *priorities = calloc(queues, sizeof *priorities);
  if (!priorities) return RR_ERROR_OUT_OF_HOST_MEMORY;
  for (uint32_t i = 0; i < queues; i++) priorities[i] = 1;
  rr_QueueInfo queue = {RR_ST_DEVICE_QUEUE, 0, 0, family, queues, priorities};
  rr_DeviceInfo info = {RR_ST_DEVICE, features, 0, 1, &queue, 0, 0, extCount, (const char *const *)exts, 0};
  rr_result r = t->CreateDevice((rr_disp)physical, &info, 0, &out->device);
  free(priorities);
  if (r != 0 || load_device(t, out)) return r;
  void(RR_CALL * destroy)(rr_disp, const void *);
  *(rr_fn *)&destroy = t->GetDeviceProcAddr(out->device, "vkDestroyDevice");
  if (destroy) destroy(out->device, 0);
  return RR_ERROR_INITIALIZATION_FAILED;
}

rr_result rr_set_name(rr_instance *i, rr_device *t, uint32_t type, uint64_t handle, const char *name) {
  if (!i->SetObjectName) return 0;
  rr_ObjectName info = {RR_ST_OBJECT_NAME, 0, type, handle, name};
  return i->SetObjectName(t->device, &info);
}

rr_result rr_flush(rr_device *t, rr_handle memory, uint64_t offset, uint64_t size) {
  rr_MappedRange r = {RR_ST_MAPPED_RANGE, 0, memory, offset, size};
  return t->FlushRanges(t->device, 1, &r);
}

rr_result rr_invalidate(rr_device *t, rr_handle memory, uint64_t offset, uint64_t size) {
  rr_MappedRange r = {RR_ST_MAPPED_RANGE, 0, memory, offset, size};
  return t->InvalidateRanges(t->device, 1, &r);
}

rr_result rr_create_shader(rr_device *t, size_t words, const uint32_t *code, rr_handle *out) {
  rr_ShaderInfo info = {RR_ST_SHADER, 0, 0, 4 * words, code};
  return t->CreateShaderModule(t->device, &info, 0, out);
}

rr_result rr_create_set_layout(rr_device *t, uint32_t n, const uint32_t *types, rr_handle *out) {
  rr_Binding *b = calloc(n ? n : 1, sizeof *b);
  if (!b) return RR_ERROR_OUT_OF_HOST_MEMORY;
  for (uint32_t i = 0; i < n; i++) b[i] = (rr_Binding){i, types[i], 1, RR_STAGE_COMPUTE, 0};
  rr_SetLayoutInfo info = {RR_ST_SET_LAYOUT, 0, 0, n, b};
  rr_result r = t->CreateSetLayout(t->device, &info, 0, out);
  free(b);
  return r;
}

rr_result rr_create_layout(rr_device *t, uint32_t n, const rr_handle *sets, uint32_t pushBytes, rr_handle *out) {
  rr_PushRange push = {RR_STAGE_COMPUTE, 0, pushBytes};
  rr_LayoutInfo info = {RR_ST_PIPELINE_LAYOUT, 0, 0, n, sets, pushBytes ? 1 : 0, &push};
  return t->CreatePipelineLayout(t->device, &info, 0, out);
}

rr_result rr_create_compute(rr_device *t, rr_handle cache, rr_handle layout, rr_handle module, const char *entry, uint32_t n, const uint32_t *spec, uint32_t subgroup, uint32_t stageFlags, uint32_t flags, rr_handle *out) {
  rr_SpecEntry *entries = calloc(n ? n : 1, sizeof *entries);
  if (!entries) return RR_ERROR_OUT_OF_HOST_MEMORY;
  for (uint32_t i = 0; i < n; i++) entries[i] = (rr_SpecEntry){i, 4 * i, 4};
  rr_SpecInfo si = {n, entries, 4 * (size_t)n, spec};
  rr_RequiredSubgroup rs = {RR_ST_REQUIRED_SUBGROUP, 0, subgroup};
  rr_StageInfo stage = {RR_ST_STAGE, subgroup ? &rs : 0, stageFlags, RR_STAGE_COMPUTE, module, entry, n ? &si : 0};
  rr_ComputeInfo info = {RR_ST_COMPUTE_PIPELINE, 0, flags, stage, layout, 0, -1};
  rr_result r = t->CreateComputePipelines(t->device, cache, 1, &info, 0, out);
  free(entries);
  return r;
}

rr_result rr_create_cache(rr_device *t, size_t size, const uint8_t *data, rr_handle *out) {
  rr_CacheInfo info = {RR_ST_PIPELINE_CACHE, 0, 0, size, size ? data : 0};
  return t->CreateCache(t->device, &info, 0, out);
}

rr_result rr_cache_data(rr_device *t, rr_handle cache, size_t *size, uint8_t *data) {
  return t->GetCacheData(t->device, cache, size, data);
}

rr_result rr_executables(rr_device *t, rr_handle pipeline, uint32_t *n, rr_ExecutableProperties *out) {
  if (!t->GetExecutables) return RR_ERROR_EXTENSION_NOT_PRESENT;
  for (uint32_t i = 0; out && i < *n; i++) out[i].sType = RR_ST_EXECUTABLE_PROPERTIES;
  rr_PipelineInfo info = {RR_ST_PIPELINE_INFO, 0, pipeline};
  return t->GetExecutables(t->device, &info, n, out);
}

rr_result rr_statistics(rr_device *t, rr_handle pipeline, uint32_t index, uint32_t *n, rr_ExecutableStatistic *out) {
  if (!t->GetStatistics) return RR_ERROR_EXTENSION_NOT_PRESENT;
  for (uint32_t i = 0; out && i < *n; i++) out[i].sType = RR_ST_EXECUTABLE_STATISTIC;
  rr_ExecutableInfo info = {RR_ST_EXECUTABLE_INFO, 0, pipeline, index};
  return t->GetStatistics(t->device, &info, n, out);
}

rr_result rr_create_descriptor_pool(rr_device *t, uint32_t sets, uint32_t buffers, uint32_t texels, rr_handle *out) {
  rr_PoolSize size[2];
  uint32_t n = 0;
  if (buffers) size[n++] = (rr_PoolSize){RR_DESCRIPTOR_STORAGE_BUFFER, buffers};
  if (texels) size[n++] = (rr_PoolSize){RR_DESCRIPTOR_UNIFORM_TEXEL_BUFFER, texels};
  rr_PoolInfo info = {RR_ST_DESCRIPTOR_POOL, 0, 0, sets, n, size};
  return t->CreateDescriptorPool(t->device, &info, 0, out);
}

rr_result rr_allocate_set(rr_device *t, rr_handle pool, rr_handle layout, rr_handle *out) {
  rr_SetAllocInfo info = {RR_ST_SET_ALLOCATE, 0, pool, 1, &layout};
  return t->AllocateSets(t->device, &info, out);
}

rr_result rr_create_buffer_view(rr_device *t, rr_handle buffer, uint32_t format, uint64_t offset, uint64_t range, rr_handle *out) {
  rr_BufferViewInfo info = {RR_ST_BUFFER_VIEW, 0, 0, buffer, format, offset, range};
  return t->CreateBufferView(t->device, &info, 0, out);
}

void rr_update_set(rr_device *t, rr_handle set, uint32_t n, const uint32_t *types, const rr_BufferRange *b, const rr_handle *views) {
  enum { chunk = 32 };
  rr_Write w[chunk];
  for (uint32_t first = 0; first < n; first += chunk) {
    uint32_t k = n - first < chunk ? n - first : chunk;
    for (uint32_t i = 0; i < k; i++)
      w[i] = (rr_Write){RR_ST_WRITE_SET, 0, set, first + i, 0, 1, types[first + i], 0, b + first + i, views + first + i};
    t->UpdateSets(t->device, k, w, 0, 0);
  }
}

// ---- commands ----

void rr_bind_pipeline(rr_device *t, uintptr_t cmd, rr_handle pipeline) {
  t->CmdBindPipeline((rr_disp)cmd, RR_BIND_COMPUTE, pipeline);
}

void rr_bind_set(rr_device *t, uintptr_t cmd, rr_handle layout, uint32_t index, rr_handle set) {
  t->CmdBindSets((rr_disp)cmd, RR_BIND_COMPUTE, layout, index, 1, &set, 0, 0);
}

void rr_push_constants(rr_device *t, uintptr_t cmd, rr_handle layout, uint32_t bytes, rr_push p) {
  t->CmdPushConstants((rr_disp)cmd, layout, RR_STAGE_COMPUTE, 0, bytes, p.words);
}

void rr_dispatch(rr_device *t, uintptr_t cmd, uint32_t x, uint32_t y, uint32_t z) {
  t->CmdDispatch((rr_disp)cmd, x, y, z);
}

void rr_dispatch_base(rr_device *t, uintptr_t cmd, const uint32_t base[3], const uint32_t groups[3]) {
  t->CmdDispatchBase((rr_disp)cmd, base[0], base[1], base[2], groups[0], groups[1], groups[2]);
}

void rr_barrier(rr_device *t, uintptr_t cmd, uint32_t srcStages, uint32_t dstStages, uint32_t srcAccess, uint32_t dstAccess) {
  rr_MemoryBarrier b = {RR_ST_MEMORY_BARRIER, 0, srcAccess, dstAccess};
  t->CmdBarrier((rr_disp)cmd, srcStages, dstStages, 0, 1, &b, 0, 0, 0, 0);
}

void rr_copy(rr_device *t, uintptr_t cmd, rr_handle src, rr_handle dst, uint32_t n, const rr_Copy *regions) {
  t->CmdCopyBuffer((rr_disp)cmd, src, dst, n, regions);
}

rr_result rr_query_results(rr_device *t, rr_handle pool, uint32_t first, uint32_t n, uint64_t *out) {
  return t->GetQueryResults(t->device, pool, first, n, 8 * (size_t)n, out, 8, RR_QUERY_64 | RR_QUERY_WAIT);
}

// ---- queue ----

static rr_result submit(rr_device *t, uintptr_t queue, rr_handle fence, uint32_t n, const uintptr_t *cmds) {
  rr_SubmitInfo info = {RR_ST_SUBMIT, 0, 0, 0, 0, n, (const rr_disp *)cmds, 0, 0};
  return t->QueueSubmit((rr_disp)queue, 1, &info, fence);
}

rr_result rr_submit(rr_device *t, uintptr_t queue, rr_handle fence, uint32_t n, rr_batch b) {
  return submit(t, queue, fence, n, b.cmds);
}

rr_result rr_submit_many(rr_device *t, uintptr_t queue, rr_handle fence, uint32_t n, const uintptr_t *cmds) {
  return submit(t, queue, fence, n, cmds);
}

rr_result rr_wait_fence(rr_device *t, rr_handle fence, uint64_t timeoutNs) {
  return t->WaitForFences(t->device, 1, &fence, 1, timeoutNs);
}

rr_result rr_reset_fence(rr_device *t, rr_handle fence) { return t->ResetFences(t->device, 1, &fence); }

rr_result rr_fence_status(rr_device *t, rr_handle fence) { return t->GetFenceStatus(t->device, fence); }
