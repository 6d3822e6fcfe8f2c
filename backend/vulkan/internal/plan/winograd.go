package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/shaders"
)

// toomCook is an algorithm F(m×m, 3×3) of winograd.glsl: its points and the matrix that transforms weights.
type toomCook struct {
	m      int          // results along an axis of a tile
	points []float64    // the finite ones, in the order of the rows of g
	g      [][3]float64 // G [m+2][3], with all factors
}

var (
	winograd2 = newToomCook(2, []float64{0, 1, -1})
	winograd4 = newToomCook(4, []float64{0, math.Sqrt2 / 2, -math.Sqrt2 / 2, math.Sqrt2, -math.Sqrt2})
)

// newToomCook makes G: the row of a point p is (1, p, p²) over the product of its distances to the other points, that
// of infinity (0, 0, 1).
func newToomCook(m int, points []float64) *toomCook {
	t := &toomCook{m: m, points: points}
	for i, p := range points {
		f := 1.0
		for j, q := range points {
			if i != j {
				f *= p - q
			}
		}
		t.g = append(t.g, [3]float64{1 / f, p / f, p * p / f})
	}
	t.g = append(t.g, [3]float64{0, 0, 1})
	return t
}

// along is G applied to the rows of a kernel w [3][3]: one line of three for each row of G.
func (t *toomCook) along(w []float32) (lines [6][3]float64) {
	_ = w[8]
	for i := range t.g {
		g := &t.g[i]
		for r := range 3 {
			lines[i][r] = g[0]*float64(w[3*r]) + g[1]*float64(w[3*r+1]) + g[2]*float64(w[3*r+2])
		}
	}
	return lines
}

// hugeWeight is where a transformed weight might become infinite.
const hugeWeight = 1e30

// winogradConv lowers to the three kernels of winograd.glsl, with v for the products.
func winogradConv(t *toomCook) lowering {
	return func(lim Limits, n *graph.Node, g *convGeometry, v *shaders.Variant) (Candidate, error) {
		if err := t.fits(g); err != nil {
			return Candidate{}, err
		}
		e := (t.m + 2) * (t.m + 2)
		th, tw := ceilDiv(g.p, t.m), ceilDiv(g.q, t.m)
		tiles, c4, k4 := g.batch*th*tw, vectors(g.c), vectors(g.filters)
		if e*max(c4, k4) > math.MaxInt32/4/max(tiles, 1) {
			return Candidate{}, backend.Unsupported("conv2d", "transformed tensors of fewer than 2^31 elements", fmt.Sprintf("%d of %d tiles", e*max(c4, k4)*4, tiles))
		}
		suffix := func(texels int) string { // of a transform that reads so many
			if len(v.Texels) == 0 || texels > int(lim.MaxTexelBufferElements) {
				return "_ssbo_f32"
			}
			return "_f32"
		}
		const scratchIn, scratchOut = scratch0, scratch0 - 1
		input, err := flat(lim, fmt.Sprintf("winograd_input%d%s", t.m, suffix(g.batch*c4*g.h*g.w)), c4*tiles, nil, []uint32{
			u32(tiles), u32(th), u32(tw), u32(c4), u32(g.h), u32(g.w), u32(g.op.Padding.Top), u32(g.op.Padding.Left),
		}, 0, scratchIn)
		if err != nil {
			return Candidate{}, err
		}
		output, err := flat(lim, fmt.Sprintf("winograd_output%d%s", t.m, suffix(max(e*k4*tiles, g.pixels()*k4))), k4*tiles, []uint32{flag(g.op.Add), flag(g.op.Act == graph.ActReLU)},
			[]uint32{u32(tiles), u32(th), u32(tw), u32(k4), u32(g.p), u32(g.q)}, scratchOut, theWeight, g.shortcut, result)
		if err != nil {
			return Candidate{}, err
		}
		output.weights = packBias(n, g.op)
		// The products are a 1×1 convolution of as many groups as there are, for each element of a tile.
		as1x1 := convGeometry{
			op:    graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: e * g.op.Groups},
			batch: 1, c: 4 * e * c4, h: 1, w: tiles, filters: e * g.filters, cg: 4 * vectors(g.cg), kg: g.kg, r: 1, s: 1, p: 1, q: tiles,
		}
		wg := lim.packedLocalSize()
		products, err := as1x1.packedTiles(v, wg, t.packFilters(n, g, v.FilterBlock))
		if err != nil {
			return Candidate{}, err
		}
		products.kernels[0].args = []operand{scratchIn, theWeight, scratchIn, scratchOut}
		c := Candidate{
			Name: fmt.Sprintf("winograd%d_%s", t.m, v.Name), In: Packed4, Out: Packed4, Class: Transformed,
			kernels: slices.Concat([]*kernel{input}, as1x1.slabs(v).partition(lim, products.kernels[0]), []*kernel{output}),
			scratch: []uint64{uint64(e*c4*tiles) * texelBytes, uint64(e*k4*tiles) * texelBytes},
			points:  t.points,
		}
		moved := float64(c.In.sizeBytes(n.Inputs[0].Type)+c.Out.sizeBytes(n.Output.Type)) + 2*float64(c.scratch[0]+c.scratch[1])
		c.cost = as1x1.seconds(lim, v, as1x1.cg, wg*v.PixelTile) + moved/lim.bandwidth()
		return c, nil
	}
}

// fits says what keeps the algorithm from a convolution.
func (t *toomCook) fits(g *convGeometry) error {
	switch one := [2]int{1, 1}; {
	case g.r != 3 || g.s != 3:
		return backend.Unsupported("weight", "a 3×3 kernel", fmt.Sprintf("%d×%d", g.r, g.s))
	case g.op.Stride != one || g.op.Dilation != one:
		return backend.Unsupported("conv2d", "stride and dilation of 1", fmt.Sprint(g.op.Stride, g.op.Dilation))
	case g.kg%4 != 0 || g.op.Groups > 1 && g.cg%4 != 0:
		return backend.Unsupported("weight", "filters, and channels of several groups, in multiples of 4 a group", fmt.Sprintf("%d and %d", g.kg, g.cg))
	}
	if g.hasHugeWeight() {
		return backend.Unsupported("weight", fmt.Sprintf("values below %g", hugeWeight), "a greater one, or one that is not finite")
	}
	return nil
}

// hasHugeWeight reports whether a node's weights, where it has them, have one that is not below hugeWeight.
func hasHugeWeight(n *graph.Node) bool {
	data := n.Inputs[1].Data
	return data != nil && slices.ContainsFunc(data.Float32s(), func(v float32) bool { return !(math.Abs(float64(v)) < hugeWeight) })
}

// packFilters orders the transformed weights as [(m+2)²][G][ceil(Kg/block)] blocks, each of block bias values, which are zero, and [Cg/4][block][4].
func (t *toomCook) packFilters(n *graph.Node, g *convGeometry, block int) *Packed {
	e, blocks := len(t.g)*len(t.g), ceilDiv(g.kg, block)
	each := g.op.Groups * blocks // blocks of an element of a tile
	size := block * (1 + vectors(g.cg)*4)
	return &Packed{
		Node: n.Name, Elems: e * each * size, Block: size,
		Open: func() Filler {
			w := n.Inputs[1].Data.Float32s()
			return func(dst []float32, first int) {
				clear(dst)
				lowest := first / each
				elements := make([]transformed, (first+len(dst)/size-1)/each-lowest+1)
				for k := range g.filters {
					for i := range elements {
						at := packedBlocks{dst, first, size}.at((lowest+i)*each + k/g.kg*blocks + k%g.kg/block)
						elements[i] = transformed{at, &t.g[(lowest+i)/len(t.g)], (lowest + i) % len(t.g)}
					}
					for c := range g.cg {
						lines := t.along(w[(k*g.cg+c)*9:])
						place := block + (c/4*block+k%g.kg%block)*4 + c%4
						for i := range elements {
							elements[i].set(place, &lines)
						}
					}
				}
			}
		},
	}
}

// transformed is where an element of the transformed kernels of a filter goes, nil for nowhere, and what it is made of.
type transformed struct {
	block []float32
	g     *[3]float64
	line  int
}

func (e *transformed) set(place int, lines *[6][3]float64) {
	if e.block != nil {
		line := &lines[e.line]
		e.block[place] = float32(e.g[0]*line[0] + e.g[1]*line[1] + e.g[2]*line[2])
	}
}

// packBias is the bias of a convolution, zeros where it has none, in vectors of four filters.
func packBias(n *graph.Node, op graph.Conv2D) *Packed {
	k := n.Inputs[1].Type.Shape.Dim(0)
	return &Packed{
		Node: n.Name, Elems: 4 * vectors(k), Block: 4 * vectors(k),
		Open: func() Filler {
			bias := biasOf(n, op)
			return func(dst []float32, _ int) {
				clear(dst)
				copy(dst, bias)
			}
		},
	}
}
