package present

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// chain is a swapchain with what its frames go through.
type chain struct {
	handle vk.Swapchain
	extent vk.Extent
	turned uint32 // what it was made for
	images []vk.Image
	ready  []vk.Semaphore // of each image, signalled when it may be shown

	used, poor bool // it had a frame; it was not the best that the surface could have, from the first frame on

	staging vk.Buffer
	memory  vk.Memory
	pixels  []byte // of the staging buffer: 4 bytes a pixel, rows from the top
}

// fit sees to it that there is a swapchain of the surface's extent, and tells whether there can be one.
func (p *Presenter) fit(width, height int) (bool, error) {
	c, err := p.capabilities()
	if err != nil {
		return false, err
	}
	extent := chooseExtent(c, width, height)
	if extent.Width == 0 || extent.Height == 0 {
		return false, nil
	}
	if p.chain != nil && !p.stale && p.chain.extent == extent && p.chain.turned == c.Transform {
		return true, nil
	}
	// What is on its way to the screen still uses the old one.
	if err := p.dev.WaitIdle(); err != nil {
		return false, err
	}
	next, err := p.newChain(c, extent)
	p.dropChain()
	if err != nil {
		return false, fmt.Errorf("make swapchain of %v: %w", extent, err)
	}
	p.chain, p.stale = next, false
	return true, nil
}

func (p *Presenter) newChain(c vk.SurfaceCapabilities, extent vk.Extent) (_ *chain, err error) {
	n := &chain{extent: extent, turned: c.Transform}
	defer func() {
		if err != nil {
			n.destroy(p.dev)
		}
	}()
	o := vk.SwapchainOptions{
		Surface: p.surface, MinImages: chooseImages(c), Format: p.format, Extent: extent, Transform: c.Transform, Alpha: chooseAlpha(c.Alphas),
	}
	if p.chain != nil {
		o.Old = p.chain.handle
	}
	if n.handle, err = p.dev.CreateSwapchain(o); err != nil {
		return nil, err
	}
	if n.images, err = p.dev.SwapchainImages(n.handle); err != nil {
		return nil, err
	}
	for range n.images {
		s, err := p.dev.CreateSemaphore()
		if err != nil {
			return nil, err
		}
		n.ready = append(n.ready, s)
	}
	return n, p.stage(n)
}

// stage gives a chain its staging buffer.
func (p *Presenter) stage(n *chain) (err error) {
	size := 4 * uint64(n.extent.Width) * uint64(n.extent.Height)
	if n.staging, err = p.dev.CreateBuffer(size, vk.BufferTransferSrc); err != nil {
		return err
	}
	req := p.dev.BufferRequirements(n.staging)
	const coherent = vk.MemoryHostVisible | vk.MemoryHostCoherent
	types, _ := p.instance.Memory(p.physical)
	for k, t := range types {
		if t.Flags&coherent != coherent || req.TypeBits>>k&1 == 0 {
			continue
		}
		if n.memory, err = p.dev.AllocateMemory(req.Size, k); err != nil {
			return err
		}
		if err = p.dev.BindBuffer(n.staging, n.memory, 0); err != nil {
			return err
		}
		n.pixels, err = p.dev.MapMemory(n.memory, 0, size)
		return err
	}
	return errors.New("want memory that is host visible and coherent, got none")
}

// dropChain destroys the swapchain, when the device is idle.
func (p *Presenter) dropChain() {
	if p.chain != nil {
		p.chain.destroy(p.dev)
		p.chain = nil
	}
}

func (n *chain) destroy(dev *vk.Device) {
	dev.DestroyBuffer(n.staging)
	dev.FreeMemory(n.memory)
	for _, s := range n.ready {
		dev.DestroySemaphore(s)
	}
	dev.DestroySwapchain(n.handle)
}

// write puts a frame into the staging buffer.
func (n *chain) write(frame *image.RGBA, f vk.Format) {
	writeFrame(n.pixels, int(n.extent.Width), int(n.extent.Height), frame, blueFirst(f))
}

// writeFrame writes width×height pixels: those of the frame, opaque, and black where it has none.
func writeFrame(dst []byte, width, height int, frame *image.RGBA, blueFirst bool) {
	const black, opaque = 0xff00_0000, 0xff00_0000
	w, h := min(width, frame.Rect.Dx()), min(height, frame.Rect.Dy())
	for y := range height {
		row := dst[4*width*y : 4*width*(y+1)]
		var from []byte
		if y < h {
			from = frame.Pix[y*frame.Stride:][:4*w]
		}
		for x := range width {
			v := uint32(black)
			if 4*x < len(from) {
				v = binary.LittleEndian.Uint32(from[4*x:]) | opaque
				if blueFirst {
					v = v&0xff00ff00 | v>>16&0xff | v&0xff<<16
				}
			}
			binary.LittleEndian.PutUint32(row[4*x:], v)
		}
	}
}
