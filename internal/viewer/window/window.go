//go:build viewer

// Package window is the window of the viewer: GLFW's, presented by package present. It is built with the tag "viewer" alone, for GLFW needs
// the window system's libraries, at build time and when the program starts.
package window

import (
	"errors"
	"fmt"
	"image"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/go-gl/glfw/v3.3/glfw"
	"github.com/resnet-run/resnet-run/backend/vulkan/present"
	"github.com/resnet-run/resnet-run/internal/viewer"
)

// The size of a window that is opened, on a plain screen, where that has room for it.
const (
	usualWidth  = 1180
	usualHeight = 740
)

// Options say how to open a window.
type Options struct {
	Title string
	// Validation and OnMessage are those of present.Options.
	Validation bool
	OnMessage  func(message string)
}

// Window is a window on the screen. It is a viewer.Window; all methods but Wake belong to the goroutine that opened it.
type Window struct {
	glfw      *glfw.Window
	presenter presenter
	options   Options
	events    []viewer.Event
	visible   bool
	renewed   bool // the presenter was made anew, and has shown nothing yet

	mu   sync.Mutex
	open bool
}

var _ viewer.Window = (*Window)(nil)

// presenter is a present.Presenter, or one of a test.
type presenter interface {
	Show(frame *image.RGBA) (shown bool, err error)
	Device() string
	Close()
}

// Open opens a window, which is seen from the first frame on. There can be one at a time.
//
// Errors: no display; one that wraps present.ErrNone.
func Open(o Options) (_ *Window, err error) {
	if err := display(os.Getenv); err != nil {
		return nil, fmt.Errorf("open window: %w", err)
	}
	if os.Getenv(present.LibraryEnv) != "" {
		// GLFW opens the system's loader by itself, and would hand it the instance of the other one, of which it knows nothing.
		return nil, fmt.Errorf("open window: want the system's Vulkan loader, which the window's library uses; %s names another one", present.LibraryEnv)
	}
	runtime.LockOSThread() // until Close: GLFW's calls belong to one thread
	w := &Window{options: o, open: true}
	if err = guardLogged(w.create); err == nil {
		err = w.present()
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("open window: %w", err)
	}
	return w, nil
}

// create makes the window, unseen.
func (w *Window) create() error {
	if err := glfw.Init(); err != nil {
		return err
	}
	glfw.WindowHint(glfw.ClientAPI, glfw.NoAPI)
	glfw.WindowHint(glfw.Visible, glfw.False)
	glfw.WindowHint(glfw.ScaleToMonitor, glfw.True)
	glfw.WindowHintString(glfw.X11ClassName, "resnet-run")
	width, height := usualWidth, usualHeight
	if m := glfw.GetPrimaryMonitor(); m != nil {
		if _, _, most, high := m.GetWorkarea(); most > 0 && high > 0 {
			width, height = min(width, most*9/10), min(height, high*9/10)
		}
	}
	var err error
	if w.glfw, err = glfw.CreateWindow(width, height, w.options.Title, nil, nil); err != nil {
		return err
	}
	if w.glfw == nil {
		return errors.New("the window system made none")
	}
	w.listen()
	return nil
}

// listen collects what happens.
func (w *Window) listen() {
	add := func(e viewer.Event) { w.events = append(w.events, e) }
	w.glfw.SetKeyCallback(func(_ *glfw.Window, k glfw.Key, _ int, action glfw.Action, _ glfw.ModifierKey) {
		if meaning := keys[k]; meaning != 0 && action != glfw.Release {
			add(viewer.Event{Key: meaning})
		}
	})
	w.glfw.SetCharCallback(func(_ *glfw.Window, r rune) {
		if meaning := letters[r]; meaning != 0 {
			add(viewer.Event{Key: meaning})
		}
	})
	w.glfw.SetDropCallback(func(_ *glfw.Window, names []string) { add(viewer.Event{Files: slices.Clone(names)}) })
	w.glfw.SetCloseCallback(func(*glfw.Window) { add(viewer.Event{Closed: true}) })
	w.glfw.SetRefreshCallback(func(*glfw.Window) { add(viewer.Event{Damaged: true}) })
}

// keys are keys with a meaning, and letters those that lie elsewhere on other keyboards.
var (
	keys = map[glfw.Key]viewer.Key{
		glfw.KeyRight: viewer.KeyNext, glfw.KeySpace: viewer.KeyNext, glfw.KeyLeft: viewer.KeyPrevious,
		glfw.KeyUp: viewer.KeyUp, glfw.KeyDown: viewer.KeyDown, glfw.KeyEscape: viewer.KeyClose,
	}
	letters = map[rune]viewer.Key{'h': viewer.KeyHeat, 'H': viewer.KeyHeat, 'q': viewer.KeyClose, 'Q': viewer.KeyClose}
)

// present makes the presenter, or another one in its place.
func (w *Window) present() error {
	if w.presenter != nil {
		w.presenter.Close()
		w.presenter = nil
	}
	if !glfw.VulkanSupported() {
		return fmt.Errorf("%w: there is no Vulkan loader", present.ErrNone)
	}
	exts := w.glfw.GetRequiredInstanceExtensions()
	if len(exts) == 0 {
		return fmt.Errorf("%w: no driver has surfaces of this window system", present.ErrNone)
	}
	p, err := present.New(present.Options{Extensions: exts, Surface: w.surface, Validation: w.options.Validation, OnMessage: w.options.OnMessage})
	if err != nil {
		return err
	}
	w.presenter = p
	return nil
}

// surface makes the window's surface.
func (w *Window) surface(instance unsafe.Pointer) (uint64, error) {
	// What comes back is the address of a variable that nothing refers to any more, as a number. It holds its value until the garbage is
	// collected, which this keeps away.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	address, err := w.glfw.CreateWindowSurface((*byte)(instance), nil)
	if err != nil {
		return 0, err
	}
	return **(**uint64)(unsafe.Pointer(&address)), nil
}

// Device is the name of the device that presents.
func (w *Window) Device() string { return w.presenter.Device() }

// Size returns the size of a frame, and the scale of the screen.
func (w *Window) Size() (width, height int, scale float64) {
	width, height = w.glfw.GetFramebufferSize()
	x, _ := w.glfw.GetContentScale()
	return width, height, float64(x)
}

// Show shows a frame. A presenter that is lost is made anew once, and the frame is to be shown again then.
func (w *Window) Show(frame *image.RGBA) (shown bool, err error) {
	if !w.visible {
		w.glfw.Show()
		w.visible = true
	}
	shown, err = w.presenter.Show(frame)
	if errors.Is(err, present.ErrLost) && !w.renewed {
		w.renewed = true
		return false, w.present()
	}
	if shown {
		w.renewed = false
	}
	return shown, err
}

// Wait waits for events.
func (w *Window) Wait(atMost time.Duration) ([]viewer.Event, error) {
	err := guard(func() error {
		switch {
		case len(w.events) > 0: // came outside of a wait, as when the window was shown
			glfw.PollEvents()
		case atMost > 0:
			glfw.WaitEventsTimeout(atMost.Seconds())
		default:
			glfw.WaitEvents()
		}
		return nil
	})
	events := w.events
	w.events = nil
	return events, err
}

// Wake ends a Wait.
func (w *Window) Wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open {
		_ = guard(func() error { // one that cannot be woken has failed, and Wait says so
			glfw.PostEmptyEvent()
			return nil
		})
	}
}

// Close closes the window. Closing twice is harmless.
func (w *Window) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open {
		return
	}
	w.open = false
	if w.presenter != nil {
		w.presenter.Close()
	}
	_ = guard(func() error { // what went wrong before may be told here once more
		if w.glfw != nil {
			w.glfw.Destroy()
		}
		glfw.Terminate()
		return nil
	})
	runtime.UnlockOSThread()
}
