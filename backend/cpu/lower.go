package cpu

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/backend/internal/arena"
	"github.com/resnet-run/resnet-run/graph"
)

// lineElems is where the places of values begin: at a multiple of a cache line.
const lineElems = 16

// program is a lowered graph: its steps refer to the executable's arena and to the buffers of the run.
type program struct {
	e      *executable
	set    *kernel.Set
	n      int // workers
	direct bool
	places map[*graph.Value]*place
	// winograds are the convolutions that are computed through transforms, and transforms what the executable says of them.
	winograds  map[*graph.Node]*winograd
	transforms map[string]backend.Winograd
	reasons    map[*graph.Node]string // why not, of the other convolutions
	steps      []step
	elems      int // of the arena

	packs *packs
	used  []*pack   // of packs
	room  []float32 // for read
}

// compile lowers a checked graph for e.
func compile(ctx context.Context, e *executable, g *graph.Graph, d *device) (*program, error) {
	p := &program{
		e: e, set: d.set, n: d.workers, direct: d.direct, packs: d.packs, places: map[*graph.Value]*place{},
		winograds: map[*graph.Node]*winograd{}, transforms: map[string]backend.Winograd{}, reasons: map[*graph.Node]string{},
	}
	err := p.lowerAll(ctx, g, d.limit)
	if err == nil {
		err = g.DataErr()
	}
	if err != nil {
		p.packs.drop(p.used)
		return nil, err
	}
	return p, nil
}

func (p *program) lowerAll(ctx context.Context, g *graph.Graph, limit int64) error {
	if err := p.lay(g, limit); err != nil {
		return err
	}
	for i, v := range g.Inputs {
		p.load(i, v)
	}
	for _, n := range g.Nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.lower(n)
	}
	p.room = nil
	for i, v := range g.Outputs {
		p.store(i, v)
	}
	return nil
}

// lay gives every activation its place in the arena, by lifetime: from the step that writes it (inputs: -1) to the
// last that reads it (outputs: one past the end).
func (p *program) lay(g *graph.Graph, limit int64) error {
	var values []*graph.Value
	var scratch []*arena.Interval
	intervals := map[*graph.Value]*arena.Interval{}
	touch := func(v *graph.Value, step int) {
		if v.Kind == graph.ParamValue {
			return
		}
		if intervals[v] == nil {
			p.places[v] = placeOf(v.Type)
			intervals[v] = &arena.Interval{First: step}
			values = append(values, v)
		}
		intervals[v].Last = step
	}
	for _, v := range g.Inputs {
		touch(v, -1)
	}
	for i, n := range g.Nodes {
		for _, v := range n.Inputs {
			touch(v, i)
		}
		touch(n.Output, i)
		if op, ok := n.Op.(graph.Conv2D); ok {
			p.places[n.Inputs[0]].widen(n.Inputs[0], op, n.Inputs[1].Type.Shape, n.Output.Type.Shape)
			g, why := p.choose(n, op)
			p.reasons[n] = why
			if g != nil {
				g.widen(p.places[n.Inputs[0]])
				p.winograds[n] = g
				scratch = append(scratch, &arena.Interval{First: i, Last: i, Size: uint64(g.split(p.set, p.n))})
				g.interval = scratch[len(scratch)-1]
			}
		}
	}
	for _, v := range g.Outputs {
		touch(v, len(g.Nodes))
	}
	ivs := make([]*arena.Interval, len(values))
	whole := 0.0
	for i, v := range values {
		elems := p.places[v].elems()
		if elems > maxTensorBytes/4 {
			return fmt.Errorf("value %q: %w: with the paddings of all its readers it needs %g bytes, want at most %d", v.Name, backend.ErrOutOfMemory, 4*elems, maxTensorBytes)
		}
		whole += elems
		ivs[i] = intervals[v]
		ivs[i].Size = uint64(elems)
	}
	if whole > math.MaxInt/8 {
		return fmt.Errorf("%w: all values together need %g bytes", backend.ErrOutOfMemory, 4*whole)
	}
	p.elems = int(arena.Assign(append(ivs, scratch...), lineElems))
	for i, v := range values {
		p.places[v].offset = int(ivs[i].Offset)
	}
	for _, g := range p.winograds {
		g.scratch = int(g.interval.Offset)
	}
	p.elems += p.n * p.dumpElems()
	if bytes := 4 * int64(p.elems); bytes > limit {
		return fmt.Errorf("%w: intermediate values need %d bytes, want at most %d", backend.ErrOutOfMemory, bytes, limit)
	}
	return nil
}

// dumpElems is the room for one pixel of a tile; each worker has one behind the values.
func (p *program) dumpElems() int { return p.set.Widths[0] * kernel.Lanes }

// add appends a step that writes y, with a task for each picture's halo.
func (p *program) add(name, kernel, why string, y *place, tasks int, do func(arena []float32, w *worker, task int)) {
	e, all := p.e, tasks
	if y != nil && y.hasHalo() {
		all += y.n
	}
	p.steps = append(p.steps, step{name, kernel, why, all, func(w *worker, task int) {
		if task >= tasks {
			y.clearHalo(e.arena, task-tasks)
			return
		}
		do(e.arena, w, task)
	}})
}

// lines appends a step of rows, several of them a task where they are short.
func (p *program) lines(n *graph.Node, do lineTask) {
	const least = 1 << 13 // elements of a task
	y := p.places[n.Output]
	rows, per := y.n*y.h, max(1, least/max(1, y.w*y.c))
	p.add(n.Name, n.Op.Name(), p.reasons[n], y, (rows+per-1)/per, func(arena []float32, _ *worker, task int) {
		for r := task * per; r < min(rows, (task+1)*per); r++ {
			do(arena, y, r/y.h, r%y.h)
		}
	})
}

// load copies input i from the caller's buffer.
func (p *program) load(i int, v *graph.Value) {
	e, y := p.e, p.places[v]
	p.add(v.Name, "load", "", y, y.n*y.h, func(arena []float32, _ *worker, task int) {
		packLine(arena, y, e.in[i].Data, task/y.h, task%y.h)
	})
}

// store copies output i to the caller's buffer.
func (p *program) store(i int, v *graph.Value) {
	e, x := p.e, p.places[v]
	size := x.c * x.h * x.w
	p.add(v.Name, "store", "", nil, x.n, func(arena []float32, _ *worker, task int) {
		unpack(arena, x, e.out[i].Data[task*size:][:size], task)
	})
}

// lower is the table from ops to steps.
func (p *program) lower(n *graph.Node) {
	x := p.places[n.Inputs[0]]
	switch op := n.Op.(type) {
	case graph.Conv2D:
		p.lowerConv(n, op)
	case graph.Linear:
		p.matrix(n, linearMatrix(op, n.Inputs[1].Type.Shape), nil)
	case graph.BatchNorm:
		p.lines(n, batchNormLine(n, op, x, p.set))
	case graph.GroupNorm:
		p.groupNorm(n, op)
	case graph.Gate:
		p.gate(n, op)
	case graph.SplitAttention:
		p.splitAttention(n, op)
	case graph.ReLU:
		p.lines(n, reluLine(x, p.set))
	case graph.Add:
		p.lines(n, addLine(x, p.places[n.Inputs[1]], p.set))
	case graph.Softmax:
		if n.Output.Type.Shape.Rank() == 4 {
			p.lines(n, softmaxChannels(x))
			return
		}
		p.lines(n, softmaxLine(x))
	case graph.MaxPool:
		p.lines(n, maxPoolLine(x, op, p.set.Max))
	case graph.AvgPool:
		p.avgPool(n, op)
	case graph.GlobalAvgPool:
		p.globalAvgPool(n, x)
	case graph.ChannelPad:
		p.lines(n, channelPadLine(x, op.Before))
	case graph.Concat:
		p.concat(n)
	case graph.ChannelSlice:
		p.lines(n, channelSliceLine(x, op.Begin))
	case graph.SpatialPad:
		p.lines(n, spatialPadLine(x, op))
	case graph.Subsample:
		p.lines(n, subsampleLine(x, op.Stride))
	case graph.Flatten:
		y, fromRank4 := p.places[n.Output], n.Inputs[0].Type.Shape.Rank() == 4
		p.add(n.Name, op.Name(), "", y, y.n, func(arena []float32, _ *worker, task int) { flatten(arena, x, y, fromRank4, task) })
	case graph.Reshape:
		p.reshape(n)
	default:
		panic(fmt.Sprintf("cpu: bug: op %T passed the check", op))
	}
}

// choose returns how a convolution is computed through transforms, or says why it is not.
func (p *program) choose(n *graph.Node, op graph.Conv2D) (g *winograd, why string) {
	if p.direct {
		return nil, "direct by choice"
	}
	if g, why = winogradOf(n, op); g != nil && !g.fits(*p.places[n.Inputs[0]]) {
		return nil, "no room for the halo"
	}
	return g, why
}

func (p *program) lowerConv(n *graph.Node, op graph.Conv2D) {
	var shortcut *place
	bias, s := op.Inputs()
	if s >= 0 {
		shortcut = p.places[n.Inputs[s]]
	}
	if g := p.winograds[n]; g != nil {
		p.winograd(n, g, shortcut)
		return
	}
	w := n.Inputs[1]
	if op.Padding != (graph.Padding{}) && math.IsInf(w.Data.Bound(), 1) {
		var b []float32
		if bias >= 0 {
			b = slices.Clone(n.Inputs[bias].Data.Float32s())
		}
		p.lines(n, directLine(op, w.Type.Shape, slices.Clone(w.Data.Float32s()), b, p.places[n.Inputs[0]], shortcut))
		return
	}
	if k, cg, _, _ := w.Type.Shape.NCHW(); cg == 1 && k == op.Groups && k >= kernel.Lanes {
		p.depthwise(n, op, shortcut)
		return
	}
	p.matrix(n, convMatrix(op, w.Type.Shape), shortcut)
}

// matrix appends the step of a convolution or linear layer, with the weights packed.
func (p *program) matrix(n *graph.Node, m *matrix, shortcut *place) {
	m.set, m.x, m.y, m.shortcut = p.set, p.places[n.Inputs[0]], p.places[n.Output], shortcut
	var bias []float32
	if m.hasBias {
		bias = n.Inputs[2].Data.Float32s()
	}
	m.cut(bias)
	key := packKey{groups: m.groups, cg: m.cg, kg: m.kg, r: m.r, s: m.s}
	for i, block := range p.weights(n.Inputs[1].Data, key, m.order) {
		m.filters[i].weights = block
	}
	p.add(n.Name, n.Op.Name()+"_"+p.set.Name, p.reasons[n], m.y, m.split(p.n), m.do)
}
