package imaging

import (
	"fmt"
	"math"
)

// precisionBits is the number of fraction bits of a weight: 32 bits less 8 for the pixel and 2 for sums outside 0..1.
const precisionBits = 32 - 8 - 2

// taps are the weights of a stretch of one axis: output pixel from+i is the sum of weights[i*width+j] * input[first[i]+j] over
// j < count[i].
type taps struct {
	width        int
	first, count []int
	weights      []int32
}

// newTaps works out the weights of outputs from..from+n-1 of an axis of inSize samples scaled to outSize, normalised in float64 and then
// rounded half away from zero to fixed point, as Pillow does it for 8-bit pictures.
func newTaps(inSize, outSize, from, n int, in Interpolation) *taps {
	scale := float64(inSize) / float64(outSize)
	stretch := max(scale, 1)
	support := in.support() * stretch
	t := &taps{width: min(int(math.Ceil(support))*2+1, inSize), first: make([]int, n), count: make([]int, n)}
	t.weights = make([]int32, n*t.width)
	inverse := 1 / stretch
	row := make([]float64, t.width)
	for i := range n {
		center := float64((float64(from+i) + 0.5) * scale)
		first := max(0, int(center-support+0.5))
		end := min(inSize, int(center+support+0.5))
		sum := 0.0
		for j := range end - first {
			row[j] = in.weight(float64((float64(j+first) - center + 0.5) * inverse))
			sum += row[j]
		}
		for j := range end - first {
			w := row[j]
			if sum != 0 {
				w /= sum
			}
			t.weights[i*t.width+j] = int32(float64(w*(1<<precisionBits)) + math.Copysign(0.5, w))
		}
		t.first[i], t.count[i] = first, end-first
	}
	return t
}

// Resize scales the picture to w x h (both at least 1) with the given filter, to the bytes of Pillow's Image.resize (13.0) on 8-bit
// pictures. The first pass is rounded to bytes, so that the order of the passes shows: across and then down, unless the height shrinks
// by more than twice as many pixels as the width. Before 13.0 Pillow always went across first; see Preprocess.HorizontalFirst.
// It panics if the filter or a side is invalid.
func Resize(img *RGB, w, h int, in Interpolation) *RGB {
	if !in.isValid() || w < 1 || h < 1 {
		panic(fmt.Sprintf("imaging: resize to %dx%d with %v", w, h, in))
	}
	return resizeWindow(img, w, h, window{0, 0, w, h}, in, false)
}

// Thumbnail scales the picture so that its longer side has side pixels and the other at least 1, with the bilinear filter; small pictures grow.
func Thumbnail(img *RGB, side int) *RGB {
	longer := max(img.Width, img.Height)
	scaled := func(n int) int { return max(1, int((int64(n)*int64(side)+int64(longer)/2)/int64(longer))) }
	return Resize(img, scaled(img.Width), scaled(img.Height), Bilinear)
}

// window is the part of a resized picture that is wanted.
type window struct{ left, top, width, height int }

// resizeWindow computes only the given part of the picture resized to w x h; each pixel is the same as in the whole. An axis that keeps
// its length takes no pass.
func resizeWindow(img *RGB, w, h int, part window, in Interpolation, horizontalFirst bool) *RGB {
	if in == Nearest {
		return resizeNearest(img, w, h, part)
	}
	if img.Height == h {
		return resizeAcross(img, w, part.left, part.width, part.top, part.top+part.height, in)
	}
	vertical := newTaps(img.Height, h, part.top, part.height, in)
	if shrink := img.Height - h; !horizontalFirst && shrink > 0 && shrink > 2*(img.Width-w) {
		return resizeAcross(resizeDown(img, vertical, 0), w, part.left, part.width, 0, part.height, in)
	}
	last := part.height - 1
	top, end := vertical.first[0], vertical.first[last]+vertical.count[last]
	return resizeDown(resizeAcross(img, w, part.left, part.width, top, end, in), vertical, top)
}

// resizeAcross scales rows top..end-1 to the width w and keeps width columns from left.
func resizeAcross(img *RGB, w, left, width, top, end int, in Interpolation) *RGB {
	out := newRGB(width, end-top)
	if img.Width == w {
		for y := range out.Height {
			copy(out.row(y), img.row(top + y)[3*left:])
		}
		return out
	}
	t := newTaps(img.Width, w, left, width, in)
	for y := range out.Height {
		src, dst := img.row(top+y), out.row(y)
		for x := range width {
			weights := t.weights[x*t.width:][:t.count[x]]
			pixels := src[3*t.first[x]:][:3*len(weights)]
			r, g, b := int32(1<<(precisionBits-1)), int32(1<<(precisionBits-1)), int32(1<<(precisionBits-1))
			for _, k := range weights {
				r += int32(pixels[0]) * k
				g += int32(pixels[1]) * k
				b += int32(pixels[2]) * k
				pixels = pixels[3:]
			}
			dst[3*x], dst[3*x+1], dst[3*x+2] = clampFixed(r), clampFixed(g), clampFixed(b)
		}
	}
	return out
}

// resizeDown scales the columns of img, whose row 0 is row top of the source, to the rows that t describes.
func resizeDown(img *RGB, t *taps, top int) *RGB {
	out := newRGB(img.Width, len(t.first))
	sums := make([]int32, 3*img.Width)
	for y := range out.Height {
		for x := range sums {
			sums[x] = 1 << (precisionBits - 1)
		}
		for j := range t.count[y] {
			k := t.weights[y*t.width+j]
			src := img.row(t.first[y] - top + j)[:len(sums)]
			for x := range sums {
				sums[x] += int32(src[x]) * k
			}
		}
		dst := out.row(y)[:len(sums)]
		for x, v := range sums {
			dst[x] = clampFixed(v)
		}
	}
	return out
}

// clampFixed drops the fraction bits and clamps to a byte.
func clampFixed(v int32) byte {
	v >>= precisionBits
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}

// resizeNearest takes the pixel under each centre.
func resizeNearest(img *RGB, w, h int, part window) *RGB {
	out := newRGB(part.width, part.height)
	columns := nearestIndices(img.Width, w, part.left, part.width)
	rows := nearestIndices(img.Height, h, part.top, part.height)
	for y := range part.height {
		src, dst := img.row(rows[y]), out.row(y)
		for x := range part.width {
			copy(dst[3*x:3*x+3], src[3*columns[x]:])
		}
	}
	return out
}

// nearestIndices steps along an axis by repeated addition: Pillow's affine transform does, and its rounding is part of the result.
func nearestIndices(inSize, outSize, from, n int) []int {
	scale := float64(inSize) / float64(outSize)
	at := scale * 0.5
	for range from {
		at += scale
	}
	indices := make([]int, n)
	for i := range indices {
		indices[i] = min(int(at), inSize-1)
		at += scale
	}
	return indices
}

// CenterCrop cuts the middle w x h out of the picture, as torchvision's center_crop does: where the picture is smaller it is padded
// with black first, the odd pixel going to the right and to the bottom, and the offset of the cut is rounded half to even. It returns
// img itself when that has the size already.
func CenterCrop(img *RGB, w, h int) *RGB {
	img = padTo(img, w, h)
	left, top := cropOffset(img.Width, w), cropOffset(img.Height, h)
	if left == 0 && top == 0 && img.Width == w && img.Height == h {
		return img
	}
	out := newRGB(w, h)
	for y := range h {
		copy(out.row(y), img.row(top + y)[3*left:])
	}
	return out
}

// cropOffset is Python's round((size-crop)/2): halves go to the even neighbour.
func cropOffset(size, crop int) int { return int(math.RoundToEven(float64(size-crop) / 2)) }

// padTo centres the picture on a black one of at least w x h.
func padTo(img *RGB, w, h int) *RGB {
	if img.Width >= w && img.Height >= h {
		return img
	}
	left, top := max(0, w-img.Width)/2, max(0, h-img.Height)/2
	out := newRGB(max(w, img.Width), max(h, img.Height))
	for y := range img.Height {
		copy(out.row(top + y)[3*left:], img.row(y))
	}
	return out
}
