package present

import (
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// childEnv makes a test run on the one driver that it names. A driver must not be asked about a surface that it does not know, as lavapipe about
// one without a window, so that each has a process of its own, in which the loader knows no other.
const childEnv = "RESNET_RUN_TEST_PRESENT_CHILD"

// eachDriver runs the test that calls it once for each driver, in a process of its own, and f there.
func eachDriver(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		if !vktest.UseTestDrivers() {
			t.Fatal("no driver")
		}
		f(t)
		return
	}
	manifests := vktest.Manifests()
	if len(manifests) == 0 {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
	}
	without := 0
	for _, m := range manifests {
		t.Run(filepath.Base(m), func(t *testing.T) {
			name, _, _ := strings.Cut(t.Name(), "/")
			out, err := vktest.InProcess(t, "^"+name+"$", childEnv+"=1", vktest.ICDEnv+"="+m)
			switch {
			case err != nil:
				t.Fatalf("%v\n%s", err, out)
			case strings.Contains(out, noHeadless):
				without++
				t.Skip(noHeadless)
			}
		})
	}
	if without == len(manifests) { // the tests of a window still show that lavapipe presents
		t.Skip("no driver here has surfaces without a window")
	}
}

const noHeadless = "this driver has no VK_EXT_headless_surface"

// headless are options for a surface that nobody sees. The test fails for each message of the layer, also about what is not destroyed.
func headless(t *testing.T) Options {
	said := &vktest.Messages{}
	t.Cleanup(func() { said.Fail(t) })
	return Options{
		Extensions: vk.HeadlessExtensions, Validation: true, OnMessage: said.Add,
		Surface: func(unsafe.Pointer) (uint64, error) {
			i, err := vk.OpenInstance(vk.InstanceOptions{})
			if err != nil {
				return 0, err
			}
			defer i.Close()
			s, err := i.CreateHeadlessSurface()
			return uint64(s), err
		},
	}
}

func open(t *testing.T) *Presenter {
	t.Helper()
	p, err := New(headless(t))
	if errors.Is(err, vk.ErrExtensionNotPresent) {
		t.Skip(noHeadless)
	}
	if errors.Is(err, vk.ErrNoValidationLayer) {
		vktest.Unavailable(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func frame(width, height int) *image.RGBA { return image.NewRGBA(image.Rect(0, 0, width, height)) }

// show shows a frame and wants the given outcome.
func show(t *testing.T, p *Presenter, width, height int, want bool) {
	t.Helper()
	if shown, err := p.Show(frame(width, height)); err != nil || shown != want {
		t.Fatalf("%d×%d: got shown %v, %v, want %v", width, height, shown, err, want)
	}
}

func TestShowsFramesOfEverySize(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		p := open(t)
		if p.Device() == "" {
			t.Error("the device has no name")
		}
		capabilities := p.capabilities
		var window vk.Extent
		p.capabilities = func() (vk.SurfaceCapabilities, error) {
			c, err := capabilities()
			c.Current = window
			return c, err
		}
		show(t, p, 64, 48, false) // minimised
		for _, size := range [][2]int{{64, 48}, {64, 48}, {1, 1}, {700, 3}, {3, 700}, {64, 48}} {
			window = vk.Extent{Width: uint32(size[0]), Height: uint32(size[1])}
			for range 5 { // more often than there are images
				show(t, p, size[0], size[1], true)
			}
			if p.chain.extent != window {
				t.Errorf("the swapchain has %v, want %v", p.chain.extent, window)
			}
		}
		window = vk.Extent{}
		show(t, p, 64, 48, false)
		window = vk.Extent{Width: vk.AnyExtent, Height: vk.AnyExtent} // the frame decides
		show(t, p, 33, 44, true)
		if want := (vk.Extent{Width: 33, Height: 44}); p.chain.extent != want {
			t.Errorf("the swapchain has %v, want %v", p.chain.extent, want)
		}
		p.Close()
		p.Close()
	})
}

// TestWindowChanges puts the results of a window that changes in place of the driver's, each of which leads to another swapchain.
func TestWindowChanges(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		p := open(t)
		show(t, p, 40, 30, true)
		acquire, present := p.acquire, p.present
		renewed := func(what string, want bool) {
			t.Helper()
			before := p.chain.handle
			show(t, p, 40, 30, true)
			if got := p.chain.handle != before; got != want {
				t.Errorf("%s: another swapchain %v, want %v", what, got, want)
			}
		}
		renewed("nothing happened", false)
		once := func(err error) func(vk.Swapchain) (int, bool, error) {
			return func(s vk.Swapchain) (int, bool, error) {
				p.acquire = acquire
				return -1, true, err
			}
		}
		p.acquire = once(&vk.Error{Call: "vkAcquireNextImageKHR", Result: vk.ErrOutOfDate})
		renewed("out of date when acquired", true)
		p.present = func(s vk.Swapchain, k int, ready vk.Semaphore) (bool, error) {
			p.present = present
			_, _ = present(s, k, ready)
			return true, &vk.Error{Call: "vkQueuePresentKHR", Result: vk.ErrOutOfDate}
		}
		renewed("out of date when presented", true)
		p.present = func(s vk.Swapchain, k int, ready vk.Semaphore) (bool, error) {
			p.present = present
			_, err := present(s, k, ready)
			return false, err
		}
		renewed("suboptimal when presented", false)
		renewed("after suboptimal", true)
		p.acquire = func(s vk.Swapchain) (int, bool, error) {
			p.acquire = acquire
			k, _, err := acquire(s)
			return k, false, err
		}
		renewed("suboptimal when acquired", false)
		renewed("after suboptimal", true)

		// A surface that is never content gets no swapchain for each frame.
		p.stale, p.present = true, func(s vk.Swapchain, k int, ready vk.Semaphore) (bool, error) {
			_, err := present(s, k, ready)
			return false, err
		}
		renewed("suboptimal from the first frame on", true)
		for range 3 {
			renewed("suboptimal as always", false)
		}
		p.chain.turned++ // as a screen that was turned
		renewed("turned", true)
		p.present = present
		renewed("content again", false)

		p.acquire = once(nil)
		show(t, p, 40, 30, false) // no image came in time
		show(t, p, 40, 30, true)

		tries := 0
		p.acquire = func(vk.Swapchain) (int, bool, error) {
			tries++
			return -1, true, &vk.Error{Call: "vkAcquireNextImageKHR", Result: vk.ErrOutOfDate}
		}
		show(t, p, 40, 30, false) // the window changes faster than swapchains can be made
		if tries != attempts {
			t.Errorf("%d attempts, want %d", tries, attempts)
		}
		p.acquire = acquire
		show(t, p, 40, 30, true)
	})
}

// TestAnErrorInTheMiddleOfAFrame: an image is acquired then, and its semaphore signalled or not; the next frame is shown all the same, and the
// validation layer says nothing.
func TestAnErrorInTheMiddleOfAFrame(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		p := open(t)
		defer p.Close()
		record, present := p.record, p.present
		memory := &vk.Error{Call: "test", Result: vk.ErrOutOfHostMemory}
		for range 5 { // more often than a swapchain has images
			p.record = func(int) error { return memory }
			if shown, err := p.Show(frame(40, 30)); shown || !errors.Is(err, memory) {
				t.Errorf("recording: got %v, %v", shown, err)
			}
			p.record = record
			show(t, p, 40, 30, true)
			p.present = func(vk.Swapchain, int, vk.Semaphore) (bool, error) { return false, memory }
			if shown, err := p.Show(frame(40, 30)); shown || !errors.Is(err, memory) {
				t.Errorf("presenting: got %v, %v", shown, err)
			}
			p.present = present
			show(t, p, 40, 30, true)
		}
	})
}

func TestLost(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		for _, lost := range []vk.Result{vk.ErrDeviceLost, vk.ErrSurfaceLost} {
			p := open(t)
			show(t, p, 40, 30, true)
			p.acquire = func(vk.Swapchain) (int, bool, error) {
				return -1, true, &vk.Error{Call: "vkAcquireNextImageKHR", Result: lost}
			}
			if shown, err := p.Show(frame(40, 30)); shown || !errors.Is(err, ErrLost) || !errors.Is(err, lost) {
				t.Errorf("%v: got %v, %v", lost, shown, err)
			}
			p.Close()
			again := open(t) // after it another one works
			show(t, again, 40, 30, true)
			again.Close()
		}
	})
}

// TestBesideADeviceThatComputes: both share the instance of the process, which must have been made for surfaces.
func TestBesideADeviceThatComputes(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		p := open(t)
		ctx, b := context.Background(), vulkan.New(vulkan.Options{NoCache: true})
		list, err := b.Devices(ctx)
		if err != nil {
			t.Fatal(err)
		}
		d, err := b.Open(ctx, list[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		show(t, p, 40, 30, true)
		p.Close()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if d, err = vulkan.New(vulkan.Options{NoCache: true, Validation: true}).Open(ctx, list[0].ID); err != nil {
			t.Fatal(err)
		}
		defer d.Close() //nolint:errcheck // nothing was done with it
		if p, err := New(headless(t)); err == nil {
			p.Close()
			t.Error("the instance of a device that computes has surfaces")
		} else if !strings.Contains(err.Error(), "VK_KHR_surface is open already") {
			t.Errorf("got %v, want one that says that an instance without VK_KHR_surface is open", err)
		}
	})
}

func TestErrorsOfNew(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		open(t).Close()
		o := headless(t)
		o.device = "no device begins so"
		if p, err := New(o); err == nil || !errors.Is(err, ErrNone) {
			t.Errorf("no device: got %v, %v", p, err)
		}
		o = headless(t)
		refused := errors.New("no window")
		o.Surface = func(unsafe.Pointer) (uint64, error) { return 0, refused }
		if p, err := New(o); !errors.Is(err, refused) {
			t.Errorf("no surface: got %v, %v", p, err)
		}
		o = headless(t)
		o.Extensions = []string{"VK_KHR_surface", "VK_XX_unknown"}
		if p, err := New(o); !errors.Is(err, ErrNone) {
			t.Errorf("unknown window system: got %v, %v", p, err)
		}
	})
}
