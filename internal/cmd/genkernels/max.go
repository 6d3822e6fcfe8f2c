package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// avx2Max emits the elementwise maximum of two rows, in which a NaN of either wins. VMAXPS gives its second source when
// either is NaN: with the new row as that, only a NaN of the old one has to be put back.
func avx2Max(c *build.Context, table operand.Mem) {
	const vectorLanes = 8
	begin(c, "avx2Max", "func(to, from *float32, n int)", "avx2Max sets each of the n elements of to to the larger of itself and from's, or to NaN if either is.")
	to, from, n := c.Load(c.Param("to"), c.GP64()), c.Load(c.Param("from"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	unordered := operand.Imm(3)
	larger := func(old, new reg.VecVirtual) {
		isNaN := c.YMM()
		c.VCMPPS(unordered, old, old, isNaN)
		c.VMAXPS(new, old, new)
		c.VBLENDVPS(isNaN, old, new, new)
	}
	c.Label("vector")
	c.CMPQ(n, operand.Imm(vectorLanes))
	c.JL(operand.LabelRef("tail"))
	old, new := c.YMM(), c.YMM()
	c.VMOVUPS(operand.Mem{Base: to}, old)
	c.VMOVUPS(operand.Mem{Base: from}, new)
	larger(old, new)
	c.VMOVUPS(new, operand.Mem{Base: to})
	c.ADDQ(operand.Imm(vectorLanes*floatBytes), to)
	c.ADDQ(operand.Imm(vectorLanes*floatBytes), from)
	c.SUBQ(operand.Imm(vectorLanes), n)
	c.JMP(operand.LabelRef("vector"))
	c.Label("tail")
	c.TESTQ(n, n)
	c.JZ(operand.LabelRef("done"))
	at, mask := c.GP64(), c.YMM()
	c.LEAQ(table, at)
	c.ADDQ(operand.Imm(lanes*floatBytes), at)
	c.SHLQ(operand.Imm(2), n)
	c.SUBQ(n, at)
	c.VMOVUPS(operand.Mem{Base: at}, mask)
	old, new = c.YMM(), c.YMM()
	c.VMASKMOVPS(operand.Mem{Base: to}, mask, old)
	c.VMASKMOVPS(operand.Mem{Base: from}, mask, new)
	larger(old, new)
	c.VMASKMOVPS(new, mask, operand.Mem{Base: to})
	c.Label("done")
	c.VZEROUPPER()
	c.RET()
}
