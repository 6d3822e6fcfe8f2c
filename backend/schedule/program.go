package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// program is a layout compiled for the members. It keeps nothing of the graph's data.
type program struct {
	routes []*route
	chunks int // of all routes together
	copies []hostCopy
	users  int // runs in progress; belongs to the executable
	old    bool
}

// route is a compiled route.
type route struct {
	parts   []compiledPart
	bufs    []laneBuffer
	staging []graph.TensorType
	steps   []flowStep
	flows   []partFlow

	whole               bool
	first, chunk, batch int // samples
	chunks              int

	free chan *lane
	mu   sync.Mutex
	made int // lanes, or failed attempts at more than one
	most int
	all  []*lane
}

type compiledPart struct {
	member *member
	exec   backend.Executable
	what   string // for errors
}

type laneBuffer struct {
	name   string // of the value
	member *member
	typ    graph.TensorType
}

// lane is what one chunk needs on its way.
type lane struct {
	bufs    []backend.Buffer
	staging [][]byte
	in, out [][]backend.Buffer // by part
}

// memberError is an error of a call on a member.
type memberError struct {
	member *member
	err    error
}

func (e *memberError) Error() string { return fmt.Sprintf("device %q: %v", e.member.name, e.err) }
func (e *memberError) Unwrap() error { return e.err }

// at says on which member an error happened.
func at(m *member, err error) error {
	if err == nil {
		return nil
	}
	return &memberError{m, err}
}

// lostBy is the member of whose loss err tells, nil for any other error.
func lostBy(err error) *member {
	var e *memberError
	if errors.As(err, &e) && (errors.Is(e.err, backend.ErrDeviceLost) || errors.Is(e.err, backend.ErrPluginExited)) {
		return e.member
	}
	return nil
}

// errChanged: a member now refuses a node that it supported when it was asked, since it has found out that it computes it wrongly.
var errChanged = errors.New("a device has changed its mind")

// refuses asks again about each node of a part, and returns the first refusal.
func (m *member) refuses(g *graph.Graph) error {
	for _, n := range g.Nodes {
		if err := m.dev.Supports(n); err != nil {
			return err
		}
	}
	return nil
}

// assemble compiles the parts of a layout and makes the first lane of each route.
func (d *Device) assemble(ctx context.Context, l *layout) (_ *program, err error) {
	p := &program{copies: l.routes[0].flow.copies}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	for _, plan := range l.routes {
		members := map[*member]bool{}
		r := &route{
			staging: plan.flow.staging, steps: plan.flow.steps, flows: plan.flow.parts,
			whole: plan.whole, first: plan.first, chunk: plan.chunk, batch: l.batch, chunks: plan.chunks(),
		}
		p.routes, p.chunks = append(p.routes, r), p.chunks+r.chunks
		of := func(i int) *member { return d.members[plan.survey.members[i].id] }
		for i, part := range plan.parts {
			c := compiledPart{member: of(part.member), what: fmt.Sprintf("part %d of %d (%q to %q)", i+1, len(plan.parts), part.nodes[0].Name, part.nodes[len(part.nodes)-1].Name)}
			if c.exec, err = c.member.dev.Compile(ctx, part.graph); err != nil {
				if backend.IsUnsupported(err) { // it is no refusal of ours, and must not look like one
					if changed := c.member.refuses(part.graph); changed != nil {
						return p, fmt.Errorf("compile %s: %w: %v", c.what, errChanged, at(c.member, changed))
					}
					err = fmt.Errorf("said that it supports each node, and refuses them together: %v", err)
				}
				return p, fmt.Errorf("compile %s: %w", c.what, at(c.member, err))
			}
			r.parts = append(r.parts, c)
			members[c.member] = true
		}
		for _, b := range plan.flow.bufs {
			r.bufs = append(r.bufs, laneBuffer{b.value.Name, of(b.member), b.value.Type})
		}
		// While each member works for one chunk, the data of another move. Short of several chunks it is for runs side by side.
		r.most = len(members) + 1
		r.free = make(chan *lane, r.most)
		first, err := r.take(ctx)
		if err != nil {
			return p, err
		}
		r.free <- first
	}
	return p, nil
}

func (p *program) close() error {
	var errs []error
	for _, r := range p.routes {
		for _, l := range r.all {
			errs = append(errs, l.close())
		}
		for _, c := range r.parts {
			errs = append(errs, c.exec.Close())
		}
	}
	return errors.Join(errs...)
}

// broken tells whether a member of the program is lost.
func (p *program) broken() bool {
	for _, r := range p.routes {
		for i := range r.parts {
			if r.parts[i].member.lost.Load() {
				return true
			}
		}
	}
	return false
}

// take takes a free lane, makes one while there may be more, or waits for one.
func (r *route) take(ctx context.Context) (*lane, error) {
	select {
	case l := <-r.free:
		return l, nil
	default:
	}
	if l, err := r.grow(ctx); l != nil || err != nil {
		return l, err
	}
	select {
	case l := <-r.free:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// grow makes a lane; nil when there are as many as may be, or as fit into memory.
func (r *route) grow(ctx context.Context) (*lane, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made == r.most {
		return nil, nil
	}
	l, err := r.newLane(ctx)
	if err != nil {
		if errors.Is(err, backend.ErrOutOfMemory) && len(r.all) > 0 {
			r.made = r.most
			return nil, nil
		}
		return nil, err
	}
	r.made++
	r.all = append(r.all, l)
	return l, nil
}

func (r *route) newLane(ctx context.Context) (l *lane, err error) {
	l = &lane{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	for _, b := range r.bufs {
		buf, err := b.member.dev.NewBuffer(ctx, b.typ)
		if err != nil {
			return l, at(b.member, err)
		}
		l.bufs = append(l.bufs, buf)
	}
	for _, t := range r.staging {
		l.staging = append(l.staging, graph.NewTensor(t).Data)
	}
	pick := func(ids []int) []backend.Buffer {
		list := make([]backend.Buffer, len(ids))
		for i, id := range ids {
			list[i] = l.bufs[id]
		}
		return list
	}
	for _, f := range r.flows {
		l.in, l.out = append(l.in, pick(f.in)), append(l.out, pick(f.out))
	}
	return l, nil
}

func (l *lane) close() error {
	var errs []error
	for _, b := range l.bufs {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// runState is what one run needs beside the program. It is used again.
type runState struct {
	held    []*buffer
	in, out [][]byte
	next    []atomic.Int64 // by route: the next chunk to do
	failed  atomic.Bool
	others  sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

// reset makes it ready for a run of p.
func (s *runState) reset(p *program) {
	if len(s.next) != len(p.routes) {
		s.next = make([]atomic.Int64, len(p.routes))
	}
	for i := range s.next {
		s.next[i].Store(0)
	}
	s.failed.Store(false)
	s.errs = s.errs[:0]
}

func (s *runState) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
	s.failed.Store(true)
}

// run does all chunks and returns when nothing of the run goes on any more. Where there is one chunk the calling goroutine does it, and
// nothing is allocated.
//
// Errors: those of the members, of a lost one first; the context's.
func (p *program) run(ctx context.Context, s *runState) error {
	s.reset(p)
	if len(p.routes) > 0 {
		for i, r := range p.routes {
			for w := range min(r.chunks, r.most) {
				if i+w > 0 {
					r.help(ctx, s, i)
				}
			}
		}
		p.routes[0].work(ctx, s, 0)
		s.others.Wait()
	}
	if len(s.errs) > 0 {
		return s.verdict(ctx)
	}
	for _, c := range p.copies {
		copy(s.out[c.to.i], s.tensor(c.from))
	}
	return nil
}

// help does chunks on another goroutine.
func (r *route) help(ctx context.Context, s *runState, i int) {
	s.others.Go(func() { r.work(ctx, s, i) })
}

// verdict is the error that counts of those of a run.
func (s *runState) verdict(ctx context.Context) error {
	for _, err := range s.errs {
		if lostBy(err) != nil {
			return errors.Join(s.errs...)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.errs[0]
}

// work does chunks until there are none or something fails.
func (r *route) work(ctx context.Context, s *runState, i int) {
	var l *lane
	for !s.failed.Load() {
		c := int(s.next[i].Add(1)) - 1
		if c >= r.chunks {
			break
		}
		var err error
		if l == nil {
			l, err = r.take(ctx)
		}
		if err == nil {
			err = r.do(ctx, l, s, c)
		}
		if err != nil {
			s.fail(err)
		}
	}
	if l != nil {
		r.free <- l
	}
}

// do does one chunk.
func (r *route) do(ctx context.Context, l *lane, s *runState, chunk int) error {
	for i := range r.steps {
		if err := r.step(ctx, &r.steps[i], l, s, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (r *route) step(ctx context.Context, t *flowStep, l *lane, s *runState, chunk int) error {
	switch t.kind {
	case runPart:
		part := &r.parts[t.part]
		if err := part.exec.Run(ctx, l.in[t.part], l.out[t.part]); err != nil {
			return fmt.Errorf("run %s: %w", part.what, at(part.member, err))
		}
	case upload:
		if err := l.bufs[t.buf].Write(ctx, r.memory(l, s, t.host, chunk)); err != nil {
			return fmt.Errorf("upload for %s: %w", r.parts[t.part].what, at(r.bufs[t.buf].member, err))
		}
	case download:
		if err := l.bufs[t.buf].Read(ctx, r.memory(l, s, t.host, chunk)); err != nil {
			return fmt.Errorf("download from %s: %w", r.parts[t.part].what, at(r.bufs[t.buf].member, err))
		}
	}
	return nil
}

// memory is the place of a chunk's tensor in host memory.
func (r *route) memory(l *lane, s *runState, at hostPlace, chunk int) []byte {
	if at.kind == inStaging {
		return l.staging[at.i]
	}
	data := s.tensor(at)
	if r.whole {
		return data
	}
	sample := len(data) / r.batch
	from := (r.first + chunk*r.chunk) * sample
	return data[from : from+r.chunk*sample]
}

func (s *runState) tensor(at hostPlace) []byte {
	if at.kind == inInput {
		return s.in[at.i]
	}
	return s.out[at.i]
}
