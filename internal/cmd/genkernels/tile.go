package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The offsets of the fields of kernel.Tile and kernel.Segment; a test of that package holds them against the compiler's.
const (
	offArena    = 0
	offWeights  = 24
	offSegments = 48 // its length follows 8 bytes behind
	offIn       = 72
	offOut      = 96
	offAdd      = 120
	offBias     = 144
	offFlags    = 168
	offLast     = 176
	offAhead    = 184
	offStep     = 192
	sizeSegment = 16
)

// The bits of kernel.Flags.
const (
	flagAccumulate = 1 << iota
	flagBias
	flagShortcut
	flagReLU
)

const floatBytes = 4

func load(c *build.Context, base reg.Register, offset int) reg.GPVirtual {
	r := c.GP64()
	c.MOVQ(operand.Mem{Base: base, Disp: offset}, r)
	return r
}

// place returns the address of element list[i] of the arena, list being a field of the tile.
func place(c *build.Context, t, arena reg.Register, list, i int) reg.GPVirtual {
	p := load(c, t, list)
	c.MOVQ(operand.Mem{Base: p, Disp: 8 * i}, p)
	c.LEAQ(operand.Mem{Base: arena, Index: p, Scale: floatBytes}, p)
	return p
}

// products emits the loops over segments and their elements. body multiplies one element of each row, which lies at
// row + 4·at, with the weights at w.
func products(c *build.Context, t, arena reg.Register, rows, weightBytes int, body func(row []reg.GPVirtual, at, w reg.GPVirtual)) {
	row := make([]reg.GPVirtual, rows)
	for i := range row {
		row[i] = place(c, t, arena, offIn, i)
	}
	w, ahead, segment, left := load(c, t, offWeights), load(c, t, offAhead), load(c, t, offSegments), load(c, t, offSegments+8)
	c.ADDQ(w, ahead)
	at, end := c.GP64(), c.GP64()
	c.Label("segment")
	c.MOVQ(operand.Mem{Base: segment}, at)
	c.MOVQ(operand.Mem{Base: segment, Disp: 8}, end)
	c.ADDQ(at, end)
	c.Label("element")
	body(row, at, w)
	c.PREFETCHT1(operand.Mem{Base: ahead})
	c.ADDQ(operand.Mem{Base: t, Disp: offStep}, ahead)
	c.ADDQ(operand.U32(weightBytes), w)
	c.INCQ(at)
	c.CMPQ(at, end)
	c.JNE(operand.LabelRef("element"))
	c.ADDQ(operand.Imm(sizeSegment), segment)
	c.DECQ(left)
	c.JNZ(operand.LabelRef("segment"))
}

// when emits body to be run when a flag is set.
func when(c *build.Context, flags reg.Register, flag int, body func()) {
	label := fmt.Sprintf("no%d", flag)
	c.TESTQ(operand.U32(flag), flags)
	c.JZ(operand.LabelRef(label))
	body()
	c.Label(label)
}
