package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lanes is how many filters a packed vector has: two registers here.
const lanes = 16

// maskTable has ones for 16 lanes and then zeros for 16: from element 16-n on, a mask of n lanes.
func maskTable(c *build.Context) operand.Mem {
	table := c.StaticGlobal("lanes")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 2 * lanes {
		v := operand.U32(0)
		if i < lanes {
			v = ^v
		}
		c.AppendDatum(v)
	}
	return table
}

// avx2 emits the kernel of rows pixels by 16 filters: two registers for each pixel, two for the weights of one element
// and one for the element of a pixel.
func avx2(c *build.Context, rows int, table operand.Mem) {
	const vectorBytes, parts = 32, 2
	name := fmt.Sprintf("avx2r%d", rows)
	begin(c, name, takesTile, fmt.Sprintf("%s computes a tile of %d pixels by 16 filters with AVX2 and FMA.", name, rows))
	t := c.Load(c.Param("t"), c.GP64())
	arena := load(c, t, offArena)
	sums := make([][parts]reg.VecVirtual, rows)
	for i := range sums {
		for j := range parts {
			sums[i][j] = c.YMM()
			c.VXORPS(sums[i][j], sums[i][j], sums[i][j])
		}
	}
	products(c, t, arena, rows, parts*vectorBytes, func(row []reg.GPVirtual, at, w reg.GPVirtual) {
		var weights [parts]reg.VecVirtual
		for j := range weights {
			weights[j] = c.YMM()
			c.VMOVUPS(operand.Mem{Base: w, Disp: j * vectorBytes}, weights[j])
		}
		for i := range rows {
			spread := c.YMM()
			c.VBROADCASTSS(operand.Mem{Base: row[i], Index: at, Scale: floatBytes}, spread)
			for j := range parts {
				c.VFMADD231PS(weights[j], spread, sums[i][j])
			}
		}
	})

	last, lanesAt := load(c, t, offLast), c.GP64()
	c.LEAQ(table, lanesAt)
	c.ADDQ(operand.Imm(lanes*floatBytes), lanesAt)
	full := c.GP64()
	c.MOVQ(last, full)
	c.SHLQ(operand.Imm(2), last)
	c.SUBQ(last, lanesAt)
	var mask [parts]reg.VecVirtual
	for j := range mask {
		mask[j] = c.YMM()
		c.VMOVUPS(operand.Mem{Base: lanesAt, Disp: j * vectorBytes}, mask[j])
	}
	addPlaces := func(list int) {
		for i := range rows {
			p := place(c, t, arena, list, i)
			for j := range parts {
				v := c.YMM()
				c.VMASKMOVPS(operand.Mem{Base: p, Disp: j * vectorBytes}, mask[j], v)
				c.VADDPS(v, sums[i][j], sums[i][j])
			}
		}
	}
	flags := load(c, t, offFlags)
	when(c, flags, flagAccumulate, func() { addPlaces(offOut) })
	when(c, flags, flagBias, func() {
		bias := load(c, t, offBias)
		for i := range rows {
			for j := range parts {
				c.VADDPS(operand.Mem{Base: bias, Disp: j * vectorBytes}, sums[i][j], sums[i][j])
			}
		}
	})
	when(c, flags, flagShortcut, func() { addPlaces(offAdd) })
	when(c, flags, flagReLU, func() {
		zero := c.YMM()
		c.VXORPS(zero, zero, zero)
		for i := range rows {
			for _, y := range sums[i] {
				c.VMAXPS(y, zero, y) // in this order, of a NaN and zero the NaN is taken
			}
		}
	})
	c.CMPQ(full, operand.Imm(lanes))
	c.JNE(operand.LabelRef("tail"))
	for i := range rows {
		p := place(c, t, arena, offOut, i)
		for j := range parts {
			c.VMOVUPS(sums[i][j], operand.Mem{Base: p, Disp: j * vectorBytes})
		}
	}
	c.VZEROUPPER()
	c.RET()
	c.Label("tail") // masked stores are slow on some processors, so only here
	for i := range rows {
		p := place(c, t, arena, offOut, i)
		for j := range parts {
			c.VMASKMOVPS(sums[i][j], mask[j], operand.Mem{Base: p, Disp: j * vectorBytes})
		}
	}
	c.VZEROUPPER()
	c.RET()
}
