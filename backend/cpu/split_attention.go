package cpu

import (
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// factorBlock is how many channels of a picture a task computes factors for.
const factorBlock = 128

// factors appends a step that computes the factors with which an op multiplies the channels of its pictures, once for all
// pixels: for each picture and each factorBlock of channels.
func (p *program) factors(n *graph.Node, pictures, channels int, do func(arena []float32, image, from, to int)) {
	blocks := ceilDiv(channels, factorBlock)
	p.add(n.Name, n.Op.Name(), "", nil, pictures*blocks, func(arena []float32, _ *worker, task int) {
		from := task % blocks * factorBlock
		do(arena, task/blocks, from, min(from+factorBlock, channels))
	})
}

// splitAttention appends the steps of a [graph.SplitAttention]: the weights of the branches for each channel, then the rows.
func (p *program) splitAttention(n *graph.Node, op graph.SplitAttention) {
	x, s, y, end := p.places[n.Inputs[0]], p.places[n.Inputs[1]], p.places[n.Output], p.epilogueOf(n, op.Add, op.Act)
	attention := make([]float32, x.n*x.c) // in the order of x
	p.factors(n, y.n, y.c, func(arena []float32, image, from, to int) {
		scores, weights := s.pixel(arena, image, 0, 0), attention[image*x.c:][:x.c]
		for c := from; c < to; c++ {
			softmaxBranches(op, scores, weights, c, y.c)
		}
	})
	p.lines(n, func(arena []float32, _ *place, image, h int) {
		from, to, a := x.line(arena, image, h), y.line(arena, image, h), attention[image*x.c:][:x.c]
		for w := range y.w {
			sumBranches(to[w*y.c:][:y.c], from[w*x.c:][:x.c], a, op.Radix)
		}
		end.finish(arena, to, image, h)
	})
}

// softmaxBranches computes the weights of the branches of channel c of so many. It computes in float64 and rounds once.
func softmaxBranches(op graph.SplitAttention, scores, weights []float32, c, channels int) {
	m := math.Inf(-1)
	for r := range op.Radix {
		if v := float64(scores[op.Score(r, c, channels)]); v > m || math.IsNaN(v) {
			m = v
		}
	}
	sum := 0.0
	for r := range op.Radix {
		sum += math.Exp(float64(scores[op.Score(r, c, channels)]) - m)
	}
	for r := range op.Radix {
		weights[r*channels+c] = float32(math.Exp(float64(scores[op.Score(r, c, channels)])-m) / sum)
	}
}

// sumBranches computes a pixel y of the branches x, one after the other, and their weights a.
func sumBranches(y, x, a []float32, radix int) {
	c, r := len(y), 1
	if radix == 1 {
		multiplyRow(y, x, a)
	} else {
		multiplyTwoRows(y, x[:c], a[:c], x[c:][:c], a[c:][:c])
		r = 2
	}
	for ; r < radix; r++ {
		multiplyAddRow(y, x[r*c:][:c], a[r*c:][:c])
	}
}
