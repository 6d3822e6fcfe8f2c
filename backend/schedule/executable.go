package schedule

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// executable is a graph compiled for the members. Runs go on side by side as far as there are lanes.
type executable struct {
	dev     *Device
	name    string
	sig     graph.Signature
	kept    *graph.Graph // to compile again; nil when that is not possible
	release func()       // lets the weights of kept go

	renewing chan struct{} // full while the graph is compiled again

	mu      sync.Mutex
	idle    sync.Cond // some run has ended
	program *program
	runs    int
	states  []*runState // that no run uses
	closed  bool
}

func newExecutable(d *Device, g *graph.Graph, p *program) *executable {
	e := &executable{dev: d, name: g.Name, sig: g.Signature(), program: p, release: func() {}, renewing: make(chan struct{}, 1)}
	e.idle.L = &e.mu
	return e
}

// Signature returns the graph's inputs and outputs.
func (e *executable) Signature() graph.Signature {
	return graph.Signature{Inputs: slices.Clone(e.sig.Inputs), Outputs: slices.Clone(e.sig.Outputs)}
}

// Run does all parts. When a member is lost and there is a fallback, it begins again without that one.
func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if err := e.run(ctx, in, out); err != nil {
		return fmt.Errorf("run %q: %w", e.name, err)
	}
	return nil
}

func (e *executable) run(ctx context.Context, in, out []backend.Buffer) error {
	s, err := e.begin()
	if err != nil {
		return err
	}
	defer e.end(s)
	if err := s.hold(ctx, e, in, out); err != nil {
		return err
	}
	for {
		p := e.use()
		lost := p.broken()
		var err error
		if !lost {
			err = p.run(ctx, s)
			lost = e.dev.loseAll(s.errs)
		}
		e.unuse(p)
		switch {
		case !lost:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.kept == nil && err == nil:
			return fmt.Errorf("%w in another run: the graph was compiled for it", backend.ErrDeviceLost)
		case e.kept == nil:
			return err
		}
		if err := e.renew(ctx, p); err != nil {
			return err
		}
	}
}

// begin counts the run, unless the executable is closed.
func (e *executable) begin() (*runState, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.dev.closed.Load() {
		return nil, backend.ErrClosed
	}
	e.runs++
	if n := len(e.states); n > 0 {
		s := e.states[n-1]
		e.states = e.states[:n-1]
		return s, nil
	}
	return &runState{}, nil
}

// end gives up the buffers of a run.
func (e *executable) end(s *runState) {
	s.letGo()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.states = append(e.states, s)
	e.runs--
	e.idle.Broadcast()
}

func (e *executable) use() *program {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.program.users++
	return e.program
}

// unuse closes an old program after its last run.
func (e *executable) unuse(p *program) {
	e.mu.Lock()
	p.users--
	done := p.old && p.users == 0
	e.mu.Unlock()
	if done {
		_ = p.close() // what a lost device says to that is no news
	}
}

// renew compiles the graph for the members that are left, unless another run has done so.
func (e *executable) renew(ctx context.Context, old *program) error {
	if err := acquire(ctx, e.renewing); err != nil {
		return err
	}
	defer func() { <-e.renewing }()
	e.mu.Lock()
	same := e.program == old
	e.mu.Unlock()
	if !same {
		return nil
	}
	p, err := e.dev.build(ctx, e.kept)
	if err != nil {
		return fmt.Errorf("compile again for the devices that are left: %w", afterLoss(err))
	}
	e.mu.Lock()
	e.program, old.old = p, true
	done := old.users == 0
	e.mu.Unlock()
	if done {
		_ = old.close()
	}
	return nil
}

// Close waits for the runs in progress.
func (e *executable) Close() error {
	e.dev.mu.Lock()
	delete(e.dev.children, e)
	e.dev.mu.Unlock()
	e.mu.Lock()
	for e.closed = true; e.runs > 0; {
		e.idle.Wait()
	}
	p := e.program
	e.program = nil
	e.mu.Unlock()
	if p == nil {
		return nil
	}
	e.release()
	if err := p.close(); !p.broken() {
		return err
	}
	return nil // what a lost device says to that is no news
}

// hold checks the buffers and waits until no other call uses them. It takes them in the order of their ids, so that
// runs which share buffers cannot wait for each other.
func (s *runState) hold(ctx context.Context, e *executable, in, out []backend.Buffer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	want, err := e.check(s.held[:0], "input", in, e.sig.Inputs)
	if err == nil {
		inputs := len(want)
		want, err = e.check(want, "output", out, e.sig.Outputs)
		for i := inputs; err == nil && i < len(want); i++ {
			if slices.Index(want, want[i]) < i {
				err = fmt.Errorf("output %d (%q): the buffer is given twice", i-inputs, e.sig.Outputs[i-inputs].Name)
			}
		}
	}
	s.held = want[:0]
	if err != nil {
		return err
	}
	slices.SortFunc(want, func(a, b *buffer) int { return cmp.Compare(a.id, b.id) })
	for i, b := range slices.Compact(want) {
		if err := b.acquire(ctx); err != nil {
			return err
		}
		s.held = want[:i+1]
		if b.closed {
			return fmt.Errorf("buffer of %v: %w", b.typ, backend.ErrClosed)
		}
	}
	for _, b := range in {
		s.in = append(s.in, b.(*buffer).data)
	}
	for _, b := range out {
		s.out = append(s.out, b.(*buffer).data)
	}
	return nil
}

func (s *runState) letGo() {
	for _, b := range s.held {
		b.release()
	}
	clear(s.held)
	clear(s.in)
	clear(s.out)
	s.held, s.in, s.out = s.held[:0], s.in[:0], s.out[:0]
}

// check appends the buffers to list when they fit the ports.
func (e *executable) check(list []*buffer, what string, given []backend.Buffer, ports []graph.Port) ([]*buffer, error) {
	if len(given) != len(ports) {
		return list, &graph.ShapeError{Attr: what + "s", Want: fmt.Sprintf("%d buffers", len(ports)), Got: fmt.Sprint(len(given))}
	}
	for i, g := range given {
		b, ok := g.(*buffer)
		if !ok || b == nil || b.dev != e.dev {
			return list, &graph.ShapeError{Node: ports[i].Name, Attr: fmt.Sprintf("%s %d", what, i), Want: "a buffer of the device that compiled the graph", Got: fmt.Sprintf("%T of another", g)}
		}
		if b.typ != ports[i].Type {
			return list, &graph.ShapeError{Node: ports[i].Name, Attr: fmt.Sprintf("%s %d", what, i), Want: ports[i].Type.String(), Got: b.typ.String()}
		}
		list = append(list, b)
	}
	return list, nil
}
