package cpu

import (
	"math"

	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
)

// weightBlock is how many channels of a picture a task computes weights for.
const weightBlock = 128

// weighted is y = act(Σ_r x_r·a_r + shortcut), with the same weights a for every pixel of a picture: what [graph.Gate] and
// [graph.SplitAttention] end in.
type weighted struct {
	set      *kernel.Set
	x        *place    // the branches of each pixel are one after the other
	shortcut *place    // nil for none
	weights  []float32 // [N][R][C]
	relu     bool
}

// gate appends the steps of a [graph.Gate].
func (p *program) gate(n *graph.Node, op graph.Gate) {
	scores := p.places[n.Inputs[1]]
	p.weighted(n, op.Add, op.Act, func(arena, weights []float32, image, from, to int) {
		s := scores.pixel(arena, image, 0, 0)
		for c := from; c < to; c++ {
			weights[c] = float32(1 / (1 + math.Exp(-float64(s[c]))))
		}
	})
}

// splitAttention appends the steps of a [graph.SplitAttention].
func (p *program) splitAttention(n *graph.Node, op graph.SplitAttention) {
	scores, channels := p.places[n.Inputs[1]], p.places[n.Output].c
	p.weighted(n, op.Add, op.Act, func(arena, weights []float32, image, from, to int) {
		s := scores.pixel(arena, image, 0, 0)
		for c := from; c < to; c++ {
			softmaxBranches(op, s, weights, c, channels)
		}
	})
}

// softmaxBranches computes the weights of the branches of channel c of so many, in float64, and rounds once.
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

// weighted appends two steps. The first calls compute for the weights of some channels of a picture, once for all pixels. The last
// input of n is the shortcut, if it has one.
func (p *program) weighted(n *graph.Node, hasShortcut bool, act graph.Activation, compute func(arena, weights []float32, image, from, to int)) {
	y := p.places[n.Output]
	m := &weighted{set: p.set, x: p.places[n.Inputs[0]], relu: act == graph.ActReLU}
	if hasShortcut {
		m.shortcut = p.places[n.Inputs[len(n.Inputs)-1]]
	}
	m.weights = make([]float32, m.x.n*m.x.c)
	blocks := ceilDiv(y.c, weightBlock)
	p.add(n.Name, n.Op.Name(), "", nil, y.n*blocks, func(arena []float32, _ *worker, task int) {
		image, from := task/blocks, task%blocks*weightBlock
		compute(arena, m.of(image), image, from, min(from+weightBlock, y.c))
	})
	p.lines(n, m.line)
}

// of is the weights of a picture.
func (m *weighted) of(image int) []float32 { return m.weights[image*m.x.c:][:m.x.c] }

// line is a [lineTask].
func (m *weighted) line(arena []float32, y *place, image, h int) {
	from, to, a, c := m.x.line(arena, image, h), y.line(arena, image, h), m.of(image), y.c
	var shortcut []float32
	if m.shortcut != nil {
		shortcut = m.shortcut.line(arena, image, h)
	}
	for w := range y.w {
		sum, x := to[w*c:][:c], from[w*len(a):][:len(a)]
		if shortcut != nil {
			m.set.MultiplyAdd(sum, x[:c], a[:c], shortcut[w*c:][:c])
		} else {
			multiplyRow(m.set, sum, x[:c], a[:c])
		}
		for r := c; r < len(x); r += c {
			m.set.MultiplyAdd(sum, x[r:][:c], a[r:][:c], sum)
		}
	}
	if m.relu {
		reluRow(m.set, to)
	}
}
