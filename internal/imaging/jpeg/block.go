package jpeg

var (
	errBadCode = FormatError("bad Huffman code")
	errTooLong = FormatError("run of coefficients leaves the block")
)

// decodeDCDifference decodes the first coefficient's difference and returns the updated prediction.
func (d *decoder) decodeDCDifference(c *component) (int32, error) {
	size, ok := d.bits.symbol(c.dcTable)
	if !ok {
		return 0, errBadCode
	}
	c.dcPrediction += d.bits.extended(int(size))
	return c.dcPrediction, nil
}

// decodeSequential decodes a whole block of a baseline or extended sequential file (T.81 F.2.2) and writes its samples.
func decodeSequential(d *decoder, _ *scan, c *component, blockIndex int) error {
	var block [blockSize]int32
	dc, err := d.decodeDCDifference(c)
	if err != nil {
		return err
	}
	block[0] = int32(int16(dc)) * int32(c.quant[0])
	isFlat := true
	for k := 1; k < blockSize; k++ {
		symbol, ok := d.bits.symbol(c.acTable)
		if !ok {
			return errBadCode
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run != 15 {
				break
			}
			k += 15
			continue
		}
		if k += run; k >= blockSize {
			return errTooLong
		}
		at := zigzag[k]
		block[at] = d.bits.extended(size) * int32(c.quant[at])
		isFlat = false
	}
	bx, by := blockIndex%c.paddedWide, blockIndex/c.paddedWide
	dst := c.samples[by*8*c.stride+bx*8:]
	if isFlat {
		inverseFlat(block[0], dst, c.stride)
	} else {
		inverseDCT(&block, dst, c.stride)
	}
	return nil
}

func (c *component) block(index int) []int16 {
	return c.coefficients[index*blockSize:][:blockSize:blockSize]
}

// decodeDCFirst decodes the high bits of the first coefficient (T.81 G.1.2.1).
func decodeDCFirst(d *decoder, s *scan, c *component, blockIndex int) error {
	dc, err := d.decodeDCDifference(c)
	if err != nil {
		return err
	}
	c.block(blockIndex)[0] = int16(dc << s.low)
	return nil
}

// decodeDCRefine adds one bit to the first coefficient.
func decodeDCRefine(d *decoder, s *scan, c *component, blockIndex int) error {
	if d.bits.bits(1) != 0 {
		c.block(blockIndex)[0] |= 1 << s.low
	}
	return nil
}

// decodeACFirst decodes the high bits of a band of coefficients (T.81 G.1.2.2).
func decodeACFirst(d *decoder, s *scan, c *component, blockIndex int) error {
	if d.eobRun > 0 {
		d.eobRun--
		return nil
	}
	block := c.block(blockIndex)
	for k := s.start; k <= s.end; k++ {
		symbol, ok := d.bits.symbol(c.acTable)
		if !ok {
			return errBadCode
		}
		run, size := int(symbol>>4), int(symbol&15)
		if size == 0 {
			if run != 15 {
				d.eobRun = 1<<run - 1 + uint32(d.bits.bits(run))
				return nil
			}
			k += 15
			continue
		}
		if k += run; k > s.end {
			return errTooLong
		}
		block[zigzag[k]] = int16(d.bits.extended(size) << s.low)
	}
	return nil
}

// decodeACRefine adds one bit to every known coefficient of a band and brings in new ones (T.81 G.1.2.3).
func decodeACRefine(d *decoder, s *scan, c *component, blockIndex int) error {
	block := c.block(blockIndex)
	k := s.start
	if d.eobRun == 0 {
		for k <= s.end {
			symbol, ok := d.bits.symbol(c.acTable)
			if !ok {
				return errBadCode
			}
			run, size := int(symbol>>4), int(symbol&15)
			var value int16
			switch {
			case size == 1:
				value = -1 << s.low
				if d.bits.bits(1) != 0 {
					value = 1 << s.low
				}
			case size != 0:
				return FormatError("refinement brings in a coefficient of more than one bit")
			case run != 15:
				d.eobRun = 1<<run + uint32(d.bits.bits(run))
			}
			if d.eobRun > 0 {
				break
			}
			k = d.refineRun(s, block, k, run)
			if value != 0 {
				if k > s.end {
					return errTooLong
				}
				block[zigzag[k]] = value
			}
			k++
		}
	}
	if d.eobRun > 0 {
		d.refineRun(s, block, k, -1)
		d.eobRun--
	}
	return nil
}

// refineRun refines the nonzero coefficients from k on, until it has passed zeros zero ones, and returns the place of the next zero
// one (or past the band). With zeros < 0 it goes to the band's end.
func (d *decoder) refineRun(s *scan, block []int16, k, zeros int) int {
	bit := int16(1) << s.low
	for ; k <= s.end; k++ {
		v := &block[zigzag[k]]
		if *v == 0 {
			if zeros == 0 {
				return k
			}
			zeros--
			continue
		}
		if d.bits.bits(1) == 0 || *v&bit != 0 {
			continue
		}
		if *v > 0 {
			*v += bit
		} else {
			*v -= bit
		}
	}
	return k
}
