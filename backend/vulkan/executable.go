package vulkan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
)

// executable is a compiled graph: the plan, its memory and pipelines, and the recorded command buffers.
type executable struct {
	dev       *device
	name      string
	signature graph.Signature
	plan      *plan.Plan
	arena     *memory
	pages     []*memory
	kernels   []kernel // by step
	pool      vk.CommandPool
	fence     vk.Fence

	// turn is full during a run: the arena is shared by all. The fields below belong to whoever has it.
	turn     chan struct{}
	closed   bool
	bindings []*binding // the most recently used last
	held     []*buffer  // those that the run in progress uses, in the order of their ids
}

var (
	_ backend.Executable     = (*executable)(nil)
	_ backend.MixedPrecision = (*executable)(nil)
)

// Compile plans the graph, uploads its weights and makes its pipelines.
func (d *device) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if g == nil {
		return nil, errors.New("compile: want a graph, got nil")
	}
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	if !g.Bound() {
		return nil, fmt.Errorf("compile %q: want a graph with the data of all its parameters, got one without", g.Name)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("compile %q: %w", g.Name, err)
	}
	opt := d.planOptions()
	if opt.Half {
		var err error
		if opt.Float32, err = d.keptFloat32(ctx, g); err != nil {
			return nil, fmt.Errorf("compile %q: calibrate: %w", g.Name, err)
		}
	}
	return d.compile(ctx, g, opt)
}

// compile is Compile of a graph that was looked at, with options.
func (d *device) compile(ctx context.Context, g *graph.Graph, opt plan.Options) (*executable, error) {
	if err := d.enter(); err != nil {
		return nil, fmt.Errorf("compile %q: %w", g.Name, err)
	}
	defer d.leave()
	for {
		p, err := plan.Build(d.limits, opt, g)
		if err != nil {
			return nil, fmt.Errorf("compile %q: %w", g.Name, err)
		}
		e, err := d.build(ctx, g, p)
		if err == nil {
			d.adopt(e)
			d.kernels.save()
			return e, nil
		}
		err = d.fail(err)
		if !errors.Is(err, backend.ErrOutOfMemory) || p.Chunk <= 1 {
			return nil, fmt.Errorf("compile %q: %w", g.Name, err)
		}
		opt.MaxChunk = (p.Chunk + 1) / 2
		d.opts.Logger.Warn("batch split, as the device's memory does not hold it", "graph", g.Name, "batch", p.Batch, "parts of", opt.MaxChunk)
	}
}

// build makes the Vulkan objects of a plan.
func (d *device) build(ctx context.Context, g *graph.Graph, p *plan.Plan) (*executable, error) {
	e := &executable{dev: d, name: g.Name, signature: g.Signature(), plan: p, turn: make(chan struct{}, 1)}
	err := e.prepare(ctx)
	if err != nil {
		e.destroy()
		return nil, err
	}
	// What the plan keeps of the graph is not needed any more, and may be the only reference to the weights.
	for i := range p.Weights {
		p.Weights[i].Packed = nil
	}
	return e, nil
}

func (e *executable) prepare(ctx context.Context) (err error) {
	d, p := e.dev, e.plan
	if p.ArenaBytes > 0 {
		if e.arena, err = d.allocate(p.ArenaBytes, deviceMemory); err != nil {
			return fmt.Errorf("allocate %d bytes for intermediate tensors: %w", p.ArenaBytes, err)
		}
	}
	for _, size := range p.PageBytes {
		m, err := d.allocate(size, deviceMemory)
		if err != nil {
			return fmt.Errorf("allocate %d bytes for weights: %w", size, err)
		}
		e.pages = append(e.pages, m)
	}
	for _, w := range p.Weights {
		if err := ctx.Err(); err != nil {
			return err
		}
		fill := d.staging.fill
		if w.Half {
			fill = d.staging.fillHalf
		}
		if err := fill(e.pages[w.Page], w.Offset, w.Elems, w.Fill); err != nil {
			return fmt.Errorf("upload weights of node %q: %w", w.Node, err)
		}
	}
	for _, s := range p.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		k, err := d.kernels.get(s)
		if err != nil {
			return fmt.Errorf("node %q: %w", s.Node, err)
		}
		e.kernels = append(e.kernels, k)
	}
	if e.pool, err = d.dev.CreateCommandPool(); err != nil {
		return err
	}
	e.fence, err = d.dev.CreateFence()
	return err
}

// Signature returns the graph's inputs and outputs.
func (e *executable) Signature() graph.Signature {
	return graph.Signature{Inputs: slices.Clone(e.signature.Inputs), Outputs: slices.Clone(e.signature.Outputs)}
}

// Precisions tells which nodes work on float16.
func (e *executable) Precisions() map[string]backend.Precision { return maps.Clone(e.plan.Precisions) }

// poll is how long a wait for the device may go on before the context is looked at again.
const poll = 5 * time.Millisecond

// Run submits the recorded commands for these buffers and waits for them.
func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.dev.enter(); err != nil {
		return e.wrap(err)
	}
	if err := acquire(ctx, e.turn); err != nil {
		e.dev.leave()
		return e.wrap(err)
	}
	err := e.hold(ctx, in, out)
	if err == nil {
		err = e.start(in, out)
	}
	if err != nil || len(e.plan.Commands) == 0 {
		e.done()
		return e.wrap(err)
	}
	for {
		ok, err := e.dev.dev.WaitFence(e.fence, poll)
		switch {
		case err != nil:
			err = e.dev.fail(err)
		case ok:
			err = e.dev.dev.ResetFence(e.fence)
		case ctx.Err() != nil:
			go e.drain() // the device cannot be stopped: the buffers stay held until it is done
			return e.wrap(ctx.Err())
		default:
			continue
		}
		e.done()
		return e.wrap(err)
	}
}

func (e *executable) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("run %q: %w", e.name, err)
}

// start records the commands for the buffers, if this is the first time, and submits them.
func (e *executable) start(in, out []backend.Buffer) error {
	if len(e.plan.Commands) == 0 {
		return nil
	}
	b, err := e.bind(in, out)
	if err == nil {
		err = e.dev.submit(b.cmd, e.fence)
	}
	return e.dev.fail(err)
}

// drain waits for a run that was given up on, then ends it.
func (e *executable) drain() {
	if err := waitFence(e.dev.dev, e.fence); err != nil {
		e.dev.opts.Logger.Warn("cancelled run ended in an error", "graph", e.name, "error", e.dev.fail(err))
	}
	e.done()
}

// done ends a run: buffers, turn and device are free for others.
func (e *executable) done() {
	for _, b := range e.held {
		b.release()
	}
	e.held = e.held[:0]
	<-e.turn
	e.dev.leave()
}

// hold checks the buffers and waits until no other run uses them. It takes them in the order of their ids, so that
// runs which share buffers cannot wait for each other.
func (e *executable) hold(ctx context.Context, in, out []backend.Buffer) error {
	if e.closed {
		return backend.ErrClosed
	}
	e.held = e.held[:0]
	var want []*buffer
	want, err := e.check(e.held, "input", in, e.signature.Inputs)
	if err == nil {
		inputs := len(want)
		want, err = e.check(want, "output", out, e.signature.Outputs)
		if err == nil {
			err = distinct(want, inputs)
		}
	}
	if err != nil {
		return err
	}
	slices.SortFunc(want, func(a, b *buffer) int { return cmp.Compare(a.id, b.id) })
	want = slices.Compact(want)
	for i, b := range want {
		if err := b.acquire(ctx); err != nil {
			e.held = want[:i]
			return err
		}
		if b.mem.buf == 0 {
			e.held = want[:i+1]
			return fmt.Errorf("buffer of %v: %w", b.typ, backend.ErrClosed)
		}
	}
	e.held = want
	return nil
}

// check appends the buffers to list when they fit the ports.
func (e *executable) check(list []*buffer, what string, bufs []backend.Buffer, ports []graph.Port) ([]*buffer, error) {
	if len(bufs) != len(ports) {
		return list, &graph.ShapeError{Node: e.name, Op: "run", Attr: what + "s", Want: fmt.Sprint(len(ports)), Got: fmt.Sprint(len(bufs))}
	}
	for i, b := range bufs {
		vb, ok := b.(*buffer)
		if !ok || vb == nil || vb.dev != e.dev {
			return list, fmt.Errorf("%s %d: want a buffer of device %q", what, i, e.dev.info.Name)
		}
		if vb.typ != ports[i].Type {
			return list, &graph.ShapeError{
				Node: e.name, Op: "run", Attr: fmt.Sprintf("%s %d (%s)", what, i, ports[i].Name), Want: ports[i].Type.String(), Got: vb.typ.String(),
			}
		}
		list = append(list, vb)
	}
	return list, nil
}

// distinct checks that no output is given twice or is an input too.
func distinct(list []*buffer, inputs int) error {
	for i := inputs; i < len(list); i++ {
		if j := slices.Index(list, list[i]); j < i {
			return fmt.Errorf("output %d: want a buffer of its own, got one that is given twice", i-inputs)
		}
	}
	return nil
}

// Close releases the executable after the run in progress.
func (e *executable) Close() error {
	e.dev.closeChild(e)
	return nil
}

func (e *executable) destroy() {
	e.turn <- struct{}{}
	defer func() { <-e.turn }()
	e.closed = true
	d := e.dev.dev
	for _, b := range e.bindings {
		e.dev.destroySets(b)
	}
	e.bindings = nil
	if e.pool != 0 {
		d.DestroyCommandPool(e.pool)
	}
	if e.fence != 0 {
		d.DestroyFence(e.fence)
	}
	e.dev.free(e.arena)
	for _, m := range e.pages {
		e.dev.free(m)
	}
}
