package vk_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// TestAccessBeyondABufferIsReported has a kernel write and read one number behind its buffers under GPU-assisted validation: proof that the tests that
// rely on that would be told.
func TestAccessBeyondABufferIsReported(t *testing.T) {
	t.Setenv("VK_LAYER_ENABLES", "VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT")
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		if !strings.Contains(d.Name, "llvmpipe") {
			d.TakeMessages() // of newer layers, about their settings
			t.Skip("lavapipe is the driver on which the layer's instrumentation is known to work")
		}
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(2)
		x, _ := b.buffer(64)
		y, _ := b.buffer(64)
		z, _ := b.buffer(64)
		set := b.set(k, x, y, z)
		run := func(n int) {
			t.Helper()
			b.run(b.record(func(cmd vk.CommandBuffer) { b.dispatch(cmd, k, set, n, 0) }))
		}
		run(64)
		for _, m := range d.TakeMessages() {
			if !slices.Contains(vktest.AboutSettings, m.ID) {
				t.Fatalf("a message before the fault: %v", m)
			}
		}
		run(65)
		b.must(b.WaitIdle()) // some versions of the layer tell then
		expectMessage(t, d, "out of bounds")
	})
}
