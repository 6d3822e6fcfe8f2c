package cpu

import "github.com/resnet-run/resnet-run/graph"

// The ops that only move elements, beside those in ops.go that keep rows as they are.

// concat appends the step of a [graph.Concat].
func (p *program) concat(n *graph.Node) {
	inputs := make([]*place, len(n.Inputs))
	for i, v := range n.Inputs {
		inputs[i] = p.places[v]
	}
	p.lines(n, func(arena []float32, y *place, n, h int) {
		to := y.line(arena, n, h)
		for _, x := range inputs {
			copyChannels(to, y.c, x.line(arena, n, h), x.c, x.c)
			to = to[min(x.c, len(to)):]
		}
	})
}

// channelSliceLine copies some channels of each pixel, from the given one on.
func channelSliceLine(x *place, begin int) lineTask {
	return func(arena []float32, y *place, n, h int) {
		copyChannels(y.line(arena, n, h), y.c, x.line(arena, n, h)[begin:], x.c, y.c)
	}
}

// copyChannels copies the first count channels of each pixel. Pixels lie toStep and fromStep elements apart.
func copyChannels(to []float32, toStep int, from []float32, fromStep, count int) {
	if toStep == count && fromStep == count {
		copy(to, from)
		return
	}
	for len(to) >= count && len(from) >= count {
		copy(to[:count], from)
		to, from = to[min(toStep, len(to)):], from[min(fromStep, len(from)):]
	}
}

// spatialPadLine copies a row between zeros, or between its own pixels in reverse.
func spatialPadLine(x *place, op graph.SpatialPad) lineTask {
	left := op.Padding.Left
	return func(arena []float32, y *place, n, h int) {
		to, from := y.line(arena, n, h), h-op.Padding.Top
		if op.Reflect {
			from = reflected(from, x.h)
		}
		if from < 0 || from >= x.h {
			clear(to)
			return
		}
		row := x.line(arena, n, from)
		copy(to[left*x.c:], row)
		before, after := to[:left*x.c], to[(left+x.w)*x.c:]
		if !op.Reflect {
			clear(before)
			clear(after)
			return
		}
		for w := range left {
			copy(before[w*x.c:][:x.c], row[reflected(w-left, x.w)*x.c:])
		}
		for w := range op.Padding.Right {
			copy(after[w*x.c:][:x.c], row[reflected(x.w+w, x.w)*x.c:])
		}
	}
}

// reflected is the row or column of a picture of so many that is seen at index, which may lie outside by less than size.
func reflected(index, size int) int {
	if index < 0 {
		return -index
	}
	if index >= size {
		return 2*(size-1) - index
	}
	return index
}

// reshape appends the step of a [graph.Reshape]: a picture is copied at once where its elements lie in the graph's order on both
// sides, as channels that become rows or rows that become channels do.
func (p *program) reshape(n *graph.Node) {
	x, y, fromRank4 := p.places[n.Inputs[0]], p.places[n.Output], n.Inputs[0].Type.Shape.Rank() == 4
	size := y.c * y.h * y.w
	if !fromRank4 { // rows follow each other, whatever the rank
		x = &place{n: y.n, h: 1, w: 1, c: size, offset: x.offset}
	}
	if x.isRowMajor() && y.isRowMajor() {
		p.add(n.Name, n.Op.Name(), "", y, y.n, func(arena []float32, _ *worker, task int) {
			copy(arena[y.at(task, 0, 0):][:size], arena[x.at(task, 0, 0):])
		})
		return
	}
	p.lines(n, reshapeLine(x))
}

// reshapeLine finds the elements of a row one by one.
func reshapeLine(x *place) lineTask {
	return func(arena []float32, y *place, n, h int) {
		to := y.line(arena, n, h)
		for c := range y.c {
			for w := range y.w {
				i := (c*y.h+h)*y.w + w // in the graph's order
				to[w*y.c+c] = arena[x.at(n, i/x.w%x.h, i%x.w)+i/(x.w*x.h)]
			}
		}
	}
}
