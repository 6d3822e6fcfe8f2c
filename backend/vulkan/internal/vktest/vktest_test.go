package vktest_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

func TestManifests(t *testing.T) {
	list := []string{"/a/x.json", "/b/y.json"}
	t.Setenv(vktest.ICDEnv, strings.Join(list, string(os.PathListSeparator)))
	if got := vktest.Manifests(); !slices.Equal(got, list) {
		t.Errorf("manifests %q, want %q", got, list)
	}
}

const scenarioEnv = "RESNET_RUN_TEST_SCENARIO"

// TestScenario is run by TestVerdicts in processes of its own.
func TestScenario(t *testing.T) {
	switch os.Getenv(scenarioEnv) {
	case "":
		t.Skip("run by TestVerdicts")
	case "clean":
		vktest.Devices(t, func(t *testing.T, d vktest.Device) {})
	case "fault", "fault taken":
		vktest.Devices(t, func(t *testing.T, d vktest.Device) {
			device, err := d.Instance.CreateDevice(d.Physical, vk.DeviceOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer device.Destroy()
			device.CreateBuffer(0, vk.BufferStorage) // sizes must not be 0
			if os.Getenv(scenarioEnv) == "fault taken" && len(d.TakeMessages()) == 0 {
				t.Error("no message")
			}
		})
	}
}

// TestVerdicts holds that the helper fails, skips and passes tests as it says.
func TestVerdicts(t *testing.T) {
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no software driver found")
	}
	const pass, skip, fail = "--- PASS: TestScenario ", "--- SKIP: TestScenario ", "--- FAIL: TestScenario "
	noDriver := vktest.ICDEnv + "=/nonexistent/icd.json"
	for _, c := range []struct {
		scenario string
		env      []string
		want     []string
	}{
		{"clean", nil, []string{pass}},
		{"fault", nil, []string{fail, "VUID-VkBufferCreateInfo-size"}},
		{"fault taken", nil, []string{pass}},
		{"clean", []string{noDriver}, []string{skip, "install"}},
		{"clean", []string{noDriver, "CI=true"}, []string{fail, "required"}},
		{"clean", []string{noDriver, vktest.RequireEnv + "=1"}, []string{fail, "required"}},
	} {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestScenario$")
		for _, e := range os.Environ() {
			if !strings.HasPrefix(e, "CI=") && !strings.HasPrefix(e, vktest.RequireEnv+"=") {
				cmd.Env = append(cmd.Env, e)
			}
		}
		cmd.Env = append(append(cmd.Env, scenarioEnv+"="+c.scenario), c.env...)
		out, _ := cmd.CombinedOutput() // the verdict is in the text
		for _, w := range c.want {
			if !strings.Contains(string(out), w) {
				t.Errorf("%s %v: want %q in\n%s", c.scenario, c.env, w, out)
			}
		}
	}
}
