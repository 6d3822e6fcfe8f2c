package imaging

import (
	"errors"
	"fmt"
	"image"
	"io"
)

// fromImage converts what the library decoders return. Alpha is dropped, 16-bit channels keep their high byte.
func fromImage(src image.Image) (*RGB, error) {
	b := src.Bounds()
	out := newRGB(b.Dx(), b.Dy())
	for y := range out.Height {
		dst := out.row(y)
		switch m := src.(type) {
		case *image.Gray:
			spreadGray(dst, m.Pix[y*m.Stride:], 1)
		case *image.Gray16:
			spreadGray(dst, m.Pix[y*m.Stride:], 2)
		case *image.NRGBA:
			pickRGB(dst, m.Pix[y*m.Stride:], 4, 1)
		case *image.NRGBA64:
			pickRGB(dst, m.Pix[y*m.Stride:], 8, 2)
		case *image.RGBA:
			pickRGB(dst, m.Pix[y*m.Stride:], 4, 1)
			unpremultiply(dst, m.Pix[y*m.Stride+3:], 4)
		case *image.RGBA64:
			pickRGB(dst, m.Pix[y*m.Stride:], 8, 2)
			unpremultiply(dst, m.Pix[y*m.Stride+6:], 8)
		case *image.Paletted:
			table := paletteOf(m)
			applyPalette(dst, m.Pix[y*m.Stride:], table)
		default:
			return nil, fmt.Errorf("decoder returned a %T, which is not handled", src)
		}
	}
	return out, nil
}

// spreadGray repeats every step-th byte of src over three channels.
func spreadGray(dst, src []byte, step int) {
	for x := 0; x < len(dst); x += 3 {
		v := src[x/3*step]
		dst[x], dst[x+1], dst[x+2] = v, v, v
	}
}

// pickRGB copies three channels that lie apart bytes from each other, of pixels that are step bytes long.
func pickRGB(dst, src []byte, step, apart int) {
	for x := 0; x < len(dst); x += 3 {
		p := src[x/3*step:]
		dst[x], dst[x+1], dst[x+2] = p[0], p[apart], p[2*apart]
	}
}

// unpremultiply divides the colours by their alpha, rounding down, as Pillow does for associated alpha; without alpha it is black.
func unpremultiply(dst, alpha []byte, step int) {
	for x := 0; x < len(dst); x += 3 {
		a := int(alpha[x/3*step])
		if a == 255 {
			continue
		}
		for c := x; c < x+3; c++ {
			if a == 0 {
				dst[c] = 0
				continue
			}
			dst[c] = byte(min(int(dst[c])*255/a, 255))
		}
	}
}

// palette holds 256 colours of 3 bytes; those that a file does not give are black.
type palette [3 * 256]byte

// paletteOf reads the colours of a library picture, undoing no premultiplication: the libraries keep palettes straight or opaque.
func paletteOf(m *image.Paletted) *palette {
	table := new(palette)
	for i, c := range m.Palette[:min(len(m.Palette), 256)] {
		r, g, b := straight(c)
		table[3*i], table[3*i+1], table[3*i+2] = r, g, b
	}
	return table
}

// applyPalette looks every index up.
func applyPalette(dst, indices []byte, table *palette) {
	for x := 0; x < len(dst); x += 3 {
		copy(dst[x:x+3], table[3*int(indices[x/3]):])
	}
}

// isRamp reports whether color i of the first count is the gray i. Pillow then forgets the palette, so that indices beyond it are grays too.
func (p *palette) isRamp(count int) bool {
	for i := range count {
		if v := byte(i); p[3*i] != v || p[3*i+1] != v || p[3*i+2] != v {
			return false
		}
	}
	return true
}

// makeRamp fills the whole table with grays.
func (p *palette) makeRamp() {
	for i := range p {
		p[i] = byte(i / 3)
	}
}

// explainEOF says plainly what a library means by an end of file.
func explainEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file ends early, it is truncated: %w", err)
	}
	return err
}
