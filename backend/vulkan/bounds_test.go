package vulkan

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/conformance"
)

// boundsEnv is set for the process in which kernels check every access.
const boundsEnv = "RESNET_RUN_TEST_BOUNDS"

// isAboutSettings tells whether a message of the layer says nothing about what the process does.
func isAboutSettings(message string) bool {
	return os.Getenv(boundsEnv) != "" && slices.ContainsFunc(vktest.AboutSettings, func(id string) bool { return strings.HasPrefix(message, "warning "+id+":") })
}

// TestKernelsStayInBounds runs a case or two of each op with GPU-assisted validation, under which kernels check every access. Without it a driver that runs
// on the CPU leaves out what lies outside of a binding, and a kernel that writes there passes the suite. The layer looks at its settings when the process's
// first instance is made, and others of these tests keep one open, so that it needs a process of its own.
func TestKernelsStayInBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("kernels take long to compile with every access checked")
	}
	if os.Getenv(boundsEnv) != "" {
		t.Run("chosen", func(t *testing.T) {
			checkBounds(t, Options{Unproved: true}, 12, `^(batch_norm|relu|add|gate|global_avg_pool|channel_pad|subsample)/n2-c65-h3-w3.*/integers$|`+
				`^(max|avg)_pool/n1-c7-h1-w1/r1-s1|^linear/n3-c17-k17/|^softmax/n65541-|^conv2d/n3-c7-h14-w19-k21-g1/r1-s1`)
		})
		for name, o := range map[string]Options{ // those that no rule chooses there
			"slim": {Kernels: []string{"conv2d_slim8x2_f32"}}, "tile": {Kernels: []string{"conv2d_tile32x32_f32"}}, "depthwise": {Kernels: []string{"conv2d_depthwise_packed_ssbo_f32"}},
			"matrices": {Precision: Half, Kernels: []string{"conv2d_coopmat32x32_emulated_f16"}},
		} {
			t.Run(name, func(t *testing.T) {
				filter := `^conv2d/n2-c17-h9-w7-k19-g1/r3-s3-stride1,1-pad1,1,1,1-dil1,1/bias-add-relu/integers$`
				if name == "depthwise" {
					filter = `^conv2d/n2-c17-h6-w9-k17-g17/r3-s3-stride2,2-pad1,1,1,1-dil1,1/bias-relu/integers$`
				}
				checkBounds(t, o, 1, filter)
			})
		}
		return
	}
	out, err := vktest.InProcess(t, "^TestKernelsStayInBounds$", boundsEnv+"=1", "VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT")
	if err != nil || !strings.Contains(out, "--- PASS: TestKernelsStayInBounds") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// checkBounds runs cases on lavapipe.
func checkBounds(t *testing.T, o Options, least int, filter string) {
	eachDriver(t, o, func(t *testing.T, open func(t *testing.T) backend.Device) {
		if !strings.Contains(t.Name(), "/llvmpipe") {
			t.Skip("lavapipe is the driver on which the layer's instrumentation is known to work")
		}
		if d := open(t).Info(); endsInstrumented(d.Driver) {
			if o.Kernels != nil {
				t.Skip("ends the process: " + d.Driver)
			}
			t.Logf("%s: only kernels of one access after the other are run", d.Driver)
			least, filter = 5, `^(batch_norm|relu|add|gate)/n2-c65-h3-w3.*/integers$`
		}
		if s := conformance.Run(t, open, conformance.Options{Filter: filter}); s.Run < least {
			t.Errorf("got %v, want at least %d run", s, least)
		}
	})
}

// endsInstrumented reports whether a driver ends the process in most kernels that the layer has instrumented, in code that it has
// compiled itself: lavapipe of Mesa 26.2.6 does, with the layers 1.4.309 and 1.4.363, and that of 25.0 does not with the same
// 1.4.309. Without the instrumentation all kernels run there.
func endsInstrumented(driver string) bool {
	m := regexp.MustCompile(`Mesa (\d+)`).FindStringSubmatch(driver)
	if m == nil {
		return false
	}
	major, err := strconv.Atoi(m[1])
	return err == nil && major >= 26
}
