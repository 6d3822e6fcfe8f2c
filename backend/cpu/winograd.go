package cpu

import (
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/backend/internal/arena"
	"github.com/resnet-run/resnet-run/graph"
)

const (
	// transformedTerms is about how many products of transformed values are summed at once.
	transformedTerms = 128
	// windowElems bounds the transformed windows of a task: with the products of a block of filters they stay in the
	// second-level cache.
	windowElems = 1 << 17
	// leastTiles and mostTiles are how many tiles a task takes: fewer read the weights too often.
	leastTiles, mostTiles = 12, 48
	// cachedElems is how large transformed weights may be to be expected in a cache when a run comes back to them, and
	// loadCost how many products the load of a weight costs, when they are and when they are not.
	cachedElems      = 1 << 19
	loadCostCached   = 2.0
	loadCostUncached = 24.0
	// rowCost is how many products each row of a call of a micro-kernel costs beside its own, callCost how many all calls for the windows
	// of a layer, and transformCost how many the transform of a vector of a tile. They weigh where groups are narrow.
	rowCost       = 12
	callCost      = 32
	transformCost = 160
)

// winograd is a 3×3 convolution of stride 1 by the algorithm F(4×4,3×3) (see kernel.Transform). The scratch is 36 layers,
// each with the transformed windows of some tiles and then their products.
//
// Where there are tiles enough, a task takes some from the input to the output, with a scratch for each worker; else
// three steps go over all tiles, the second cut into layers and filters.
type winograd struct {
	set            *kernel.Set
	x, y, shortcut *place
	c, k           int // of all groups
	groups         int
	cg, kg         int // channels and filters of a group
	padTop         int
	padLeft        int
	relu           bool
	bias           []float32
	down, across   int // tiles of a picture
	tiles          int // of all pictures
	slabs          []slab
	blocks         []transformedBlock
	terms          []termBlock // of the channels of a group

	interval *arena.Interval // of the scratch
	scratch  int             // its first element
	chunk    int             // tiles of a scratch
	channels int             // elements of a row of windows
	filters  int             // elements of a row of products
	layer    int             // elements of a layer
	in       []int           // where the window of each row lies in a layer
}

// winogradOf describes how a conv2d node may be computed, or says why it is to be summed directly. The answer depends on
// a picture's extent, not on the batch, nor on the machine: a picture gives the same bits in any batch.
func winogradOf(n *graph.Node, op graph.Conv2D) (g *winograd, why string) {
	w := n.Inputs[1]
	k, cg, r, s := w.Type.Shape.NCHW()
	c := cg * op.Groups
	if why := notTransformable(op, k, c, r, s); why != "" {
		return nil, why
	}
	pictures, _, p, q := n.Output.Type.Shape.NCHW()
	g = &winograd{c: c, k: k, groups: op.Groups, cg: cg, kg: k / op.Groups, padTop: op.Padding.Top, padLeft: op.Padding.Left, relu: op.Act == graph.ActReLU}
	g.down, g.across = ceilDiv(p, kernel.TileSide), ceilDiv(q, kernel.TileSide)
	if g.tiles = pictures * g.down * g.across; g.tiles == 0 {
		return nil, "nothing to compute"
	}
	if !g.pays(p, q) {
		return nil, fmt.Sprintf("%d×%d pixels of %d channels do not pay for transforms and four times the weights", p, q, cg)
	}
	if !(w.Data.Bound() < 1e30) { // nor may a transformed weight be infinite
		return nil, "a weight is huge or not finite"
	}
	return g, ""
}

// pays reports whether sums of a picture of p×q pixels take longer. Times count products of an input with a vector of filters.
func (g *winograd) pays(p, q int) bool {
	vectors, channels := float64(g.groups*ceilDiv(g.kg, kernel.Lanes)), float64(g.cg)
	tiles, pixels := float64(g.down*g.across), float64(p*q)
	load := loadCostCached
	if kernel.Products*channels*vectors*kernel.Lanes > cachedElems {
		load = loadCostUncached
	}
	sums := vectors * (9*channels*(pixels+load) + rowCost*pixels)
	products := kernel.Products * vectors * (channels*(tiles+load) + rowCost*tiles + callCost)
	transforms := transformCost * tiles * float64(ceilDiv(g.c, kernel.Lanes)+ceilDiv(g.k, kernel.Lanes))
	return products+transforms <= sums
}

// notTransformable says what keeps the algorithm from a convolution, nothing when it is possible.
func notTransformable(op graph.Conv2D, k, c, r, s int) string {
	switch {
	case r != 3 || s != 3:
		return fmt.Sprintf("%d×%d kernel", r, s)
	case op.Stride != [2]int{1, 1}:
		return fmt.Sprintf("stride %d,%d", op.Stride[0], op.Stride[1])
	case op.Dilation != [2]int{1, 1}:
		return fmt.Sprintf("dilation %d,%d", op.Dilation[0], op.Dilation[1])
	case c < kernel.Lanes || k < kernel.Lanes:
		return fmt.Sprintf("%d channels or %d filters are fewer than %d", c, k, kernel.Lanes)
	}
	return ""
}

// widen makes the halo of x reach as far as the windows of all tiles.
func (g *winograd) widen(x *place) {
	x.top, x.left = max(x.top, g.padTop), max(x.left, g.padLeft)
	x.bottom = max(x.bottom, g.down*kernel.TileSide+2-g.padTop-x.h)
	x.right = max(x.right, g.across*kernel.TileSide+2-g.padLeft-x.w)
}

// fits reports whether x has room for the halo.
func (g *winograd) fits(x place) bool {
	g.widen(&x)
	return x.elems() <= maxTensorBytes/4
}

// transform makes the windows of count tiles, from first on, to the rows of the scratch at base that begin with row.
func (g *winograd) transform(arena []float32, w *worker, base, row, first, count int) {
	t := &w.scratch.transform
	*t = kernel.Transform{Arena: arena, InRow: g.x.lineElems(), InStep: g.x.c, OutStep: g.layer}
	for i := range count {
		n, h, q := g.tile(first + i)
		in, out := g.x.at(n, h-g.padTop, q-g.padLeft), base+(row+i)*g.channels
		inVectors(g.c, func(first, vectors int) {
			t.In, t.Out, t.Vectors = in+first, out+first, vectors
			g.set.Input(t)
		})
	}
}

// tile returns the picture and the first pixel of a tile of the output.
func (g *winograd) tile(i int) (n, row, column int) {
	return i / (g.down * g.across), i / g.across % g.down * kernel.TileSide, i % g.across * kernel.TileSide
}

// products multiplies the windows of count tiles in a layer with the filters of a slab. Vectors that a block of filters does not
// fill reach into the next block's place, which is written after it.
func (g *winograd) products(arena []float32, w *worker, base, layer int, s *slab, count int) {
	t := &w.scratch.tile
	t.Last, t.Bias = kernel.Lanes, nil
	for i := s.begin; i < s.end; i++ {
		f := &g.blocks[i]
		t.Arena = arena[base+layer*g.layer:][f.group*g.cg : g.layer]
		n := f.width * kernel.Lanes
		for b, terms := range g.terms {
			t.Weights = f.weights[(layer*g.cg+terms.first)*n:][:terms.count*n]
			t.Segments = terms.segments
			t.Flags = 0
			if b > 0 {
				t.Flags = kernel.Accumulate
			}
			multiply(t, f.variants, f.width, count, g.in, f.out, g.in)
		}
	}
}

// finish turns the products of a slab into the output.
func (g *winograd) finish(arena []float32, w *worker, base, row, first, count int, s *slab) {
	t := &w.scratch.transform
	*t = kernel.Transform{Arena: arena, InStep: g.layer, OutRow: g.y.lineElems(), OutStep: g.y.c}
	if g.relu {
		t.Flags = kernel.ReLU
	}
	if g.shortcut != nil {
		t.Flags |= kernel.AddShortcut
		t.AddRow, t.AddStep = g.shortcut.lineElems(), g.shortcut.c
	}
	for i := range count {
		n, h, q := g.tile(first + i)
		t.Rows, t.Cols = min(kernel.TileSide, g.y.h-h), min(kernel.TileSide, g.y.w-q)
		in := base + g.chunk*g.channels + (row+i)*g.filters + s.column
		inVectors(s.count, func(at, vectors int) {
			t.In, t.Out = in+at, g.y.at(n, h, q)+s.first+at
			t.Bias, t.Vectors = g.bias[s.first+at:][:vectors*kernel.Lanes], vectors
			if g.shortcut != nil {
				t.Add = g.shortcut.at(n, h, q) + s.first + at
			}
			g.set.Output(t)
		})
	}
}

// do takes a chunk of tiles from the input to the output.
func (g *winograd) do(arena []float32, w *worker, task int) {
	base := g.scratch + w.id*kernel.Products*g.layer
	first := task * g.chunk
	count := min(g.chunk, g.tiles-first)
	g.transform(arena, w, base, 0, first, count)
	for i := range g.slabs {
		s := &g.slabs[i]
		for layer := range kernel.Products {
			g.products(arena, w, base, layer, s, count)
		}
		g.finish(arena, w, base, 0, first, count, s)
	}
}

// winograd appends the steps of a convolution by F(4×4,3×3).
func (p *program) winograd(n *graph.Node, g *winograd, shortcut *place) {
	g.x, g.y, g.shortcut = p.places[n.Inputs[0]], p.places[n.Output], shortcut
	bias, _ := n.Op.(graph.Conv2D).Inputs()
	var b []float32
	if bias >= 0 {
		b = n.Inputs[bias].Data.Float32s()
	}
	g.cut(b)
	key := packKey{isWinograd: true, groups: g.groups, cg: g.cg, kg: g.kg, r: 3, s: 3}
	for i, block := range p.weights(n.Inputs[1].Data, key, g.order) {
		g.blocks[i].weights = block
	}
	p.transforms[n.Name] = backend.Winograd{Rows: kernel.Points, Columns: kernel.Points}
	name := fmt.Sprintf("%s_winograd4_%s", n.Op.Name(), p.set.Name)
	const why = "a quarter of the products"
	if !g.isWhole() {
		p.add(n.Name, name, why, g.y, ceilDiv(g.tiles, g.chunk), g.do)
		return
	}
	perTask := func(items int) int { return max(1, items/(p.n*tasksPerWorker)) }
	tiles := perTask(g.tiles)
	p.add(n.Name, name, why, nil, ceilDiv(g.tiles, tiles), func(arena []float32, w *worker, task int) {
		first := task * tiles
		g.transform(arena, w, g.scratch, first, first, min(tiles, g.tiles-first))
	})
	all := len(g.slabs) * kernel.Products
	layers := perTask(all)
	p.add(n.Name, name, why, nil, ceilDiv(all, layers), func(arena []float32, w *worker, task int) {
		for i := task * layers; i < min(all, (task+1)*layers); i++ {
			g.products(arena, w, g.scratch, i%kernel.Products, &g.slabs[i/kernel.Products], g.tiles)
		}
	})
	p.add(n.Name, name, why, g.y, ceilDiv(g.tiles, tiles)*len(g.slabs), func(arena []float32, w *worker, task int) {
		s, first := &g.slabs[task%len(g.slabs)], task/len(g.slabs)*tiles
		g.finish(arena, w, g.scratch, first, first, min(tiles, g.tiles-first), s)
	})
}
