package imaging

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Compression values of a Windows bitmap header.
const (
	bmpRaw       = 0
	bmpRLE8      = 1
	bmpRLE4      = 2
	bmpBitfields = 3
)

// bmpHeader is what the two headers of a bitmap say.
type bmpHeader struct {
	width, height int
	isTopDown     bool
	bits          int
	compression   uint32
	masks         [3]uint32 // R, G, B, for 16 and 32 bits a pixel
	colors        palette
	pixels        []byte
}

// decodeBMP reads Windows bitmaps of all header versions and OS/2 1.x ones: 1, 2, 4, 8 bits with a palette, raw or run-length coded, and
// 16, 24, 32 bits with any channel masks. Alpha is dropped.
func decodeBMP(s *source) (*RGB, error) {
	h, err := parseBMP(s)
	if err != nil {
		return nil, err
	}
	if h.compression == bmpRLE8 || h.compression == bmpRLE4 {
		indices, err := h.expandRuns()
		if err != nil {
			return nil, err
		}
		out := newRGB(h.width, h.height)
		for y := range h.height {
			applyPalette(out.row(h.place(y)), indices[y*h.width:], &h.colors)
		}
		return out, nil
	}
	used := (h.width*h.bits + 7) / 8
	stride := (used + 3) &^ 3
	if need := stride*(h.height-1) + used; len(h.pixels) < need {
		return nil, fmt.Errorf("pixel data has %d bytes, %dx%d with %d bits needs %d: the file is truncated", len(h.pixels), h.width, h.height, h.bits, need)
	}
	out := newRGB(h.width, h.height)
	for y := range h.height {
		h.convertRow(out.row(h.place(y)), h.pixels[y*stride:])
	}
	return out, nil
}

// place maps the stored row to the row of the picture.
func (h *bmpHeader) place(y int) int {
	if h.isTopDown {
		return y
	}
	return h.height - 1 - y
}

func parseBMP(s *source) (*bmpHeader, error) {
	const fileHeaderBytes = 14
	le := binary.LittleEndian
	if len(s.data) < fileHeaderBytes+4 {
		return nil, fmt.Errorf("the file has %d bytes, its header alone needs more: it is truncated", len(s.data))
	}
	size := int64(le.Uint32(s.data[fileHeaderBytes:]))
	switch size {
	case 12, 40, 52, 56, 64, 108, 124:
	default:
		return nil, fmt.Errorf("unsupported: header of %d bytes", size)
	}
	if int64(len(s.data)) < fileHeaderBytes+size {
		return nil, fmt.Errorf("the header needs %d bytes, the file has %d: it is truncated", fileHeaderBytes+size, len(s.data))
	}
	info := s.data[fileHeaderBytes : fileHeaderBytes+size]
	rest := s.data[fileHeaderBytes+size:]
	h := &bmpHeader{}
	colorCount, entryBytes := int64(0), int64(4)
	var width, height int64
	if size == 12 {
		width, height = int64(le.Uint16(info[4:])), int64(le.Uint16(info[6:]))
		h.bits, entryBytes = int(le.Uint16(info[10:])), 3
	} else {
		width, height = int64(int32(le.Uint32(info[4:]))), int64(int32(le.Uint32(info[8:])))
		h.bits, h.compression = int(le.Uint16(info[14:])), le.Uint32(info[16:])
		colorCount = int64(le.Uint32(info[32:]))
	}
	if height < 0 {
		h.isTopDown, height = true, -height
	}
	if err := s.checkSize(width, height); err != nil {
		return nil, err
	}
	h.width, h.height = int(width), int(height)
	var err error
	if rest, err = h.readMasks(info, rest); err != nil {
		return nil, err
	}
	offset := int64(le.Uint32(s.data[10:]))
	if h.bits <= 8 {
		if colorCount == 0 {
			colorCount = 1 << h.bits
		}
		if colorCount > 1<<16 {
			return nil, fmt.Errorf("palette of %d colors, want at most 65536", colorCount)
		}
		if int64(len(rest)) < colorCount*entryBytes {
			return nil, fmt.Errorf("palette of %d colors needs %d bytes, the file has %d left: it is truncated", colorCount, colorCount*entryBytes, len(rest))
		}
		h.readPalette(rest, int(colorCount), int(entryBytes))
		rest = rest[colorCount*entryBytes:]
		if offset == fileHeaderBytes+size { // a known slip of writers: the offset forgets the palette
			offset = 0
		}
	}
	if offset == 0 {
		h.pixels = rest
		return h, nil
	}
	if offset > int64(len(s.data)) {
		return nil, fmt.Errorf("pixel data at byte %d, the file has %d: it is truncated", offset, len(s.data))
	}
	h.pixels = s.data[offset:]
	return h, nil
}

// readMasks checks the depth and the compression against each other and finds the channel masks. It returns what follows them.
func (h *bmpHeader) readMasks(info, rest []byte) ([]byte, error) {
	switch h.bits {
	case 1, 2, 4, 8, 24:
	case 16:
		h.masks = [3]uint32{0x7C00, 0x03E0, 0x001F}
	case 32:
		h.masks = [3]uint32{0xFF0000, 0x00FF00, 0x0000FF}
	default:
		return nil, fmt.Errorf("unsupported: %d bits a pixel", h.bits)
	}
	isRunLength := h.compression == bmpRLE8 && h.bits == 8 || h.compression == bmpRLE4 && h.bits == 4
	if h.compression != bmpRaw && h.compression != bmpBitfields && !isRunLength {
		return nil, fmt.Errorf("unsupported: compression %d with %d bits a pixel", h.compression, h.bits)
	}
	if h.compression != bmpBitfields {
		return rest, nil
	}
	if h.bits < 16 {
		return nil, fmt.Errorf("unsupported: channel masks with %d bits a pixel", h.bits)
	}
	masks := info[min(len(info), 40):]
	if len(info) == 40 {
		if len(rest) < 12 {
			return nil, errors.New("the file ends in the channel masks: it is truncated")
		}
		masks, rest = rest[:12], rest[12:]
	}
	var given [3]uint32
	for i := range given {
		given[i] = binary.LittleEndian.Uint32(masks[4*i:])
		if v := given[i] >> bits.TrailingZeros32(given[i]); v&(v+1) != 0 {
			return nil, fmt.Errorf("channel mask %#08x is not one run of bits", given[i])
		}
	}
	if h.bits == 24 && given != [3]uint32{0xFF0000, 0x00FF00, 0x0000FF} {
		return nil, fmt.Errorf("unsupported: channel masks %#x with 24 bits a pixel", given)
	}
	if given != [3]uint32{} {
		h.masks = given
	}
	return rest, nil
}

// readPalette reads blue, green, red entries. Colours beyond 256 cannot be reached and are left out.
func (h *bmpHeader) readPalette(data []byte, count, entryBytes int) {
	kept := min(count, 256)
	for i := range kept {
		e := data[i*entryBytes:]
		h.colors[3*i], h.colors[3*i+1], h.colors[3*i+2] = e[2], e[1], e[0]
	}
	if h.bits == 8 && h.colors.isRamp(kept) {
		h.colors.makeRamp()
	}
}

// convertRow turns one stored row into RGB.
func (h *bmpHeader) convertRow(dst, src []byte) {
	switch h.bits {
	case 24:
		for x := 0; x < len(dst); x += 3 {
			dst[x], dst[x+1], dst[x+2] = src[x+2], src[x+1], src[x]
		}
	case 16:
		for x := range h.width {
			h.splitPixel(dst[3*x:], uint32(binary.LittleEndian.Uint16(src[2*x:])))
		}
	case 32:
		for x := range h.width {
			h.splitPixel(dst[3*x:], binary.LittleEndian.Uint32(src[4*x:]))
		}
	default:
		perByte := 8 / h.bits
		mask := byte(1<<h.bits - 1)
		for x := range h.width {
			index := src[x/perByte] >> (8 - h.bits*(x%perByte+1)) & mask
			copy(dst[3*x:3*x+3], h.colors[3*int(index):])
		}
	}
}

// splitPixel scales each channel of a packed pixel to 0..255, rounding down.
func (h *bmpHeader) splitPixel(dst []byte, pixel uint32) {
	for c, mask := range h.masks {
		if mask == 0 {
			dst[c] = 0
			continue
		}
		shift := bits.TrailingZeros32(mask)
		dst[c] = byte(uint64((pixel&mask)>>shift) * 255 / uint64(mask>>shift))
	}
}

// expandRuns undoes the run-length coding into palette indices, one a byte, in stored row order. Pixels that the file skips are 0.
func (h *bmpHeader) expandRuns() ([]byte, error) {
	out := make([]byte, h.width*h.height)
	src := h.pixels
	at, x := 0, 0 // the next pixel, and its column, which stays at the width while a run is too long for its row
	for at < len(out) {
		if len(src) < 2 {
			return nil, fmt.Errorf("run-length data ends at pixel %d of %d: the file is truncated", at, len(out))
		}
		count, value := int(src[0]), src[1]
		src = src[2:]
		switch {
		case count > 0:
			count = min(count, h.width-x)
			for i := range count {
				out[at+i] = h.runIndex(value, i)
			}
			at, x = at+count, x+count
		case value == 0: // end of row
			at = divideUp(at, h.width) * h.width
			x = 0
		case value == 1: // end of bitmap
			return out, nil
		case value == 2: // move right and on by rows
			if len(src) < 2 {
				return nil, fmt.Errorf("run-length data ends at pixel %d of %d: the file is truncated", at, len(out))
			}
			at += int(src[0]) + int(src[1])*h.width
			x = at % h.width
			src = src[2:]
		default: // that many pixels as they are, padded to 16 bits
			n := (int(value)*h.bits + 7) / 8
			if len(src) < n {
				return nil, fmt.Errorf("run-length data ends at pixel %d of %d: the file is truncated", at, len(out))
			}
			count := min(int(value), len(out)-at)
			for i := range count {
				out[at+i] = h.literalIndex(src, i)
			}
			at += count
			x = at % h.width
			src = src[min(n+n&1, len(src)):]
		}
	}
	return out, nil
}

// runIndex is the palette index at place i of a run: with 4 bits two colours take turns.
func (h *bmpHeader) runIndex(value byte, i int) byte {
	switch {
	case h.bits == 8:
		return value
	case i%2 == 0:
		return value >> 4
	}
	return value & 15
}

// literalIndex is index i of a literal run.
func (h *bmpHeader) literalIndex(src []byte, i int) byte {
	if h.bits == 8 {
		return src[i]
	}
	return h.runIndex(src[i/2], i)
}

func divideUp(a, b int) int { return (a + b - 1) / b }
