package jpeg

// scan is one pass over the blocks of some components (T.81 B.2.3).
type scan struct {
	components             []*component
	start, end             int // spectral selection: first and last coefficient, in zigzag order
	high, low              int // successive approximation: bit position before and after
	decodeBlock            func(d *decoder, s *scan, c *component, blockIndex int) error
	mcuTotal, blocksPerMCU int
	isInterleaved          bool
}

// readScan reads a scan header and the entropy-coded data after it.
func (d *decoder) readScan(segment []byte) error {
	if !d.hasFrame {
		return formatErrorf("scan before the frame header")
	}
	if d.scans++; d.scans > maxScans {
		return unsupportedErrorf("more than %d scans", maxScans)
	}
	s, err := d.parseScan(segment)
	if err != nil {
		return err
	}
	if err := d.latchTables(s); err != nil {
		return err
	}
	// The first scan of a component cannot be shorter than its shortest code for each block: this guards the memory taken next.
	if s.start == 0 {
		bitsPerBlock := 1 // a DC difference or a refinement bit
		if !d.header.IsProgressive {
			bitsPerBlock = 2 // and an end-of-block
		}
		need := int64(s.mcuTotal) * int64(s.blocksPerMCU) * int64(bitsPerBlock) / 8
		if have := int64(len(d.data) - d.pos); have < need {
			return formatErrorf("file ends in scan %d: %d bytes cannot hold the blocks of %dx%d, which need at least %d", d.scans, have, d.header.Width, d.header.Height, need)
		}
	}
	d.allocate()
	return d.decodeScan(s)
}

func (d *decoder) parseScan(segment []byte) (*scan, error) {
	if len(segment) < 1 || len(segment) != 4+2*int(segment[0]) {
		return nil, formatErrorf("header of scan %d has %d bytes", d.scans, len(segment))
	}
	count := int(segment[0])
	if count < 1 || count > len(d.components) {
		return nil, formatErrorf("scan %d has %d components, the frame has %d", d.scans, count, len(d.components))
	}
	s := &scan{isInterleaved: count > 1}
	for i := range count {
		id, tables := segment[1+2*i], segment[2+2*i]
		c := d.componentByID(id)
		if c == nil {
			return nil, formatErrorf("scan %d names component id %d, which the frame lacks", d.scans, id)
		}
		for _, other := range s.components {
			if other == c {
				return nil, formatErrorf("scan %d names component id %d twice", d.scans, id)
			}
		}
		if tables>>4 > 3 || tables&15 > 3 {
			return nil, formatErrorf("scan %d selects Huffman tables %d and %d, want 0..3", d.scans, tables>>4, tables&15)
		}
		c.dcTable, c.acTable = d.dcTables[tables>>4], d.acTables[tables&15]
		s.components = append(s.components, c)
		s.blocksPerMCU += c.h * c.v
	}
	if s.isInterleaved {
		if s.blocksPerMCU > maxBlocksPerMCU {
			return nil, formatErrorf("scan %d has %d blocks in an MCU, the limit is %d", d.scans, s.blocksPerMCU, maxBlocksPerMCU)
		}
		s.mcuTotal = d.mcusWide * d.mcusHigh
	} else {
		s.blocksPerMCU = 1
		s.mcuTotal = s.components[0].blocksWide * s.components[0].blocksHigh
	}
	tail := segment[1+2*count:]
	s.start, s.end, s.high, s.low = int(tail[0]), int(tail[1]), int(tail[2]>>4), int(tail[2]&15)
	return s, d.chooseCoding(s)
}

func (d *decoder) componentByID(id byte) *component {
	for i := range d.components {
		if d.components[i].id == id {
			return &d.components[i]
		}
	}
	return nil
}

// chooseCoding checks the progression parameters (T.81 G.1.1.1) and picks the block decoder.
func (d *decoder) chooseCoding(s *scan) error {
	if !d.header.IsProgressive {
		s.start, s.end, s.high, s.low = 0, blockSize-1, 0, 0 // T.81 fixes them; libjpeg only warns when a file differs
		s.decodeBlock = decodeSequential
		return nil
	}
	isBad := s.start > s.end || s.end > 63 || s.low > 13 || (s.high != 0 && s.low != s.high-1)
	if s.start == 0 {
		isBad = isBad || s.end != 0
	} else {
		isBad = isBad || s.isInterleaved
	}
	if isBad {
		return formatErrorf("scan %d asks for coefficients %d to %d, bits %d to %d, of %d components", d.scans, s.start, s.end, s.high, s.low, len(s.components))
	}
	switch {
	case s.start == 0 && s.high == 0:
		s.decodeBlock = decodeDCFirst
	case s.start == 0:
		s.decodeBlock = decodeDCRefine
	case s.high == 0:
		s.decodeBlock = decodeACFirst
	default:
		s.decodeBlock = decodeACRefine
	}
	return nil
}

// latchTables checks that the tables of the scan are there, and keeps for each component the quantisation table that is current
// at its first scan: a file may redefine it later for another component.
func (d *decoder) latchTables(s *scan) error {
	needsDC := s.start == 0 && s.high == 0
	needsAC := s.end > 0
	for _, c := range s.components {
		if needsDC && c.dcTable == nil || needsAC && c.acTable == nil {
			return formatErrorf("scan %d uses a Huffman table that was not defined", d.scans)
		}
		if !c.isQuantLatched {
			if d.quantTables[c.quantIndex] == nil {
				return formatErrorf("component id %d uses quantisation table %d, which was not defined", c.id, c.quantIndex)
			}
			c.quant, c.isQuantLatched = d.quantTables[c.quantIndex], true
		}
		if s.start == 0 {
			c.isCoded = true
		}
	}
	return nil
}

// decodeScan decodes every MCU of the scan, with its restarts.
func (d *decoder) decodeScan(s *scan) error {
	d.bits = bitReader{data: d.data, pos: d.pos}
	d.resetPredictions()
	for mcu := range s.mcuTotal {
		if d.restart > 0 && mcu > 0 && mcu%d.restart == 0 {
			if err := d.readRestart(mcu/d.restart-1, mcu, s.mcuTotal); err != nil {
				return err
			}
		}
		if err := d.decodeMCU(s, mcu); err != nil {
			return err
		}
		if d.bits.overrun() {
			return d.shortScan(mcu, s.mcuTotal)
		}
	}
	d.pos = d.bits.pos
	return nil
}

// shortScan says why a scan's bits ran out.
func (d *decoder) shortScan(mcu, total int) error {
	if d.bits.pos+1 >= len(d.data) {
		return formatErrorf("file ends in scan %d at MCU %d of %d: it is truncated", d.scans, mcu, total)
	}
	return formatErrorf("scan %d ends at MCU %d of %d with marker %#02x at byte %d", d.scans, mcu, total, d.data[d.bits.pos+1], d.bits.pos)
}

func (d *decoder) decodeMCU(s *scan, mcu int) error {
	if !s.isInterleaved {
		c := s.components[0]
		bx, by := mcu%c.blocksWide, mcu/c.blocksWide
		return d.checkBlock(s.decodeBlock(d, s, c, by*c.paddedWide+bx), mcu, s.mcuTotal)
	}
	mx, my := mcu%d.mcusWide, mcu/d.mcusWide
	for _, c := range s.components {
		for v := range c.v {
			for h := range c.h {
				index := (my*c.v+v)*c.paddedWide + mx*c.h + h
				if err := s.decodeBlock(d, s, c, index); err != nil {
					return d.checkBlock(err, mcu, s.mcuTotal)
				}
			}
		}
	}
	return nil
}

// checkBlock adds the place to a block's error, and prefers "it is truncated" when made-up bits led to it.
func (d *decoder) checkBlock(err error, mcu, total int) error {
	if err == nil {
		return nil
	}
	if d.bits.overrun() {
		return d.shortScan(mcu, total)
	}
	return formatErrorf("%v in scan %d at MCU %d of %d", err, d.scans, mcu, total)
}

func (d *decoder) resetPredictions() {
	for i := range d.components {
		d.components[i].dcPrediction = 0
	}
	d.eobRun = 0
}

// readRestart expects restart marker number count (mod 8), and starts a new run of bits after it.
func (d *decoder) readRestart(count, mcu, total int) error {
	d.pos = d.bits.pos
	marker, ok := d.nextMarker()
	if !ok {
		return formatErrorf("file ends in scan %d at MCU %d of %d, where a restart marker is due: it is truncated", d.scans, mcu, total)
	}
	if want := byte(markerRST0 + count%8); marker != want {
		return formatErrorf("scan %d has marker %#02x at MCU %d of %d, want restart marker %#02x", d.scans, marker, mcu, total, want)
	}
	d.bits = bitReader{data: d.data, pos: d.pos}
	d.resetPredictions()
	return nil
}
