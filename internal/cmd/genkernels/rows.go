package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// avx2MultiplyAdd emits y = x·a + b over rows of the same length. Every element is read before it is written, so that y may be one of
// the others.
func avx2MultiplyAdd(c *build.Context, table operand.Mem) {
	const vectorLanes, unrolled = 8, 4
	begin(c, "avx2MultiplyAdd", "func(y, x, a, b *float32, n int)", "avx2MultiplyAdd computes n elements of y = x·a + b.")
	var rows [4]reg.Register
	for i, name := range []string{"y", "x", "a", "b"} {
		rows[i] = c.Load(c.Param(name), c.GP64())
	}
	n, at := c.Load(c.Param("n"), c.GP64()), c.GP64()
	c.XORQ(at, at)
	element := func(row, vector int) operand.Mem {
		return operand.Mem{Base: rows[row], Index: at, Scale: floatBytes, Disp: vector * vectorLanes * floatBytes}
	}
	blocks := func(label, next string, vectors int) {
		c.Label(label)
		c.CMPQ(n, operand.Imm(uint64(vectors*vectorLanes)))
		c.JL(operand.LabelRef(next))
		for i := range vectors {
			x, a := c.YMM(), c.YMM()
			c.VMOVUPS(element(1, i), x)
			c.VMOVUPS(element(2, i), a)
			c.VFMADD213PS(element(3, i), x, a)
			c.VMOVUPS(a, element(0, i))
		}
		c.ADDQ(operand.Imm(uint64(vectors*vectorLanes)), at)
		c.SUBQ(operand.Imm(uint64(vectors*vectorLanes)), n)
		c.JMP(operand.LabelRef(label))
	}
	blocks("vectors", "vector", unrolled)
	blocks("vector", "tail", 1)
	c.Label("tail")
	c.TESTQ(n, n)
	c.JZ(operand.LabelRef("done"))
	lanesAt, mask := c.GP64(), c.YMM()
	c.LEAQ(table, lanesAt)
	c.ADDQ(operand.Imm(lanes*floatBytes), lanesAt)
	c.SHLQ(operand.Imm(2), n)
	c.SUBQ(n, lanesAt)
	c.VMOVUPS(operand.Mem{Base: lanesAt}, mask)
	x, a, b := c.YMM(), c.YMM(), c.YMM()
	c.VMASKMOVPS(element(1, 0), mask, x)
	c.VMASKMOVPS(element(2, 0), mask, a)
	c.VMASKMOVPS(element(3, 0), mask, b)
	c.VFMADD213PS(b, x, a)
	c.VMASKMOVPS(a, mask, element(0, 0))
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// momentLanes is how many channels a vector of float64 holds.
const momentLanes = 4

// avx2Moments emits the sums of d = x - origin and of d² for each channel: blocks of four pixels, then single ones, over vectors of
// channels, then single ones.
func avx2Moments(c *build.Context) {
	begin(c, "avx2Moments", "func(first, second, origin *float64, n int, x *float32, pixels, stride int)",
		"avx2Moments adds d to first and d² to second, with d = x - origin, for n channels of pixels that lie stride elements apart.")
	m := moments{c: c}
	m.first, m.second, m.origin = c.Load(c.Param("first"), c.GP64()), c.Load(c.Param("second"), c.GP64()), c.Load(c.Param("origin"), c.GP64())
	m.n, m.pixels = c.Load(c.Param("n"), c.GP64()), c.Load(c.Param("pixels"), c.GP64())
	m.x[0], m.stride = c.Load(c.Param("x"), c.GP64()), c.Load(c.Param("stride"), c.GP64())
	c.SHLQ(operand.Imm(2), m.stride)
	for i := range m.x[1:] {
		m.x[i+1] = c.GP64()
	}
	m.block("four", "one", len(m.x))
	m.block("one", "done", 1)
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}

// moments is the registers of avx2Moments.
type moments struct {
	c                     *build.Context
	first, second, origin reg.Register
	n, pixels, stride     reg.Register // stride in bytes
	x                     [4]reg.Register
}

// block emits the loop over so many pixels at a time, and goes to next when there are fewer.
func (m moments) block(label, next string, pixels int) {
	c := m.c
	c.Label(label)
	c.CMPQ(m.pixels, operand.Imm(uint64(pixels)))
	c.JL(operand.LabelRef(next))
	for i := range pixels - 1 {
		c.LEAQ(operand.Mem{Base: m.x[i], Index: m.stride, Scale: 1}, m.x[i+1])
	}
	at, left := c.GP64(), c.GP64()
	c.XORQ(at, at)
	c.MOVQ(m.n, left)
	for _, width := range []int{momentLanes, 1} {
		loop, end := fmt.Sprintf("%s%d", label, width), fmt.Sprintf("%s%dend", label, width)
		c.Label(loop)
		c.CMPQ(left, operand.Imm(uint64(width)))
		c.JL(operand.LabelRef(end))
		m.add(at, pixels, width == 1)
		c.ADDQ(operand.Imm(uint64(width)), at)
		c.SUBQ(operand.Imm(uint64(width)), left)
		c.JMP(operand.LabelRef(loop))
		c.Label(end)
	}
	c.LEAQ(operand.Mem{Base: m.x[pixels-1], Index: m.stride, Scale: 1}, m.x[0])
	c.SUBQ(operand.Imm(uint64(pixels)), m.pixels)
	c.JMP(operand.LabelRef(label))
}

// add adds a vector of channels, or one, of each pixel.
func (m moments) add(at reg.Register, pixels int, single bool) {
	c := m.c
	sum := func(base reg.Register) operand.Mem { return operand.Mem{Base: base, Index: at, Scale: 8} }
	vector, move, sub, add, fma := c.YMM, c.VMOVUPD, c.VSUBPD, c.VADDPD, c.VFMADD231PD
	if single {
		vector, move, sub, add, fma = c.XMM, c.VMOVSD, c.VSUBSD, c.VADDSD, c.VFMADD231SD
	}
	origin, first, second := vector(), vector(), vector()
	move(sum(m.origin), origin)
	move(sum(m.first), first)
	move(sum(m.second), second)
	for i := range pixels {
		d, x := vector(), operand.Mem{Base: m.x[i], Index: at, Scale: floatBytes}
		if single {
			c.VXORPD(d, d, d)
			c.VCVTSS2SD(x, d, d)
		} else {
			c.VCVTPS2PD(x, d)
		}
		sub(origin, d, d)
		add(d, first, first)
		fma(d, d, second)
	}
	move(first, sum(m.first))
	move(second, sum(m.second))
}
