package facts_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

const (
	local    = vk.MemoryDeviceLocal
	visible  = vk.MemoryHostVisible
	coherent = vk.MemoryHostCoherent
	cached   = vk.MemoryHostCached
)

// Imaginary devices, after what real ones of each kind say.
var (
	discrete = facts.Facts{
		Name: "discrete", Type: facts.DeviceDiscrete,
		Heaps:       []facts.Heap{{Size: 8 << 30, DeviceLocal: true}, {Size: 16 << 30}},
		MemoryTypes: []facts.MemoryType{{Flags: local, Heap: 0}, {Flags: visible | coherent, Heap: 1}, {Flags: visible | coherent | cached, Heap: 1}},
		QueueFamilies: []facts.QueueFamily{
			{Flags: vk.QueueGraphics | vk.QueueCompute | vk.QueueTransfer, Count: 1},
			{Flags: vk.QueueTransfer, Count: 2},
			{Flags: vk.QueueCompute | vk.QueueTransfer, Count: 4},
		},
	}
	resizableBAR = facts.Facts{
		Name: "discrete, all visible", Type: facts.DeviceDiscrete,
		Heaps:       []facts.Heap{{Size: 24 << 30, DeviceLocal: true}},
		MemoryTypes: []facts.MemoryType{{Flags: local | visible | coherent, Heap: 0}},
	}
	// An APU: a small carve-out and the host's memory, both near; AMD's types that
	// need a feature come last.
	apu = facts.Facts{
		Name: "apu", Type: facts.DeviceIntegrated,
		Heaps: []facts.Heap{{Size: 7 << 30}, {Size: 14 << 30, DeviceLocal: true}},
		MemoryTypes: []facts.MemoryType{
			{Flags: visible | coherent | vk.MemoryDeviceCoherentAMD | vk.MemoryDeviceUncachedAMD, Heap: 0},
			{Flags: local, Heap: 1},
			{Flags: visible | coherent | cached, Heap: 0},
			{Flags: local | visible | coherent, Heap: 1},
		},
		QueueFamilies: []facts.QueueFamily{{Flags: vk.QueueGraphics | vk.QueueCompute, Count: 1}},
	}
	// A small visible window only.
	windowed = facts.Facts{
		Name: "windowed", Type: facts.DeviceIntegrated,
		Heaps:       []facts.Heap{{Size: 4 << 30, DeviceLocal: true}, {Size: 256 << 20, DeviceLocal: true}},
		MemoryTypes: []facts.MemoryType{{Flags: local, Heap: 0}, {Flags: local | visible | coherent, Heap: 1}},
	}
	virtual  = facts.Facts{Name: "virtual", Type: facts.DeviceVirtual, Heaps: resizableBAR.Heaps, MemoryTypes: resizableBAR.MemoryTypes}
	software = facts.Facts{
		Name: "software", Type: facts.DeviceCPU, Driver: facts.Driver{ID: facts.DriverLavapipe},
		Heaps:       []facts.Heap{{Size: 512 << 30, DeviceLocal: true}},
		MemoryTypes: []facts.MemoryType{{Flags: local | visible | coherent | cached, Heap: 0}},
	}
	// A software driver behind another name for its kind.
	disguised = facts.Facts{Name: "disguised", Type: facts.DeviceIntegrated, Driver: facts.Driver{ID: facts.DriverSwiftShader}, Heaps: []facts.Heap{{Size: 1 << 30}}}
	other     = facts.Facts{Name: "other", Heaps: []facts.Heap{{Size: 1 << 30}}}
)

func TestScore(t *testing.T) {
	order := []facts.Facts{resizableBAR, discrete, apu, windowed, virtual, other, software, disguised, {Name: "empty", Type: facts.DeviceCPU}}
	for k := range order[:len(order)-1] {
		a, b := &order[k], &order[k+1]
		if a.Score() <= b.Score() {
			t.Errorf("%s scores %d, %s %d: want more", a.Name, a.Score(), b.Name, b.Score())
		}
	}
	huge := facts.Facts{Type: facts.DeviceIntegrated, Heaps: []facts.Heap{{Size: ^uint64(0), DeviceLocal: true}}}
	if huge.Score() >= discrete.Score() {
		t.Error("memory outweighs the kind of the device")
	}
}

func TestUnifiedMemory(t *testing.T) {
	for _, c := range []struct {
		f    facts.Facts
		want bool
	}{{discrete, false}, {resizableBAR, false}, {apu, true}, {windowed, false}, {virtual, false}, {software, true}, {other, false}} {
		if got := c.f.UnifiedMemory(); got != c.want {
			t.Errorf("%s: unified memory %v, want %v", c.f.Name, got, c.want)
		}
	}
}

func TestMemoryType(t *testing.T) {
	for _, c := range []struct {
		f           facts.Facts
		bits        uint32
		want, avoid vk.MemoryFlags
		index       int // -1: none
	}{
		{discrete, ^uint32(0), local, 0, 0},
		{discrete, ^uint32(0), visible, 0, 1},
		{discrete, ^uint32(0), visible, cached, 1},
		{discrete, ^uint32(0), visible | cached, 0, 2},
		{discrete, 0b100, visible, 0, 2},
		{discrete, 0b011, visible | cached, 0, -1},
		{discrete, ^uint32(0), local | visible, 0, -1},
		{discrete, ^uint32(0), local, local, -1},
		{discrete, ^uint32(0), 0, visible, 0},
		{apu, ^uint32(0), visible, 0, 2},                     // not the one that needs a feature
		{apu, ^uint32(0), vk.MemoryDeviceCoherentAMD, 0, -1}, // its other flag needs one too
		{apu, ^uint32(0), local | visible, 0, 3},
		{facts.Facts{}, ^uint32(0), 0, 0, -1},
	} {
		index, ok := c.f.MemoryTypeOf(c.bits, c.want, c.avoid)
		if ok != (c.index >= 0) || ok && index != c.index {
			t.Errorf("%s: type with %#x without %#x among %#b is %d %v, want %d", c.f.Name, c.want, c.avoid, c.bits, index, ok, c.index)
		}
		if c.bits == ^uint32(0) {
			if i, o := c.f.MemoryType(c.want, c.avoid); i != index || o != ok {
				t.Errorf("%s: MemoryType says %d %v, MemoryTypeOf %d %v", c.f.Name, i, o, index, ok)
			}
		}
	}
}

func TestComputeQueue(t *testing.T) {
	if k, ok := discrete.ComputeQueue(); k != 2 || !ok {
		t.Errorf("discrete: queue family %d %v, want 2: it leaves graphics alone", k, ok)
	}
	if k, ok := apu.ComputeQueue(); k != 0 || !ok {
		t.Errorf("apu: queue family %d %v, want 0", k, ok)
	}
	none := facts.Facts{QueueFamilies: []facts.QueueFamily{{Flags: vk.QueueGraphics, Count: 1}, {Flags: vk.QueueCompute}}}
	if k, ok := none.ComputeQueue(); ok {
		t.Errorf("queue family %d computes, want none", k)
	}
}

func TestSubgroupCompute(t *testing.T) {
	s := facts.Subgroup{Stages: 0x20, Operations: facts.SubgroupBasic | facts.SubgroupBallot}
	if !s.Compute(facts.SubgroupBallot) || s.Compute(facts.SubgroupBallot|facts.SubgroupShuffle) {
		t.Errorf("%v: wrong answer", s.Operations)
	}
	s.Stages = 0x10
	if s.Compute(facts.SubgroupBasic) {
		t.Error("operations of fragment shaders count for compute")
	}
	if got := (facts.SubgroupBasic | facts.SubgroupQuad | 0x100).String(); got != "basic|quad|0x100" {
		t.Errorf("operations print as %q", got)
	}
}

func TestHasExtension(t *testing.T) {
	f := facts.Facts{Extensions: []string{"VK_A", "VK_C"}}
	if !f.HasExtension("VK_A") || !f.HasExtension("VK_C") || f.HasExtension("VK_B") || f.HasExtension("") {
		t.Error("wrong answer")
	}
}

// TestText sends enumerations through their texts, known or not.
func TestText(t *testing.T) {
	in := facts.Facts{
		Type: 9, APIVersion: 1<<22 | 3<<12 | 230, Driver: facts.Driver{ID: 99},
		DeviceUUID:   facts.UUID{0x01, 15: 0xff},
		CoopMatrices: []facts.CooperativeMatrix{{A: facts.BFloat16, B: facts.Sint8, C: 77, Result: facts.Float32, Scope: facts.ScopeSubgroup}},
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"DeviceType(9)"`, `"1.3.230"`, `"DriverID(99)"`, `"01000000-0000-0000-0000-0000000000ff"`, `"bfloat16"`, `"sint8"`, `"ComponentType(77)"`, `"subgroup"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s\nlacks %s", text, want)
		}
	}
	var out facts.Facts
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(in) != fmt.Sprint(out) {
		t.Errorf("%v became %v", in, out)
	}
	for _, bad := range []string{`{"type":"quantum"}`, `{"api_version":"1.3"}`, `{"api_version":"1.5000.1"}`, `{"device_uuid":"12"}`, `{"device_uuid":"xx000000-0000-0000-0000-0000000000ff"}`} {
		if json.Unmarshal([]byte(bad), &out) == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// TestNumbers compares the numbers of the package with the system's headers.
func TestNumbers(t *testing.T) {
	values := map[string]uint32{
		"VK_PHYSICAL_DEVICE_TYPE_CPU": uint32(facts.DeviceCPU), "VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU": uint32(facts.DeviceDiscrete),
		"VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU": uint32(facts.DeviceIntegrated), "VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU": uint32(facts.DeviceVirtual),
		"VK_DRIVER_ID_MESA_RADV": uint32(facts.DriverRADV), "VK_DRIVER_ID_NVIDIA_PROPRIETARY": uint32(facts.DriverNVIDIA),
		"VK_DRIVER_ID_GOOGLE_SWIFTSHADER": uint32(facts.DriverSwiftShader), "VK_DRIVER_ID_MESA_LLVMPIPE": uint32(facts.DriverLavapipe),
		"VK_DRIVER_ID_MOLTENVK": uint32(facts.DriverMoltenVK), "VK_DRIVER_ID_MESA_TURNIP": uint32(facts.DriverTurnip),
		"VK_DRIVER_ID_SAMSUNG_PROPRIETARY": uint32(facts.DriverSamsung), "VK_DRIVER_ID_MESA_NVK": uint32(facts.DriverNVK),
		"VK_DRIVER_ID_IMAGINATION_OPEN_SOURCE_MESA": uint32(facts.DriverImaginationMesa), "VK_DRIVER_ID_QUALCOMM_PROPRIETARY": uint32(facts.DriverQualcomm),
		"VK_SUBGROUP_FEATURE_SHUFFLE_BIT": uint32(facts.SubgroupShuffle), "VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT": uint32(facts.SubgroupShuffleRelative),
		"VK_SUBGROUP_FEATURE_QUAD_BIT": uint32(facts.SubgroupQuad), "VK_SUBGROUP_FEATURE_BALLOT_BIT": uint32(facts.SubgroupBallot),
		"VK_COMPONENT_TYPE_FLOAT16_NV": uint32(facts.Float16), "VK_COMPONENT_TYPE_SINT8_NV": uint32(facts.Sint8), "VK_COMPONENT_TYPE_UINT64_NV": uint32(facts.Uint64),
		"VK_SCOPE_SUBGROUP_NV": uint32(facts.ScopeSubgroup), "VK_SCOPE_QUEUE_FAMILY_NV": uint32(facts.ScopeQueueFamily),
	}
	var source strings.Builder
	add := func(ours string, theirs string) {
		fmt.Fprintf(&source, "_Static_assert((%s) == (%s), \"%s\");\n", ours, theirs, theirs)
	}
	for name, v := range values {
		add(fmt.Sprint(v), name)
	}
	for _, s := range facts.Structs() {
		add(fmt.Sprint(s.Type), "VK_STRUCTURE_TYPE_"+s.TypeName)
		add(fmt.Sprintf("(%d + 7) & ~7", s.Payload), fmt.Sprintf("(sizeof(%s) - sizeof(VkBaseOutStructure) + 7) & ~7", s.Name))
		for field, offset := range s.Offsets {
			add(fmt.Sprint(offset), fmt.Sprintf("offsetof(%s, %s) - sizeof(VkBaseOutStructure)", s.Name, field))
		}
	}
	if err := vktest.CompileWithHeaders(t, source.String()); err != nil {
		t.Fatal(err)
	}
	if vktest.CompileWithHeaders(t, source.String()+"_Static_assert(VK_DRIVER_ID_MESA_NVK == 23, \"\");\n") == nil {
		t.Error("a wrong assertion compiles")
	}
	if !slices.ContainsFunc(facts.Structs(), func(s facts.Struct) bool { return len(s.Offsets) > 0 }) {
		t.Error("no offsets compared")
	}
}
