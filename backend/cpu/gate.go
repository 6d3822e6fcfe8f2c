package cpu

import (
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// gate appends the steps of a [graph.Gate]: how far each channel is open, then the rows.
func (p *program) gate(n *graph.Node, op graph.Gate) {
	x, s, y, end := p.places[n.Inputs[0]], p.places[n.Inputs[1]], p.places[n.Output], p.epilogueOf(n, op.Add, op.Act)
	open := make([]float32, y.n*y.c)
	p.factors(n, y.n, y.c, func(arena []float32, image, from, to int) {
		scores := s.pixel(arena, image, 0, 0)
		for c := from; c < to; c++ {
			open[image*y.c+c] = float32(1 / (1 + math.Exp(-float64(scores[c]))))
		}
	})
	p.lines(n, func(arena []float32, _ *place, image, h int) {
		from, to, gates := x.line(arena, image, h), y.line(arena, image, h), open[image*y.c:][:y.c]
		for at := 0; at < len(to); at += y.c {
			multiplyRow(to[at:][:y.c], from[at:][:y.c], gates)
		}
		end.finish(arena, to, image, h)
	})
}
