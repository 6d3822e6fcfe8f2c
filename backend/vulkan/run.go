package vulkan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

const (
	// maxFlights is how many runs of an executable are on the device at once: one that computes, and others so that it
	// does not wait for the host in between.
	maxFlights = 4
	// ahead is how many submissions of one run are on the device at once: one that computes, and the next.
	ahead = 2
	// poll is how long a wait for the device may go on before the context is looked at again.
	poll = 5 * time.Millisecond
)

// run is what one run in progress needs. Runs that ended are used again, so that a run allocates nothing.
type run struct {
	e       *executable
	held    []*buffer // those that it uses, in the order of their ids
	binding *binding  // whose commands are on the device

	// Submission i signals fence i modulo ahead. Those from finished to submitted are on the device.
	fences              [ahead]vk.Fence
	submitted, finished int
	broken              bool // the state of the fences is not known

	start time.Time // of the first submission
	alone bool      // no other run of the executable was on the device then
}

// newRun takes a run that is not in use.
func (e *executable) newRun() (*run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return nil, backend.ErrClosed
	}
	if n := len(e.idle); n > 0 {
		r := e.idle[n-1]
		e.idle = e.idle[:n-1]
		return r, nil
	}
	r := &run{e: e}
	for i := range r.fences {
		var err error
		if r.fences[i], err = e.dev.dev.CreateFence(); err != nil {
			r.destroy()
			return nil, err
		}
	}
	e.runs = append(e.runs, r)
	return r, nil
}

func (r *run) destroy() {
	for i, f := range r.fences {
		if f != 0 {
			r.e.dev.dev.DestroyFence(f)
			r.fences[i] = 0
		}
	}
}

// Run submits the recorded commands for these buffers and waits for them. Runs of several goroutines are on the device
// one behind the other, so that it need not wait for the host between them.
func (e *executable) Run(ctx context.Context, in, out []backend.Buffer) error {
	r, err := e.begin(ctx, in, out)
	if err != nil {
		return e.wrap(err)
	}
	if len(e.pieces) > 0 {
		if err = acquire(ctx, e.turn); err == nil {
			err = r.submit(ctx, in, out)
			<-e.turn
		}
	}
	if err == nil {
		err = r.wait(ctx, 0)
	}
	if err == nil && r.submitted > 0 { // else nothing was raised
		err = e.checkFences(in, out)
	}
	if err == nil && r.alone && len(e.pieces) > 1 {
		e.pace.measured(stopwatch.Since(r.start), len(e.pieces))
	}
	if err != nil && !r.broken && r.finished < r.submitted {
		go r.drain() // the device cannot be stopped: the buffers stay held until it is done
	} else {
		r.done()
	}
	return e.wrap(err)
}

// begin takes all that a run needs but for the turn to submit; done gives it back.
func (e *executable) begin(ctx context.Context, in, out []backend.Buffer) (*run, error) {
	if err := e.dev.enter(); err != nil {
		return nil, err
	}
	r, err := e.newRun()
	if err != nil {
		e.dev.leave()
		return nil, e.dev.fail(err)
	}
	// In this order, a run that is on its way to the device waits for nothing but the device: none can block another.
	if err = r.hold(ctx, in, out); err == nil {
		err = acquire(ctx, e.flights)
	}
	if err != nil {
		r.giveBack()
		return nil, err
	}
	return r, nil
}

// done ends a run: buffers and device are free for others.
func (r *run) done() {
	if r.binding != nil {
		r.binding.busy.Store(false)
		r.binding = nil
	}
	<-r.e.flights
	r.giveBack()
}

func (r *run) giveBack() {
	e := r.e
	for _, b := range r.held {
		b.release()
	}
	r.held = r.held[:0]
	r.submitted, r.finished = 0, 0
	if !r.broken {
		e.mu.Lock()
		e.idle = append(e.idle, r)
		e.mu.Unlock()
	}
	e.dev.leave()
}

func (e *executable) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("run %q: %w", e.name, err)
}

// submit records the commands for the buffers, if this is the first time, and submits them. The caller has the turn.
func (r *run) submit(ctx context.Context, in, out []backend.Buffer) error {
	e := r.e
	if e.closed {
		return backend.ErrClosed
	}
	b, err := e.bind(in, out)
	if err == nil {
		err = e.raiseFences(in, out)
	}
	if err != nil {
		return e.dev.fail(err)
	}
	r.binding = b
	b.busy.Store(true)
	r.alone, r.start = len(e.flights) == 1, stopwatch.Now()
	for at := 0; at < len(b.cmds); {
		if err := r.wait(ctx, ahead-1); err != nil {
			return err
		}
		if at > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		n := min(e.pace.group(e.dev.bound), len(b.cmds)-at)
		if err := e.dev.submit(e.dev.compute, r.fences[r.submitted%ahead], b.cmds[at:at+n]...); err != nil {
			return e.dev.fail(err)
		}
		r.submitted++
		at += n
	}
	return nil
}

// wait waits until at most left submissions are on the device.
func (r *run) wait(ctx context.Context, left int) error {
	d := r.e.dev
	for r.submitted-r.finished > left {
		f := r.fences[r.finished%ahead]
		ok, err := d.dev.WaitFence(f, poll)
		if err == nil && ok {
			err = d.dev.ResetFence(f)
		}
		switch {
		case err != nil:
			r.broken = true
			return d.fail(err)
		case ok:
			r.finished++
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
	return nil
}

// drain waits for what a run that was given up on left on the device, then ends it.
func (r *run) drain() {
	if err := r.wait(context.Background(), 0); err != nil {
		r.e.dev.opts.Logger.Warn("cancelled run ended in an error", "graph", r.e.name, "error", err)
	}
	r.done()
}

// hold checks the buffers and waits until no other run uses them. It takes them in the order of their ids, so that
// runs which share buffers cannot wait for each other.
func (r *run) hold(ctx context.Context, in, out []backend.Buffer) error {
	e := r.e
	want, err := e.check(r.held[:0], "input", in, e.signature.Inputs)
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
			r.held = want[:i]
			return err
		}
		if b.mem.buf == 0 {
			r.held = want[:i+1]
			return fmt.Errorf("buffer of %v: %w", b.typ, backend.ErrClosed)
		}
	}
	r.held = want
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
