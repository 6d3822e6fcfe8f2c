package graph

import "math"

// MaxFloat16 is the largest finite number of float16.
const MaxFloat16 = 65504.0

// Float16Bits is the float16 (IEEE 754 binary16) nearest to v, ties to even, as bits. What is too large becomes infinite; NaN stays NaN.
func Float16Bits(v float32) uint16 {
	b := math.Float32bits(v)
	sign, abs := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520, half way to what would follow the largest
		return sign | 0x7c00
	case abs >= 0x38800000: // 2^-14: normal; the exponent's bias goes from 127 to 15, and 13 bits of the fraction go
		return sign | uint16((abs-0x38000000+0xfff+abs>>13&1)>>13)
	}
	// A multiple of 2^-24, which a float64 holds without rounding; it rounds half to even.
	return sign | uint16(math.RoundToEven(float64(math.Float32frombits(abs))*(1<<24)))
}

// Float16FromBits is the number that the bits of a float16 mean.
func Float16FromBits(h uint16) float32 {
	sign, exp, frac := uint32(h&0x8000)<<16, uint32(h>>10&31), uint32(h&0x3ff)
	switch exp {
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// RoundFloat16 is v rounded to float16; see [Float16Bits].
func RoundFloat16(v float32) float32 { return Float16FromBits(Float16Bits(v)) }
