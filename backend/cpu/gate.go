package cpu

import (
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// gateBlock is how many channels of gates are held at a time: two cache lines.
const gateBlock = 32

// gate appends the step of a [graph.Gate]. A task has a quarter of a picture's rows, so that the gates of a picture are
// computed four times and not once a row.
func (p *program) gate(n *graph.Node, op graph.Gate) {
	const parts = 4
	x, s, y := p.places[n.Inputs[0]], p.places[n.Inputs[1]], p.places[n.Output]
	var shortcut *place
	if op.Add {
		shortcut = p.places[n.Inputs[2]]
	}
	per := (y.h + parts - 1) / parts
	p.add(n.Name, n.Op.Name(), "", y, y.n*parts, func(arena []float32, _ *worker, task int) {
		image, from := task/parts, task%parts*per
		to := min(from+per, y.h)
		if from >= to {
			return
		}
		gates := s.pixel(arena, image, 0, 0)
		for c := 0; c < y.c; c += gateBlock {
			var open [gateBlock]float32
			block := open[:min(gateBlock, y.c-c)]
			for i := range block {
				block[i] = float32(1 / (1 + math.Exp(-float64(gates[c+i]))))
			}
			for h := from; h < to; h++ {
				for w := range y.w {
					var add []float32
					if shortcut != nil {
						add = shortcut.pixel(arena, image, h, w)[c:][:len(block)]
					}
					gatePixel(y.pixel(arena, image, h, w)[c:], x.pixel(arena, image, h, w)[c:], block, add, op.Act == graph.ActReLU)
				}
			}
		}
	})
}

// gatePixel computes some channels of a pixel; add may be nil.
func gatePixel(y, x, open, add []float32, relu bool) {
	for i, g := range open {
		v := x[i] * g
		if add != nil {
			v += add[i]
		}
		if relu && v < 0 {
			v = 0
		}
		y[i] = v
	}
}
