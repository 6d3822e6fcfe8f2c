package imaging

import (
	"errors"
	"fmt"
	"image"

	"golang.org/x/image/tiff"
)

// decodeTIFF reads the first page. The library does the unpacking; kinds of pixels that it does not know are presented to it as ones it
// does (see recast).
func decodeTIFF(s *source) (*RGB, error) {
	dir, ok := readTIFFDirectory(s.data)
	if !ok || dir.isCut {
		return nil, errors.New("the file ends before the end of its directory, it is truncated")
	}
	width, height := dir.value(tagImageWidth, 0), dir.value(tagImageLength, 0)
	if err := s.checkSize(int64(width), int64(height)); err != nil {
		return nil, err
	}
	kind := dir.kind()
	patched := source{data: s.data}
	switch {
	case dir.value(tagSamplesPerPixel, 1) > 1 && dir.value(tagPlanarConfiguration, 1) == 2:
		return nil, errors.New("unsupported: samples stored plane by plane (PlanarConfiguration 2)")
	case kind == tiffGrayAlpha && dir.value(tagPredictor, 1) != 1:
		return nil, errors.New("unsupported: gray with alpha, coded with a predictor")
	case kind == tiffGrayAlpha && dir.firstShort(tagBitsPerSample) != 8:
		return nil, fmt.Errorf("unsupported: gray with alpha of %d bits", dir.firstShort(tagBitsPerSample))
	case kind != tiffPlain:
		dir.recast(kind)
		patched.data = dir.appendTo(s.data)
	}
	img, err := tiff.Decode(patched.reader())
	if err != nil {
		return nil, explainEOF(err)
	}
	switch kind {
	case tiffCMYK:
		return fromInk(img)
	case tiffGrayAlpha:
		return fromGrayAlpha(img)
	}
	out, err := fromImage(img)
	if err == nil && dir.isReversedFax() {
		for i := range out.Pix {
			out.Pix[i] = 255 - out.Pix[i]
		}
	}
	return out, err
}

// tiffKind is a kind of pixels that the library has to be helped with.
type tiffKind int

const (
	tiffPlain     tiffKind = iota + 1 // none of the below
	tiffCMYK                          // four inks, 255 being full
	tiffGrayAlpha                     // gray with one extra sample
	tiffRGBExtra                      // RGB with an extra sample of no stated meaning
)

func (d *tiffDirectory) kind() tiffKind {
	const whiteIsZero, blackIsZero, rgb, cmyk = 0, 1, 2, 5
	samples := d.value(tagSamplesPerPixel, 1)
	switch photometric := d.value(tagPhotometric, 0); {
	case photometric == cmyk && samples == 4:
		return tiffCMYK
	case (photometric == whiteIsZero || photometric == blackIsZero) && samples == 2:
		return tiffGrayAlpha
	case photometric == rgb && samples == 4 && d.value(tagExtraSamples, 0) == 0:
		return tiffRGBExtra
	}
	return tiffPlain
}

// recast rewrites the directory so that the library takes CMYK for RGB with alpha, and gray with alpha for gray of twice the width.
func (d *tiffDirectory) recast(kind tiffKind) {
	const rgb, unassociatedAlpha, bits = 2, 2, 8
	switch kind {
	case tiffCMYK, tiffRGBExtra:
		d.set(tagPhotometric, typeShort, rgb)
		d.set(tagExtraSamples, typeShort, unassociatedAlpha)
	case tiffGrayAlpha:
		d.set(tagImageWidth, typeLong, 2*d.value(tagImageWidth, 0))
		if tile := d.value(tagTileWidth, 0); tile > 0 {
			d.set(tagTileWidth, typeLong, 2*tile)
		}
		d.set(tagSamplesPerPixel, typeShort, 1)
		d.set(tagBitsPerSample, typeShort, bits)
		d.remove(tagExtraSamples)
	}
}

// isReversedFax reports whether the page is a fax-coded one whose zeros are black. Fax codes give white as zeros, so that such a page is
// to be shown reversed (TIFF 6.0 on PhotometricInterpretation), which the library does not do.
func (d *tiffDirectory) isReversedFax() bool {
	const group3, group4, blackIsZero = 3, 4, 1
	compression := d.value(tagCompression, 1)
	return (compression == group3 || compression == group4) && d.value(tagPhotometric, 0) == blackIsZero
}

// fromInk converts CMYK that was read as RGB with alpha, in Pillow's arithmetic: each channel is the light that black lets through, less
// the ink's share of it, rounded.
func fromInk(img image.Image) (*RGB, error) {
	m, ok := img.(*image.NRGBA)
	if !ok {
		return nil, fmt.Errorf("unsupported: CMYK pixels of other than 8 bits (%T)", img)
	}
	out := newRGB(m.Rect.Dx(), m.Rect.Dy())
	for y := range out.Height {
		src := m.Pix[y*m.Stride:]
		for i := range out.row(y) {
			ink, light := int(src[i/3*4+i%3]), 255-int(src[i/3*4+3])
			t := ink*light + 128
			out.row(y)[i] = byte(max(light-(t+t>>8)>>8, 0))
		}
	}
	return out, nil
}

// fromGrayAlpha takes every other sample of a gray picture of twice the width.
func fromGrayAlpha(img image.Image) (*RGB, error) {
	m, ok := img.(*image.Gray)
	if !ok {
		return nil, fmt.Errorf("unsupported: gray with alpha of other than 8 bits (%T)", img)
	}
	out := newRGB(m.Rect.Dx()/2, m.Rect.Dy())
	for y := range out.Height {
		spreadGray(out.row(y), m.Pix[y*m.Stride:], 2)
	}
	return out, nil
}
