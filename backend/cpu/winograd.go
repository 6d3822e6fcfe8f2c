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
	loadCostCached   = 2
	loadCostUncached = 24
)

// winograd is a 3×3 convolution of stride 1 by the algorithm F(4×4,3×3) (see kernel.Transform). The scratch is 36 layers,
// each with the transformed windows of some tiles and then their products.
//
// Where there are tiles enough, a task takes some from the input to the output, with a scratch for each worker; else
// three steps go over all tiles, the second cut into layers and filters.
type winograd struct {
	set            *kernel.Set
	x, y, shortcut *place
	c, k           int
	padTop         int
	padLeft        int
	relu           bool
	bias           []float32
	down, across   int // tiles of a picture
	tiles          int // of all pictures
	blocks         []transformedBlock
	terms          []termBlock

	interval *arena.Interval // of the scratch
	scratch  int             // its first element
	chunk    int             // tiles of a scratch
	filters  int             // of a row of products
	layer    int             // elements of a layer
	in       []int           // where the window of each row lies in a layer
}

// transformedBlock is the filters of a tile of the matrix product with their weights, [36][c][width·Lanes].
type transformedBlock struct {
	first, width int
	weights      []float32
	variants     []kernel.Variant
	out          []int // where the products of each row lie in a layer
}

// winogradOf describes how a conv2d node may be computed, or says why it is to be summed directly. The answer depends on
// a picture's extent, not on the batch, nor on the machine: a picture gives the same bits in any batch.
func winogradOf(n *graph.Node, op graph.Conv2D) (g *winograd, why string) {
	w := n.Inputs[1]
	k, c, r, s := w.Type.Shape.NCHW()
	if why := notTransformable(op, k, c, r, s); why != "" {
		return nil, why
	}
	pictures, _, p, q := n.Output.Type.Shape.NCHW()
	g = &winograd{c: c, k: k, padTop: op.Padding.Top, padLeft: op.Padding.Left, relu: op.Act == graph.ActReLU}
	g.down, g.across = ceilDiv(p, kernel.TileSide), ceilDiv(q, kernel.TileSide)
	if g.tiles = pictures * g.down * g.across; g.tiles == 0 {
		return nil, "nothing to compute"
	}
	load := loadCostCached
	if kernel.Products*c*k > cachedElems {
		load = loadCostUncached
	}
	if kernel.Products*(g.down*g.across+load) > 9*(p*q+load) {
		return nil, fmt.Sprintf("%d×%d pixels do not pay for four times the weights", p, q)
	}
	if !(w.Data.Bound() < 1e30) { // nor may a transformed weight be infinite
		return nil, "a weight is huge or not finite"
	}
	return g, ""
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
	case op.Groups != 1:
		return fmt.Sprintf("%d groups", op.Groups)
	case c%kernel.Lanes != 0 || k%kernel.Lanes != 0:
		return fmt.Sprintf("%d channels or %d filters are no multiple of %d", c, k, kernel.Lanes)
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

// split decides how the work is cut for so many workers, and returns the size of the scratch.
func (g *winograd) split(set *kernel.Set, workers int) (elems int) {
	g.set = set
	g.chunk = min(max(windowElems/(kernel.Products*g.c), leastTiles)/leastTiles*leastTiles, mostTiles)
	copies := workers
	if g.tiles >= workers*g.chunk*3/2 {
		tasks := ceilDiv(ceilDiv(g.tiles, g.chunk), workers) * workers
		g.chunk = min(g.chunk, ceilDiv(ceilDiv(g.tiles, tasks), 2)*2)
		g.filters = min(g.k, set.Widths[0]*kernel.Lanes)
	} else {
		g.chunk, g.filters, copies = g.tiles, g.k, 1
	}
	// Rows for what a tile has too many. And a vector more: layers at a distance of a power of two would fight for the
	// same lines of a cache.
	g.layer = g.chunk*g.c + (g.chunk+kernel.MaxRows)*g.filters + kernel.Lanes
	for i := range g.chunk + kernel.MaxRows {
		g.in = append(g.in, min(i, g.chunk-1)*g.c)
	}
	return copies * kernel.Products * g.layer
}

func (g *winograd) isWhole() bool { return g.chunk == g.tiles }

// column is the place of a block's products in a row: only where all tiles are one chunk do all blocks have theirs.
func (g *winograd) column(f *transformedBlock) int {
	if g.isWhole() {
		return f.first
	}
	return 0
}

// cut cuts the filters into those of a tile, whose weights are still to come, and the products into blocks.
func (g *winograd) cut(bias []float32) {
	g.bias = make([]float32, g.k)
	copy(g.bias, bias)
	for first := 0; first < g.k; {
		f := transformedBlock{first: first}
		for _, f.width = range g.set.Widths {
			if f.width*kernel.Lanes <= g.k-first {
				break
			}
		}
		f.variants = g.set.Variants[f.width]
		n := f.width * kernel.Lanes
		for i := range g.in {
			f.out = append(f.out, g.chunk*g.c+i*g.filters+g.column(&f))
		}
		g.blocks = append(g.blocks, f)
		first += n
	}
	blocks := ceilDiv(g.c, transformedTerms)
	for b := range blocks {
		first, end := b*g.c/blocks, (b+1)*g.c/blocks
		g.terms = append(g.terms, termBlock{first, end - first, []kernel.Segment{{Offset: first, Len: end - first}}})
	}
}

// order transforms the weights [k][c][3][3] and orders them for the micro-kernels, for each block of filters.
func (g *winograd) order(weights []float32) [][]float32 {
	blocks := rooms(len(g.blocks), func(b int) int { return kernel.Products * g.c * g.blocks[b].width * kernel.Lanes })
	for b, f := range g.blocks {
		n := f.width * kernel.Lanes
		for j := range n {
			for c := range g.c {
				for i, u := range kernel.TransformWeights(weights[((f.first+j)*g.c+c)*9:][:9]) {
					blocks[b][(i*g.c+c)*n+j] = u
				}
			}
		}
	}
	return blocks
}

// transform makes the windows of count tiles, from first on, to the rows of the scratch at base that begin with row.
func (g *winograd) transform(arena []float32, w *worker, base, row, first, count int) {
	t := &w.scratch.transform
	*t = kernel.Transform{Arena: arena, InRow: g.x.lineElems(), InStep: g.x.c, OutStep: g.layer, Vectors: g.c / kernel.Lanes}
	for i := range count {
		n, h, q := g.tile(first + i)
		t.In = g.x.at(n, h-g.padTop, q-g.padLeft)
		t.Out = base + (row+i)*g.c
		g.set.Input(t)
	}
}

// tile returns the picture and the first pixel of a tile of the output.
func (g *winograd) tile(i int) (n, row, column int) {
	return i / (g.down * g.across), i / g.across % g.down * kernel.TileSide, i % g.across * kernel.TileSide
}

// products multiplies the windows of count tiles in a layer with a block of filters.
func (g *winograd) products(arena []float32, w *worker, base, layer int, f *transformedBlock, count int) {
	t := &w.scratch.tile
	t.Arena, t.Last, t.Bias = arena[base+layer*g.layer:][:g.layer], kernel.Lanes, nil
	n := f.width * kernel.Lanes
	for b, terms := range g.terms {
		t.Weights = f.weights[(layer*g.c+terms.first)*n:][:terms.count*n]
		t.Segments = terms.segments
		t.Flags = 0
		if b > 0 {
			t.Flags = kernel.Accumulate
		}
		multiply(t, f.variants, f.width, count, g.in, f.out, g.in)
	}
}

// finish turns the products of a block of filters into the output.
func (g *winograd) finish(arena []float32, w *worker, base, row, first, count int, f *transformedBlock) {
	t := &w.scratch.transform
	*t = kernel.Transform{
		Arena: arena, InStep: g.layer, OutRow: g.y.lineElems(), OutStep: g.y.c,
		Bias: g.bias[f.first:][:f.width*kernel.Lanes], Vectors: f.width,
	}
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
		t.In = base + g.chunk*g.c + (row+i)*g.filters + g.column(f)
		t.Out = g.y.at(n, h, q) + f.first
		if g.shortcut != nil {
			t.Add = g.shortcut.at(n, h, q) + f.first
		}
		g.set.Output(t)
	}
}

// do takes a chunk of tiles from the input to the output.
func (g *winograd) do(arena []float32, w *worker, task int) {
	base := g.scratch + w.id*kernel.Products*g.layer
	first := task * g.chunk
	count := min(g.chunk, g.tiles-first)
	g.transform(arena, w, base, 0, first, count)
	for i := range g.blocks {
		f := &g.blocks[i]
		for layer := range kernel.Products {
			g.products(arena, w, base, layer, f, count)
		}
		g.finish(arena, w, base, 0, first, count, f)
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
	key := packKey{isWinograd: true, groups: 1, cg: g.c, kg: g.k, r: 3, s: 3}
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
	all := len(g.blocks) * kernel.Products
	layers := perTask(all)
	p.add(n.Name, name, why, nil, ceilDiv(all, layers), func(arena []float32, w *worker, task int) {
		for i := task * layers; i < min(all, (task+1)*layers); i++ {
			f := &g.blocks[i/kernel.Products]
			g.products(arena, w, g.scratch, i%kernel.Products, f, g.tiles)
		}
	})
	p.add(n.Name, name, why, g.y, ceilDiv(g.tiles, tiles)*len(g.blocks), func(arena []float32, w *worker, task int) {
		f, first := &g.blocks[task%len(g.blocks)], task/len(g.blocks)*tiles
		g.finish(arena, w, g.scratch, first, first, min(tiles, g.tiles-first), f)
	})
}
