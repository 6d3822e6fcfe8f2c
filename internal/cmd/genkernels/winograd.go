package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The offsets of the fields of kernel.Transform; a test of that package holds them against the compiler's.
const (
	offTArena   = 0
	offTIn      = 24 // InRow and InStep follow
	offTOut     = 48 // OutRow and OutStep follow
	offTAdd     = 72 // AddRow and AddStep follow
	offTBias    = 96
	offTVectors = 120
	offTRows    = 128
	offTColumns = 136
	offTFlags   = 144
)

// The constants of the transforms with the points 0, ±a, ±b and infinity, a² = 1/2 and b² = 2, as
// backend/cpu/internal/kernel/winograd.go derives them.
const (
	half = iota
	two
	twoAndHalf // a² + b²
	pointA
	pointB
	cubeA
	cubeB
	infinity
)

var constants = []float64{0.5, 2, 2.5, math.Sqrt2 / 2, math.Sqrt2, math.Sqrt2 / 4, 2 * math.Sqrt2, math.Inf(-1)}

// constantTable has each constant as often as a vector of AVX2 holds it.
func constantTable(c *build.Context) operand.Mem {
	table := c.StaticGlobal("points")
	c.DataAttributes(attr.RODATA | attr.NOPTR)
	for _, v := range constants {
		for range constantLanes {
			c.AppendDatum(operand.U32(math.Float32bits(float32(v)))) // the assembler knows no infinity
		}
	}
	return table
}

const constantLanes = 8

// wide emits transforms for one width of vectors.
type wide struct {
	*build.Context
	name   string
	bytes  int     // of a vector
	groups [][]int // the rows of Aᵀ that are computed together: as many as there are registers for
	points operand.Mem
}

func (c wide) vec() reg.VecVirtual {
	if c.bytes == 64 {
		return c.ZMM()
	}
	return c.YMM()
}

func (c wide) load(m operand.Mem) reg.VecVirtual {
	v := c.vec()
	c.VMOVUPS(m, v)
	return v
}

// constant is a register, or memory where there are few registers.
func (c wide) constant(i int) operand.Op {
	m := c.points.Offset(i * constantLanes * floatBytes)
	if c.bytes == constantLanes*floatBytes {
		return m
	}
	v := c.vec()
	c.VBROADCASTSS(m, v)
	return v
}

func (c wide) add(a, b reg.VecVirtual) reg.VecVirtual {
	v := c.vec()
	c.VADDPS(a, b, v)
	return v
}

func (c wide) sub(a, b reg.VecVirtual) reg.VecVirtual { // a - b
	v := c.vec()
	c.VSUBPS(b, a, v)
	return v
}

func (c wide) mul(a operand.Op, b reg.VecVirtual) reg.VecVirtual {
	v := c.vec()
	c.VMULPS(a, b, v)
	return v
}

// elements gives element i of what a one-dimensional transform works on.
type elements func(i int) reg.VecVirtual

// linear computes some rows of a one-dimensional transform. own gives a register that it may change.
type linear func(at, own elements) []reg.VecVirtual

// inputRows are the rows of Bᵀ, in groups that share work.
func (c wide) inputRows() []linear {
	s, square, point := c.constant(twoAndHalf), []operand.Op{c.constant(half), c.constant(two)}, []operand.Op{c.constant(pointA), c.constant(pointB)}
	outer := func(first int) linear { // x(first) - (a²+b²)·x(first+2) + x(first+4)
		return func(at, _ elements) []reg.VecVirtual {
			y := c.add(at(first), at(first+4))
			c.VFNMADD231PS(s, at(first+2), y)
			return []reg.VecVirtual{y}
		}
	}
	pair := func(i int) linear { // (x4 - q²·x2) ± p·(x3 - q²·x1), p the point and q the other
		return func(at, own elements) []reg.VecVirtual {
			q := square[1-i]
			even, odd := own(4), own(3)
			c.VFNMADD231PS(q, at(2), even)
			c.VFNMADD231PS(q, at(1), odd)
			minus := c.copyOf(even)
			c.VFNMADD231PS(point[i], odd, minus)
			c.VFMADD231PS(point[i], odd, even)
			return []reg.VecVirtual{even, minus}
		}
	}
	return []linear{outer(0), pair(0), pair(1), outer(1)}
}

func (c wide) copyOf(v reg.VecVirtual) reg.VecVirtual {
	w := c.vec()
	c.VMOVAPS(v, w)
	return w
}

// input emits Bᵀ·x·B for each vector of channels of a window of 6×6 pixels.
func (c wide) input() {
	begin(c.Context, c.name+"Input", takesTile, c.name+"Input transforms a window of the input of F(4×4,3×3).")
	t := c.Load(c.Param("t"), c.GP64())
	arena := load(c.Context, t, offTArena)
	from, row, step := c.address(t, arena, offTIn)
	to := load(c.Context, t, offTOut)
	c.LEAQ(operand.Mem{Base: arena, Index: to, Scale: floatBytes}, to)
	next := load(c.Context, t, offTOut+16)
	c.SHLQ(operand.Imm(2), next)
	left := load(c.Context, t, offTVectors)
	rows := c.inputRows()
	lines := make([]reg.GPVirtual, 6) // the address of the first pixel of each row
	for i := range lines {
		lines[i] = c.GP64()
		if i == 0 {
			c.MOVQ(from, lines[i])
		} else {
			c.LEAQ(operand.Mem{Base: lines[i-1], Index: row, Scale: 1}, lines[i])
		}
	}
	c.vectors(left, func() {
		out := c.GP64()
		c.MOVQ(to, out)
		for _, down := range rows {
			var columns [6][]reg.VecVirtual
			at := c.GP64()
			c.XORQ(at, at)
			for j := range columns {
				load := func(i int) reg.VecVirtual { return c.load(operand.Mem{Base: lines[i], Index: at, Scale: 1}) }
				columns[j] = down(load, load)
				if j < 5 {
					c.ADDQ(step, at)
				}
			}
			for k := range columns[0] {
				for _, across := range rows {
					at := func(i int) reg.VecVirtual { return columns[i][k] }
					for _, y := range across(at, func(i int) reg.VecVirtual { return c.copyOf(at(i)) }) {
						c.VMOVUPS(y, operand.Mem{Base: out})
						c.ADDQ(next, out)
					}
				}
			}
		}
		for i := range lines {
			c.ADDQ(operand.U32(uint32(c.bytes)), lines[i])
		}
		c.ADDQ(operand.U32(uint32(c.bytes)), to)
	})
}

// address loads a place with the bytes from row to row and from step to step.
func (c wide) address(t, arena reg.Register, offset int) (at, row, step reg.GPVirtual) {
	at, row, step = load(c.Context, t, offset), load(c.Context, t, offset+8), load(c.Context, t, offset+16)
	c.LEAQ(operand.Mem{Base: arena, Index: at, Scale: floatBytes}, at)
	c.SHLQ(operand.Imm(2), row)
	c.SHLQ(operand.Imm(2), step)
	return at, row, step
}

// vectors emits body in a loop over the vectors of channels, left·16 in all, and ends the function.
func (c wide) vectors(left reg.GPVirtual, body func()) {
	if c.bytes == 32 {
		c.SHLQ(operand.Imm(1), left)
	}
	c.Label("vector")
	body()
	c.DECQ(left)
	c.JNZ(operand.LabelRef("vector"))
	c.VZEROUPPER()
	c.RET()
}

// outputRows computes some rows of Aᵀ, loading each element once and in order.
func (c wide) outputRows(rows []int) linear {
	h, two, a, b, a3, b3 := c.constant(half), c.constant(two), c.constant(pointA), c.constant(pointB), c.constant(cubeA), c.constant(cubeB)
	return func(at, own elements) []reg.VecVirtual {
		var m0, sum1, sum2, difference1, difference2 reg.VecVirtual
		needs := func(parity int) bool { return rows[0]%2 == parity || rows[len(rows)-1]%2 == parity }
		if rows[0] == 0 {
			m0 = at(0)
		}
		x, y := at(1), at(2)
		z, w := at(3), at(4)
		if needs(0) {
			sum1, sum2 = c.add(x, y), c.add(z, w)
		}
		if needs(1) {
			difference1, difference2 = c.sub(x, y), c.sub(z, w)
		}
		var all []reg.VecVirtual
		for _, i := range rows {
			var r reg.VecVirtual
			switch i {
			case 0:
				r = c.add(c.add(sum1, sum2), m0)
			case 1:
				r = c.mul(a, difference1)
				c.VFMADD231PS(b, difference2, r)
			case 2:
				r = c.mul(h, sum1)
				c.VFMADD231PS(two, sum2, r)
			case 3:
				r = own(5)
				c.VFMADD231PS(a3, difference1, r)
				c.VFMADD231PS(b3, difference2, r)
			}
			all = append(all, r)
		}
		return all
	}
}

// output emits Aᵀ·m·A for each vector of filters, with the epilogue, and writes Rows × Columns pixels of it.
func (c wide) output() {
	begin(c.Context, c.name+"Output", takesTile, c.name+"Output transforms the products of F(4×4,3×3) to a tile of the output, with the epilogue.")
	t := c.Load(c.Param("t"), c.GP64())
	arena := load(c.Context, t, offTArena)
	from, to, add := load(c.Context, t, offTIn), load(c.Context, t, offTOut), load(c.Context, t, offTAdd)
	for _, p := range []reg.GPVirtual{from, to, add} {
		c.LEAQ(operand.Mem{Base: arena, Index: p, Scale: floatBytes}, p)
	}
	step, line := load(c.Context, t, offTIn+16), c.GP64() // bytes from a product to the next, and to the next row of six
	c.SHLQ(operand.Imm(2), step)
	c.LEAQ(operand.Mem{Base: step, Index: step, Scale: 2}, line)
	c.ADDQ(line, line)
	bias, left := load(c.Context, t, offTBias), load(c.Context, t, offTVectors)
	var down []linear
	for _, g := range c.groups {
		down = append(down, c.outputRows(g))
	}
	across := c.outputRows([]int{0, 1, 2, 3})
	floor := c.vec()
	c.VBROADCASTSS(c.points.Offset(infinity*constantLanes*floatBytes), floor)
	when(c.Context, load(c.Context, t, offTFlags), flagReLU, func() { c.zero(floor) })
	c.vectors(left, func() {
		for g, rows := range c.groups {
			skip := fmt.Sprintf("rows%d", rows[0])
			c.CMPQ(operand.Mem{Base: t, Disp: offTRows}, operand.Imm(uint64(rows[0])))
			c.JLE(operand.LabelRef(skip))
			var columns [6][]reg.VecVirtual
			column := c.copyOfPlace(from)
			for j := range columns {
				at, reached := c.copyOfPlace(column), 0
				load := func(i int) reg.VecVirtual {
					for ; reached < i; reached++ {
						c.ADDQ(line, at)
					}
					return c.load(operand.Mem{Base: at})
				}
				columns[j] = down[g](load, load)
				c.ADDQ(step, column)
			}
			for k, row := range rows {
				at := func(i int) reg.VecVirtual { return columns[i][k] }
				c.writeRow(t, across(at, at), row, to, add, bias, floor)
			}
			c.Label(skip)
		}
		for _, p := range []reg.GPVirtual{from, to, add, bias} {
			c.ADDQ(operand.U32(uint32(c.bytes)), p)
		}
	})
}

func (c wide) copyOfPlace(p reg.GPVirtual) reg.GPVirtual {
	q := c.GP64()
	c.MOVQ(p, q)
	return q
}

func (c wide) zero(v reg.VecVirtual) {
	if c.bytes == 64 {
		c.VPXORD(v, v, v)
		return
	}
	c.VXORPS(v, v, v)
}

// advance moves a place by so many of the steps at an offset of the transform.
func (c wide) advance(p, t reg.Register, offset, by int) {
	step := load(c.Context, t, offset)
	for ; by > 0; by-- {
		c.LEAQ(operand.Mem{Base: p, Index: step, Scale: floatBytes}, p)
	}
}

// writeRow writes as many pixels of a row as are wanted, if the row is.
func (c wide) writeRow(t reg.Register, pixels []reg.VecVirtual, row int, to, add, bias reg.GPVirtual, floor reg.VecVirtual) {
	written := fmt.Sprintf("written%d", row)
	if row > 0 {
		c.CMPQ(operand.Mem{Base: t, Disp: offTRows}, operand.Imm(uint64(row)))
		c.JLE(operand.LabelRef(written))
	}
	out, shortcut := c.copyOfPlace(to), c.copyOfPlace(add)
	c.advance(out, t, offTOut+8, row)
	c.advance(shortcut, t, offTAdd+8, row)
	for i, y := range pixels {
		if i > 0 {
			c.CMPQ(operand.Mem{Base: t, Disp: offTColumns}, operand.Imm(uint64(i)))
			c.JLE(operand.LabelRef(written))
			c.advance(out, t, offTOut+16, 1)
			c.advance(shortcut, t, offTAdd+16, 1)
		}
		c.VADDPS(operand.Mem{Base: bias}, y, y)
		plain := fmt.Sprintf("plain%d_%d", row, i)
		flags := load(c.Context, t, offTFlags)
		c.TESTQ(operand.U32(flagShortcut), flags)
		c.JZ(operand.LabelRef(plain))
		c.VADDPS(operand.Mem{Base: shortcut}, y, y)
		c.Label(plain)
		c.VMAXPS(y, floor, y) // in this order, of a NaN and the floor the NaN is taken
		c.VMOVUPS(y, operand.Mem{Base: out})
	}
	c.Label(written)
}

// winograd emits the transforms, and the measure of what is possible, for both widths of vectors.
func winograd(c *build.Context) {
	points := constantTable(c)
	for _, w := range []wide{{c, "avx512", 64, [][]int{{0, 2}, {1, 3}}, points}, {c, "avx2", 32, [][]int{{0}, {1}, {2}, {3}}, points}} {
		w.input()
		w.output()
		w.peak()
	}
}
