package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// avx512 emits the kernel of rows pixels by vectors·16 filters: a register for each pixel and vector, the weights of
// one element in as many registers as vectors, and the element of a pixel spread over one more, or, where there is but
// one vector to multiply it with, spread by the multiplication itself.
func avx512(c *build.Context, vectors, rows int) {
	const vectorBytes = 64
	name := fmt.Sprintf("avx512v%dr%d", vectors, rows)
	begin(c, name, takesTile, fmt.Sprintf("%s computes a tile of %d pixels by %d filters with AVX-512F and BMI2.", name, rows, 16*vectors))
	t := c.Load(c.Param("t"), c.GP64())
	arena := load(c, t, offArena)
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		for range vectors {
			y := c.ZMM()
			c.VPXORD(y, y, y)
			sums[i] = append(sums[i], y)
		}
	}
	// The shortcut may be far away: it is called for before the sum begins.
	c.TESTQ(operand.U32(flagShortcut), load(c, t, offFlags))
	c.JZ(operand.LabelRef("near"))
	for i := range rows {
		p := place(c, t, arena, offAdd, i)
		for j := range vectors {
			c.PREFETCHT0(operand.Mem{Base: p, Disp: j * vectorBytes})
		}
	}
	c.Label("near")
	products(c, t, arena, rows, vectors*vectorBytes, func(row []reg.GPVirtual, at, w reg.GPVirtual) {
		weights := make([]reg.VecVirtual, vectors)
		for j := range weights {
			weights[j] = c.ZMM()
			c.VMOVUPS(operand.Mem{Base: w, Disp: j * vectorBytes}, weights[j])
		}
		for i := range rows {
			x := operand.Mem{Base: row[i], Index: at, Scale: floatBytes}
			if vectors == 1 {
				c.VFMADD231PS_BCST(x, weights[0], sums[i][0])
				continue
			}
			spread := c.ZMM()
			c.VBROADCASTSS(x, spread)
			for j := range vectors {
				c.VFMADD231PS(weights[j], spread, sums[i][j])
			}
		}
	})

	arena = load(c, t, offArena) // again: the loop needs every register
	last, one, mask := load(c, t, offLast), c.GP64(), c.K()
	c.MOVQ(operand.U32(1), one)
	c.SHLXQ(last, one, one)
	c.DECQ(one)
	c.KMOVW(one.As32(), mask)
	addPlaces := func(list int) {
		for i := range rows {
			p := place(c, t, arena, list, i)
			for j := range vectors - 1 {
				c.VADDPS(operand.Mem{Base: p, Disp: j * vectorBytes}, sums[i][j], sums[i][j])
			}
			tail := c.ZMM()
			c.VMOVUPS_Z(operand.Mem{Base: p, Disp: (vectors - 1) * vectorBytes}, mask, tail)
			c.VADDPS(tail, sums[i][vectors-1], sums[i][vectors-1])
		}
	}
	flags := load(c, t, offFlags)
	when(c, flags, flagAccumulate, func() { addPlaces(offOut) })
	when(c, flags, flagBias, func() {
		bias := load(c, t, offBias)
		for j := range vectors {
			b := c.ZMM()
			c.VMOVUPS(operand.Mem{Base: bias, Disp: j * vectorBytes}, b)
			for i := range rows {
				c.VADDPS(b, sums[i][j], sums[i][j])
			}
		}
	})
	when(c, flags, flagShortcut, func() { addPlaces(offAdd) })
	when(c, flags, flagReLU, func() {
		zero := c.ZMM()
		c.VPXORD(zero, zero, zero)
		for i := range rows {
			for _, y := range sums[i] {
				c.VMAXPS(y, zero, y) // in this order, of a NaN and zero the NaN is taken
			}
		}
	})
	for i := range rows {
		p := place(c, t, arena, offOut, i)
		for j := range vectors - 1 {
			c.VMOVUPS(sums[i][j], operand.Mem{Base: p, Disp: j * vectorBytes})
		}
		c.VMOVUPS(sums[i][vectors-1], mask, operand.Mem{Base: p, Disp: (vectors - 1) * vectorBytes})
	}
	c.VZEROUPPER()
	c.RET()
}
