package vk

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// DeviceOptions say how to open a physical device.
type DeviceOptions struct {
	QueueFamily int      // index into [Instance.QueueFamilies]
	Queues      int      // number of queues of that family; 0 means 1
	Features    Features // what to enable; the device must have it
	// Extensions to enable beyond those that bring a feature, and beyond
	// VK_KHR_portability_subset, which is enabled wherever it is listed.
	Extensions []string
}

// Device is an open device.
type Device struct {
	instance *Instance
	handle   vulkan.Device
	table    *C.rr_device // in C memory
	family   int
	queues   []Queue
}

// CreateDevice opens pd, which must be of Vulkan 1.1 or later.
func (i *Instance) CreateDevice(pd PhysicalDevice, o DeviceOptions) (*Device, error) {
	version := i.DeviceVersion(pd)
	if version < Version11 {
		return nil, fmt.Errorf("create device: Vulkan 1.1 is needed, device or loader has %d.%d", version>>22, version>>12&0x3ff)
	}
	o.Queues = max(o.Queues, 1)
	known, err := i.DeviceExtensions(pd)
	if err != nil {
		return nil, fmt.Errorf("create device: %w", err)
	}
	features, exts := o.Features.chain(version, slices.Clone(o.Extensions))
	defer features.Free()
	if slices.Contains(known, extPortabilitySubset) && !slices.Contains(exts, extPortabilitySubset) {
		exts = append(exts, extPortabilitySubset)
	}
	if err := i.retain(); err != nil {
		return nil, err
	}
	d := &Device{instance: i, family: o.QueueFamily, table: (*C.rr_device)(C.calloc(1, C.sizeof_rr_device))}
	names := newCStrings(exts)
	defer names.free()
	r := C.rr_create_device(i.shared.table, C.uintptr_t(pd), C.uint32_t(o.QueueFamily), C.uint32_t(o.Queues),
		C.uint32_t(len(exts)), names.array, features.head(), d.table)
	if err := check("vkCreateDevice", Result(r)); err != nil {
		d.release()
		return nil, err
	}
	d.handle = cast[vulkan.Device](d.table.device)
	for k := range o.Queues {
		var q vulkan.Queue
		vulkan.GetDeviceQueue(d.handle, uint32(o.QueueFamily), uint32(k), &q)
		d.queues = append(d.queues, cast[Queue](q))
	}
	return d, nil
}

// Queue returns the k-th queue.
func (d *Device) Queue(k int) Queue { return d.queues[k] }

// QueueFamily is the family of the device's queues.
func (d *Device) QueueFamily() int { return d.family }

// WaitIdle waits until all queues are idle.
func (d *Device) WaitIdle() error {
	return check("vkDeviceWaitIdle", Result(vulkan.DeviceWaitIdle(d.handle)))
}

// Destroy destroys the device; every object made from it must be destroyed
// before. Destroying twice is harmless.
func (d *Device) Destroy() {
	if d.table == nil {
		return
	}
	vulkan.DestroyDevice(d.handle, nil)
	d.release()
}

// release frees what surrounds the device.
func (d *Device) release() {
	C.free(unsafe.Pointer(d.table))
	d.table, d.handle = nil, nil
	instances.Lock()
	defer instances.Unlock()
	d.instance.release()
}

// SetName gives an object a name for messages and debuggers. Without validation
// it does nothing.
func (d *Device) SetName(kind ObjectType, handle uint64, name string) error {
	if !d.instance.Validated() {
		return nil
	}
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	return check("vkSetDebugUtilsObjectNameEXT",
		Result(C.rr_set_name(d.instance.shared.table, d.table, C.uint32_t(kind), C.uint64_t(handle), cname)))
}
