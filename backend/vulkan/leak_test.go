package vulkan

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/graph"
)

// residentBytes is the memory of this process that lies in RAM, 0 where /proc does not tell.
func residentBytes() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(status), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, _ := strconv.Atoi(f[1])
			return n << 10
		}
	}
	return 0
}

// openFiles counts the process's file descriptors, but for the one in which SwiftShader keeps the code it compiled:
// the driver leaves it open when a device is destroyed (seen with Chromium 156's; lavapipe leaves none).
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.Contains(link, "swiftshader_jit") {
			n++
		}
	}
	return n
}

// TestTenThousandRunsLeakNothing runs without the validation layer, which keeps records of its own.
func TestTenThousandRunsLeakNothing(t *testing.T) {
	if residentBytes() == 0 {
		t.Skip("no /proc/self/status on this system")
	}
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1,4,8,8]\n%r = relu(%x)\n%p = max_pool(%r) kernel=2,2 stride=2,2\noutput %p\n"))
	if err != nil {
		t.Fatal(err)
	}
	runs := 10_000
	if testing.Short() {
		runs = 1000
	}
	ctx := context.Background()
	b := New(Options{NoCache: true})
	list, err := b.Devices(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		t.Run(info.Name, func(t *testing.T) {
			d, err := b.Open(ctx, info.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			e, in, out := ready(t, d, g)
			run := func(n int) {
				for range n {
					if err := e.Run(ctx, in, out); err != nil {
						t.Fatal(err)
					}
				}
			}
			run(runs / 10) // drivers compile and allocate at first
			runtime.GC()
			rss, fds, goroutines := residentBytes(), openFiles(), runtime.NumGoroutine()
			run(runs)
			runtime.GC()
			growth := residentBytes() - rss
			t.Logf("resident memory grew by %d KiB in %d runs, from %d MiB", growth>>10, runs, rss>>20)
			if growth > 4<<20 {
				t.Errorf("resident memory grew by %d bytes in %d runs", growth, runs)
			}
			if n := openFiles(); n != fds {
				t.Errorf("got %d open files, want %d as before", n, fds)
			}
			if n := runtime.NumGoroutine(); n != goroutines {
				t.Errorf("got %d goroutines, want %d as before", n, goroutines)
			}
		})
	}
}

func TestOpenAndCloseLeakNothing(t *testing.T) {
	if residentBytes() == 0 {
		t.Skip("no /proc/self/status on this system")
	}
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	g := parseBound(t, twoConvs)
	ctx := context.Background()
	b := New(Options{NoCache: true, Unproved: true})
	round := func() {
		list, err := b.Devices(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range list {
			d, err := b.Open(ctx, info.ID)
			if err != nil {
				t.Fatal(err)
			}
			ready(t, d, g) // the device must close what is forgotten
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	round()
	fds, goroutines := openFiles(), runtime.NumGoroutine()
	for range 5 {
		round()
	}
	if n := openFiles(); n > fds {
		t.Errorf("got %d open files, want at most %d as before", n, fds)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("got %d goroutines, want at most %d as before", n, goroutines)
	}
}
