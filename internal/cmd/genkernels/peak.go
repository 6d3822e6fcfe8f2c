package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peakSums is how many sums there are that need not wait for each other: more than the latency of a multiplication with
// addition times how many begin in a cycle, on any processor.
const peakSums = 12

// peak emits the loop that does nothing but multiply and add, in registers.
func (c wide) peak() {
	begin(c.Context, c.name+"Peak", "func(factors, sums *float32, n int)", c.name+"Peak adds factors[0]·factors[1] n times to each lane of 12 vectors of zeros and writes them to sums.")
	factors, sums, n := c.Load(c.Param("factors"), c.GP64()), c.Load(c.Param("sums"), c.GP64()), c.Load(c.Param("n"), c.GP64())
	a, b := c.vec(), c.vec()
	c.VBROADCASTSS(operand.Mem{Base: factors}, a)
	c.VBROADCASTSS(operand.Mem{Base: factors, Disp: floatBytes}, b)
	var y [peakSums]reg.VecVirtual
	for i := range y {
		y[i] = c.vec()
		c.zero(y[i])
	}
	c.Label("again")
	for _, v := range y {
		c.VFMADD231PS(a, b, v)
	}
	c.DECQ(n)
	c.JNZ(operand.LabelRef("again"))
	for i, v := range y {
		c.VMOVUPS(v, operand.Mem{Base: sums, Disp: i * c.bytes})
	}
	c.VZEROUPPER()
	c.RET()
}
