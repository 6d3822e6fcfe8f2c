package imaging

import (
	"fmt"
	"math"
)

// maxSide bounds the sides that Preprocess asks for, far above any network's input.
const maxSide = 1 << 14

// ResizeMode says how Preprocess.Resize is meant.
type ResizeMode int

const (
	// ResizeShorter scales the shorter side to Resize and keeps the aspect ratio; the longer side is rounded down, as torchvision does.
	// It is the zero value because it is what every published recipe means.
	ResizeShorter ResizeMode = iota
	// ResizeExact scales both sides to Resize, whatever the aspect ratio ("squash").
	ResizeExact
)

// Preprocess is the way from a picture to a network's input: torchvision's ImageClassification preset.
type Preprocess struct {
	Resize        int // side in pixels, see ResizeMode; 0 = leave the size
	ResizeMode    ResizeMode
	Crop          int        // side of the central square to cut out, padded with black where the picture is smaller; 0 = no crop
	Mean, Std     [3]float32 // per channel R, G, B, in units of the 0..1 range
	Interpolation Interpolation
	// HorizontalFirst keeps to the order of passes that Pillow had before 13.0. The pixels of the two differ, by a level or so, where the
	// height shrinks by more than twice as many pixels as the width: upright pictures more than twice as high as wide.
	HorizontalFirst bool
}

// Validate says what is wrong with the settings.
func (p Preprocess) Validate() error {
	switch {
	case p.Resize < 0 || p.Resize > maxSide:
		return fmt.Errorf("preprocess: resize is %d, want 0 (none) to %d", p.Resize, maxSide)
	case p.Crop < 0 || p.Crop > maxSide:
		return fmt.Errorf("preprocess: crop is %d, want 0 (none) to %d", p.Crop, maxSide)
	case p.ResizeMode != ResizeShorter && p.ResizeMode != ResizeExact:
		return fmt.Errorf("preprocess: resize mode is %d, want ResizeShorter or ResizeExact", p.ResizeMode)
	case !p.Interpolation.isValid():
		return fmt.Errorf("preprocess: interpolation is %v, want one of the named filters", p.Interpolation)
	}
	for i := range 3 {
		if mean := float64(p.Mean[i]); math.IsNaN(mean) || math.IsInf(mean, 0) {
			return fmt.Errorf("preprocess: mean of channel %d is %v, want a finite number", i, mean)
		}
		if std := float64(p.Std[i]); !(std > 0) || math.IsInf(std, 0) {
			return fmt.Errorf("preprocess: std of channel %d is %v, want a finite number above 0", i, std)
		}
	}
	return nil
}

// OutputSize returns the width and height that a picture of the given size ends up with.
func (p Preprocess) OutputSize(width, height int) (w, h int) {
	if p.Crop > 0 {
		return p.Crop, p.Crop
	}
	return p.resized(width, height)
}

// resized returns the size after resizing, before cropping.
func (p Preprocess) resized(width, height int) (w, h int) {
	switch {
	case p.Resize == 0:
		return width, height
	case p.ResizeMode == ResizeExact:
		return p.Resize, p.Resize
	case width <= height:
		return p.Resize, int(int64(p.Resize) * int64(height) / int64(width))
	default:
		return int(int64(p.Resize) * int64(width) / int64(height)), p.Resize
	}
}

// Region is a part of a picture, in parts of its width and height: 0, 0, 1, 1 is the whole. It may reach beyond the picture.
type Region struct {
	Left   float64 `json:"left"`
	Top    float64 `json:"top"`
	Right  float64 `json:"right"`
	Bottom float64 `json:"bottom"`
}

// Seen returns the part of a picture of the given size that the network sees: what the crop keeps.
func (p Preprocess) Seen(width, height int) Region {
	w, h := p.resized(width, height)
	if p.Crop == 0 {
		return Region{0, 0, 1, 1}
	}
	left, right := seen(w, p.Crop)
	top, bottom := seen(h, p.Crop)
	return Region{left, top, right, bottom}
}

// seen is which part of a side of n pixels a crop takes.
func seen(n, crop int) (from, to float64) {
	at := cropOffset(n, crop)
	if crop > n {
		at = -((crop - n) / 2)
	}
	return float64(at) / float64(n), float64(at+crop) / float64(n)
}

// Pixels resizes and crops, and returns the 8-bit picture that Apply normalises. The result may share memory with img. A picture so
// narrow that its long side would grow beyond DefaultMaxPixels is only computed where the crop keeps it.
func (p Preprocess) Pixels(img *RGB) (*RGB, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if img == nil || img.Width < 1 || img.Height < 1 || len(img.Pix) != 3*img.Width*img.Height {
		return nil, fmt.Errorf("preprocess: picture is empty or its pixels do not match its size")
	}
	w, h := p.resized(img.Width, img.Height)
	part := window{0, 0, w, h}
	if p.Crop > 0 {
		if w > p.Crop {
			part.left, part.width = cropOffset(w, p.Crop), p.Crop
		}
		if h > p.Crop {
			part.top, part.height = cropOffset(h, p.Crop), p.Crop
		}
	}
	if int64(w) > DefaultMaxPixels || int64(h) > DefaultMaxPixels || int64(part.width)*int64(part.height) > DefaultMaxPixels {
		return nil, fmt.Errorf("preprocess: %w: %dx%d would become %dx%d, the limit is %d pixels", ErrTooLarge, img.Width, img.Height, w, h, DefaultMaxPixels)
	}
	if w != img.Width || h != img.Height {
		img = resizeWindow(img, w, h, part, p.Interpolation, p.HorizontalFirst)
	}
	if p.Crop > 0 {
		img = CenterCrop(img, p.Crop, p.Crop)
	}
	return img, nil
}

// Apply resizes, crops and normalises the picture into dst: planes R, G, B of rows (CHW). With a crop, dst has 3*Crop*Crop elements;
// without one, 3*w*h of OutputSize. Each value is ((u8/255) - mean) / std, every step rounded to float32 as torchvision's tensors are,
// so the result is equal bit for bit.
func (p Preprocess) Apply(img *RGB, dst []float32) error {
	pixels, err := p.Pixels(img)
	if err != nil {
		return err
	}
	plane := pixels.Width * pixels.Height
	if len(dst) != 3*plane {
		return fmt.Errorf("preprocess: destination has %d elements, want 3x%dx%d = %d", len(dst), pixels.Height, pixels.Width, 3*plane)
	}
	var table [256]float32
	for c := range 3 {
		for i := range table {
			table[i] = float32(float32(float32(i)/255)-p.Mean[c]) / p.Std[c]
		}
		out := dst[c*plane : (c+1)*plane]
		for i := range out {
			out[i] = table[pixels.Pix[3*i+c]]
		}
	}
	return nil
}
