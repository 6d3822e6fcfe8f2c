package present

import (
	"bytes"
	"image"
	"image/color"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

func TestChooseFormat(t *testing.T) {
	const wideGamut = 1000104001
	f := func(formats ...vk.Format) (all []vk.SurfaceFormat) {
		for _, f := range formats {
			all = append(all, vk.SurfaceFormat{Format: f})
		}
		return all
	}
	for _, c := range []struct {
		name string
		have []vk.SurfaceFormat
		want vk.Format // 0 for an error
	}{
		{"the driver's order does not count", f(vk.FormatBGRA8SRGB, vk.FormatRGBA8, vk.FormatBGRA8), vk.FormatBGRA8},
		{"only sRGB", f(vk.FormatRGBA16Float, vk.FormatRGBA8SRGB), vk.FormatRGBA8SRGB},
		{"packed", f(vk.FormatABGR32SRGB, vk.FormatABGR32), vk.FormatABGR32},
		{"another colour space", []vk.SurfaceFormat{{Format: vk.FormatBGRA8, ColorSpace: wideGamut}, {Format: vk.FormatRGBA8}}, vk.FormatRGBA8},
		{"any", f(0), vk.FormatBGRA8},
		{"none that fits", f(vk.FormatRGBA16Float), 0},
		{"none", nil, 0},
	} {
		got, err := chooseFormat(c.have)
		if got.Format != c.want || (err == nil) != (c.want != 0) || !got.SRGB() {
			t.Errorf("%s: got %+v, %v, want format %d", c.name, got, err, c.want)
		}
	}
}

func TestChooseExtent(t *testing.T) {
	free := vk.SurfaceCapabilities{Current: vk.Extent{Width: vk.AnyExtent, Height: vk.AnyExtent}, Min: vk.Extent{Width: 2, Height: 3}, Max: vk.Extent{Width: 500, Height: 400}}
	window := vk.SurfaceCapabilities{Current: vk.Extent{Width: 70, Height: 50}}
	for _, c := range []struct {
		c             vk.SurfaceCapabilities
		width, height int
		want          vk.Extent
	}{
		{window, 90, 10, vk.Extent{Width: 70, Height: 50}}, {free, 90, 10, vk.Extent{Width: 90, Height: 10}},
		{free, 1, 1, vk.Extent{Width: 2, Height: 3}}, {free, 1 << 40, 1 << 40, vk.Extent{Width: 500, Height: 400}},
		{vk.SurfaceCapabilities{}, 90, 10, vk.Extent{}},
	} {
		if got := chooseExtent(c.c, c.width, c.height); got != c.want {
			t.Errorf("a frame of %dx%d for %+v: got %v, want %v", c.width, c.height, c.c, got, c.want)
		}
	}
}

func TestChooseImagesAndAlpha(t *testing.T) {
	for _, c := range []struct{ least, most, want uint32 }{{2, 0, 3}, {1, 2, 2}, {3, 3, 3}} {
		if got := chooseImages(vk.SurfaceCapabilities{MinImages: c.least, MaxImages: c.most}); got != c.want {
			t.Errorf("%d to %d images: got %d, want %d", c.least, c.most, got, c.want)
		}
	}
	for have, want := range map[vk.CompositeAlpha]vk.CompositeAlpha{0xf: vk.AlphaOpaque, 0xe: vk.AlphaInherit, 0x6: 0x2, 0x4: 0x4} {
		if got := chooseAlpha(have); got != want {
			t.Errorf("alphas %#x: got %#x, want %#x", have, got, want)
		}
	}
}

// TestWriteFrame takes a part of a picture, wider and lower than the surface, so that strides, corners and rest show.
func TestWriteFrame(t *testing.T) {
	whole := image.NewRGBA(image.Rect(0, 0, 9, 9))
	for y := range 9 {
		for x := range 9 {
			whole.SetRGBA(x, y, color.RGBA{uint8(10 + x), uint8(100 + y), uint8(200 + x*y), 7})
		}
	}
	part := whole.SubImage(image.Rect(2, 3, 7, 5)).(*image.RGBA) // 5×2
	for _, blueFirst := range []bool{false, true} {
		dst := bytes.Repeat([]byte{0x55}, 4*3*4+1)
		writeFrame(dst[:4*3*4], 3, 4, part, blueFirst)
		for y := range 4 {
			for x := range 3 {
				want := []byte{0, 0, 0, 255}
				if y < 2 {
					want = []byte{uint8(12 + x), uint8(103 + y), uint8(200 + (2+x)*(3+y)), 255}
				}
				if blueFirst {
					want[0], want[2] = want[2], want[0]
				}
				if got := dst[4*(3*y+x):][:4]; !bytes.Equal(got, want) {
					t.Errorf("blue first %v: pixel %d, %d: got %v, want %v", blueFirst, x, y, got, want)
				}
			}
		}
		if dst[48] != 0x55 {
			t.Error("wrote beyond the surface")
		}
	}
}
