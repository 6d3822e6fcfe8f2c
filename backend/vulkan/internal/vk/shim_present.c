#include "shim.h"

// What is shown on a screen: surfaces, swapchains, and copies to their images.

// ---- surface ----

rr_result rr_create_headless(rr_instance *t, rr_handle *out) {
  rr_HeadlessInfo info = {RR_ST_HEADLESS_SURFACE, 0, 0};
  return t->CreateHeadless ? t->CreateHeadless(t->instance, &info, 0, out) : RR_ERROR_EXTENSION_NOT_PRESENT;
}

void rr_destroy_surface(rr_instance *t, rr_handle surface) {
  if (surface) t->DestroySurface(t->instance, surface, 0);
}

rr_result rr_surface_support(rr_instance *t, uintptr_t physical, uint32_t family, rr_handle surface, uint32_t *out) {
  if (!t->GetSurfaceSupport) return RR_ERROR_EXTENSION_NOT_PRESENT;
  return t->GetSurfaceSupport((rr_disp)physical, family, surface, out);
}

rr_result rr_surface_capabilities(rr_instance *t, uintptr_t physical, rr_handle surface, rr_SurfaceCapabilities *out) {
  if (!t->GetSurfaceCapabilities) return RR_ERROR_EXTENSION_NOT_PRESENT;
  return t->GetSurfaceCapabilities((rr_disp)physical, surface, out);
}

rr_result rr_surface_formats(rr_instance *t, uintptr_t physical, rr_handle surface, uint32_t *n, rr_SurfaceFormat *out) {
  if (!t->GetSurfaceFormats) return RR_ERROR_EXTENSION_NOT_PRESENT;
  return t->GetSurfaceFormats((rr_disp)physical, surface, n, out);
}

// ---- swapchain ----

rr_result rr_create_semaphore(rr_device *t, rr_handle *out) {
  rr_SemaphoreInfo info = {RR_ST_SEMAPHORE, 0, 0};
  return t->CreateSemaphore(t->device, &info, 0, out);
}

void rr_destroy_semaphore(rr_device *t, rr_handle semaphore) { t->DestroySemaphore(t->device, semaphore, 0); }

rr_result rr_create_swapchain(rr_device *t, rr_handle surface, uint32_t minImages, rr_SurfaceFormat format, uint32_t width, uint32_t height, uint32_t transform, uint32_t alpha, rr_handle old, rr_handle *out) {
  if (!t->CreateSwapchain || !t->DestroySwapchain || !t->GetSwapchainImages || !t->AcquireNextImage || !t->QueuePresent)
    return RR_ERROR_EXTENSION_NOT_PRESENT;
  rr_SwapchainInfo info = {RR_ST_SWAPCHAIN, 0, 0, surface, minImages, format.format, format.space, width, height, 1,
                           RR_IMAGE_TRANSFER_DST, RR_SHARING_EXCLUSIVE, 0, 0, transform, alpha, RR_PRESENT_FIFO, 1, old};
  return t->CreateSwapchain(t->device, &info, 0, out);
}

void rr_destroy_swapchain(rr_device *t, rr_handle swapchain) {
  if (swapchain) t->DestroySwapchain(t->device, swapchain, 0);
}

rr_result rr_swapchain_images(rr_device *t, rr_handle swapchain, uint32_t *n, rr_handle *out) {
  return t->GetSwapchainImages(t->device, swapchain, n, out);
}

rr_result rr_acquire(rr_device *t, rr_handle swapchain, uint64_t timeoutNs, rr_handle semaphore, uint32_t *index) {
  return t->AcquireNextImage(t->device, swapchain, timeoutNs, semaphore, 0, index);
}

rr_result rr_present(rr_device *t, uintptr_t queue, rr_handle swapchain, uint32_t index, rr_handle wait) {
  rr_PresentInfo info = {RR_ST_PRESENT, 0, 1, &wait, 1, &swapchain, &index, 0};
  return t->QueuePresent((rr_disp)queue, &info);
}

rr_result rr_submit_between(rr_device *t, uintptr_t queue, rr_handle fence, rr_handle wait, uint32_t waitStages, uintptr_t cmd, rr_handle signal) {
  rr_disp c = (rr_disp)cmd;
  rr_SubmitInfo info = {RR_ST_SUBMIT, 0, 1, &wait, &waitStages, 1, &c, 1, &signal};
  return t->QueueSubmit((rr_disp)queue, 1, &info, fence);
}

// ---- images ----

void rr_image_barrier(rr_device *t, uintptr_t cmd, uint32_t srcStages, uint32_t dstStages, uint32_t srcAccess, uint32_t dstAccess, rr_handle image, uint32_t oldLayout, uint32_t newLayout) {
  rr_ImageBarrier b = {RR_ST_IMAGE_BARRIER, 0, srcAccess, dstAccess, oldLayout, newLayout, ~0u, ~0u, image, RR_ASPECT_COLOR, 0, 1, 0, 1};
  t->CmdBarrier((rr_disp)cmd, srcStages, dstStages, 0, 0, 0, 0, 0, 1, &b);
}

void rr_copy_to_image(rr_device *t, uintptr_t cmd, rr_handle buffer, rr_handle image, uint32_t width, uint32_t height) {
  rr_BufferImageCopy c = {0, 0, 0, RR_ASPECT_COLOR, 0, 0, 1, 0, 0, 0, width, height, 1};
  t->CmdCopyBufferToImage((rr_disp)cmd, buffer, image, RR_LAYOUT_TRANSFER_DST, 1, &c);
}
