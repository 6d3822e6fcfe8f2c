package vulkan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/graph"
)

func TestViewBytes(t *testing.T) {
	m := &memory{size: 1000, spare: 100}
	for _, c := range []struct{ offset, size, longer, most, want uint64 }{
		{0, 16, 16, 5000, 16},
		{0, 16, 272, 5000, 272},
		{800, 200, 300, 5000, 300},  // the spare bytes are there for it
		{801, 199, 300, 5000, 199},  // but no more
		{0, 1000, 1100, 1000, 1000}, // more texels than the device has in a view
	} {
		if got := m.viewBytes(c.offset, c.size, c.longer, c.most); got != c.want {
			t.Errorf("%d bytes at %d, or %d, at most %d: got %d, want %d", c.size, c.offset, c.longer, c.most, got, c.want)
		}
	}
}

// TestBuffersOfCallersEndWithTheirNumbers: GPU-assisted validation (1.3.239) holds an access against the end of the buffer and not of what is bound, so
// that spare bytes would hide what TestKernelsStayInBounds is to find.
func TestBuffersOfCallersEndWithTheirNumbers(t *testing.T) {
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		b, err := d.NewBuffer(t.Context(), graph.F32(3, 5))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if m := b.(*buffer).mem; m.size != 60 || m.spare != 0 {
			t.Errorf("15 numbers: a buffer of %d bytes and %d more, want 60 and none", m.size, m.spare)
		}
	})
}

// startEnv makes a process of the test's own do one start.
const startEnv = "RESNET_RUN_TEST_START"

// TestSecondStartFindsWhatTheDriverCompiled: on a driver with a cache on disk, a start that is like one before compiles no kernel.
func TestSecondStartFindsWhatTheDriverCompiled(t *testing.T) {
	if os.Getenv(startEnv) != "" {
		start(t)
		return
	}
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	dir := t.TempDir()
	var files []int
	for range 2 {
		out, err := vktest.InProcess(t, "^TestSecondStartFindsWhatTheDriverCompiled$",
			startEnv+"="+dir, "MESA_SHADER_CACHE_DIR="+dir, "MESA_SHADER_CACHE_DISABLE=false", "MESA_DISK_CACHE_MULTI_FILE=true")
		if err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		if !strings.Contains(out, "/llvmpipe") {
			t.Skip("NOT RUN: there is no lavapipe here, whose cache this is about")
		}
		list, err := filepath.Glob(filepath.Join(dir, "mesa_shader_cache", "??", "*"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, len(list))
	}
	if files[0] < 5 || files[1] != files[0] {
		t.Errorf("got %v compiled kernels after a start and another, want the same", files)
	}
}

// start compiles a network with proofs and runs it, as a first or second start would.
func start(t *testing.T) {
	g := seededNetwork(t, "resnet50", 1, 64)
	eachFreshDevice(t, Options{CacheDir: os.Getenv(startEnv)}, func(t *testing.T, d *device) {
		if !strings.HasPrefix(d.info.Name, "llvmpipe") {
			return
		}
		e, in, out := ready(t, d, g)
		if err := e.Run(t.Context(), in, out); err != nil {
			t.Fatal(err)
		}
	})
}
