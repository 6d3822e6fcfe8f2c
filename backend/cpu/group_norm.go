package cpu

import (
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
)

const (
	// momentBlock is how many channels are summed side by side.
	momentBlock = 512
	// leastMoments and leastMomentPixels are how many elements and pixels of a picture a task sums at least, and mostMomentTasks how many
	// tasks sum a picture.
	leastMoments      = 1 << 14
	leastMomentPixels = 48
	mostMomentTasks   = 32
)

// groupNorm is a [graph.GroupNorm]. Each element is read twice: for the moments of its group, and to be normalised.
//
// The moments are sums in float64 of d and d², with d = x - s and s the first element of the group. The variance is then
// (Σd² - (Σd)²/K)/K, whose terms cancel by no more than a factor of K + 1, for s is one of the K elements and so
// (mean - s)² ≤ K·variance: with 29 bits to spare that is as good in float32 as two passes, the mean and then the squared differences.
type groupNorm struct {
	set          *kernel.Set
	x            *place
	groups       int
	epsilon      float64
	weight, bias []float32
	parts        int       // of a picture; they depend on its shape alone, so that the bits do
	moments      []moments // [N][parts][groups]
	scale, shift []float32 // [N][C]
}

// moments are Σd and Σd².
type moments struct{ first, second float64 }

// momentScratch is the moments of some channels, which a worker sums.
type momentScratch struct{ first, second, origin [momentBlock]float64 }

// stretch is some channels, or some pixels of a picture in the order of its rows: from up to, not including, to.
type stretch struct{ from, to int }

// sum computes the moments of some channels over some pixels of a picture. Their origins are given.
func (m *momentScratch) sum(set *kernel.Set, arena []float32, x *place, image int, channels, pixels stretch) {
	n := channels.to - channels.from
	first, second, origin := m.first[:n], m.second[:n], m.origin[:n]
	clear(first)
	clear(second)
	for at := pixels.from; at < pixels.to; {
		run := pixels.to - at // that lie side by side
		if x.left+x.right > 0 {
			run = min(run, x.w-at%x.w)
		}
		set.Moments(first, second, origin, arena[x.at(image, at/x.w, at%x.w)+channels.from:], run, x.c)
		at += run
	}
}

// groupNorm appends the steps: the moments of the parts of each picture, their sums with what follows for each channel, and the rows.
func (p *program) groupNorm(n *graph.Node, op graph.GroupNorm) {
	x, set := p.places[n.Inputs[0]], p.set
	g := &groupNorm{
		set: set, x: x, groups: op.Groups, epsilon: op.Epsilon,
		weight: slices.Clone(n.Inputs[1].Data.Float32s()), bias: slices.Clone(n.Inputs[2].Data.Float32s()),
		parts: max(1, min(x.h*x.w*x.c/leastMoments, x.h*x.w/leastMomentPixels, mostMomentTasks)),
		scale: make([]float32, x.n*x.c), shift: make([]float32, x.n*x.c),
	}
	g.moments = make([]moments, x.n*g.parts*g.groups)
	p.add(n.Name, op.Name(), "", nil, x.n*g.parts, func(arena []float32, w *worker, task int) { g.sum(arena, w, task/g.parts, task%g.parts) })
	p.add(n.Name, op.Name(), "", nil, x.n, func(arena []float32, _ *worker, task int) { g.combine(arena, task) })
	p.lines(n, func(arena []float32, y *place, image, h int) {
		to := y.line(arena, image, h)
		affineLine(set, to, x.line(arena, image, h), g.scale[image*x.c:][:x.c], g.shift[image*x.c:][:x.c])
		if op.Act == graph.ActReLU {
			reluRow(set, to)
		}
	})
}

// sum computes the moments of a part of a picture.
func (g *groupNorm) sum(arena []float32, w *worker, image, part int) {
	x, m, size := g.x, &w.moments, g.x.c/g.groups
	sums := g.moments[(image*g.parts+part)*g.groups:][:g.groups]
	clear(sums)
	origins := x.pixel(arena, image, 0, 0)
	pixels := x.h * x.w
	for c := 0; c < x.c; c += momentBlock {
		n := min(momentBlock, x.c-c)
		for i := 0; i < n; {
			group := (c + i) / size
			origin := float64(origins[group*size])
			for end := min(n, (group+1)*size-c); i < end; i++ {
				m.origin[i] = origin
			}
		}
		m.sum(g.set, arena, x, image, stretch{c, c + n}, stretch{part * pixels / g.parts, (part + 1) * pixels / g.parts})
		for i := 0; i < n; {
			group := (c + i) / size
			s := sums[group]
			for end := min(n, (group+1)*size-c); i < end; i++ {
				s.first += m.first[i]
				s.second += m.second[i]
			}
			sums[group] = s
		}
	}
}

// combine adds the moments of the parts of a picture, and computes the factors of its channels, which are rounded once.
func (g *groupNorm) combine(arena []float32, image int) {
	x, size := g.x, g.x.c/g.groups
	first := x.pixel(arena, image, 0, 0)
	count := float64(size * x.h * x.w)
	for group := range g.groups {
		var sum moments
		for part := range g.parts {
			m := g.moments[(image*g.parts+part)*g.groups+group]
			sum.first += m.first
			sum.second += m.second
		}
		mean := float64(first[group*size]) + sum.first/count
		variance := max(sum.second-sum.first*sum.first/count, 0) / count // NaN stays NaN
		root := math.Sqrt(variance + g.epsilon)
		for c := group * size; c < (group+1)*size; c++ {
			s := float64(g.weight[c]) / root
			g.scale[image*x.c+c], g.shift[image*x.c+c] = float32(s), float32(float64(g.bias[c])-mean*s)
		}
	}
}
