package vk

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// CreateShaderModule makes a module of SPIR-V words.
func (d *Device) CreateShaderModule(words []uint32) (ShaderModule, error) {
	if len(words) == 0 {
		return 0, errors.New("create shader module: no words of SPIR-V")
	}
	var out C.rr_handle
	r := C.rr_create_shader(d.table, C.size_t(len(words)), (*C.uint32_t)(&words[0]), &out)
	return ShaderModule(out), check("vkCreateShaderModule", Result(r))
}

// DestroyShaderModule destroys m; pipelines made from it stay usable.
func (d *Device) DestroyShaderModule(m ShaderModule) {
	vulkan.DestroyShaderModule(d.handle, cast[vulkan.ShaderModule](m), nil)
}

// StorageBuffers are the types of a set of n storage buffers.
func StorageBuffers(n int) []DescriptorType {
	types := make([]DescriptorType, n)
	for i := range types {
		types[i] = DescriptorStorage
	}
	return types
}

// CreateDescriptorSetLayout makes the layout of a set that holds one descriptor of
// each type, at bindings 0, 1, …, for compute.
func (d *Device) CreateDescriptorSetLayout(types []DescriptorType) (DescriptorSetLayout, error) {
	var out C.rr_handle
	r := C.rr_create_set_layout(d.table, C.uint32_t(len(types)), (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(types))), &out)
	return DescriptorSetLayout(out), check("vkCreateDescriptorSetLayout", Result(r))
}

// DestroyDescriptorSetLayout destroys l.
func (d *Device) DestroyDescriptorSetLayout(l DescriptorSetLayout) {
	vulkan.DestroyDescriptorSetLayout(d.handle, cast[vulkan.DescriptorSetLayout](l), nil)
}

// CreatePipelineLayout joins set layouts and pushBytes bytes of push constants,
// a multiple of 4, possibly 0.
func (d *Device) CreatePipelineLayout(sets []DescriptorSetLayout, pushBytes int) (PipelineLayout, error) {
	var out C.rr_handle
	first := (*C.rr_handle)(unsafe.Pointer(unsafe.SliceData(sets)))
	r := C.rr_create_layout(d.table, C.uint32_t(len(sets)), first, C.uint32_t(pushBytes), &out)
	return PipelineLayout(out), check("vkCreatePipelineLayout", Result(r))
}

// DestroyPipelineLayout destroys l.
func (d *Device) DestroyPipelineLayout(l PipelineLayout) {
	vulkan.DestroyPipelineLayout(d.handle, cast[vulkan.PipelineLayout](l), nil)
}

// ComputePipeline describes a compute pipeline.
type ComputePipeline struct {
	Layout PipelineLayout
	Module ShaderModule
	Entry  string   // name of the entry point, "" means "main"
	Spec   []uint32 // specialization constants 0, 1, …: an integer, 0 or 1 for a bool, a float's bits
	// SubgroupSize asks for that many invocations in a subgroup; 0 leaves it to
	// the driver. Needs the feature SubgroupSizeControl and a power of two
	// between the device's minimum and maximum.
	SubgroupSize int
	// FullSubgroups asks that no subgroup has idle invocations. Needs the feature
	// ComputeFullSubgroups and a workgroup whose x size is a multiple of the
	// subgroup size.
	FullSubgroups bool
	// Statistics asks the driver to keep what [Device.Statistics] returns. Needs the
	// feature PipelineExecutableInfo.
	Statistics bool
	// Base lets workgroups be dispatched whose numbers do not begin at 0.
	Base bool
}

// stageRequireFullSubgroups is VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT.
const stageRequireFullSubgroups = 2

// Flags of pipelines: VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR and VK_PIPELINE_CREATE_DISPATCH_BASE_BIT.
const (
	pipelineCaptureStatistics = 0x40
	pipelineDispatchBase      = 0x10
)

// CreateComputePipeline compiles p. cache may be 0.
func (d *Device) CreateComputePipeline(cache PipelineCache, p ComputePipeline) (Pipeline, error) {
	if p.Entry == "" {
		p.Entry = "main"
	}
	var stageFlags C.uint32_t
	if p.FullSubgroups {
		stageFlags |= stageRequireFullSubgroups
	}
	var flags C.uint32_t
	if p.Statistics {
		flags |= pipelineCaptureStatistics
	}
	if p.Base {
		flags |= pipelineDispatchBase
	}
	entry := C.CString(p.Entry)
	defer C.free(unsafe.Pointer(entry))
	var out C.rr_handle
	r := C.rr_create_compute(d.table, C.rr_handle(cache), C.rr_handle(p.Layout), C.rr_handle(p.Module), entry,
		C.uint32_t(len(p.Spec)), (*C.uint32_t)(unsafe.SliceData(p.Spec)), C.uint32_t(p.SubgroupSize), stageFlags, flags, &out)
	return Pipeline(out), check("vkCreateComputePipelines", Result(r))
}

// DestroyPipeline destroys p, which no unfinished work may use.
func (d *Device) DestroyPipeline(p Pipeline) {
	vulkan.DestroyPipeline(d.handle, cast[vulkan.Pipeline](p), nil)
}

// CreatePipelineCache makes a cache from data that [Device.PipelineCacheData]
// gave earlier, or an empty one from nil. Drivers ignore data of another device
// or driver version; that data is otherwise undamaged is up to the caller.
func (d *Device) CreatePipelineCache(data []byte) (PipelineCache, error) {
	var out C.rr_handle
	r := C.rr_create_cache(d.table, C.size_t(len(data)), (*C.uint8_t)(unsafe.SliceData(data)), &out)
	return PipelineCache(out), check("vkCreatePipelineCache", Result(r))
}

// PipelineCacheData returns what c holds, to be kept on disk.
func (d *Device) PipelineCacheData(c PipelineCache) ([]byte, error) {
	const call = "vkGetPipelineCacheData"
	for {
		var n C.size_t
		if err := check(call, Result(C.rr_cache_data(d.table, C.rr_handle(c), &n, nil))); err != nil || n == 0 {
			return nil, err
		}
		data := make([]byte, n)
		r := Result(C.rr_cache_data(d.table, C.rr_handle(c), &n, (*C.uint8_t)(&data[0])))
		if r == incomplete { // it grew in between
			continue
		}
		if err := check(call, r); err != nil {
			return nil, err
		}
		return data[:n], nil
	}
}

// DestroyPipelineCache destroys c; pipelines made with it stay usable.
func (d *Device) DestroyPipelineCache(c PipelineCache) {
	vulkan.DestroyPipelineCache(d.handle, cast[vulkan.PipelineCache](c), nil)
}

// CreateDescriptorPool makes a pool for up to sets descriptor sets, which hold
// up to buffers storage buffers and texels uniform texel buffers in all.
func (d *Device) CreateDescriptorPool(sets, buffers, texels int) (DescriptorPool, error) {
	if min(sets, buffers, texels) < 0 { // as a number without sign it would be a pool for billions
		return 0, fmt.Errorf("vulkan: bug: a descriptor pool for %d sets, %d buffers and %d texel buffers", sets, buffers, texels)
	}
	var out C.rr_handle
	r := C.rr_create_descriptor_pool(d.table, C.uint32_t(sets), C.uint32_t(buffers), C.uint32_t(texels), &out)
	return DescriptorPool(out), check("vkCreateDescriptorPool", Result(r))
}

// DestroyDescriptorPool destroys p and all sets allocated from it.
func (d *Device) DestroyDescriptorPool(p DescriptorPool) {
	vulkan.DestroyDescriptorPool(d.handle, cast[vulkan.DescriptorPool](p), nil)
}

// ResetDescriptorPool takes back all sets allocated from p.
func (d *Device) ResetDescriptorPool(p DescriptorPool) error {
	r := vulkan.ResetDescriptorPool(d.handle, cast[vulkan.DescriptorPool](p), 0)
	return check("vkResetDescriptorPool", Result(r))
}

// AllocateDescriptorSet takes a set of the given layout from p.
func (d *Device) AllocateDescriptorSet(p DescriptorPool, layout DescriptorSetLayout) (DescriptorSet, error) {
	var out C.rr_handle
	r := C.rr_allocate_set(d.table, C.rr_handle(p), C.rr_handle(layout), &out)
	return DescriptorSet(out), check("vkAllocateDescriptorSets", Result(r))
}

// BufferRange is a part of a buffer, as a shader sees it.
type BufferRange struct {
	Buffer Buffer
	Offset uint64 // bytes, a multiple of minStorageBufferOffsetAlignment
	Size   uint64 // bytes, or WholeSize
}

// CreateBufferView makes a view of a range of a buffer, for a uniform texel buffer.
// The offset is a multiple of minTexelBufferOffsetAlignment, the size of a texel's.
func (d *Device) CreateBufferView(r BufferRange, f Format) (BufferView, error) {
	var out C.rr_handle
	res := C.rr_create_buffer_view(d.table, C.rr_handle(r.Buffer), C.uint32_t(f), C.uint64_t(r.Offset), C.uint64_t(r.Size), &out)
	return BufferView(out), check("vkCreateBufferView", Result(res))
}

// DestroyBufferView destroys v, which no unfinished work may use.
func (d *Device) DestroyBufferView(v BufferView) {
	vulkan.DestroyBufferView(d.handle, cast[vulkan.BufferView](v), nil)
}

// UpdateStorageBuffers writes ranges to the bindings 0, 1, … of set, which no
// unfinished work may use.
func (d *Device) UpdateStorageBuffers(set DescriptorSet, ranges []BufferRange) {
	d.UpdateDescriptors(set, StorageBuffers(len(ranges)), ranges, make([]BufferView, len(ranges)))
}

// UpdateDescriptors writes to the bindings 0, 1, … of set, which no unfinished work
// may use: by type a range or a view; of the other slice that element is ignored.
func (d *Device) UpdateDescriptors(set DescriptorSet, types []DescriptorType, ranges []BufferRange, views []BufferView) {
	if len(types) != len(ranges) || len(types) != len(views) {
		panic("vk: bug: descriptors of different numbers")
	}
	C.rr_update_set(d.table, C.rr_handle(set), C.uint32_t(len(types)), (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(types))),
		(*C.rr_BufferRange)(unsafe.Pointer(unsafe.SliceData(ranges))), (*C.rr_handle)(unsafe.Pointer(unsafe.SliceData(views))))
}

// BufferRange is passed to C as it is; another size does not compile.
var _ [unsafe.Sizeof(BufferRange{})]byte = [C.sizeof_rr_BufferRange]byte{}
