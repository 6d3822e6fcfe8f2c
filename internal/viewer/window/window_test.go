//go:build viewer

package window

import (
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/vulkan/present"
	"github.com/resnet-run/resnet-run/internal/backendtest/drivers"
	"github.com/resnet-run/resnet-run/internal/viewer"
	"github.com/resnet-run/resnet-run/internal/viewer/xvfb"
)

// childEnv makes a test run on the one driver that it names: the loader reads which drivers there are from the environment, and so does the one
// that GLFW opens.
const childEnv = "RESNET_RUN_TEST_WINDOW_CHILD"

// eachDriver runs the test that calls it once for each driver, in a process of its own, and f there.
func eachDriver(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childEnv) != "" {
		f(t)
		return
	}
	manifests := drivers.Manifests()
	if len(manifests) == 0 {
		t.Skip("no Vulkan test driver is installed")
	}
	for _, m := range manifests {
		t.Run(filepath.Base(m), func(t *testing.T) {
			name, _, _ := strings.Cut(t.Name(), "/")
			out, err := drivers.InProcess(t, "^"+name+"$", childEnv+"=1", "VK_DRIVER_FILES="+m, "VK_ICD_FILENAMES="+m)
			switch {
			case err != nil:
				t.Errorf("%v\n%s", err, out)
			case strings.Contains(out, "--- SKIP"):
				t.Skipf("%s", out)
			default:
				t.Logf("%s", out)
			}
		})
	}
}

// title is that of the windows here.
const title = "window under test"

// open opens a validated window; the test fails for each message of the layer.
func open(t *testing.T) *Window {
	t.Helper()
	var mu sync.Mutex
	w, err := Open(Options{Title: title, Validation: true, OnMessage: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		t.Errorf("validation: %s", text)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// pattern is a frame in which each pixel tells where it is, and in which no channel is another.
func pattern(width, height, salt int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			copy(img.Pix[img.PixOffset(x, y):], []byte{byte(x + salt), byte(y * 3), byte(x/256*16 + y/256 + 5*salt), 255})
		}
	}
	return img
}

// show shows a frame, in as many attempts as a loop would make.
func show(t *testing.T, w *Window, frame *image.RGBA) {
	t.Helper()
	for range 100 {
		shown, err := w.Show(frame)
		if err != nil {
			t.Fatal(err)
		}
		if shown {
			return
		}
		if _, err := w.Wait(20 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the frame was not shown")
}

// arrives wants a frame on the screen, bit for bit.
func arrives(t *testing.T, s *xvfb.Screen, frame *image.RGBA) {
	t.Helper()
	if got, ok := s.Wait(func(screen *image.RGBA) bool { _, differs := xvfb.Differs(screen, frame); return !differs }); !ok {
		at, _ := xvfb.Differs(got, frame)
		t.Fatalf("pixel %v is %v on the screen, want %v", at, got.RGBAAt(at.X, at.Y), frame.RGBAAt(at.X, at.Y))
	}
}

// next waits for events.
func next(t *testing.T, w *Window, until func([]viewer.Event) bool) []viewer.Event {
	t.Helper()
	var all []viewer.Event
	for deadline := time.Now().Add(20 * time.Second); !until(all); {
		if time.Now().After(deadline) {
			t.Fatalf("events within 20 s: %+v", all)
		}
		events, err := w.Wait(50 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, events...)
	}
	return all
}

// TestFramesArriveOnTheScreen: what is shown is on the screen bit for bit, also after the window has got another size.
func TestFramesArriveOnTheScreen(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		s := xvfb.Start(t, 800, 600)
		w := open(t)
		t.Log("presented by ", w.Device())
		width, height, scale := w.Size()
		if width != 720 || height != 540 || scale < 0.5 || scale > 2 {
			t.Fatalf("a window of %d×%d, scale %v: want nine tenths of the screen", width, height, scale)
		}
		for i := range 6 { // more often than there are images
			frame := pattern(width, height, i)
			show(t, w, frame)
			if i%2 == 1 {
				arrives(t, s, frame)
			}
		}
		for i, size := range []image.Point{{X: 333, Y: 222}, {X: 790, Y: 590}, {X: 1, Y: 1}, {X: 500, Y: 301}} {
			s.Resize(title, size.X, size.Y)
			next(t, w, func([]viewer.Event) bool { width, height, _ := w.Size(); return image.Pt(width, height) == size })
			frame := pattern(size.X, size.Y, 50+i)
			show(t, w, frame)
			arrives(t, s, frame)
		}
		late := pattern(640, 480, 99) // a frame for another size than the window has by now
		show(t, w, late)
		arrives(t, s, late.SubImage(image.Rect(0, 0, 500, 301)).(*image.RGBA))
		w.Close()
		w.Close()
		w.Wake()
		again := open(t) // another window in the same process
		width, height, _ = again.Size()
		frame := pattern(width, height, 7)
		show(t, again, frame)
		arrives(t, s, frame)
	})
}

// TestKeys presses them.
func TestKeys(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		s := xvfb.Start(t, 400, 300)
		w := open(t)
		show(t, w, pattern(100, 100, 0))
		want := []viewer.Key{viewer.KeyNext, viewer.KeyNext, viewer.KeyPrevious, viewer.KeyUp, viewer.KeyDown, viewer.KeyHeat, viewer.KeyHeat, viewer.KeyClose, viewer.KeyClose}
		s.Press("Right", "space", "Left", "Up", "a", "Down", "h", "H", "F5", "q", "Escape")
		var got []viewer.Key
		next(t, w, func(all []viewer.Event) bool {
			got = nil
			for _, e := range all {
				if e.Key != 0 {
					got = append(got, e.Key)
				}
			}
			return len(got) >= len(want)
		})
		if !slices.Equal(got, want) {
			t.Errorf("got keys %v, want %v", got, want)
		}
		drop := w.glfw.SetDropCallback(nil)
		names := []string{"/a b.png", "-"}
		drop(w.glfw, names)
		names[0] = "reused"
		closed := w.glfw.SetCloseCallback(nil)
		closed(w.glfw)
		w.Wake()
		all, err := w.Wait(0)
		if err != nil || len(all) != 2 || !slices.Equal(all[0].Files, []string{"/a b.png", "-"}) || !all[1].Closed {
			t.Errorf("got %+v, %v, want the dropped files and that the window was closed", all, err)
		}
	})
}

// TestWakeEndsAWait from another goroutine, before and after it began.
func TestWakeEndsAWait(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		xvfb.Start(t, 400, 300)
		w := open(t)
		for _, delay := range []time.Duration{0, 100 * time.Millisecond} {
			w.Wake() // whatever events the window began with
			if _, err := w.Wait(0); err != nil {
				t.Fatal(err)
			}
			go func() {
				time.Sleep(delay)
				w.Wake()
			}()
			ended := make(chan bool)
			go func() {
				select {
				case <-ended:
				case <-time.After(20 * time.Second):
					panic("Wait goes on for 20 s after Wake")
				}
			}()
			if _, err := w.Wait(0); err != nil {
				t.Fatal(err)
			}
			close(ended)
		}
	})
}

// losing is a presenter that is lost some times.
type losing struct {
	presenter
	times  *int
	closed *int
}

func (l losing) Show(frame *image.RGBA) (bool, error) {
	if *l.times > 0 {
		*l.times--
		return false, fmt.Errorf("show: %w", present.ErrLost)
	}
	return l.presenter.Show(frame)
}

func (l losing) Close() {
	*l.closed++
	l.presenter.Close()
}

// TestLostPresenterIsMadeAnew, once, before a frame was shown.
func TestLostPresenterIsMadeAnew(t *testing.T) {
	eachDriver(t, func(t *testing.T) {
		s := xvfb.Start(t, 400, 300)
		w := open(t)
		times, closed := 1, 0
		w.presenter = losing{w.presenter, &times, &closed}
		frame := pattern(360, 270, 3)
		if shown, err := w.Show(frame); shown || err != nil || closed != 1 {
			t.Fatalf("got %v, %v, %d presenters closed", shown, err, closed)
		}
		show(t, w, frame)
		arrives(t, s, frame)
		for i, again := range []bool{true, false} { // the second time no frame was shown since the first
			times = 1
			w.presenter = losing{w.presenter, &times, &closed}
			if shown, err := w.Show(frame); shown || (err == nil) != again || err != nil && !errors.Is(err, present.ErrLost) {
				t.Errorf("loss %d: got %v, %v, want another presenter: %v", i, shown, err, again)
			}
		}
	})
}

func TestNoDisplay(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			if i := slices.Index(pairs, name); i >= 0 {
				return pairs[i+1]
			}
			return ""
		}
	}
	for _, c := range []struct {
		goos    string
		wayland bool
		env     func(string) string
		want    string
	}{
		{"linux", false, env("DISPLAY", ":0"), ""},
		{"linux", false, env(), "DISPLAY is not set"},
		{"freebsd", false, env("WAYLAND_DISPLAY", "wayland-0"), "-tags viewer,wayland"},
		{"linux", true, env("WAYLAND_DISPLAY", "wayland-0"), ""},
		{"linux", true, env("DISPLAY", ":0"), "WAYLAND_DISPLAY is not set"},
		{"windows", false, env(), ""}, {"darwin", false, env(), ""},
	} {
		err := displayOn(c.goos, c.wayland, c.env)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	if w, err := Open(Options{}); err == nil || !strings.Contains(err.Error(), "DISPLAY") {
		t.Errorf("without a display: got %v, %v", w, err)
	}
	t.Setenv("DISPLAY", ":987654")
	for range 2 {
		if w, err := Open(Options{}); err == nil || !strings.Contains(err.Error(), ":987654") {
			t.Errorf("with a display that is not there: got %v, %v, want an error that names it", w, err)
		}
	}
	t.Setenv(present.LibraryEnv, "/some/libvulkan.so")
	if w, err := Open(Options{}); err == nil || !strings.Contains(err.Error(), present.LibraryEnv) {
		t.Errorf("with another loader: got %v, %v", w, err)
	}
}

// TestNothingToPresentWith: a screen, and no driver.
func TestNothingToPresentWith(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		xvfb.Start(t, 400, 300)
		if w, err := Open(Options{}); !errors.Is(err, present.ErrNone) {
			t.Errorf("got %v, %v, want %v", w, err, present.ErrNone)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestNothingToPresentWith$")
	cmd.Env = append(os.Environ(), childEnv+"=1", "VK_DRIVER_FILES=/nonexistent/icd.json", "VK_ICD_FILENAMES=/nonexistent/icd.json")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
