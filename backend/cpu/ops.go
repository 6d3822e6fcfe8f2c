package cpu

import (
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
)

// A lineTask computes one row h of picture n of a result. Most ops are made of them.
type lineTask func(arena []float32, y *place, n, h int)

func reluLine(x *place, set *kernel.Set) lineTask {
	return func(arena []float32, y *place, n, h int) {
		from, to := x.line(arena, n, h), y.line(arena, n, h)
		for len(from) > 0 {
			block := to[:copy(to[:min(len(to), len(noughts))], from)]
			reluRow(set, block)
			from, to = from[len(block):], to[len(block):]
		}
	}
}

func addLine(a, b *place, set *kernel.Set) lineTask {
	return func(arena []float32, y *place, n, h int) {
		addRow(set, y.line(arena, n, h), a.line(arena, n, h), b.line(arena, n, h))
	}
}

// batchNormLine is one multiplication and one addition an element; the factors are computed in float64 and rounded once.
func batchNormLine(n *graph.Node, op graph.BatchNorm, x *place, set *kernel.Set) lineTask {
	weight, bias := n.Inputs[1].Data.Float32s(), n.Inputs[2].Data.Float32s()
	mean, variance := n.Inputs[3].Data.Float32s(), n.Inputs[4].Data.Float32s()
	scale, shift := make([]float32, len(weight)), make([]float32, len(weight))
	for c := range weight {
		s := float64(weight[c]) / math.Sqrt(float64(variance[c])+op.Epsilon)
		scale[c], shift[c] = float32(s), float32(float64(bias[c])-float64(mean[c])*s)
	}
	return func(arena []float32, y *place, n, h int) {
		affineLine(set, y.line(arena, n, h), x.line(arena, n, h), scale, shift)
	}
}

func channelPadLine(x *place, before int) lineTask {
	return func(arena []float32, y *place, n, h int) {
		for w := range y.w {
			to := y.pixel(arena, n, h, w)
			clear(to[:before])
			copy(to[before:], x.pixel(arena, n, h, w))
			clear(to[before+x.c:])
		}
	}
}

func subsampleLine(x *place, stride [2]int) lineTask {
	return func(arena []float32, y *place, n, h int) {
		for w := range y.w {
			copy(y.pixel(arena, n, h, w), x.pixel(arena, n, h*stride[0], w*stride[1]))
		}
	}
}

// softmaxLine computes in float64 and rounds once.
func softmaxLine(x *place) lineTask {
	return func(arena []float32, y *place, n, h int) {
		for w := range y.w {
			from, to := x.pixel(arena, n, h, w), y.pixel(arena, n, h, w)
			softmax(from, to)
		}
	}
}

func softmax(from, to []float32) {
	m := math.Inf(-1)
	for _, v := range from {
		if v := float64(v); v > m || math.IsNaN(v) {
			m = v
		}
	}
	sum := 0.0
	for _, v := range from {
		sum += math.Exp(float64(v) - m)
	}
	for i, v := range from {
		to[i] = float32(math.Exp(float64(v)-m) / sum)
	}
}

// softmaxChannels is softmax along the last dimension of a tensor of rank 4, the width, whose elements lie apart.
func softmaxChannels(x *place) lineTask {
	return func(arena []float32, y *place, n, h int) {
		from, to := x.line(arena, n, h), y.line(arena, n, h)
		for c := range y.c {
			softmaxStrided(from[c:], to[c:], y.w, y.c)
		}
	}
}

func softmaxStrided(from, to []float32, count, stride int) {
	m := math.Inf(-1)
	for i := range count {
		if v := float64(from[i*stride]); v > m || math.IsNaN(v) {
			m = v
		}
	}
	sum := 0.0
	for i := range count {
		sum += math.Exp(float64(from[i*stride]) - m)
	}
	for i := range count {
		to[i*stride] = float32(math.Exp(float64(from[i*stride])-m) / sum)
	}
}

// span is the part of window number index that lies in the input: positions from up to, not including, to.
func span(index, stride, before, kernel, size int) (from, to int) {
	from = index*stride - before
	return max(from, 0), min(from+kernel, size)
}

func maxPoolLine(x *place, op graph.MaxPool, larger func(to, from []float32)) lineTask {
	return func(arena []float32, y *place, n, h int) {
		top, bottom := span(h, op.Stride[0], op.Padding.Top, op.Kernel[0], x.h)
		for w := range y.w {
			left, right := span(w, op.Stride[1], op.Padding.Left, op.Kernel[1], x.w)
			to := y.pixel(arena, n, h, w)
			copy(to, x.pixel(arena, n, top, left))
			for i := top; i < bottom; i++ {
				for j := left; j < right; j++ {
					larger(to, x.pixel(arena, n, i, j))
				}
			}
		}
	}
}

// avgPool is a [graph.AvgPool]: a sum in float32, a pixel times a row of reciprocals at a time.
type avgPool struct {
	graph.AvgPool
	set     *kernel.Set
	x       *place
	inverse map[int][]float32 // of the number of elements of each window, for every channel
}

func (p *program) avgPool(n *graph.Node, op graph.AvgPool) {
	m, y := &avgPool{op, p.set, p.places[n.Inputs[0]], map[int][]float32{}}, p.places[n.Output]
	for h := range y.h {
		for w := range y.w {
			if count := m.count(h, w); m.inverse[count] == nil {
				m.inverse[count] = slices.Repeat([]float32{1 / float32(count)}, y.c)
			}
		}
	}
	p.lines(n, m.line)
}

// count is what the window of an element is divided by.
func (m *avgPool) count(h, w int) int {
	if m.CountIncludePad {
		return padded(h, m.Stride[0], m.Padding.Top, m.Padding.Bottom, m.Kernel[0], m.x.h) *
			padded(w, m.Stride[1], m.Padding.Left, m.Padding.Right, m.Kernel[1], m.x.w)
	}
	top, bottom := span(h, m.Stride[0], m.Padding.Top, m.Kernel[0], m.x.h)
	left, right := span(w, m.Stride[1], m.Padding.Left, m.Kernel[1], m.x.w)
	return (bottom - top) * (right - left)
}

// line is a [lineTask].
func (m *avgPool) line(arena []float32, y *place, n, h int) {
	clear(y.line(arena, n, h))
	top, bottom := span(h, m.Stride[0], m.Padding.Top, m.Kernel[0], m.x.h)
	for w := range y.w {
		left, right := span(w, m.Stride[1], m.Padding.Left, m.Kernel[1], m.x.w)
		to, inverse := y.pixel(arena, n, h, w), m.inverse[m.count(h, w)]
		for i := top; i < bottom; i++ {
			for j := left; j < right; j++ {
				m.set.MultiplyAdd(to, m.x.pixel(arena, n, i, j), inverse, to)
			}
		}
	}
}

// padded is the length of window number index within the input and its padding.
func padded(index, stride, before, after, kernel, size int) int {
	from := index*stride - before
	return min(from+kernel, size+after) - from
}

// globalAvgPool appends the step of a [graph.GlobalAvgPool]. It sums in float64 and rounds once. A task has some channels of a picture, as
// many as leave enough tasks: the fewer, the farther lies what it reads apart.
func (p *program) globalAvgPool(n *graph.Node, x *place) {
	const least = 64
	y := p.places[n.Output]
	blocks := ceilDiv(p.n*tasksPerWorker, max(x.n, 1))
	width := min(max(ceilDiv(x.c, blocks), least), momentBlock)
	blocks = ceilDiv(x.c, width)
	p.add(n.Name, n.Op.Name(), "", y, y.n*blocks, func(arena []float32, w *worker, task int) {
		image, c := task/blocks, task%blocks*width
		to, m := y.pixel(arena, image, 0, 0)[c:min(c+width, x.c)], &w.moments
		clear(m.origin[:len(to)])
		m.sum(p.set, arena, x, image, stretch{c, c + len(to)}, stretch{0, x.h * x.w})
		for i := range to {
			to[i] = float32(m.first[i] / float64(x.h*x.w))
		}
	})
}

// flatten copies row n of y: picture n of a tensor of rank 4 in the order of the graph. Tensors of other ranks already
// lie in that order.
func flatten(arena []float32, x, y *place, fromRank4 bool, n int) {
	to := y.pixel(arena, n, 0, 0)
	if !fromRank4 {
		copy(to, arena[x.offset+n*y.c:])
		return
	}
	unpack(arena, x, to, n)
}

// unpack writes picture n in the order [C,H,W].
func unpack(arena []float32, x *place, to []float32, n int) {
	for h := range x.h {
		line := x.line(arena, n, h)
		for c := range x.c {
			row := to[(c*x.h+h)*x.w:][:x.w]
			for w := range row {
				row[w] = line[w*x.c+c]
			}
		}
	}
}

// packLine reads row h of picture n from data in the order [N,C,H,W].
func packLine(arena []float32, y *place, data []float32, n, h int) {
	line := y.line(arena, n, h)
	for c := range y.c {
		row := data[((n*y.c+c)*y.h+h)*y.w:][:y.w]
		for w, v := range row {
			line[w*y.c+c] = v
		}
	}
}
