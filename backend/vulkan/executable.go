package vulkan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// executable is a compiled graph: the plan, its memory and pipelines, and the recorded command buffers.
type executable struct {
	dev       *device
	name      string
	signature graph.Signature
	plan      *plan.Plan
	arena     *memory
	pages     []*memory
	kernels   []*kernel // by step
	pool      vk.CommandPool
	pieces    [][]plan.Command // the commands, cut so that each piece is short on the slowest device
	pace      pace

	// flights is full when as many runs are on the device as may be.
	flights chan struct{}
	// turn is full while the commands of a run are recorded and submitted: the arena belongs to one run after the other, in
	// the order of their submissions. The fields below belong to whoever has it.
	turn     chan struct{}
	closed   bool
	bindings []*binding // the most recently used last

	mu   sync.Mutex
	runs []*run // all that were made
	idle []*run // those that are not in use
	gone bool   // no more are made
}

var (
	_ backend.Executable     = (*executable)(nil)
	_ backend.Transformer    = (*executable)(nil)
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
		if err := d.calibrate(ctx, g, &opt); err != nil {
			return nil, fmt.Errorf("compile %q: calibrate: %w", g.Name, err)
		}
	}
	return d.compile(ctx, g, opt, *d.tuning.Load())
}

// compile is Compile of a graph that was looked at, with options.
func (d *device) compile(ctx context.Context, g *graph.Graph, opt plan.Options, t Tuning) (*executable, error) {
	if err := d.makeRoom(g, &opt); err != nil {
		return nil, fmt.Errorf("compile %q: %w", g.Name, err)
	}
	for {
		p, err := d.settle(ctx, opt, g, t)
		if err == nil { // what was measured, or struck off by now, may take more than the rule's plan
			again, err := d.relieve(g, p, &opt, true)
			if err != nil {
				return nil, fmt.Errorf("compile %q: %w", g.Name, err)
			}
			if again {
				continue
			}
		}
		if err == nil {
			var e *executable
			if e, err = d.make(ctx, g, p); err == nil {
				d.saveKernels()
				if p.Chunk < p.Batch && opt.MaxChunk == 0 {
					d.opts.Logger.Warn("batch split, as tensors of it exceed what the device binds or allocates at once", "graph", g.Name, "batch", p.Batch, "parts of", p.Chunk)
				}
				return e, nil
			}
		}
		if !errors.Is(err, backend.ErrOutOfMemory) || p == nil ||
			!lessen(p, &opt, true, "the device's memory does not hold it", d.opts.Logger.With("graph", g.Name, "batch", p.Batch)) {
			return nil, fmt.Errorf("compile %q: %w", g.Name, err)
		}
	}
}

// make turns a plan into an executable of the device.
func (d *device) make(ctx context.Context, g *graph.Graph, p *plan.Plan) (*executable, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	e, err := d.build(ctx, g, p)
	if err != nil {
		return nil, d.fail(err)
	}
	d.adopt(e)
	return e, nil
}

// saveKernels writes the pipeline cache.
func (d *device) saveKernels() {
	if d.enter() == nil {
		defer d.leave()
		d.kernels.save()
	}
}

// build makes the Vulkan objects of a plan.
func (d *device) build(ctx context.Context, g *graph.Graph, p *plan.Plan) (*executable, error) {
	e := &executable{dev: d, name: g.Name, signature: g.Signature(), plan: p, turn: make(chan struct{}, 1), flights: make(chan struct{}, d.mostFlights())}
	e.pieces = cut(p, pieceCost(d.bound), g)
	err := e.prepare(ctx, g)
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

func (e *executable) prepare(ctx context.Context, g *graph.Graph) (err error) {
	d, p := e.dev, e.plan
	if p.ArenaBytes > 0 {
		if e.arena, err = d.allocate(p.ArenaBytes, viewedMemory); err != nil {
			return fmt.Errorf("allocate %d bytes for intermediate tensors: %w", p.ArenaBytes, err)
		}
		e.arena.fence = d.fence()
	}
	for _, size := range p.PageBytes {
		m, err := d.allocate(size, viewedMemory)
		if err != nil {
			return fmt.Errorf("allocate %d bytes for weights: %w", size, err)
		}
		e.pages = append(e.pages, m)
	}
	if err := e.load(ctx, g); err != nil {
		return err
	}
	e.pool, err = d.dev.CreateCommandPool()
	return err
}

// load uploads the weights while other goroutines make the pipelines.
func (e *executable) load(ctx context.Context, g *graph.Graph) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := stopwatch.Now()
	var kernels time.Duration
	made := make(chan error, 1)
	go func() {
		list, err := e.dev.kernels.getAll(ctx, e.plan.Steps)
		if err != nil {
			cancel()
		} else {
			e.kernels = list
		}
		kernels = stopwatch.Since(start)
		made <- err
	}()
	err := e.upload(ctx, g)
	weights := stopwatch.Since(start)
	if err != nil {
		cancel()
	}
	failed := <-made
	if failed != nil && (err == nil || errors.Is(err, context.Canceled) && !errors.Is(failed, context.Canceled)) {
		err = failed // it is why the upload ended
	}
	e.dev.opts.Logger.Debug("weights uploaded while kernels were made", "graph", e.name, "weights", weights, "kernels", kernels)
	return err
}

// upload packs the weights piece by piece, straight into mapped memory or through the staging buffer: there is no second copy of
// the model, and of a node only what reading a lazy tensor makes.
func (e *executable) upload(ctx context.Context, g *graph.Graph) error {
	var wide []float32
	for _, w := range e.plan.Weights {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if wide, err = e.dev.staging.pack(e.pages[w.Page], w.Offset, w.Packed, wide); err != nil {
			return fmt.Errorf("upload weights of node %q: %w", w.Node, err)
		}
	}
	return g.DataErr()
}

// Signature returns the graph's inputs and outputs.
func (e *executable) Signature() graph.Signature {
	return graph.Signature{Inputs: slices.Clone(e.signature.Inputs), Outputs: slices.Clone(e.signature.Outputs)}
}

// Transforms tells which convolutions are computed by Winograd's algorithm.
func (e *executable) Transforms() map[string]backend.Winograd { return maps.Clone(e.plan.Transforms) }

// Precisions tells which nodes work on float16.
func (e *executable) Precisions() map[string]backend.Precision { return maps.Clone(e.plan.Precisions) }

// Close releases the executable after the runs in progress.
func (e *executable) Close() error {
	e.dev.closeChild(e)
	return nil
}

func (e *executable) destroy() {
	e.turn <- struct{}{}
	e.closed = true // whoever comes next to the turn finds nothing to use
	<-e.turn
	for range cap(e.flights) { // what is on the device still uses all below
		e.flights <- struct{}{}
	}
	defer func() {
		for range cap(e.flights) {
			<-e.flights
		}
	}()
	d := e.dev.dev
	for _, b := range e.bindings {
		e.dev.destroySets(b)
	}
	e.bindings = nil
	if e.pool != 0 {
		d.DestroyCommandPool(e.pool)
	}
	e.mu.Lock()
	for _, r := range e.runs {
		r.destroy()
	}
	e.runs, e.idle, e.gone = nil, nil, true
	e.mu.Unlock()
	e.dev.kernels.release(e.kernels)
	e.kernels = nil
	e.dev.free(e.arena)
	for _, m := range e.pages {
		e.dev.free(m)
	}
}
