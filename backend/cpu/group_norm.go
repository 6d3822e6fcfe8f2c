package cpu

import (
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

const (
	// momentBlock is how many channels are summed side by side.
	momentBlock = 64
	// leastMoments is how many elements of a picture a task sums at least, and mostMomentTasks how many tasks sum a picture.
	leastMoments    = 1 << 14
	mostMomentTasks = 32
)

// groupNorm is a [graph.GroupNorm]. Each element is read twice: for the moments of its group, and to be normalised.
//
// The moments are sums in float64 of d and d², with d = x - s and s the first element of the group. The variance is then
// (Σd² - (Σd)²/K)/K, whose terms cancel by no more than a factor of K + 1, for s is one of the K elements and so
// (mean - s)² ≤ K·variance: with 29 bits to spare that is as good in float32 as two passes, the mean and then the squared differences.
type groupNorm struct {
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

// groupNorm appends the steps: the moments of the parts of each picture, their sums with what follows for each channel, and the rows.
func (p *program) groupNorm(n *graph.Node, op graph.GroupNorm) {
	x, end := p.places[n.Inputs[0]], p.epilogueOf(n, false, op.Act)
	g := &groupNorm{
		x: x, groups: op.Groups, epsilon: op.Epsilon,
		weight: slices.Clone(n.Inputs[1].Data.Float32s()), bias: slices.Clone(n.Inputs[2].Data.Float32s()),
		parts: min(max(x.h*x.w*x.c/leastMoments, 1), x.h*x.w, mostMomentTasks),
		scale: make([]float32, x.n*x.c), shift: make([]float32, x.n*x.c),
	}
	g.moments = make([]moments, x.n*g.parts*g.groups)
	p.add(n.Name, op.Name(), "", nil, x.n*g.parts, func(arena []float32, _ *worker, task int) { g.sum(arena, task/g.parts, task%g.parts) })
	p.add(n.Name, op.Name(), "", nil, x.n, func(arena []float32, _ *worker, task int) { g.combine(arena, task) })
	p.lines(n, func(arena []float32, y *place, image, h int) {
		to := y.line(arena, image, h)
		affineLine(to, x.line(arena, image, h), g.scale[image*x.c:][:x.c], g.shift[image*x.c:][:x.c])
		end.finish(arena, to, image, h)
	})
}

// sum computes the moments of a part of a picture.
func (g *groupNorm) sum(arena []float32, image, part int) {
	x, size := g.x, g.x.c/g.groups
	sums := g.moments[(image*g.parts+part)*g.groups:][:g.groups]
	clear(sums)
	first := x.pixel(arena, image, 0, 0)
	pixels := x.h * x.w
	from, to := part*pixels/g.parts, (part+1)*pixels/g.parts
	for c := 0; c < x.c; c += momentBlock {
		var m momentSums
		width := min(momentBlock, x.c-c)
		for i := range width {
			m.origin[i] = float64(first[(c+i)/size*size])
		}
		for at := from; at < to; {
			h, w := at/x.w, at%x.w
			run := min(x.w-w, to-at) // pixels side by side
			m.add(arena[x.at(image, h, w)+c:], run, x.c, width)
			at += run
		}
		for i := range width {
			s := &sums[(c+i)/size]
			s.first += m.first[i]
			s.second += m.second[i]
		}
	}
}

// momentSums are the moments of some channels.
type momentSums struct{ origin, first, second [momentBlock]float64 }

// add adds pixels that lie stride elements apart, four at a time.
func (m *momentSums) add(x []float32, pixels, stride, width int) {
	origin, first, second := m.origin[:width], m.first[:width], m.second[:width]
	for ; pixels >= 4; pixels -= 4 {
		x0, x1, x2, x3 := x[:width], x[stride:][:width], x[2*stride:][:width], x[3*stride:][:width]
		for i, s := range origin {
			a, b, c, d := float64(x0[i])-s, float64(x1[i])-s, float64(x2[i])-s, float64(x3[i])-s
			first[i] += (a + b) + (c + d)
			second[i] += (a*a + b*b) + (c*c + d*d)
		}
		x = x[min(4*stride, len(x)):]
	}
	for p := range pixels {
		row := x[p*stride:][:width]
		for i, s := range origin {
			d := float64(row[i]) - s
			first[i] += d
			second[i] += d * d
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
