package present

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// choose finds the first device that can present, in the loader's order but real ones before software, and its queue family.
func (p *Presenter) choose(only string) (family int, err error) {
	all, err := p.instance.PhysicalDevices()
	if err != nil {
		return 0, err
	}
	software := func(pd vk.PhysicalDevice) int {
		const cpu = 4 // VK_PHYSICAL_DEVICE_TYPE_CPU
		if p.instance.Properties(pd).DeviceType == cpu {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b vk.PhysicalDevice) int { return software(a) - software(b) })
	var refused []error
	for _, pd := range all {
		p.physical, p.name = pd, p.instance.Properties(pd).Name
		if !strings.HasPrefix(p.name, only) {
			continue
		}
		if family, err = p.examine(); err == nil {
			return family, nil
		}
		refused = append(refused, fmt.Errorf("%s: %w", p.name, err))
	}
	return 0, fmt.Errorf("%w: %w", ErrNone, errors.Join(refused...))
}

// examine tells whether the device can present, with which queue family, and sets the format.
func (p *Presenter) examine() (family int, err error) {
	exts, err := p.instance.DeviceExtensions(p.physical)
	if err != nil {
		return 0, err
	}
	if !slices.Contains(exts, vk.SwapchainExtension) {
		return 0, fmt.Errorf("want the extension %s, which it has not", vk.SwapchainExtension)
	}
	if family, err = p.family(); err != nil {
		return 0, err
	}
	c, err := p.instance.SurfaceCapabilities(p.physical, p.surface)
	if err != nil {
		return 0, err
	}
	if c.Usages&vk.ImageTransferDst == 0 {
		return 0, fmt.Errorf("want images of a swapchain that can be copied to (usage %#x), got usages %#x", vk.ImageTransferDst, c.Usages)
	}
	formats, err := p.instance.SurfaceFormats(p.physical, p.surface)
	if err != nil {
		return 0, err
	}
	p.format, err = chooseFormat(formats)
	return family, err
}

// family is the first queue family that can copy and present.
func (p *Presenter) family() (int, error) {
	for k, f := range p.instance.QueueFamilies(p.physical) {
		if f.Count == 0 || f.Flags&(vk.QueueGraphics|vk.QueueCompute|vk.QueueTransfer) == 0 {
			continue
		}
		ok, err := p.instance.SurfaceSupport(p.physical, k, p.surface)
		if err != nil {
			return 0, err
		}
		if ok {
			return k, nil
		}
	}
	return 0, errors.New("want a queue family that presents to the surface, got none")
}

// wanted are the formats to present in, best first. Frames hold what a picture file holds, which the screen is to show as it is; a copy of
// their bytes does that in the sRGB formats too.
var wanted = []vk.Format{vk.FormatBGRA8, vk.FormatRGBA8, vk.FormatABGR32, vk.FormatBGRA8SRGB, vk.FormatRGBA8SRGB, vk.FormatABGR32SRGB}

func chooseFormat(have []vk.SurfaceFormat) (vk.SurfaceFormat, error) {
	if len(have) == 1 && have[0].Format == 0 { // VK_FORMAT_UNDEFINED: old drivers say so when they take any
		return vk.SurfaceFormat{Format: wanted[0], ColorSpace: have[0].ColorSpace}, nil
	}
	for _, f := range wanted {
		for _, h := range have {
			if h.Format == f && h.SRGB() {
				return h, nil
			}
		}
	}
	return vk.SurfaceFormat{}, fmt.Errorf("want a surface format of 8 bits a channel, %v, for sRGB, got %v", wanted, have)
}

// blueFirst tells the order of the bytes of a format.
func blueFirst(f vk.Format) bool { return f == vk.FormatBGRA8 || f == vk.FormatBGRA8SRGB }

// chooseExtent is the extent of a swapchain for a frame of the given size; 0 in a direction while there is nothing to present to.
func chooseExtent(c vk.SurfaceCapabilities, width, height int) vk.Extent {
	if c.Current.Width != vk.AnyExtent {
		return c.Current
	}
	clamp := func(n int, least, most uint32) uint32 { return uint32(min(max(int64(n), int64(least)), int64(most))) }
	return vk.Extent{Width: clamp(width, c.Min.Width, c.Max.Width), Height: clamp(height, c.Min.Height, c.Max.Height)}
}

// chooseImages is how many images to ask for: one more than the window system keeps, so that one is free to be written.
func chooseImages(c vk.SurfaceCapabilities) uint32 {
	n := c.MinImages + 1
	if c.MaxImages != 0 {
		n = min(n, c.MaxImages)
	}
	return n
}

// chooseAlpha is opaque, or what comes nearest: frames have an alpha of 1 everywhere.
func chooseAlpha(have vk.CompositeAlpha) vk.CompositeAlpha {
	for _, a := range []vk.CompositeAlpha{vk.AlphaOpaque, vk.AlphaInherit} {
		if have&a != 0 {
			return a
		}
	}
	return have & -have // the lowest bit: one is there always
}
