package jpeg

// lookupBits is the length of the codes that a single table access decodes.
const lookupBits = 9

// huffmanTable decodes one Huffman code set (T.81 annex C and F.2.2.3).
type huffmanTable struct {
	lookup  [1 << lookupBits]uint16 // length<<8 | symbol, 0 where the code is longer
	maxCode [18]int32               // largest code of each length, left-aligned to 16 bits plus one; index 17 is a sentinel
	offset  [17]int32               // index of a length's first symbol minus its first code
	symbols [256]byte
}

func (d *decoder) readHuffmanTables(segment []byte) error {
	for len(segment) > 0 {
		if len(segment) < 17 {
			return formatErrorf("Huffman table segment has %d bytes left, want at least 17", len(segment))
		}
		class, index := segment[0]>>4, segment[0]&15
		if class > 1 || index > 3 {
			return formatErrorf("Huffman table class %d, index %d; want 0..1 and 0..3", class, index)
		}
		table, used, err := newHuffmanTable(segment[1:], class == 0)
		if err != nil {
			return err
		}
		if class == 0 {
			d.dcTables[index] = table
		} else {
			d.acTables[index] = table
		}
		segment = segment[1+used:]
	}
	return nil
}

// newHuffmanTable builds a table from its 16 counts and its symbols, and returns how many bytes they took.
func newHuffmanTable(spec []byte, isDC bool) (*huffmanTable, int, error) {
	total := 0
	for _, n := range spec[:16] {
		total += int(n)
	}
	if total > 256 || len(spec) < 16+total {
		return nil, 0, formatErrorf("Huffman table lists %d symbols, the segment holds %d and the limit is 256", total, len(spec)-16)
	}
	t := new(huffmanTable)
	copy(t.symbols[:], spec[16:16+total])
	if isDC {
		for _, s := range t.symbols[:total] {
			if s > 15 {
				return nil, 0, formatErrorf("Huffman table of DC differences has the category %d, want 0..15", s)
			}
		}
	}
	code, index := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		n := int32(spec[length-1])
		if code+n > 1<<length {
			return nil, 0, formatErrorf("Huffman table has too many codes of %d bits", length)
		}
		t.offset[length] = index - code
		for i := range n {
			if length <= lookupBits {
				first := (code + i) << (lookupBits - length)
				for j := range int32(1) << (lookupBits - length) {
					t.lookup[first+j] = uint16(length)<<8 | uint16(t.symbols[index+i])
				}
			}
		}
		code += n
		index += n
		t.maxCode[length] = code << (16 - length) // no code of this length: never larger than what shorter ones covered
		code <<= 1
	}
	t.maxCode[17] = 1 << 30
	return t, 16 + total, nil
}

// bitReader reads the entropy-coded bits of a scan, undoing byte stuffing and stopping at markers.
type bitReader struct {
	data []byte
	pos  int
	acc  uint64 // the next n bits, in the low bits
	n    int
	// missing counts the zero bits that were made up past the end of the segment.
	missing int
}

// fill tops the accumulator up to more than 48 bits. Past a marker or the end it adds zero bits and counts them, so that decoding
// needs no check per bit: the caller looks at overrun once a block.
func (b *bitReader) fill() {
	for b.n <= 48 {
		if b.pos+1 < len(b.data) {
			v := b.data[b.pos]
			if v != 0xFF {
				b.acc = b.acc<<8 | uint64(v)
				b.n += 8
				b.pos++
				continue
			}
			if b.data[b.pos+1] == 0 {
				b.acc = b.acc<<8 | 0xFF
				b.n += 8
				b.pos += 2
				continue
			}
		} else if b.pos < len(b.data) && b.data[b.pos] != 0xFF {
			b.acc = b.acc<<8 | uint64(b.data[b.pos])
			b.n += 8
			b.pos++
			continue
		}
		b.acc <<= 8
		b.n += 8
		b.missing += 8
	}
}

// overrun reports whether bits were used that the segment does not have.
func (b *bitReader) overrun() bool { return b.missing > b.n }

// bits returns the next count bits, 0 <= count <= 16.
func (b *bitReader) bits(count int) int32 {
	if b.n < count {
		b.fill()
	}
	b.n -= count
	return int32(b.acc>>b.n) & (1<<count - 1)
}

// extended returns the next count bits as the signed value they stand for (T.81 F.2.2.1, EXTEND).
func (b *bitReader) extended(count int) int32 {
	v := b.bits(count)
	if count > 0 && v < 1<<(count-1) {
		v += -1<<count + 1
	}
	return v
}

// symbol decodes one Huffman code; ok is false when the bits are none of the table's codes.
func (b *bitReader) symbol(t *huffmanTable) (symbol byte, ok bool) {
	if b.n < 16 {
		b.fill()
	}
	if e := t.lookup[(b.acc>>(b.n-lookupBits))&(1<<lookupBits-1)]; e != 0 {
		b.n -= int(e >> 8)
		return byte(e), true
	}
	code := int32(b.acc>>(b.n-16)) & 0xFFFF
	length := lookupBits + 1
	for code >= t.maxCode[length] {
		length++
	}
	if length > 16 {
		return 0, false
	}
	b.n -= length
	return t.symbols[t.offset[length]+code>>(16-length)], true
}
