package vk_test

import (
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// TestLayout compiles our declarations next to the system's Vulkan headers and
// lets the compiler compare sizes, offsets and values.
func TestLayout(t *testing.T) {
	source := "#include \"shim.h\"\n" + vk.LayoutAssertions()
	if err := vktest.CompileWithHeaders(t, source); err != nil {
		t.Fatal(err)
	}
	// The judge is judged: one wrong offset has to be found.
	wrong := "_Static_assert(offsetof(rr_Write, set) == offsetof(VkWriteDescriptorSet, dstBinding), \"\");\n"
	if vktest.CompileWithHeaders(t, source+wrong) == nil {
		t.Error("a wrong assertion compiles")
	}
}
