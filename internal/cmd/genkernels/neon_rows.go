package main

import "fmt"

// The words of the instructions with vectors of two float64s, which Go's assembler lacks too.
const (
	wordAddDouble  = 0x4E60D400
	wordSubDouble  = 0x4EE0D400
	wordWidenLow   = 0x0E617800 // two float64s of the lower float32s
	wordWidenUpper = 0x4E617800
)

// double emits to = a op b.
func (c *arm) double(word int, name string, to, a, b int) {
	c.do("WORD $0x%08X // %s V%d.2D, V%d.2D, V%d.2D", word|b<<16|a<<5|to, name, to, a, b)
}

// widen emits the four float32s of from as float64s in to and to+1.
func (c *arm) widen(to, from int) {
	c.do("WORD $0x%08X // FCVTL V%d.2D, V%d.2S", wordWidenLow|from<<5|to, to, from)
	c.do("WORD $0x%08X // FCVTL2 V%d.2D, V%d.4S", wordWidenUpper|from<<5|to+1, to+1, from)
}

// neonMultiplyAdd emits y = x·a + b. Every element is read before it is written, so that y may be one of the others.
func (c *arm) neonMultiplyAdd() {
	c.begin("neonMultiplyAdd", "y, x, a, b *float32, n int", "neonMultiplyAdd computes n elements of y = x·a + b.", 0, 40)
	c.do("MOVD y+0(FP), R0\nMOVD x+8(FP), R1\nMOVD a+16(FP), R2\nMOVD b+24(FP), R3\nMOVD n+32(FP), R4")
	blocks := func(label, next string, count int) {
		c.label(label)
		c.do("CMP $%d, R4\nBLT %s", count*neonLanes, next)
		for i := range 3 {
			c.do("VLD1.P %d(R%d), %s", 16*count, 1+i, vectors(4*i, count))
		}
		for i := range count {
			c.do("VFMLA V%d.S4, V%d.S4, V%d.S4", i, 4+i, 8+i)
		}
		c.do("VST1.P %s, %d(R0)\nSUB $%d, R4\nB %s", vectors(8, count), 16*count, count*neonLanes, label)
	}
	blocks("vectors", "vector", 4)
	blocks("vector", "tail", 1)
	c.label("tail")
	c.do("CBZ R4, done\nFMOVS.P 4(R1), F0\nFMOVS.P 4(R2), F1\nFMOVS.P 4(R3), F2\nFMADDS F1, F2, F0, F2\nFMOVS.P F2, 4(R0)\nSUB $1, R4\nB tail")
	c.label("done")
	c.do("RET")
}

// neonMoments emits the sums of d = x - origin and of d² for each channel: blocks of four pixels, then single ones, over vectors of
// channels, then single ones. Origins are in V16 and V17, the sums in V18 to V21, the differences of a pixel in V1 and V2.
func (c *arm) neonMoments() {
	c.begin("neonMoments", "first, second, origin *float64, n int, x *float32, pixels, stride int",
		"neonMoments adds d to first and d² to second, with d = x - origin, for n channels of pixels that lie stride elements apart.", 0, 56)
	c.do("MOVD first+0(FP), R0\nMOVD second+8(FP), R1\nMOVD origin+16(FP), R2\nMOVD n+24(FP), R3\nMOVD x+32(FP), R4\nMOVD pixels+40(FP), R5\nMOVD stride+48(FP), R6\nLSL $2, R6")
	c.neonMomentBlock("four", "one", 4)
	c.neonMomentBlock("one", "done", 1)
	c.label("done")
	c.do("RET")
}

// neonMomentBlock emits the loop over so many pixels at a time, and goes to next when there are fewer.
func (c *arm) neonMomentBlock(label, next string, pixels int) {
	const row = 7 // the first register of the pixels' places
	c.label(label)
	c.do("CMP $%d, R5\nBLT %s\nMOVD R0, R12\nMOVD R1, R13\nMOVD R2, R14\nMOVD R3, R11", pixels, next)
	for i := range pixels {
		c.do("MOVD R4, R%d\nADD R6, R4", row+i)
	}
	single, end := fmt.Sprint(label, "single"), fmt.Sprint(label, "end")
	c.label(label + "vector")
	c.do("CMP $%d, R11\nBLT %s\nVLD1.P 32(R14), [V16.D2, V17.D2]\nVLD1 (R12), [V18.D2, V19.D2]\nVLD1 (R13), [V20.D2, V21.D2]", neonLanes, single)
	for i := range pixels {
		c.do("VLD1.P 16(R%d), [V0.S4]", row+i)
		c.widen(1, 0)
		for half := range 2 {
			d := 1 + half
			c.double(wordSubDouble, "FSUB", d, d, 16+half)
			c.double(wordAddDouble, "FADD", 18+half, 18+half, d)
			c.do("VFMLA V%d.D2, V%[1]d.D2, V%d.D2", d, 20+half)
		}
	}
	c.do("VST1.P [V18.D2, V19.D2], 32(R12)\nVST1.P [V20.D2, V21.D2], 32(R13)\nSUB $%d, R11\nB %svector", neonLanes, label)
	c.label(single)
	c.do("CBZ R11, %s\nFMOVD.P 8(R14), F16\nFMOVD (R12), F18\nFMOVD (R13), F20", end)
	for i := range pixels {
		c.do("FMOVS.P 4(R%d), F0\nFCVTSD F0, F1\nFSUBD F16, F1, F1\nFADDD F1, F18, F18\nFMADDD F1, F20, F1, F20", row+i)
	}
	c.do("FMOVD.P F18, 8(R12)\nFMOVD.P F20, 8(R13)\nSUB $1, R11\nB %s", single)
	c.label(end)
	c.do("SUB $%d, R5\nB %s", pixels, label)
}
