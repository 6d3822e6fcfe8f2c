package jpeg

// The transform of Loeffler, Ligtenberg and Moschytz in integers: 13 fraction bits for the constants, and 2 extra bits kept between the
// column pass and the row pass. Its rounding is what makes the output equal to libjpeg's "islow" method.
const (
	constBits = 13
	passBits  = 2

	fix0298631336 = 2446 // round(0.298631336 * 2^13), and so on
	fix0390180644 = 3196
	fix0541196100 = 4433
	fix0765366865 = 6270
	fix0899976223 = 7373
	fix1175875602 = 9633
	fix1501321110 = 12299
	fix1847759065 = 15137
	fix1961570560 = 16069
	fix2053119869 = 16819
	fix2562915447 = 20995
	fix3072711026 = 25172
)

// inverseDCT transforms one dequantised block (row-major) and writes 8 rows of 8 samples, level-shifted by 128 and clamped.
// The block is used as scratch.
func inverseDCT(block *[blockSize]int32, dst []byte, stride int) {
	const columnShift = constBits - passBits
	for x := range 8 {
		if block[8+x]|block[16+x]|block[24+x]|block[32+x]|block[40+x]|block[48+x]|block[56+x] == 0 {
			dc := block[x] << passBits
			for y := range 8 {
				block[8*y+x] = dc
			}
			continue
		}
		even := evenPart(block[x], block[16+x], block[32+x], block[48+x])
		odd := oddPart(block[8+x], block[24+x], block[40+x], block[56+x])
		for i := range 4 {
			block[8*i+x] = (even[i] + odd[i] + 1<<(columnShift-1)) >> columnShift
			block[8*(7-i)+x] = (even[i] - odd[i] + 1<<(columnShift-1)) >> columnShift
		}
	}
	const rowShift = constBits + passBits + 3
	for y := range 8 {
		row := block[8*y : 8*y+8 : 8*y+8]
		out := dst[y*stride:][:8:8]
		even := evenPart(row[0], row[2], row[4], row[6])
		odd := oddPart(row[1], row[3], row[5], row[7])
		for i := range 4 {
			out[i] = clampShifted((even[i] + odd[i] + 1<<(rowShift-1)) >> rowShift)
			out[7-i] = clampShifted((even[i] - odd[i] + 1<<(rowShift-1)) >> rowShift)
		}
	}
}

// evenPart combines inputs 0, 2, 4 and 6 of a one-dimensional transform.
func evenPart(in0, in2, in4, in6 int32) [4]int32 {
	z := (in2 + in6) * fix0541196100
	a := z - in6*fix1847759065
	b := z + in2*fix0765366865
	s := (in0 + in4) << constBits
	t := (in0 - in4) << constBits
	return [4]int32{s + b, t + a, t - a, s - b}
}

// oddPart combines inputs 1, 3, 5 and 7.
func oddPart(in1, in3, in5, in7 int32) [4]int32 {
	z5 := (in7 + in3 + in5 + in1) * fix1175875602
	z1 := -(in7 + in1) * fix0899976223
	z2 := -(in5 + in3) * fix2562915447
	z3 := z5 - (in7+in3)*fix1961570560
	z4 := z5 - (in5+in1)*fix0390180644
	return [4]int32{
		in1*fix1501321110 + z1 + z4,
		in3*fix3072711026 + z2 + z3,
		in5*fix2053119869 + z2 + z4,
		in7*fix0298631336 + z1 + z3,
	}
}

// inverseFlat is inverseDCT for a block whose only coefficient is the first.
func inverseFlat(dc int32, dst []byte, stride int) {
	v := clampShifted((dc<<passBits + 1<<(passBits+2)) >> (passBits + 3))
	for y := range 8 {
		row := dst[y*stride:][:8:8]
		for x := range row {
			row[x] = v
		}
	}
}

// clampShifted adds the level shift and clamps to a byte.
func clampShifted(v int32) byte {
	v += 128
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}
