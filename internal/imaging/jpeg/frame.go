package jpeg

// readFrame reads a frame header (T.81 B.2.2) and works out the geometry of its components.
func (d *decoder) readFrame(marker byte, segment []byte) error {
	if d.hasFrame {
		return formatErrorf("second frame header")
	}
	if len(segment) < 6 {
		return formatErrorf("frame header has %d bytes, at least 6 are needed", len(segment))
	}
	if precision := segment[0]; precision != 8 {
		return unsupportedErrorf("%d-bit samples", precision)
	}
	height := int(segment[1])<<8 | int(segment[2])
	width := int(segment[3])<<8 | int(segment[4])
	count := int(segment[5])
	if width == 0 || height == 0 {
		return formatErrorf("frame header gives the size %dx%d", width, height)
	}
	if count != 1 && count != 3 && count != 4 {
		return unsupportedErrorf("%d components", count)
	}
	if len(segment) != 6+3*count {
		return formatErrorf("frame header of %d components has %d bytes, want %d", count, len(segment), 6+3*count)
	}
	d.header = Header{Width: width, Height: height, Components: count, IsProgressive: marker == markerSOF2}
	d.components = make([]component, count)
	d.maxH, d.maxV = 1, 1
	for i := range d.components {
		c := &d.components[i]
		s := segment[6+3*i:]
		c.id, c.h, c.v, c.quantIndex = s[0], int(s[1]>>4), int(s[1]&15), s[2]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return formatErrorf("component %d has sampling factors %dx%d, want 1..4", i, c.h, c.v)
		}
		if c.quantIndex > 3 {
			return formatErrorf("component %d uses quantisation table %d, want 0..3", i, c.quantIndex)
		}
		for j := range i {
			if d.components[j].id == c.id {
				return formatErrorf("components %d and %d share the id %d", j, i, c.id)
			}
		}
		d.maxH, d.maxV = max(d.maxH, c.h), max(d.maxV, c.v)
	}
	d.mcusWide = divideUp(width, 8*d.maxH)
	d.mcusHigh = divideUp(height, 8*d.maxV)
	for i := range d.components {
		c := &d.components[i]
		if d.maxH%c.h != 0 || d.maxV%c.v != 0 {
			return unsupportedErrorf("component %d is sampled %dx%d of %dx%d, which does not divide", i, c.h, c.v, d.maxH, d.maxV)
		}
		c.width, c.height = divideUp(width*c.h, d.maxH), divideUp(height*c.v, d.maxV)
		c.blocksWide, c.blocksHigh = divideUp(c.width, 8), divideUp(c.height, 8)
		c.paddedWide, c.paddedHigh = d.mcusWide*c.h, d.mcusHigh*c.v
		c.stride = c.paddedWide * 8
	}
	d.hasFrame = true
	return nil
}

func divideUp(a, b int) int { return (a + b - 1) / b }

// allocate takes the memory of the planes. It is called when the first scan has been found to be long enough to fill them.
func (d *decoder) allocate() {
	if d.hasPlanes {
		return
	}
	d.hasPlanes = true
	for i := range d.components {
		c := &d.components[i]
		n := c.paddedWide * c.paddedHigh * blockSize
		c.samples = make([]byte, n)
		if d.header.IsProgressive {
			c.coefficients = make([]int16, n)
		}
	}
}

// reconstruct turns the gathered coefficients of a progressive file into samples.
func (c *component) reconstruct() {
	var block [blockSize]int32
	for by := range c.blocksHigh {
		for bx := range c.blocksWide {
			coefficients := c.coefficients[(by*c.paddedWide+bx)*blockSize:][:blockSize]
			isFlat := true
			for i, v := range coefficients {
				block[i] = int32(v) * int32(c.quant[i])
				if i > 0 && v != 0 {
					isFlat = false
				}
			}
			dst := c.samples[by*8*c.stride+bx*8:]
			if isFlat {
				inverseFlat(block[0], dst, c.stride)
			} else {
				inverseDCT(&block, dst, c.stride)
			}
		}
	}
	c.coefficients = nil
}
