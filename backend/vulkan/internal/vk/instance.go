package vk

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// Versions of Vulkan, encoded as in VK_MAKE_API_VERSION.
const (
	Version10 uint32 = 1 << 22
	Version11 uint32 = 1<<22 | 1<<12
	Version12 uint32 = 1<<22 | 2<<12
	Version13 uint32 = 1<<22 | 3<<12
)

const (
	validationLayer        = "VK_LAYER_KHRONOS_validation"
	extDebugUtils          = "VK_EXT_debug_utils"
	extValidationFeatures  = "VK_EXT_validation_features"
	extLayerSettings       = "VK_EXT_layer_settings"
	extPortabilityInstance = "VK_KHR_portability_enumeration"
	extPortabilitySubset   = "VK_KHR_portability_subset"
	extSurface             = "VK_KHR_surface"
	flagEnumeratePortable  = 1 // VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR
)

// InstanceOptions say how to open the instance.
type InstanceOptions struct {
	// Validation loads VK_LAYER_KHRONOS_validation. Calls the layer finds faulty
	// are then reported and skipped.
	Validation bool
	// SyncValidation also checks for missing barriers; it implies Validation.
	SyncValidation bool
	// Surfaces are the instance extensions of what will be presented to: VK_KHR_surface and those of a window system. They are not
	// always enabled, since layers then connect to the window system, and complain when there is none.
	Surfaces []string
	// OnMessage receives messages while the Instance is open, with Validation
	// only. It runs inside Vulkan calls, on any thread, possibly several at once;
	// it must not call this package.
	OnMessage func(Message)
}

// Instance is a share in the one Vulkan instance of the process: vulkan-go keeps
// its function pointers in global variables, so there cannot be two. The Vulkan
// instance lives until every Instance is closed and every Device destroyed.
type Instance struct {
	shared *sharedInstance
	users  int  // 1 while not closed, and 1 for each device; guarded by instances.Mutex
	closed bool // guarded by instances.Mutex
}

// sharedInstance is the Vulkan instance behind all shares.
type sharedInstance struct {
	handle  vulkan.Instance
	table   *C.rr_instance // in C memory
	version uint32         // highest version usable with it
	options InstanceOptions
	shares  int
}

var instances struct {
	sync.Mutex
	current *sharedInstance
}

// OpenInstance opens the instance of the process, or a share of the one that is
// open already, which must not lack the validation and the surfaces asked for:
// who presents opens its share before those who only compute. Errors wrap
// [ErrNoLoader], [ErrNoDriver], [ErrNoValidationLayer] or
// [ErrExtensionNotPresent] where they apply.
func OpenInstance(o InstanceOptions) (*Instance, error) {
	o.Validation = o.Validation || o.SyncValidation
	if err := Load(); err != nil {
		return nil, err
	}
	instances.Lock()
	defer instances.Unlock()
	i := &Instance{users: 1}
	if o.OnMessage != nil {
		addHandler(i, o.OnMessage)
	}
	if s := instances.current; s != nil {
		if o.Validation && !s.options.Validation || o.SyncValidation && !s.options.SyncValidation {
			removeHandler(i)
			return nil, errors.New("open Vulkan instance: one with less validation is open already")
		}
		for _, e := range o.Surfaces {
			if !slices.Contains(s.options.Surfaces, e) {
				removeHandler(i)
				return nil, fmt.Errorf("open Vulkan instance: one without %s is open already", e)
			}
		}
		s.shares++
		i.shared = s
		return i, nil
	}
	s, err := createInstance(o)
	if err != nil {
		removeHandler(i)
		return nil, err
	}
	s.shares = 1
	i.shared, instances.current = s, s
	return i, nil
}

// Close gives the share back. Closing twice is harmless; devices made from i
// stay usable.
func (i *Instance) Close() {
	instances.Lock()
	defer instances.Unlock()
	if !i.closed {
		i.closed = true
		i.release()
	}
}

// retain counts a device; the caller holds no lock.
func (i *Instance) retain() error {
	instances.Lock()
	defer instances.Unlock()
	if i.closed {
		return errors.New("create device: instance is closed")
	}
	i.users++
	return nil
}

// release drops one user of i, and with the last one the share; the caller holds
// the lock of instances.
func (i *Instance) release() {
	if i.users--; i.users > 0 {
		return
	}
	s := i.shared
	if s.shares--; s.shares == 0 {
		C.rr_unload_instance(s.table)
		vulkan.DestroyInstance(s.handle, nil)
		C.free(unsafe.Pointer(s.table))
		instances.current = nil
	}
	removeHandler(i) // after the last call that may report something
}

// Version is the highest Vulkan version usable with the instance: no device
// function of a later core version may be called.
func (i *Instance) Version() uint32 { return i.shared.version }

// Validated tells whether the validation layer is loaded.
func (i *Instance) Validated() bool { return i.shared.options.Validation }

func createInstance(o InstanceOptions) (*sharedInstance, error) {
	get := loader.getInstanceProcAddr
	var loaderVersion C.uint32_t
	if err := check("vkEnumerateInstanceVersion", Result(C.rr_enumerate_version(get, &loaderVersion))); err != nil {
		return nil, fmt.Errorf("open Vulkan instance: %w", err)
	}
	req := C.rr_InstanceRequest{api: C.uint32_t(Version10)}
	if uint32(loaderVersion) >= Version11 {
		req.api = C.uint32_t(Version13) // a 1.1 loader accepts any version here
	}
	layers, exts, err := instanceNames(o)
	if err != nil {
		return nil, fmt.Errorf("open Vulkan instance: %w", err)
	}
	if slices.Contains(exts, extPortabilityInstance) {
		req.flags = flagEnumeratePortable
	}
	req.validate, req.synchronize = cbool(o.Validation), cbool(o.SyncValidation)
	req.settings = cbool(slices.Contains(exts, extLayerSettings))
	clayers, cexts := newCStrings(layers), newCStrings(exts)
	defer clayers.free()
	defer cexts.free()
	req.layers, req.layerCount = clayers.array, C.uint32_t(len(layers))
	req.exts, req.extCount = cexts.array, C.uint32_t(len(exts))

	var handle C.uintptr_t
	switch r := Result(C.rr_create_instance(get, &req, &handle)); r {
	case success:
	case ErrIncompatibleDriver:
		return nil, fmt.Errorf("%w: %s (%w)", ErrNoDriver, installHint(runtime.GOOS), check("vkCreateInstance", r))
	default:
		return nil, fmt.Errorf("open Vulkan instance: %w", check("vkCreateInstance", r))
	}
	s := &sharedInstance{
		handle:  cast[vulkan.Instance](uintptr(handle)),
		version: min(uint32(loaderVersion), Version13),
		options: o,
		table:   (*C.rr_instance)(C.calloc(1, C.sizeof_rr_instance)),
	}
	err = vulkan.InitInstance(s.handle)
	if err == nil {
		err = check("load instance functions", Result(C.rr_load_instance(s.table, get, handle, C.int(req.validate))))
	}
	if err != nil {
		vulkan.DestroyInstance(s.handle, nil)
		C.free(unsafe.Pointer(s.table))
		return nil, fmt.Errorf("open Vulkan instance: %w", err)
	}
	return s, nil
}

// instanceNames decides which layers and extensions to enable.
func instanceNames(o InstanceOptions) (layers, exts []string, err error) {
	have, err := instanceExtensions("")
	if err != nil {
		return nil, nil, err
	}
	if slices.Contains(have, extPortabilityInstance) {
		exts = append(exts, extPortabilityInstance)
	}
	for _, e := range o.Surfaces {
		if !slices.Contains(have, e) {
			return nil, nil, fmt.Errorf("%w: no Vulkan driver here has %s", ErrExtensionNotPresent, e)
		}
	}
	exts = append(exts, o.Surfaces...)
	if !o.Validation {
		return nil, exts, nil
	}
	known, err := instanceLayers()
	if err != nil {
		return nil, nil, err
	}
	if !slices.Contains(known, validationLayer) {
		return nil, nil, ErrNoValidationLayer
	}
	ofLayer, err := instanceExtensions(validationLayer)
	if err != nil {
		return nil, nil, err
	}
	have = append(have, ofLayer...)
	exts = append(exts, extDebugUtils)
	if o.SyncValidation {
		exts = append(exts, extValidationFeatures)
		if slices.Contains(ofLayer, extLayerSettings) {
			exts = append(exts, extLayerSettings)
		}
	}
	for _, e := range exts {
		if !slices.Contains(have, e) {
			return nil, nil, fmt.Errorf("%w: it lacks %s", ErrNoValidationLayer, e)
		}
	}
	return []string{validationLayer}, exts, nil
}

// instanceExtensions lists the extensions of the loader and its drivers, or
// those of a layer.
func instanceExtensions(layer string) ([]string, error) {
	var clayer *C.char
	if layer != "" {
		clayer = C.CString(layer)
		defer C.free(unsafe.Pointer(clayer))
	}
	all, err := enumerate("vkEnumerateInstanceExtensionProperties", func(n *C.uint32_t, p *C.rr_ExtensionProperties) C.rr_result {
		return C.rr_enumerate_extensions(loader.getInstanceProcAddr, clayer, n, p)
	})
	return extensionNames(all), err
}

func instanceLayers() ([]string, error) {
	all, err := enumerate("vkEnumerateInstanceLayerProperties", func(n *C.uint32_t, p *C.rr_LayerProperties) C.rr_result {
		return C.rr_enumerate_layers(loader.getInstanceProcAddr, n, p)
	})
	names := make([]string, len(all))
	for k := range all {
		names[k] = C.GoString(&all[k].name[0])
	}
	return names, err
}

// extensionNames returns the names, sorted.
func extensionNames(all []C.rr_ExtensionProperties) []string {
	names := make([]string, len(all))
	for k := range all {
		names[k] = C.GoString(&all[k].name[0])
	}
	slices.Sort(names)
	return names
}

// enumerate makes the two calls, for the count and for the elements, of
// functions that fill an array; again if the array grew in between.
func enumerate[T any](call string, f func(n *C.uint32_t, out *T) C.rr_result) ([]T, error) {
	for {
		var n C.uint32_t
		if err := check(call, Result(f(&n, nil))); err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, nil
		}
		all := make([]T, n)
		r := Result(f(&n, &all[0]))
		if r == incomplete {
			continue
		}
		if err := check(call, r); err != nil {
			return nil, err
		}
		return all[:n], nil
	}
}

// cStrings is an array of C strings in C memory.
type cStrings struct {
	array **C.char
	n     int
}

func newCStrings(s []string) cStrings {
	if len(s) == 0 {
		return cStrings{}
	}
	c := cStrings{n: len(s)}
	c.array = (**C.char)(C.calloc(C.size_t(len(s)), C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	for k, p := range s {
		unsafe.Slice(c.array, c.n)[k] = C.CString(p)
	}
	return c
}

func (c cStrings) free() {
	for _, p := range unsafe.Slice(c.array, c.n) {
		C.free(unsafe.Pointer(p))
	}
	C.free(unsafe.Pointer(c.array))
}

func cbool(b bool) C.uint32_t {
	if b {
		return 1
	}
	return 0
}
