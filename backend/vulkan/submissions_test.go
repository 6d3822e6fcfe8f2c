package vulkan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// acrossEnv marks the process in which synchronization validation looks across submissions.
const acrossEnv = "RESNET_RUN_TEST_ACROSS"

// acrossSettings turn that on in layers that do not do it by themselves. The layer reads them when the instance is created, and has no other way to say it;
// newer ones complain of them.
const acrossSettings = "khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT," +
	"VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT\n"

// TestSubmissionsAreSynchronized runs the tests of several submissions in a process in which validation follows hazards from
// one submission to the next, and a fault that it must find there.
func TestSubmissionsAreSynchronized(t *testing.T) {
	if os.Getenv(acrossEnv) != "" {
		t.Skip("this is the process of TestSubmissionsAreSynchronized")
	}
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	settings := filepath.Join(t.TempDir(), "vk_layer_settings.txt")
	if err := os.WriteFile(settings, []byte(acrossSettings), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(tests string, settings []string) (out string, err error) {
		out, err = vktest.InProcess(t, tests, append([]string{acrossEnv + "=1"}, settings...)...)
		if !strings.Contains(out, "=== RUN") {
			t.Fatalf("%s: nothing ran: %v:\n%s", tests, err, out)
		}
		return out, err
	}
	const hazard = "SYNC-HAZARD"
	var with []string
	out, _ := run("^TestMissingBarrierBetweenSubmissions$", with)
	if !strings.Contains(out, hazard) {
		with = []string{"VK_LAYER_SETTINGS_PATH=" + settings}
		out, _ = run("^TestMissingBarrierBetweenSubmissions$", with)
	}
	if !strings.Contains(out, hazard) {
		t.Errorf("a barrier left out between submissions was not found:\n%s", out)
	}
	if out, err := run("^TestRunsAreInFlightTogether$|^TestLongRunsAreSplit$|^TestFencesOfBuffersThatAreShared$", with); err != nil || strings.Contains(out, hazard) {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestMissingBarrierBetweenSubmissions is a fault: what a submission wrote is written again by the next.
func TestMissingBarrierBetweenSubmissions(t *testing.T) {
	if os.Getenv(acrossEnv) == "" {
		t.Skip("run by TestSubmissionsAreSynchronized")
	}
	eachFreshDevice(t, Options{}, func(t *testing.T, d *device) {
		x, err := d.allocate(64, deviceMemory)
		if err != nil {
			t.Fatal(err)
		}
		defer d.free(x)
		pool, err := d.dev.CreateCommandPool()
		if err != nil {
			t.Fatal(err)
		}
		defer d.dev.DestroyCommandPool(pool)
		for i := range 2 {
			cmd, err := d.dev.AllocateCommandBuffer(pool)
			if err == nil {
				err = d.begin(cmd, true)
			}
			if err == nil {
				d.dev.CmdFillBuffer(cmd, x.buf, 0, vk.WholeSize, uint32(i))
				err = d.dev.EndCommandBuffer(cmd)
			}
			if err == nil {
				err = d.submit(d.compute, 0, cmd)
			}
			if err != nil {
				t.Logf("submission %d: %v", i, err)
			}
		}
		if err := d.dev.WaitIdle(); err != nil {
			t.Fatal(err)
		}
	})
}
