package facts_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// TestRead holds what is read against the least the specification promises to a
// Vulkan 1.1 device, and against what is known about the two software drivers.
func TestRead(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		f, err := facts.Read(d.Instance, d.Physical)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(f, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", text)
		checkPromises(t, f)
		checkKnown(t, f)

		var back facts.Facts
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(f, back) {
			t.Errorf("facts change on their way through JSON:\n%+v\n%+v", f, back)
		}
	})
}

func checkPromises(t *testing.T, f facts.Facts) {
	t.Helper()
	l := f.Limits
	for name, ok := range map[string]bool{
		"name":                             f.Name != "",
		"version":                          uint32(f.Usable) >= vk.Version11 && f.Usable <= f.APIVersion,
		"device UUID":                      f.DeviceUUID != facts.UUID{},
		"storage buffer range":             l.MaxStorageBufferRange >= 1<<27,
		"allocation size":                  l.MaxMemoryAllocationSize >= 1<<30,
		"allocation count":                 l.MaxMemoryAllocationCount >= 4096,
		"texel buffer alignment":           isPowerOf2(l.MinTexelBufferOffsetAlignment) && l.MinTexelBufferOffsetAlignment <= 256,
		"texel buffer elements":            l.MaxTexelBufferElements >= 65536,
		"storage buffer alignment":         isPowerOf2(l.MinStorageBufferOffsetAlignment) && l.MinStorageBufferOffsetAlignment <= 256,
		"atom size":                        isPowerOf2(l.NonCoherentAtomSize) && l.NonCoherentAtomSize <= 256,
		"image granularity":                l.BufferImageGranularity >= 1,
		"push constants":                   l.MaxPushConstantsSize >= 128,
		"workgroup count":                  slices.Min(l.MaxComputeWorkgroupCount[:]) >= 65535,
		"workgroup size":                   l.MaxComputeWorkgroupSize[0] >= 128 && l.MaxComputeWorkgroupSize[1] >= 128 && l.MaxComputeWorkgroupSize[2] >= 64,
		"invocations":                      l.MaxComputeWorkgroupInvocations >= 128,
		"shared memory":                    l.MaxComputeSharedMemorySize >= 16384,
		"storage buffers a stage":          l.MaxPerStageDescriptorStorageBuffers >= 4,
		"bound sets":                       l.MaxBoundDescriptorSets >= 4,
		"subgroup size":                    isPowerOf2(uint64(f.Subgroup.Size)) && f.Subgroup.Min <= f.Subgroup.Size && f.Subgroup.Size <= f.Subgroup.Max,
		"basic subgroups in compute":       f.Subgroup.Compute(facts.SubgroupBasic),
		"extensions sorted":                slices.IsSorted(f.Extensions),
		"storage 16 implied by uniform 16": f.Features.StorageBuffer16BitAccess || !f.Features.UniformAndStorageBuffer16BitAccess,
	} {
		if !ok {
			t.Errorf("%s: not what the specification promises", name)
		}
	}
	if _, ok := f.ComputeQueue(); !ok {
		t.Error("no compute queue")
	}
	if _, ok := f.MemoryType(vk.MemoryHostVisible|vk.MemoryHostCoherent, 0); !ok {
		t.Error("no host-visible and coherent memory type")
	}
	if _, ok := f.MemoryType(vk.MemoryDeviceLocal, 0); !ok {
		t.Error("no device-local memory type")
	}
	for _, m := range f.MemoryTypes {
		if m.Heap < 0 || m.Heap >= len(f.Heaps) || f.Heaps[m.Heap].Size == 0 {
			t.Errorf("memory type %+v: no such heap among %+v", m, f.Heaps)
		}
	}
}

// checkKnown compares with values that another program (vulkaninfo) printed.
func checkKnown(t *testing.T, f facts.Facts) {
	t.Helper()
	switch f.Driver.ID {
	case facts.DriverLavapipe:
		if f.Type != facts.DeviceCPU || f.Driver.Name != "llvmpipe" || f.VendorID != 0x10005 || !f.UnifiedMemory() {
			t.Errorf("lavapipe: %v %+v vendor %#x, unified %v", f.Type, f.Driver, f.VendorID, f.UnifiedMemory())
		}
		if !strings.HasPrefix(string(f.DriverUUID[:]), "llvmpipeUUID") || !strings.HasPrefix(string(f.DeviceUUID[:]), "mesa") {
			t.Errorf("lavapipe: driver UUID %v, device UUID %v", f.DriverUUID, f.DeviceUUID)
		}
		if f.Limits.TimestampPeriod != 1 || f.QueueFamilies[0].TimestampBits != 64 {
			t.Errorf("lavapipe: timestamps of %g ns, %d bits", f.Limits.TimestampPeriod, f.QueueFamilies[0].TimestampBits)
		}
	case facts.DriverSwiftShader:
		if f.Type != facts.DeviceCPU || f.Subgroup.Size != 4 || f.VendorID != 0x1ae0 || !f.UnifiedMemory() {
			t.Errorf("SwiftShader: %v subgroup %+v vendor %#x, unified %v", f.Type, f.Subgroup, f.VendorID, f.UnifiedMemory())
		}
		if f.Features.ShaderFloat16 || f.Limits.MaxComputeWorkgroupInvocations != 256 {
			t.Errorf("SwiftShader: float16 %v, %d invocations", f.Features.ShaderFloat16, f.Limits.MaxComputeWorkgroupInvocations)
		}
	}
}

func isPowerOf2(n uint64) bool { return n != 0 && n&(n-1) == 0 }

func TestReadAll(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		all, handles, err := facts.ReadAll(d.Instance)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != len(handles) || !slices.Contains(handles, d.Physical) {
			t.Fatalf("%d facts, handles %v, want %v among them", len(all), handles, d.Physical)
		}
		for k, f := range all {
			if k > 0 && f.Score() > all[k-1].Score() {
				t.Errorf("device %d has a higher score than the one before", k)
			}
			if got := d.Instance.Properties(handles[k]).Name; got != f.Name {
				t.Errorf("device %d: facts of %q beside the handle of %q", k, f.Name, got)
			}
		}
	})
}
