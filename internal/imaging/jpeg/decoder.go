package jpeg

// Marker codes, the second byte after 0xFF (T.81 table B.1).
const (
	markerSOF0  = 0xC0
	markerSOF1  = 0xC1
	markerSOF2  = 0xC2
	markerDHT   = 0xC4
	markerJPG   = 0xC8
	markerDAC   = 0xCC
	markerSOF15 = 0xCF
	markerRST0  = 0xD0
	markerRST7  = 0xD7
	markerSOI   = 0xD8
	markerEOI   = 0xD9
	markerSOS   = 0xDA
	markerDQT   = 0xDB
	markerDRI   = 0xDD
	markerAPP0  = 0xE0
	markerAPP14 = 0xEE
	markerTEM   = 0x01
)

const (
	blockSize = 64
	// maxScans bounds the work a small file can ask for: each scan of a progressive file may visit every block. Encoders write about ten.
	maxScans = 100
	// maxBlocksPerMCU is T.81's limit on an interleaved scan (B.2.3).
	maxBlocksPerMCU = 10
)

// zigzag maps a coefficient's place in the file to its place in the block, row-major.
var zigzag = [blockSize]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// component is one colour plane of the frame.
type component struct {
	id         byte
	h, v       int // sampling factors
	quantIndex byte

	width, height           int // samples that count
	blocksWide, blocksHigh  int // blocks that cover them; what a scan of this component alone codes
	paddedWide, paddedHigh  int // blocks as interleaved scans code them, whole MCUs
	quant                   *[blockSize]uint16
	coefficients            []int16 // progressive only: paddedHigh*paddedWide blocks of 64, row-major order inside a block
	samples                 []byte  // paddedHigh*8 rows of stride bytes
	stride                  int
	dcTable, acTable        *huffmanTable
	dcPrediction            int32
	isQuantLatched, isCoded bool
}

type decoder struct {
	data []byte
	pos  int

	header         Header
	hasFrame       bool
	hasPlanes      bool
	components     []component
	maxH, maxV     int
	mcusWide       int
	mcusHigh       int
	quantTables    [4]*[blockSize]uint16 // in zigzag order undone: row-major
	dcTables       [4]*huffmanTable
	acTables       [4]*huffmanTable
	restart        int // MCUs between restart markers; 0 = none
	hasJFIF        bool
	hasAdobe       bool
	adobeTransform byte
	scans          int
	bits           bitReader
	eobRun         uint32
}

// ReadHeader reads as far as the frame header.
func ReadHeader(data []byte) (Header, error) {
	d := &decoder{data: data}
	if err := d.readMarkers(true); err != nil {
		return Header{}, err
	}
	return d.header, nil
}

// Decode decodes a whole file. Memory is taken only after the header's size has been checked against maxPixels and against the
// number of bytes that many blocks need at the least.
func Decode(data []byte, maxPixels int64) (*Image, error) {
	d := &decoder{data: data}
	if err := d.readMarkers(true); err != nil {
		return nil, err
	}
	if n := int64(d.header.Width) * int64(d.header.Height); n > maxPixels {
		return nil, formatErrorf("%dx%d has %d pixels, the limit is %d", d.header.Width, d.header.Height, n, maxPixels)
	}
	if err := d.readMarkers(false); err != nil {
		return nil, err
	}
	for i := range d.components {
		if c := &d.components[i]; !c.isCoded {
			return nil, formatErrorf("file ends without a scan of component %d (id %d)", i, c.id)
		}
	}
	if d.header.IsProgressive {
		for i := range d.components {
			d.components[i].reconstruct()
		}
	}
	return d.render()
}

// readMarkers walks the segments up to the frame header, or, after that, to the end of the image.
func (d *decoder) readMarkers(onlyHeader bool) error {
	if d.pos == 0 {
		if len(d.data) < 2 || d.data[0] != 0xFF || d.data[1] != markerSOI {
			return formatErrorf("does not begin with a start-of-image marker")
		}
		d.pos = 2
	}
	for {
		marker, ok := d.nextMarker()
		if !ok {
			return d.endWithoutEOI()
		}
		switch {
		case marker == markerEOI:
			if !d.hasFrame {
				return formatErrorf("ends without a frame header")
			}
			return nil
		case marker == markerSOI:
			return formatErrorf("second start-of-image marker at byte %d", d.pos-2)
		case marker == markerTEM, markerRST0 <= marker && marker <= markerRST7:
			continue // markers without a segment; harmless here
		}
		segment, err := d.readSegment(marker)
		if err != nil {
			return err
		}
		if err := d.readTable(marker, segment); err != nil {
			return err
		}
		if onlyHeader && d.hasFrame {
			return nil
		}
		if marker == markerSOS {
			if err := d.readScan(segment); err != nil {
				return err
			}
		}
	}
}

// endWithoutEOI judges a file that stops between segments: libjpeg can finish a sequential one whose every component was coded.
func (d *decoder) endWithoutEOI() error {
	if !d.hasFrame {
		return formatErrorf("file ends before the frame header")
	}
	if d.header.IsProgressive {
		return formatErrorf("progressive file ends after scan %d without an end-of-image marker", d.scans)
	}
	for i := range d.components {
		if !d.components[i].isCoded {
			return formatErrorf("file ends after scan %d without pixels of component %d", d.scans, i)
		}
	}
	return nil
}

// nextMarker skips to the next marker, over stray bytes and fill bytes (T.81 B.1.1.2), and past it.
func (d *decoder) nextMarker() (byte, bool) {
	for d.pos+1 < len(d.data) {
		if d.data[d.pos] != 0xFF || d.data[d.pos+1] == 0x00 {
			d.pos++
			continue
		}
		if d.data[d.pos+1] == 0xFF {
			d.pos++
			continue
		}
		marker := d.data[d.pos+1]
		d.pos += 2
		return marker, true
	}
	d.pos = len(d.data)
	return 0, false
}

// readSegment returns the payload of the segment at pos, without its length, and moves past it.
func (d *decoder) readSegment(marker byte) ([]byte, error) {
	if d.pos+2 > len(d.data) {
		return nil, formatErrorf("file ends in the length of segment %#02x", marker)
	}
	n := int(d.data[d.pos])<<8 | int(d.data[d.pos+1])
	if n < 2 {
		return nil, formatErrorf("segment %#02x at byte %d has length %d, at least 2 is needed", marker, d.pos-2, n)
	}
	if d.pos+n > len(d.data) {
		return nil, formatErrorf("segment %#02x at byte %d needs %d bytes, the file has %d left", marker, d.pos-2, n, len(d.data)-d.pos)
	}
	segment := d.data[d.pos+2 : d.pos+n]
	d.pos += n
	return segment, nil
}

// readTable handles every segment other than a scan.
func (d *decoder) readTable(marker byte, segment []byte) error {
	switch {
	case marker == markerSOF0 || marker == markerSOF1 || marker == markerSOF2:
		return d.readFrame(marker, segment)
	case marker == markerDHT:
		return d.readHuffmanTables(segment)
	case marker == markerDQT:
		return d.readQuantTables(segment)
	case marker == markerDRI:
		if len(segment) != 2 {
			return formatErrorf("restart interval segment has %d bytes, want 2", len(segment))
		}
		d.restart = int(segment[0])<<8 | int(segment[1])
	case marker == markerDAC:
		return unsupportedErrorf("arithmetic coding")
	case marker == markerAPP0:
		if len(segment) >= 14 && string(segment[:5]) == "JFIF\x00" {
			d.hasJFIF = true
		}
	case marker == markerAPP14:
		if len(segment) >= 12 && string(segment[:5]) == "Adobe" {
			d.hasAdobe, d.adobeTransform = true, segment[11]
		}
	case markerSOF0 < marker && marker <= markerSOF15 && marker != markerJPG:
		return unsupportedErrorf("%s", frameKind(marker))
	}
	return nil
}

// frameKind names the coding process of a frame header that is not decoded (T.81 table B.1).
func frameKind(marker byte) string {
	n := marker - markerSOF0
	kind := [4]string{"sequential", "sequential", "progressive", "lossless"}[n&3]
	if n&4 != 0 {
		kind = "hierarchical " + kind
	}
	if n&8 != 0 {
		return kind + " JPEG with arithmetic coding"
	}
	return kind + " JPEG"
}

func (d *decoder) readQuantTables(segment []byte) error {
	for len(segment) > 0 {
		precision, index := segment[0]>>4, segment[0]&15
		if index > 3 || precision > 1 {
			return formatErrorf("quantisation table index %d, precision %d; want 0..3 and 0..1", index, precision)
		}
		need := 1 + blockSize*(1+int(precision))
		if len(segment) < need {
			return formatErrorf("quantisation table %d has %d bytes, want %d", index, len(segment), need)
		}
		table := new([blockSize]uint16)
		for i := range blockSize {
			if precision == 0 {
				table[zigzag[i]] = uint16(segment[1+i])
			} else {
				table[zigzag[i]] = uint16(segment[1+2*i])<<8 | uint16(segment[2+2*i])
			}
		}
		d.quantTables[index] = table
		segment = segment[need:]
	}
	return nil
}
