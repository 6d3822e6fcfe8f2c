package schedule

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// profiled is an executable all of whose parts can tell their times.
type profiled struct{ *executable }

var _ backend.Profiler = profiled{}

// Profile runs once, everything one after the other, and returns the members' times of the nodes with copies among them: those have the name of
// the value and the time that the call took. The times of several chunks or shares follow each other.
func (e profiled) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	times, err := e.profile(ctx, in, out)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", e.name, err)
	}
	return times, nil
}

func (e profiled) profile(ctx context.Context, in, out []backend.Buffer) (times []backend.NodeTime, err error) {
	s, err := e.begin()
	if err != nil {
		return nil, err
	}
	defer e.end(s)
	if err := s.hold(ctx, e.executable, in, out); err != nil {
		return nil, err
	}
	p := e.use()
	defer e.unuse(p)
	for _, r := range p.routes {
		l, err := r.take(ctx)
		if err != nil {
			return nil, err
		}
		for chunk := 0; err == nil && chunk < r.chunks; chunk++ {
			times, err = r.profile(ctx, times, l, s, chunk)
		}
		r.free <- l
		if err != nil {
			e.dev.loseAll([]error{err})
			return nil, err
		}
	}
	for _, c := range p.copies {
		copy(s.out[c.to.i], s.tensor(c.from))
	}
	return times, nil
}

// profile does one chunk as do does, and appends the times.
func (r *route) profile(ctx context.Context, times []backend.NodeTime, l *lane, s *runState, chunk int) ([]backend.NodeTime, error) {
	for i := range r.steps {
		t := &r.steps[i]
		if t.kind != runPart {
			start := stopwatch.Now()
			if err := r.step(ctx, t, l, s, chunk); err != nil {
				return times, err
			}
			b := r.bufs[t.buf]
			kernel := map[stepKind]string{upload: "copy to ", download: "copy from "}[t.kind] + b.member.name
			times = append(times, backend.NodeTime{Node: b.name, Kernel: kernel, Seconds: stopwatch.Since(start).Seconds()})
			continue
		}
		part := &r.parts[t.part]
		profiler, ok := part.exec.(backend.Profiler)
		if !ok { // it was compiled again for other members
			return times, fmt.Errorf("profile %s: device %q: %w", part.what, part.member.name, backend.Unsupported("profile", "a device that tells times", "one that does not"))
		}
		list, err := profiler.Profile(ctx, l.in[t.part], l.out[t.part])
		if err != nil {
			return times, fmt.Errorf("profile %s: %w", part.what, at(part.member, err))
		}
		for _, n := range list {
			n.Kernel = part.member.name + ": " + n.Kernel
			times = append(times, n)
		}
	}
	return times, nil
}

// profiles tells whether every part can tell its times.
func (p *program) profiles() bool {
	for _, r := range p.routes {
		for _, c := range r.parts {
			if _, ok := c.exec.(backend.Profiler); !ok {
				return false
			}
		}
	}
	return true
}
