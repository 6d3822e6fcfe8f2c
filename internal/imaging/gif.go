package imaging

import (
	"compress/lzw"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// gifFrame is what the first frame needs: the standard library forgets the colour of a transparent palette entry, which dropping alpha
// brings to light, so the blocks are walked here.
type gifFrame struct {
	width, height             int // the canvas
	left, top, frameW, frameH int
	isInterlaced              bool
	colors                    palette
	background                byte // palette index around the frame
	codeBits                  int
	blocks                    []byte // the LZW data in sub-blocks, and the rest of the file
}

// decodeGIF reads the first frame on its canvas.
func decodeGIF(s *source) (*RGB, error) {
	f, err := parseGIF(s.data)
	if err != nil {
		return nil, err
	}
	if err := s.checkSize(int64(f.width), int64(f.height)); err != nil {
		return nil, err
	}
	if f.frameW == 0 || f.frameH == 0 {
		return nil, fmt.Errorf("first frame has the size %dx%d", f.frameW, f.frameH)
	}
	if f.codeBits < 2 || f.codeBits > 8 {
		return nil, fmt.Errorf("LZW code size is %d, want 2 to 8", f.codeBits)
	}
	pixels := lzw.NewReader(&subBlocks{data: f.blocks}, lzw.LSB, f.codeBits)
	defer pixels.Close()
	// ReadAll grows with what the file really holds, whatever its header claims.
	total := f.frameW * f.frameH
	indices, err := io.ReadAll(io.LimitReader(pixels, int64(total)))
	if err == nil && len(indices) < total {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("first frame has %d of %d pixels: %w", len(indices), total, explainEOF(err))
	}
	out := newRGB(f.width, f.height)
	fill := f.colors[3*int(f.background):][:3]
	for i := range out.Pix {
		out.Pix[i] = fill[i%3]
	}
	for i, y := range f.rowOrder() {
		dst := out.row(f.top + y)[3*f.left:][:3*f.frameW]
		applyPalette(dst, indices[i*f.frameW:], &f.colors)
	}
	return out, nil
}

// rowOrder lists where the stored rows go (GIF89a appendix E for interlacing).
func (f *gifFrame) rowOrder() []int {
	rows := make([]int, 0, f.frameH)
	passes := [][2]int{{0, 1}}
	if f.isInterlaced {
		passes = [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}
	}
	for _, p := range passes {
		for y := p[0]; y < f.frameH; y += p[1] {
			rows = append(rows, y)
		}
	}
	return rows
}

var errGIFShort = errors.New("the file ends before the first frame, it is truncated")

// parseGIF walks the blocks to the first frame.
func parseGIF(data []byte) (*gifFrame, error) {
	const headerBytes, descriptorBytes = 13, 10
	if len(data) < headerBytes {
		return nil, errGIFShort
	}
	f := &gifFrame{width: int(binary.LittleEndian.Uint16(data[6:])), height: int(binary.LittleEndian.Uint16(data[8:]))}
	f.colors.makeRamp() // a file without any palette means grays
	rest, err := f.readPalette(data[headerBytes:], data[10])
	if err != nil {
		return nil, err
	}
	transparent := byte(0)
	for len(rest) > 0 && rest[0] != ',' {
		switch {
		case rest[0] == ';':
			return nil, errors.New("the file has no frame")
		case rest[0] != '!':
			rest = rest[1:] // stray bytes between blocks are skipped, as most readers do
			continue
		case len(rest) < 3:
			return nil, errGIFShort
		}
		if rest[1] == 0xF9 && rest[2] >= 4 && len(rest) >= 7 && rest[3]&1 != 0 {
			transparent = rest[6]
		}
		blocks := subBlocks{data: rest[2:]}
		if _, err := io.Copy(io.Discard, &blocks); err != nil {
			return nil, errGIFShort
		}
		rest = blocks.data
	}
	if len(rest) < descriptorBytes {
		return nil, errGIFShort
	}
	f.left, f.top = int(binary.LittleEndian.Uint16(rest[1:])), int(binary.LittleEndian.Uint16(rest[3:]))
	f.frameW, f.frameH = int(binary.LittleEndian.Uint16(rest[5:])), int(binary.LittleEndian.Uint16(rest[7:]))
	f.width, f.height = max(f.width, f.left+f.frameW), max(f.height, f.top+f.frameH)
	f.isInterlaced = rest[9]&0x40 != 0
	f.background = transparent
	rest, err = f.readPalette(rest[descriptorBytes:], rest[9])
	if err != nil {
		return nil, err
	}
	if len(rest) < 1 {
		return nil, errGIFShort
	}
	f.codeBits, f.blocks = int(rest[0]), rest[1:]
	return f, nil
}

// readPalette reads a colour table if the flags say that one follows.
func (f *gifFrame) readPalette(data []byte, flags byte) ([]byte, error) {
	if flags&0x80 == 0 {
		return data, nil
	}
	count := 2 << (flags & 7)
	if len(data) < 3*count {
		return nil, errGIFShort
	}
	f.colors = palette{}
	copy(f.colors[:], data[:3*count])
	if f.colors.isRamp(count) {
		f.colors.makeRamp()
	}
	return data[3*count:], nil
}

// subBlocks reads the chain of sub-blocks at the start of data, and leaves data after its end.
type subBlocks struct {
	data []byte
	left int // bytes of the current block
	done bool
}

var _ io.ByteReader = (*subBlocks)(nil) // so that lzw reads no further than it must

func (b *subBlocks) ReadByte() (byte, error) {
	for b.left == 0 {
		if b.done {
			return 0, io.EOF
		}
		if len(b.data) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		b.left = int(b.data[0])
		b.data = b.data[1:]
		b.done = b.left == 0
	}
	if len(b.data) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	v := b.data[0]
	b.data = b.data[1:]
	b.left--
	return v, nil
}

func (b *subBlocks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	v, err := b.ReadByte()
	if err != nil {
		return 0, err
	}
	n := 1 + copy(p[1:], b.data[:min(b.left, len(b.data))])
	p[0] = v
	b.data, b.left = b.data[n-1:], b.left-(n-1)
	return n, nil
}
