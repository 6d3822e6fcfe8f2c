package cpu

import "github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"

// raggedVectors is how many vectors of filters a slab has at most where the filters of a group fill no whole vectors. With four
// of them no slab is narrower than a vector.
const raggedVectors = 4

// slab is filters whose products become output together: a part of those of a group, or those of several groups. There are at
// least Lanes of them.
type slab struct {
	first, count int // in the output's channels
	column, room int // where its products begin in a row, and how many elements are theirs to write
	begin, end   int // its blocks
}

// transformedBlock is the filters of a tile of the matrix product with their weights, [36][cg][width·Lanes].
type transformedBlock struct {
	group, first, count, width int // first counts in the output's channels
	weights                    []float32
	variants                   []kernel.Variant
	out                        []int // where the products of each row lie in a layer, from the first channel of the group on
}

// split decides how the work is cut for so many workers, and returns the size of the scratch.
func (g *winograd) split(set *kernel.Set, workers int) (elems int) {
	g.set = set
	g.cutSlabs()
	g.channels = roundUp(g.c)
	g.chunk = min(max(windowElems/(kernel.Products*g.channels), leastTiles)/leastTiles*leastTiles, mostTiles)
	copies := workers
	if g.tiles >= workers*g.chunk*3/2 {
		tasks := ceilDiv(ceilDiv(g.tiles, g.chunk), workers) * workers
		g.chunk = min(g.chunk, ceilDiv(ceilDiv(g.tiles, tasks), 2)*2)
		for _, s := range g.slabs {
			g.filters = max(g.filters, s.room)
		}
	} else {
		g.chunk, copies = g.tiles, 1
		for i := range g.slabs { // all products are kept
			g.slabs[i].column = g.filters
			g.filters += g.slabs[i].room
		}
	}
	// Rows for what a tile has too many. And a vector more: layers at a distance of a power of two would fight for the
	// same lines of a cache.
	g.layer = g.chunk*g.channels + (g.chunk+kernel.MaxRows)*g.filters + kernel.Lanes
	for i := range g.chunk + kernel.MaxRows {
		g.in = append(g.in, min(i, g.chunk-1)*g.channels)
	}
	return copies * kernel.Products * g.layer
}

// roundUp returns the lowest multiple of Lanes that is not below n.
func roundUp(n int) int { return ceilDiv(n, kernel.Lanes) * kernel.Lanes }

func (g *winograd) isWhole() bool { return g.chunk == g.tiles }

// cutSlabs cuts the filters into slabs, as even as possible.
func (g *winograd) cutSlabs() {
	vectors := g.set.Widths[0]
	if g.kg%kernel.Lanes != 0 {
		vectors = raggedVectors
	}
	if most := vectors * kernel.Lanes; g.kg <= most {
		n := ceilDiv(g.groups, most/g.kg)
		for i := range n {
			g.addSlab(i*g.groups/n*g.kg, (i+1)*g.groups/n*g.kg)
		}
		return
	}
	all := ceilDiv(g.kg, kernel.Lanes)
	n := ceilDiv(all, vectors)
	for group := range g.groups {
		for i := range n {
			g.addSlab(group*g.kg+i*all/n*kernel.Lanes, group*g.kg+min((i+1)*all/n*kernel.Lanes, g.kg))
		}
	}
}

// addSlab adds the slab of the filters from first to end, and the blocks of each group in it.
func (g *winograd) addSlab(first, end int) {
	s := slab{first: first, count: end - first, begin: len(g.blocks)}
	for first < end {
		f := transformedBlock{group: first / g.kg, first: first}
		left := min(end, (f.group+1)*g.kg) - first
		for _, f.width = range g.set.Widths {
			if f.width <= ceilDiv(left, kernel.Lanes) {
				break
			}
		}
		f.count = min(left, f.width*kernel.Lanes)
		f.variants = g.set.Variants[f.width]
		g.blocks = append(g.blocks, f)
		s.room = roundUp(first - s.first + f.width*kernel.Lanes)
		first += f.count
	}
	s.end = len(g.blocks)
	g.slabs = append(g.slabs, s)
}

// cut finds where the products of each block of filters lie, whose weights are still to come, and cuts the products into blocks.
func (g *winograd) cut(bias []float32) {
	g.bias = make([]float32, g.k)
	copy(g.bias, bias)
	for _, s := range g.slabs {
		for b := s.begin; b < s.end; b++ {
			f := &g.blocks[b]
			for i := range g.in {
				f.out = append(f.out, g.chunk*g.channels+i*g.filters+s.column+f.first-s.first-f.group*g.cg)
			}
		}
	}
	blocks := ceilDiv(g.cg, transformedTerms)
	for b := range blocks {
		first, end := b*g.cg/blocks, (b+1)*g.cg/blocks
		g.terms = append(g.terms, termBlock{first, end - first, []kernel.Segment{{Offset: first, Len: end - first}}})
	}
}

// order transforms the weights [k][cg][3][3] and orders them for the micro-kernels, for each block of filters.
func (g *winograd) order(weights []float32) [][]float32 {
	blocks := rooms(len(g.blocks), func(b int) int { return kernel.Products * g.cg * g.blocks[b].width * kernel.Lanes })
	for b, f := range g.blocks {
		n := f.width * kernel.Lanes
		for j := range f.count {
			for c := range g.cg {
				for i, u := range kernel.TransformWeights(weights[((f.first+j)*g.cg+c)*9:][:9]) {
					blocks[b][(i*g.cg+c)*n+j] = u
				}
			}
		}
	}
	return blocks
}

// inVectors calls do for n channels or filters side by side, n at least Lanes. Where they fill no whole vectors, the last vector
// has some of the one before once more: these get the same values again, and nothing beside the n is read or written.
func inVectors(n int, do func(first, vectors int)) {
	do(0, n/kernel.Lanes)
	if n%kernel.Lanes != 0 {
		do(n-kernel.Lanes, 1)
	}
}
