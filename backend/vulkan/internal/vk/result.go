package vk

import "fmt"

// Result is a VkResult: 0 is success, positive values are states, negative
// values are errors. A Result is itself an error, so that sentinels such as
// [ErrDeviceLost] can be compared with errors.Is.
type Result int32

// Results that callers distinguish.
const (
	success    Result = 0
	notReady   Result = 1
	vkTimeout  Result = 2
	incomplete Result = 5
	suboptimal Result = 1000001003

	// ErrOutOfHostMemory: the driver could not allocate host memory.
	ErrOutOfHostMemory Result = -1
	// ErrOutOfDeviceMemory: the device has no memory left of the kind asked for.
	ErrOutOfDeviceMemory Result = -2
	// ErrInitializationFailed: a driver object could not be set up.
	ErrInitializationFailed Result = -3
	// ErrDeviceLost: the device stopped working; every object made from it is unusable.
	ErrDeviceLost Result = -4
	// ErrMemoryMapFailed: memory could not be mapped into the process.
	ErrMemoryMapFailed Result = -5
	// ErrExtensionNotPresent: an extension asked for is not there.
	ErrExtensionNotPresent Result = -7
	// ErrFeatureNotPresent: a feature asked for is not there.
	ErrFeatureNotPresent Result = -8
	// ErrIncompatibleDriver: the loader found no driver, or none that fits.
	ErrIncompatibleDriver Result = -9
	// ErrTooManyObjects: a limit such as maxMemoryAllocationCount was reached.
	ErrTooManyObjects Result = -10
	// ErrOutOfPoolMemory: a descriptor pool is exhausted.
	ErrOutOfPoolMemory Result = -1000069000
	// ErrSurfaceLost: the window is gone, or cannot be presented to any more.
	ErrSurfaceLost Result = -1000000000
	// ErrOutOfDate: the surface has changed so that the swapchain fits it no more.
	ErrOutOfDate Result = -1000001004
	// ErrValidationFailed: the validation layer reported an error and skipped the call.
	ErrValidationFailed Result = -1000011001
)

// resultNames follows the enum VkResult of the Vulkan specification, without
// the codes of video.
var resultNames = map[Result]string{
	success:                 "VK_SUCCESS",
	notReady:                "VK_NOT_READY",
	vkTimeout:               "VK_TIMEOUT",
	3:                       "VK_EVENT_SET",
	4:                       "VK_EVENT_RESET",
	incomplete:              "VK_INCOMPLETE",
	ErrOutOfHostMemory:      "VK_ERROR_OUT_OF_HOST_MEMORY",
	ErrOutOfDeviceMemory:    "VK_ERROR_OUT_OF_DEVICE_MEMORY",
	ErrInitializationFailed: "VK_ERROR_INITIALIZATION_FAILED",
	ErrDeviceLost:           "VK_ERROR_DEVICE_LOST",
	ErrMemoryMapFailed:      "VK_ERROR_MEMORY_MAP_FAILED",
	-6:                      "VK_ERROR_LAYER_NOT_PRESENT",
	ErrExtensionNotPresent:  "VK_ERROR_EXTENSION_NOT_PRESENT",
	ErrFeatureNotPresent:    "VK_ERROR_FEATURE_NOT_PRESENT",
	ErrIncompatibleDriver:   "VK_ERROR_INCOMPATIBLE_DRIVER",
	ErrTooManyObjects:       "VK_ERROR_TOO_MANY_OBJECTS",
	-11:                     "VK_ERROR_FORMAT_NOT_SUPPORTED",
	-12:                     "VK_ERROR_FRAGMENTED_POOL",
	-13:                     "VK_ERROR_UNKNOWN",
	ErrOutOfPoolMemory:      "VK_ERROR_OUT_OF_POOL_MEMORY",
	-1000072003:             "VK_ERROR_INVALID_EXTERNAL_HANDLE",
	-1000161000:             "VK_ERROR_FRAGMENTATION",
	-1000257000:             "VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS",
	1000297000:              "VK_PIPELINE_COMPILE_REQUIRED",
	-1000174001:             "VK_ERROR_NOT_PERMITTED_KHR",
	ErrSurfaceLost:          "VK_ERROR_SURFACE_LOST_KHR",
	-1000000001:             "VK_ERROR_NATIVE_WINDOW_IN_USE_KHR",
	suboptimal:              "VK_SUBOPTIMAL_KHR",
	ErrOutOfDate:            "VK_ERROR_OUT_OF_DATE_KHR",
	-1000255000:             "VK_ERROR_FULL_SCREEN_EXCLUSIVE_MODE_LOST_EXT",
	ErrValidationFailed:     "VK_ERROR_VALIDATION_FAILED_EXT",
	-1000012000:             "VK_ERROR_INVALID_SHADER_NV",
}

// String returns the name of r in the Vulkan specification.
func (r Result) String() string {
	if s, ok := resultNames[r]; ok {
		return s
	}
	return fmt.Sprintf("VkResult(%d)", int32(r))
}

// Error implements error.
func (r Result) Error() string { return r.String() }

// Error is a Vulkan call that did not succeed. It unwraps to its [Result].
type Error struct {
	Call   string // the function's name in the Vulkan specification
	Result Result
}

// Error implements error.
func (e *Error) Error() string { return e.Call + ": " + e.Result.String() }

// Unwrap makes errors.Is(err, ErrDeviceLost) and its like work.
func (e *Error) Unwrap() error { return e.Result }

// check returns nil for success and an *Error for everything else.
func check(call string, r Result) error {
	if r == success {
		return nil
	}
	return &Error{Call: call, Result: r}
}
