package vk_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

func TestErrors(t *testing.T) {
	err := fmt.Errorf("run graph: %w", vk.Check("vkQueueSubmit", -4))
	if !errors.Is(err, vk.ErrDeviceLost) || errors.Is(err, vk.ErrOutOfDeviceMemory) {
		t.Errorf("%v: is not a lost device, or is out of memory", err)
	}
	var e *vk.Error
	if !errors.As(err, &e) || e.Call != "vkQueueSubmit" || e.Result != -4 {
		t.Errorf("%v: got %+v", err, e)
	}
	if got, want := err.Error(), "run graph: vkQueueSubmit: VK_ERROR_DEVICE_LOST"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := vk.Check("vkQueueSubmit", 0); err != nil {
		t.Errorf("success is %v", err)
	}
	if got := vk.Result(-77).String(); got != "VkResult(-77)" {
		t.Errorf("unknown result: %q", got)
	}
	for r, want := range map[vk.Result]error{-1: vk.ErrOutOfHostMemory, -2: vk.ErrOutOfDeviceMemory, -1000069000: vk.ErrOutOfPoolMemory} {
		if !errors.Is(vk.Check("x", r), want) {
			t.Errorf("%v is not %v", r, want)
		}
	}
}

func TestLoaderNames(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			if k := slices.Index(pairs, name); k >= 0 {
				return pairs[k+1]
			}
			return ""
		}
	}
	for _, c := range []struct {
		goos string
		env  func(string) string
		want []string
	}{
		{"linux", env(), []string{"libvulkan.so.1", "libvulkan.so"}},
		{"freebsd", env(), []string{"libvulkan.so.1", "libvulkan.so"}},
		{"windows", env(), []string{"vulkan-1.dll"}},
		{"linux", env(vk.LibraryEnv, "/x/libmine.so"), []string{"/x/libmine.so"}},
		{"darwin", env(), []string{"libvulkan.1.dylib", "libvulkan.dylib", "/opt/homebrew/lib/libvulkan.1.dylib", "/usr/local/lib/libvulkan.1.dylib", "libMoltenVK.dylib"}},
		{"darwin", env("VULKAN_SDK", "/sdk"), []string{"libvulkan.1.dylib", "libvulkan.dylib", "/sdk/lib/libvulkan.1.dylib", "/opt/homebrew/lib/libvulkan.1.dylib", "/usr/local/lib/libvulkan.1.dylib", "libMoltenVK.dylib"}},
	} {
		if got := vk.LoaderNames(c.goos, c.env); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", c.goos, got, c.want)
		}
	}
	if hint := vk.InstallHint("linux"); !strings.Contains(hint, "libvulkan1 mesa-vulkan-drivers") || !strings.Contains(hint, "vulkan-loader mesa-vulkan-drivers") {
		t.Errorf("hint does not name the packages: %s", hint)
	}
}

func TestOpenLoader(t *testing.T) {
	notALibrary := filepath.Join(t.TempDir(), "libvulkan.so.1")
	if err := os.WriteFile(notALibrary, []byte("no ELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := vk.OpenLoader([]string{"libno_such_library.so.7", notALibrary})
	if err == nil || !strings.Contains(err.Error(), "libno_such_library.so.7") || !strings.Contains(err.Error(), notALibrary) {
		t.Errorf("error %v, want one that names both files", err)
	}
	// A library without the symbol is passed over.
	_, _, err = vk.OpenLoader([]string{"libc.so.6"})
	if err == nil || !strings.Contains(err.Error(), "libc.so.6") {
		t.Errorf("libc.so.6 as Vulkan loader: %v", err)
	}
}

// The loader is opened once a process, so what goes wrong is tried in others.
const scenarioEnv = "RESNET_RUN_TEST_SCENARIO"

func TestMissing(t *testing.T) {
	if os.Getenv(scenarioEnv) != "" {
		i, err := vk.OpenInstance(vk.InstanceOptions{Validation: os.Getenv(scenarioEnv) == "layer"})
		if err == nil {
			_, err = i.PhysicalDevices()
			i.Close()
		}
		fmt.Printf("outcome: loader %v driver %v layer %v: %v\n", errors.Is(err, vk.ErrNoLoader), errors.Is(err, vk.ErrNoDriver), errors.Is(err, vk.ErrNoValidationLayer), err)
		return
	}
	empty := t.TempDir()
	for _, c := range []struct {
		scenario string
		env      []string
		want     []string
	}{
		{"loader", []string{vk.LibraryEnv + "=/nonexistent/libvulkan.so.1"},
			[]string{"loader true driver false layer false", "/nonexistent/libvulkan.so.1", "install"}},
		{"driver", []string{"VK_DRIVER_FILES=/nonexistent/icd.json", "VK_ICD_FILENAMES=/nonexistent/icd.json"},
			[]string{"loader false driver true layer false", "install"}},
		{"layer", []string{"VK_LAYER_PATH=" + empty, "VK_EXPLICIT_LAYER_PATH=" + empty},
			[]string{"loader false driver false layer true", "vulkan-validationlayers"}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			if c.scenario != "loader" && errors.Is(vk.Load(), vk.ErrNoLoader) {
				vktest.Unavailable(t, "no Vulkan loader")
			}
			vktest.UseTestDrivers()
			cmd := exec.Command(os.Args[0], "-test.run=^TestMissing$")
			cmd.Env = append(append(os.Environ(), scenarioEnv+"="+c.scenario), c.env...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, w := range c.want {
				if !strings.Contains(string(out), w) {
					t.Errorf("%s\ndoes not say %q", out, w)
				}
			}
		})
	}
}

func TestInstanceIsShared(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		var heard int
		second, err := vk.OpenInstance(vk.InstanceOptions{OnMessage: func(vk.Message) { heard++ }})
		if err != nil {
			t.Fatal(err)
		}
		if !second.Validated() {
			t.Error("a share of a validated instance is not validated")
		}
		device, err := second.CreateDevice(d.Physical, vk.DeviceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		second.Close()
		second.Close()
		if _, err := second.CreateDevice(d.Physical, vk.DeviceOptions{}); err == nil {
			t.Error("a closed instance makes a device")
		}
		if _, err := device.CreateBuffer(0, vk.BufferStorage); !errors.Is(err, vk.ErrValidationFailed) {
			t.Errorf("buffer of 0 bytes: %v, want %v", err, vk.ErrValidationFailed)
		}
		if len(d.TakeMessages()) == 0 || heard == 0 {
			t.Errorf("fault on a device of a closed share: second share heard %d messages, want both to hear", heard)
		}
		device.Destroy()
		device.Destroy()
		heard = 0
		other, err := d.Instance.CreateDevice(d.Physical, vk.DeviceOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Destroy()
		other.CreateBuffer(0, vk.BufferStorage)
		if len(d.TakeMessages()) == 0 || heard != 0 {
			t.Errorf("%d messages reached a share after its end", heard)
		}
	})
	// All is closed: one without validation, then a validated one beside it.
	plain, err := vk.OpenInstance(vk.InstanceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if plain.Validated() {
		t.Error("the validated instance outlived its shares")
	}
	if i, err := vk.OpenInstance(vk.InstanceOptions{Validation: true}); err == nil {
		i.Close()
		t.Error("an instance without validation was shared as a validated one")
	}
	plain.Close()
}

func TestFeatureChain(t *testing.T) {
	f := vk.Features{ShaderInt64: true, UniformAndStorageBuffer16BitAccess: true, ShaderInt8: true, SubgroupSizeControl: true, CooperativeMatrix: true}
	words, exts := vk.FeatureChain(f, vk.Version12, "VK_EXT_subgroup_size_control")
	core := make([]uint32, 55)
	core[40] = 1
	want := map[uint32][]uint32{1000059000: core, 1000083000: {0, 1, 0, 0}, 1000082000: {0, 1}, 1000225002: {1, 0}, 1000506000: {1, 0}}
	if !reflect.DeepEqual(words, want) {
		t.Errorf("chain %v, want %v", words, want)
	}
	if want := []string{"VK_EXT_subgroup_size_control", "VK_KHR_cooperative_matrix"}; !reflect.DeepEqual(exts, want) {
		t.Errorf("extensions %q, want %q", exts, want)
	}
	if words, exts := vk.FeatureChain(vk.Features{}, vk.Version11); len(words) != 1 || len(exts) != 0 {
		t.Errorf("no features: chain %v, extensions %q", words, exts)
	}
}

// TestAllFeatures enables whatever the device has, which the driver and the
// validation layer must accept, and one thing it has not.
func TestAllFeatures(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		exts, err := d.Instance.DeviceExtensions(d.Physical)
		if err != nil {
			t.Fatal(err)
		}
		f := d.Instance.Features(d.Physical, exts)
		if f == (vk.Features{}) {
			t.Error("no features at all")
		}
		b := newBench(t, d, vk.DeviceOptions{Features: f})
		if f.SubgroupSizeControl {
			k := b.kernel(1)
			p := k.describe(1)
			p.FullSubgroups = f.ComputeFullSubgroups
			p.SubgroupSize = 4
			if strings.HasPrefix(d.Name, "llvmpipe") {
				p.SubgroupSize = 8
			}
			pipeline, err := b.CreateComputePipeline(0, p)
			b.must(err)
			b.DestroyPipeline(pipeline)
		}
		_, err = d.Instance.CreateDevice(d.Physical, vk.DeviceOptions{Extensions: []string{"VK_NO_such_extension"}})
		if !errors.Is(err, vk.ErrExtensionNotPresent) && !errors.Is(err, vk.ErrValidationFailed) {
			t.Errorf("device with an unknown extension: %v", err)
		}
		d.TakeMessages()
	})
}

func TestTimestampsAndFill(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		if d.Instance.QueueFamilies(d.Physical)[b.QueueFamily()].TimestampBits == 0 {
			t.Skip("no timestamps on this queue")
		}
		x, xs := b.buffer(16)
		fill(xs, func(int) float32 { return 7 })
		pool, err := b.CreateTimestampPool(3)
		b.must(err)
		defer b.DestroyQueryPool(pool)
		begin := time.Now()
		b.run(b.record(func(cmd vk.CommandBuffer) {
			b.CmdResetQueries(cmd, pool, 0, 3)
			b.CmdWriteTimestamp(cmd, vk.StageTopOfPipe, pool, 1)
			b.CmdFillBuffer(cmd, x, 8, 16, 0x3f800000)
			b.CmdWriteTimestamp(cmd, vk.StageBottomOfPipe, pool, 2)
			b.toHost(cmd)
		}))
		var ticks [2]uint64
		b.must(b.Timestamps(pool, 1, ticks[:]))
		ns := float64(ticks[1]-ticks[0]) * float64(d.Instance.Properties(d.Physical).TimestampPeriod)
		if ticks[0] == 0 || ns < 0 || ns > float64(time.Since(begin)) {
			t.Errorf("timestamps %v: %g ns between them, %v passed", ticks, ns, time.Since(begin))
		}
		for i, v := range xs {
			want := float32(7)
			if i >= 2 && i < 6 {
				want = 1
			}
			if v != want {
				t.Errorf("filled element %d is %g, want %g", i, v, want)
			}
		}
		b.must(b.Timestamps(pool, 0, nil))
	})
}

func TestFence(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		look := func(want bool) {
			t.Helper()
			waited, err := b.WaitFence(b.fence, time.Millisecond)
			b.must(err)
			seen, err := b.FenceSignalled(b.fence)
			b.must(err)
			if waited != want || seen != want {
				t.Errorf("waited %v, looked %v, want %v", waited, seen, want)
			}
		}
		look(false)
		b.must(b.QueueSubmit(b.Queue(0), b.fence))
		b.must(b.WaitIdle())
		look(true)
		b.must(b.ResetFence(b.fence))
		look(false)
	})
}

func TestPipelineCache(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		k := b.kernel(1)
		cache, err := b.CreatePipelineCache(nil)
		b.must(err)
		defer b.DestroyPipelineCache(cache)
		pipeline, err := b.CreateComputePipeline(cache, k.describe(3))
		b.must(err)
		b.DestroyPipeline(pipeline)
		data, err := b.PipelineCacheData(cache)
		b.must(err)
		id := d.Instance.Properties(d.Physical).PipelineCacheUUID
		if len(data) < 32 { // Vulkan's header, which says its own length
			t.Skipf("this driver gives %d bytes of a header of %d (Mesa 26.2 does)", len(data), data[0])
		}
		if !bytes.Equal(data[16:32], id[:]) {
			t.Fatalf("cache data of %d bytes without the device's UUID %x", len(data), id)
		}
		again, err := b.CreatePipelineCache(data)
		b.must(err)
		defer b.DestroyPipelineCache(again)
		pipeline, err = b.CreateComputePipeline(again, k.describe(3))
		b.must(err)
		b.DestroyPipeline(pipeline)
	})
}

// TestMappedMemory flushes and invalidates, and runs out of memory on purpose.
func TestMappedMemory(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		b := newBench(t, d, vk.DeviceOptions{})
		index := slices.IndexFunc(b.memoryTypes, func(m vk.MemoryType) bool { return m.Flags&vk.MemoryHostVisible != 0 })
		memory, err := b.AllocateMemory(4096, index)
		b.must(err)
		defer b.FreeMemory(memory)
		bytes, err := b.MapMemory(memory, 1024, 512)
		b.must(err)
		if len(bytes) != 512 {
			t.Errorf("mapped %d bytes, want 512", len(bytes))
		}
		bytes[0], bytes[511] = 1, 2
		b.must(b.FlushMemory(memory, 1024, 512))
		b.must(b.InvalidateMemory(memory, 1024, 512))
		b.UnmapMemory(memory)
		bytes, err = b.MapMemory(memory, 0, 4096)
		b.must(err)
		if bytes[1024] != 1 || bytes[1535] != 2 {
			t.Error("mapped memory forgot what was written")
		}
		b.UnmapMemory(memory)
	})
}

func TestPushConstantsTooLong(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("push constants beyond MaxPushBytes pass")
		}
	}()
	new(vk.Device).CmdPushConstants(0, 0, make([]byte, vk.MaxPushBytes+4))
}

func TestEmptyShader(t *testing.T) {
	if _, err := new(vk.Device).CreateShaderModule(nil); err == nil {
		t.Error("a module of no words is made")
	}
}

// TestCooperativeMatrices uses a made-up driver, as the software drivers have none.
func TestCooperativeMatrices(t *testing.T) {
	vktest.Devices(t, func(t *testing.T, d vktest.Device) {
		defer vk.SetCooperativeMatrixFunction(d.Instance, vktest.FakeCooperativeMatrices())()
		got, err := d.Instance.CooperativeMatrices(d.Physical)
		if err != nil {
			t.Fatal(err)
		}
		want := []vk.CooperativeMatrix{
			{M: 16, N: 8, K: 32, AType: 0, BType: 3, CType: 1, Result: 2, Scope: 3},
			{M: 1, N: 2, K: 4, AType: 3, BType: 7, CType: 5, Result: 9, Saturating: true, Scope: 2},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		vk.SetCooperativeMatrixFunction(d.Instance, nil)
		if got, err := d.Instance.CooperativeMatrices(d.Physical); err != nil || len(got) != 0 {
			t.Errorf("without the function: %v, %v", got, err)
		}
	})
}

func TestFlagNames(t *testing.T) {
	for got, want := range map[string]string{
		(vk.MemoryDeviceLocal | vk.MemoryHostCached | 0x400).String(): "device-local|host-cached|0x400",
		vk.MemoryDeviceUncachedAMD.String():                           "device-uncached-amd",
		(vk.QueueGraphics | vk.QueueTransfer).String():                "graphics|transfer",
		vk.MemoryFlags(0).String():                                    "",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
