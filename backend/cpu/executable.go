package cpu

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/hostmem"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// executable is a lowered graph with packed weights, an arena and workers. Runs take turns.
type executable struct {
	dev  *device
	name string
	sig  graph.Signature

	turn       chan struct{} // holds a token while a run, a profile or Close is going on
	ended      chan struct{} // closed by Close
	once       sync.Once
	crew       *workers
	arena      []float32
	packs      []*pack // that the steps use
	transforms map[string]backend.Winograd
	in         []hostmem.View // of the run that has the turn
	out        []hostmem.View
}

var (
	_ backend.Profiler    = (*executable)(nil)
	_ backend.Transformer = (*executable)(nil)
)

func newExecutable(ctx context.Context, d *device, g *graph.Graph) (*executable, error) {
	e := &executable{dev: d, name: g.Name, sig: g.Signature(), turn: make(chan struct{}, 1), ended: make(chan struct{})}
	p, err := compile(ctx, e, g, d)
	if err != nil {
		return nil, err
	}
	e.in, e.out = make([]hostmem.View, len(g.Inputs)), make([]hostmem.View, len(g.Outputs))
	e.arena = make([]float32, p.elems)
	wantHugePages(e.arena)
	e.crew = newWorkers(d.workers, p.steps, p.elems-p.n*p.dumpElems(), p.dumpElems())
	e.transforms, e.packs = p.transforms, p.used
	return e, nil
}

func (e *executable) Signature() graph.Signature {
	return graph.Signature{Inputs: slices.Clone(e.sig.Inputs), Outputs: slices.Clone(e.sig.Outputs)}
}

// Transforms tells which convolutions are of class B.
func (e *executable) Transforms() map[string]backend.Winograd { return maps.Clone(e.transforms) }

func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.run(ctx, in, out); err != nil {
		return fmt.Errorf("run graph %q: %w", e.name, err)
	}
	return nil
}

func (e *executable) run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	defer e.end()
	if err := e.dev.Bind(e.sig, e.in, e.out, in, out); err != nil {
		return err
	}
	return e.crew.run(ctx)
}

// begin waits for the turn.
func (e *executable) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.ended:
		return backend.ErrClosed
	case e.turn <- struct{}{}:
	}
	select {
	case <-e.ended: // both were ready
		<-e.turn
		return backend.ErrClosed
	default:
		return nil
	}
}

// end forgets the buffers and passes the turn on.
func (e *executable) end() {
	clear(e.in)
	clear(e.out)
	<-e.turn
}

// Profile runs once on all threads. The time of a step is that from the end of the one before, so that the times add up
// to the time of the run, waiting for the last thread included.
func (e *executable) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	if err := e.begin(ctx); err != nil {
		return nil, fmt.Errorf("profile graph %q: %w", e.name, err)
	}
	defer e.end()
	if err := e.dev.Bind(e.sig, e.in, e.out, in, out); err != nil {
		return nil, fmt.Errorf("profile graph %q: %w", e.name, err)
	}
	e.crew.ends = make([]time.Time, len(e.crew.steps))
	defer func() { e.crew.ends = nil }()
	previous := stopwatch.Now()
	if err := e.crew.run(ctx); err != nil {
		return nil, fmt.Errorf("profile graph %q: %w", e.name, err)
	}
	var times []backend.NodeTime
	for i, s := range e.crew.steps {
		seconds := e.crew.ends[i].Sub(previous).Seconds()
		previous = e.crew.ends[i]
		if last := len(times) - 1; last >= 0 && times[last].Node == s.name && times[last].Kernel == s.kernel {
			times[last].Seconds += seconds // a node of several steps
			continue
		}
		times = append(times, backend.NodeTime{Node: s.name, Kernel: s.kernel, Seconds: seconds, Reason: s.why})
	}
	return times, nil
}

// Close waits for the run that has the turn; those that wait for it return ErrClosed.
func (e *executable) Close() error {
	e.dev.disown(e)
	e.once.Do(func() {
		close(e.ended)
		e.turn <- struct{}{}
		e.crew.close()
		e.dev.packs.drop(e.packs)
		e.crew, e.arena, e.packs = nil, nil, nil
		<-e.turn
	})
	return nil
}
