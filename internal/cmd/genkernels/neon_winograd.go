package main

import "fmt"

// The registers of the NEON transforms: elements in V0 to V5, results in V6 to V11, constants from V16 on (see constants).
const (
	neonResult   = 6
	neonConstant = 16
)

// neonConstants loads the constants of the transforms.
func (c *arm) neonConstants() {
	for i, v := range constants {
		c.constant(neonConstant+i, v)
	}
}

func (c *arm) copyVector(to, from int) {
	c.do("VORR V%d.B16, V%d.B16, V%d.B16", from, from, to)
}

// neonInputLine emits Bᵀ·x: V6 to V11 from V0 to V5.
func (c *arm) neonInputLine() {
	for i, first := range []int{0, 1} { // x(first) - (a²+b²)·x(first+2) + x(first+4)
		y := neonResult + 5*i
		c.op(wordAdd, y, first, first+4)
		c.do("VFMLS V%d.S4, V%d.S4, V%d.S4", neonConstant+twoAndHalf, first+2, y)
	}
	for i, q := range []int{two, half} { // (x4 - q²·x2) ± p·(x3 - q²·x1), p the point and q the other
		const odd = 12
		plus, minus, point := neonResult+1+2*i, neonResult+2+2*i, neonConstant+pointA+i
		c.copyVector(plus, 4)
		c.copyVector(odd, 3)
		c.do("VFMLS V%d.S4, V2.S4, V%d.S4", neonConstant+q, plus)
		c.do("VFMLS V%d.S4, V1.S4, V%d.S4", neonConstant+q, odd)
		c.copyVector(minus, plus)
		c.do("VFMLA V%d.S4, V%d.S4, V%d.S4", point, odd, plus)
		c.do("VFMLS V%d.S4, V%d.S4, V%d.S4", point, odd, minus)
	}
}

// neonOutputLine emits Aᵀ·m: V6 to V9 from V0 to V5.
func (c *arm) neonOutputLine() {
	const sum1, sum2, difference1, difference2 = 12, 13, 14, 15
	c.op(wordAdd, sum1, 1, 2)
	c.op(wordAdd, sum2, 3, 4)
	c.op(wordSub, difference1, 1, 2)
	c.op(wordSub, difference2, 3, 4)
	c.op(wordAdd, neonResult, sum1, sum2)
	c.op(wordAdd, neonResult, neonResult, 0)
	c.op(wordMul, neonResult+1, difference1, neonConstant+pointA)
	c.do("VFMLA V%d.S4, V%d.S4, V%d.S4", neonConstant+pointB, difference2, neonResult+1)
	c.op(wordMul, neonResult+2, sum1, neonConstant+half)
	c.do("VFMLA V%d.S4, V%d.S4, V%d.S4", neonConstant+two, sum2, neonResult+2)
	c.copyVector(neonResult+3, 5)
	c.do("VFMLA V%d.S4, V%d.S4, V%d.S4", neonConstant+cubeA, difference1, neonResult+3)
	c.do("VFMLA V%d.S4, V%d.S4, V%d.S4", neonConstant+cubeB, difference2, neonResult+3)
}

// neonInput emits Bᵀ·x·B for each vector of channels of a window of 6×6 pixels: columns to a place on the stack, and then
// its rows.
func (c *arm) neonInput() {
	const frame = 36 * 16
	c.begin("neonInput", "t *byte", "neonInput transforms a window of the input of F(4×4,3×3).", frame, 8)
	c.do("MOVD t+0(FP), R0\nMOVD %d(R0), R1", offTArena)
	c.do("MOVD %d(R0), R2\nADD R2<<2, R1, R4", offTIn)
	c.do("MOVD %d(R0), R5\nLSL $2, R5\nMOVD %d(R0), R6\nLSL $2, R6", offTIn+8, offTIn+16) // bytes from row to row, pixel to pixel
	c.do("MOVD %d(R0), R2\nADD R2<<2, R1, R7\nMOVD %d(R0), R8\nLSL $2, R8", offTOut, offTOut+16)
	c.do("MOVD %d(R0), R9\nLSL $2, R9", offTVectors)
	c.do("MOVD $half-%d(SP), R10", frame)
	c.neonConstants()
	c.label("vector")
	c.do("MOVD R4, R11")
	for j := range 6 {
		c.do("MOVD R11, R12")
		for i := range 6 {
			c.do("VLD1 (R12), [V%d.S4]", i)
			if i < 5 {
				c.do("ADD R5, R12")
			}
		}
		c.neonInputLine()
		for i := range 6 {
			c.do("FMOVQ F%d, %d(R10)", neonResult+i, 16*(6*i+j))
		}
		if j < 5 {
			c.do("ADD R6, R11")
		}
	}
	c.do("MOVD R7, R11")
	for i := range 6 {
		for j := range 6 {
			c.do("FMOVQ %d(R10), F%d", 16*(6*i+j), j)
		}
		c.neonInputLine()
		for j := range 6 {
			c.do("VST1 [V%d.S4], (R11)\nADD R8, R11", neonResult+j)
		}
	}
	c.do("ADD $16, R4\nADD $16, R7\nSUBS $1, R9, R9\nBNE vector\nRET")
}

// neonOutput emits Aᵀ·m·A for each vector of filters, with the epilogue, and writes Rows × Columns pixels of it.
func (c *arm) neonOutput() {
	const frame = 24 * 16
	const floor, bias, shortcut = 30, 31, 29
	c.begin("neonOutput", "t *byte", "neonOutput transforms the products of F(4×4,3×3) to a tile of the output, with the epilogue.", frame, 8)
	c.do("MOVD t+0(FP), R0\nMOVD %d(R0), R1", offTArena)
	c.do("MOVD %d(R0), R2\nADD R2<<2, R1, R4\nMOVD %d(R0), R5\nLSL $2, R5", offTIn, offTIn+16)
	c.do("MOVD %d(R0), R2\nADD R2<<2, R1, R6\nMOVD %d(R0), R2\nADD R2<<2, R1, R7", offTOut, offTAdd)
	c.do("MOVD %d(R0), R8\nMOVD %d(R0), R9\nLSL $2, R9", offTBias, offTVectors)
	c.do("MOVD $half-%d(SP), R10", frame)
	c.do("MOVD %d(R0), R15\nMOVD %d(R0), R16\nMOVD %d(R0), R3", offTRows, offTColumns, offTFlags)
	for i, offset := range []int{offTOut + 8, offTOut + 16, offTAdd + 8, offTAdd + 16} {
		c.do("MOVD %d(R0), R%d\nLSL $2, R%d", offset, 19+i, 19+i)
	}
	c.neonConstants()
	c.copyVector(floor, neonConstant+infinity)
	c.when(flagReLU, func() { c.zero(floor) })
	c.label("vector")
	c.do("VLD1.P 16(R8), [V%d.S4]\nMOVD R4, R11", bias)
	for j := range 6 {
		c.do("MOVD R11, R12")
		for i := range 6 {
			c.do("VLD1 (R12), [V%d.S4]", i)
			if i < 5 {
				c.do("ADD R5<<1, R12\nADD R5<<2, R12")
			}
		}
		c.neonOutputLine()
		for i := range 4 {
			c.do("FMOVQ F%d, %d(R10)", neonResult+i, 16*(6*i+j))
		}
		if j < 5 {
			c.do("ADD R5, R11")
		}
	}
	c.do("MOVD R6, R11\nMOVD R7, R12")
	for i := range 4 {
		if i > 0 {
			c.do("CMP $%d, R15\nBLE written\nADD R19, R11\nADD R21, R12", i)
		}
		for j := range 6 {
			c.do("FMOVQ %d(R10), F%d", 16*(6*i+j), j)
		}
		c.neonOutputLine()
		c.do("MOVD R11, R13\nMOVD R12, R14")
		row := fmt.Sprintf("row%d", i)
		for j := range 4 {
			y, plain := neonResult+j, fmt.Sprintf("plain%d_%d", i, j)
			if j > 0 {
				c.do("CMP $%d, R16\nBLE %s\nADD R20, R13\nADD R22, R14", j, row)
			}
			c.op(wordAdd, y, y, bias)
			c.do("TST $%d, R3\nBEQ %s\nVLD1 (R14), [V%d.S4]", flagShortcut, plain, shortcut)
			c.op(wordAdd, y, y, shortcut)
			c.label(plain)
			c.op(wordMax, y, y, floor)
			c.do("VST1 [V%d.S4], (R13)", y)
		}
		c.label(row)
	}
	c.label("written")
	c.do("ADD $16, R4\nADD $16, R6\nADD $16, R7\nSUBS $1, R9, R9\nBNE vector\nRET")
}
