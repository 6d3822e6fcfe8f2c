package cpu

import (
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
)

const (
	// blockTerms is about how many products are summed before the sum is added to the output: sums in two levels lose
	// less, and the weights of a block stay in the first-level cache.
	blockTerms = 128
	// tileRows is a multiple of the rows of every large tile.
	tileRows = 24
	// chunkPixels is how many pixels a task takes at most.
	chunkPixels = 4 * tileRows
	// tasksPerWorker is how finely the work of a step is cut for an even load.
	tasksPerWorker = 4
)

// matrix is a convolution or a linear layer as an implicit matrix product.
type matrix struct {
	set         *kernel.Set
	x, y        *place
	shortcut    *place // nil for none
	stride      [2]int
	dilation    [2]int
	padTop      int
	padLeft     int
	groups      int
	r, s        int // rows and columns of the kernel
	cg, kg      int // channels and filters of a group
	hasBias     bool
	relu        bool
	terms       []termBlock
	filters     []filterBlock
	chunk       int // pixels of a task
	perTask     int // filter blocks of a task
	filterTasks int
}

// termBlock is a part of the products of every output element.
type termBlock struct {
	first, count int
	segments     []kernel.Segment
}

// filterBlock is the filters of a tile, with their weights packed for it.
type filterBlock struct {
	group, first, width, last int // first counts in the output's channels
	weights, bias             []float32
	variants                  []kernel.Variant
}

// convScratch is the places of a task's pixels, and the tile of the call that is going on.
type convScratch struct {
	in, out, add        [chunkPixels + kernel.MaxRows]int
	count, group, first int // pixels; the group and the filter that the places are those of
	tile                kernel.Tile
	transform           kernel.Transform
}

// cut cuts the products into blocks and the filters into those of a tile, whose weights are still to come.
func (m *matrix) cut(bias []float32) {
	m.cutTerms()
	for g := range m.groups {
		for k := 0; k < m.kg; {
			left := m.kg - k
			width := 1
			for _, w := range m.set.Widths {
				if w*kernel.Lanes <= left {
					width = w
					break
				}
			}
			count := min(left, width*kernel.Lanes)
			f := filterBlock{group: g, first: g*m.kg + k, width: width, last: count - (width-1)*kernel.Lanes, variants: m.set.Variants[width]}
			if m.hasBias {
				f.bias = make([]float32, width*kernel.Lanes)
				copy(f.bias, bias[f.first:][:count])
			}
			m.filters = append(m.filters, f)
			k += count
		}
	}
}

// order orders the weights [K][cg][R][S] for the micro-kernels, for each block of filters.
func (m *matrix) order(weights []float32) [][]float32 {
	total := m.cg * m.r * m.s
	blocks := rooms(len(m.filters), func(i int) int { return total * m.filters[i].width * kernel.Lanes })
	for i, f := range m.filters {
		n := f.width * kernel.Lanes
		for j := range n - kernel.Lanes + f.last {
			m.packFilter(blocks[i][j:], n, weights[(f.first+j)*total:][:total])
		}
	}
	return blocks
}

// packFilter writes the weights [cg][R][S] of one filter in the order of the products, row after row of the kernel,
// pixel after pixel, channel after channel, with a stride.
func (m *matrix) packFilter(dst []float32, stride int, w []float32) {
	at := 0
	for r := range m.r {
		for s := range m.s {
			for c := range m.cg {
				dst[at] = w[(c*m.r+r)*m.s+s]
				at += stride
			}
		}
	}
}

// cutTerms lists the segments of the kernel's window in the input's memory: a row of the kernel where its pixels lie
// side by side, else a pixel. Blocks are as even as possible.
func (m *matrix) cutTerms() {
	var runs []kernel.Segment
	for r := range m.r {
		row := r * m.dilation[0] * m.x.lineElems()
		if m.dilation[1] == 1 && m.cg == m.x.c {
			runs = append(runs, kernel.Segment{Offset: row, Len: m.s * m.cg})
			continue
		}
		for s := range m.s {
			runs = append(runs, kernel.Segment{Offset: row + s*m.dilation[1]*m.x.c, Len: m.cg})
		}
	}
	total := m.cg * m.r * m.s
	blocks := ceilDiv(total, blockTerms)
	first := 0
	for b := range blocks {
		end := (b + 1) * total / blocks
		t := termBlock{first: first, count: end - first}
		for need := t.count; need > 0; {
			n := min(need, runs[0].Len)
			t.segments = append(t.segments, kernel.Segment{Offset: runs[0].Offset, Len: n})
			runs[0].Offset += n
			runs[0].Len -= n
			if runs[0].Len == 0 {
				runs = runs[1:]
			}
			need -= n
		}
		m.terms = append(m.terms, t)
		first = end
	}
}

// split decides how the work is cut into tasks for so many workers: into pixels as long as there are enough of them,
// then into filters, so that weights are read as seldom as possible, and into fewer pixels only when that is not enough.
func (m *matrix) split(workers int) (tasks int) {
	pixels := m.y.n * m.y.h * m.y.w
	if pixels == 0 {
		return 0
	}
	want := workers * tasksPerWorker
	chunks := ceilDiv(pixels, chunkPixels)
	if most := len(m.filters); chunks*most < want {
		chunks = min(ceilDiv(want, most), ceilDiv(pixels, kernel.MaxRows))
	}
	m.chunk = ceilDiv(pixels, chunks)
	if even := ceilDiv(m.chunk, tileRows) * tileRows; even <= chunkPixels {
		m.chunk = even
	}
	chunks = ceilDiv(pixels, m.chunk)
	m.perTask = ceilDiv(len(m.filters), min(len(m.filters), ceilDiv(want, chunks)))
	m.filterTasks = ceilDiv(len(m.filters), m.perTask)
	return chunks * m.filterTasks
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// do computes the filters of a task for the pixels of a task.
func (m *matrix) do(arena []float32, w *worker, task int) {
	s := &w.scratch
	count := m.locate(s, task/m.filterTasks*m.chunk, w.dump)
	first := task % m.filterTasks * m.perTask
	t := &s.tile
	t.Arena = arena
	for i := first; i < min(first+m.perTask, len(m.filters)); i++ {
		f := &m.filters[i]
		m.shift(s, f)
		t.Last, t.Bias = f.last, f.bias
		for b := range m.terms {
			m.block(s, f, b, count)
		}
	}
}

// block adds one block of products for one block of filters to all pixels of the task.
func (m *matrix) block(s *convScratch, f *filterBlock, b, count int) {
	t, terms := &s.tile, &m.terms[b]
	step := f.width * kernel.Lanes
	t.Weights = f.weights[terms.first*step:][:terms.count*step]
	t.Segments = terms.segments
	t.Flags = 0
	if b > 0 {
		t.Flags |= kernel.Accumulate
	}
	if b == len(m.terms)-1 {
		if m.hasBias {
			t.Flags |= kernel.AddBias
		}
		if m.shortcut != nil {
			t.Flags |= kernel.AddShortcut
		}
		if m.relu {
			t.Flags |= kernel.ReLU
		}
	}
	multiply(t, f.variants, f.width, count, s.in[:], s.out[:], s.add[:])
}

// multiply runs the micro-kernels for count rows, tile after tile, with the weights of t. The lists have the rows' places, and some more to fill the last tile.
//
// Each call asks the processor for its share of what follows the weights: they are packed in the order of their use, so that is the next block. When a block is
// used for few pixels, as in the last layers of a network, it would otherwise be waited for longer than it is used. Even shares matter: a core waits for a
// dozen lines or so at a time, and one that asks for more stands still.
func multiply(t *kernel.Tile, variants []kernel.Variant, width, count int, in, out, add []int) {
	const line = 4 * kernel.Lanes
	terms, calls := len(t.Weights)/(width*kernel.Lanes), ceilDiv(count, variants[len(variants)-1].Rows)
	t.Ahead, t.Step = 4*len(t.Weights), min(line, ceilDiv(width*line, max(calls, 1)))
	for i := 0; i < count; t.Ahead += terms * t.Step {
		v := kernel.Pick(variants, count-i)
		t.In, t.Out, t.Add = in[i:][:v.Rows], out[i:][:v.Rows], add[i:][:v.Rows]
		v.Run(t)
		i += v.Rows
	}
}

// locate finds the pixels of a task, from the given one on, and returns how many there are. Behind the last come
// enough copies of it to fill a tile, whose results go to dump. The places are those of
// the first filter; shift moves them on.
func (m *matrix) locate(s *convScratch, from, dump int) int {
	y := m.y
	count := min(m.chunk, y.n*y.h*y.w-from)
	n, p, q := from/(y.h*y.w), from/y.w%y.h, from%y.w
	for i := range count {
		s.in[i] = m.x.at(n, p*m.stride[0]-m.padTop, q*m.stride[1]-m.padLeft)
		s.out[i] = y.at(n, p, q)
		if m.shortcut != nil {
			s.add[i] = m.shortcut.at(n, p, q)
		}
		if q++; q == y.w {
			q = 0
			if p++; p == y.h {
				p = 0
				n++
			}
		}
	}
	for i := count; i < count+kernel.MaxRows; i++ {
		s.in[i], s.out[i], s.add[i] = s.in[count-1], dump, s.add[count-1]
	}
	s.count, s.group, s.first = count, 0, 0
	return count
}

// shift moves the places of a task's pixels to a block of filters and the channels of its group.
func (m *matrix) shift(s *convScratch, f *filterBlock) {
	in, out := (f.group-s.group)*m.cg, f.first-s.first
	s.group, s.first = f.group, f.first
	for i := range s.count + kernel.MaxRows {
		s.in[i] += in
		s.add[i] += out
		if i < s.count {
			s.out[i] += out
		}
	}
}

// convMatrix describes a conv2d node.
func convMatrix(op graph.Conv2D, w graph.Shape) *matrix {
	k, cg, r, s := w.NCHW()
	return &matrix{
		stride: op.Stride, dilation: op.Dilation, padTop: op.Padding.Top, padLeft: op.Padding.Left,
		groups: op.Groups, r: r, s: s, cg: cg, kg: k / op.Groups, hasBias: op.Bias, relu: op.Act == graph.ActReLU,
	}
}

// linearMatrix describes a linear node: a convolution of pictures of one pixel.
func linearMatrix(op graph.Linear, w graph.Shape) *matrix {
	return &matrix{
		stride: [2]int{1, 1}, dilation: [2]int{1, 1},
		groups: 1, r: 1, s: 1, cg: w.Dim(1), kg: w.Dim(0), hasBias: op.Bias,
	}
}
