// Package present shows pictures on a Vulkan surface, such as a window: each frame is written by the CPU, copied into an image of a swapchain
// and presented. It draws nothing itself and needs no shader, so that whatever queue can present will do.
//
// # Life
//
// [New] opens the Vulkan instance with the extensions of the window system, makes the surface through a function of the caller, and takes the
// first device that can present to it. [Presenter.Show] makes a swapchain when there is none that fits, which is when the window was resized.
// The process has one Vulkan instance, which cannot get extensions later: who presents calls New before a device of package vulkan is opened.
//
// # Goroutines
//
// Calls of one Presenter must not overlap. Devices of package vulkan may compute meanwhile.
package present

import (
	"errors"
	"fmt"
	"image"
	"time"
	"unsafe"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// ErrLost is wrapped when the device or the surface is lost. The Presenter is of no more use; another one may be made after its Close.
var ErrLost = errors.New("device or surface lost")

// ErrNone is wrapped by New when there is nothing to present with: no Vulkan loader, or no device that can.
var ErrNone = errors.New("no Vulkan device can present")

// LibraryEnv names the environment variable that chooses the Vulkan loader. Libraries that make surfaces may not know it.
const LibraryEnv = vk.LibraryEnv

const (
	// patience is how long Show waits for an image: a window that nobody sees may not give one back.
	patience = 100 * time.Millisecond
	// lostAfter is when a copy of a frame that is not done counts as lost.
	lostAfter = 10 * time.Second
	// attempts are made to show a frame in a window whose size changes meanwhile.
	attempts = 4
)

// Options say what to present to.
type Options struct {
	// Extensions are the instance extensions that the surface needs.
	Extensions []string
	// Surface makes a VkSurfaceKHR for a VkInstance. The Presenter destroys it.
	Surface func(instance unsafe.Pointer) (surface uint64, err error)
	// Validation loads the Khronos validation layer with synchronization validation; its messages go to OnMessage.
	Validation bool
	OnMessage  func(message string)

	device string // for tests: the beginning of the only device's name
}

// Presenter shows frames on a surface.
type Presenter struct {
	instance *vk.Instance
	surface  vk.Surface
	physical vk.PhysicalDevice
	name     string
	format   vk.SurfaceFormat

	dev      *vk.Device
	pool     vk.CommandPool
	cmd      vk.CommandBuffer
	acquired vk.Semaphore // signalled when the image may be written
	copied   vk.Fence     // signalled when cmd is done
	pending  bool         // cmd was submitted, and copied not waited for

	chain *chain // nil while there is none
	stale bool   // the chain fits the surface no more

	// Those of instance and dev; tests put other results in their place.
	capabilities func() (vk.SurfaceCapabilities, error)
	acquire      func(vk.Swapchain) (index int, optimal bool, err error)
	present      func(vk.Swapchain, int, vk.Semaphore) (optimal bool, err error)
	record       func(image int) error // is copyTo
}

// New makes a presenter.
//
// Errors: those of Options.Surface; one that wraps [ErrNone].
func New(o Options) (_ *Presenter, err error) {
	opts := vk.InstanceOptions{Validation: o.Validation, SyncValidation: o.Validation, Surfaces: o.Extensions}
	if o.OnMessage != nil {
		opts.OnMessage = func(m vk.Message) { o.OnMessage(m.String()) }
	}
	p := &Presenter{}
	defer func() {
		if err != nil {
			p.Close()
			if errors.Is(err, vk.ErrNoLoader) || errors.Is(err, vk.ErrNoDriver) || errors.Is(err, vk.ErrExtensionNotPresent) {
				err = fmt.Errorf("%w: %w", ErrNone, err)
			}
		}
	}()
	if p.instance, err = vk.OpenInstance(opts); err != nil {
		return nil, err
	}
	surface, err := o.Surface(p.instance.Handle())
	if err != nil {
		return nil, fmt.Errorf("make surface: %w", err)
	}
	p.surface = vk.Surface(surface)
	family, err := p.choose(o.device)
	if err != nil {
		return nil, err
	}
	if err := p.open(family); err != nil {
		return nil, fmt.Errorf("open %s to present: %w", p.name, err)
	}
	return p, nil
}

// open opens the device, with what every frame needs.
func (p *Presenter) open(family int) (err error) {
	if p.dev, err = p.instance.CreateDevice(p.physical, vk.DeviceOptions{QueueFamily: family, Extensions: []string{vk.SwapchainExtension}}); err != nil {
		return err
	}
	if p.pool, err = p.dev.CreateCommandPool(); err != nil {
		return err
	}
	if p.cmd, err = p.dev.AllocateCommandBuffer(p.pool); err != nil {
		return err
	}
	p.capabilities = func() (vk.SurfaceCapabilities, error) { return p.instance.SurfaceCapabilities(p.physical, p.surface) }
	p.acquire = func(s vk.Swapchain) (int, bool, error) { return p.dev.AcquireNextImage(s, patience, p.acquired) }
	p.present = func(s vk.Swapchain, k int, ready vk.Semaphore) (bool, error) {
		return p.dev.QueuePresent(p.dev.Queue(0), s, k, ready)
	}
	p.record = p.copyTo
	return p.signals()
}

// Device is the driver's name of the device that presents.
func (p *Presenter) Device() string { return p.name }

// Show presents a frame, which should have the size of the window in pixels: a smaller one leaves black at the right and the bottom, a larger
// one is cut off there. Its alpha does not matter. The frame may be changed afterwards. shown is false, without an error, when the window could
// take none now because it is minimised, hidden or just changing its size.
//
// Errors: one that wraps [ErrLost]; after another one, of memory as a rule, the next call begins anew.
func (p *Presenter) Show(frame *image.RGBA) (shown bool, err error) {
	for range attempts {
		if shown, err = p.try(frame); !errors.Is(err, vk.ErrOutOfDate) {
			return shown, lost(err)
		}
		p.stale = true
	}
	return false, nil
}

// try shows a frame unless the surface has changed since the swapchain was made.
func (p *Presenter) try(frame *image.RGBA) (shown bool, err error) {
	if err := p.signals(); err != nil {
		return false, err
	}
	if fits, err := p.fit(frame.Rect.Dx(), frame.Rect.Dy()); err != nil || !fits {
		return false, err
	}
	// The last copy reads the staging buffer and waits for the semaphore: both are free after it.
	if err := p.settle(); err != nil {
		return false, err
	}
	k, acquired, err := p.acquire(p.chain.handle)
	if err != nil || k < 0 {
		return false, err
	}
	presented, err := p.render(k, frame)
	if err != nil && !errors.Is(err, vk.ErrOutOfDate) {
		return false, errors.Join(err, p.renew())
	}
	p.judge(acquired && presented)
	return err == nil, err
}

// judge gives up a swapchain that fits the surface no more, but not one that never did: another of the same extent would be no better.
func (p *Presenter) judge(optimal bool) {
	if c := p.chain; !c.used {
		c.used, c.poor = true, !optimal
	} else if !optimal && !c.poor {
		p.stale = true
	}
}

// render brings a frame into an image that was acquired, and presents it.
func (p *Presenter) render(k int, frame *image.RGBA) (optimal bool, err error) {
	p.chain.write(frame, p.format.Format)
	if err := p.record(k); err != nil {
		return false, err
	}
	ready := p.chain.ready[k]
	if err := p.dev.QueueSubmitBetween(p.dev.Queue(0), p.copied, p.acquired, vk.StageTransfer, p.cmd, ready); err != nil {
		return false, err
	}
	p.pending = true
	return p.present(p.chain.handle, k, ready)
}

// renew begins anew after an error in the middle of a frame: an image is acquired then, and nobody knows what has been signalled.
func (p *Presenter) renew() (err error) {
	_ = p.dev.WaitIdle() // a lost device is idle
	p.dropChain()
	p.dev.DestroySemaphore(p.acquired)
	p.dev.DestroyFence(p.copied)
	p.acquired, p.copied, p.pending = 0, 0, false
	return p.signals()
}

// signals makes the semaphore and the fence of a frame where they are missing.
func (p *Presenter) signals() (err error) {
	if p.acquired == 0 {
		if p.acquired, err = p.dev.CreateSemaphore(); err != nil {
			return err
		}
	}
	if p.copied == 0 {
		p.copied, err = p.dev.CreateFence()
	}
	return err
}

// settle waits until the last frame was copied.
func (p *Presenter) settle() error {
	if !p.pending {
		return nil
	}
	done, err := p.dev.WaitFence(p.copied, lostAfter)
	if err != nil {
		return err
	}
	if !done {
		return fmt.Errorf("%w: %s did not copy a frame within %v", ErrLost, p.name, lostAfter)
	}
	p.pending = false
	return p.dev.ResetFence(p.copied)
}

// copyTo records the copy from the staging buffer to an image.
func (p *Presenter) copyTo(k int) error {
	if err := p.dev.BeginCommandBuffer(p.cmd, true); err != nil {
		return err
	}
	// From the stage that waits for the image on: before it, the screen may still be read from.
	p.dev.CmdImageBarrier(p.cmd, vk.ImageBarrier{
		Image: p.chain.images[k], Old: vk.LayoutUndefined, New: vk.LayoutTransferDst,
		Src: vk.StageTransfer, Dst: vk.StageTransfer, DstAccess: vk.AccessTransferWrite,
	})
	p.dev.CmdCopyBufferToImage(p.cmd, p.chain.staging, p.chain.images[k], p.chain.extent)
	p.dev.CmdImageBarrier(p.cmd, vk.ImageBarrier{
		Image: p.chain.images[k], Old: vk.LayoutTransferDst, New: vk.LayoutPresent,
		Src: vk.StageTransfer, Dst: vk.StageBottomOfPipe, SrcAccess: vk.AccessTransferWrite,
	})
	return p.dev.EndCommandBuffer(p.cmd)
}

// lost puts ErrLost before errors after which nothing can be shown any more.
func lost(err error) error {
	if errors.Is(err, vk.ErrDeviceLost) || errors.Is(err, vk.ErrSurfaceLost) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// Close releases everything, the surface too: it comes before the end of the window. Closing twice is harmless.
func (p *Presenter) Close() {
	if p.dev != nil {
		_ = p.dev.WaitIdle() // a lost device is idle
		p.dropChain()
		p.dev.DestroyFence(p.copied)
		p.dev.DestroySemaphore(p.acquired)
		p.dev.DestroyCommandPool(p.pool)
		p.dev.Destroy()
		p.dev = nil
	}
	if p.instance != nil {
		p.instance.DestroySurface(p.surface)
		p.surface = 0
		p.instance.Close()
		p.instance = nil
	}
}
