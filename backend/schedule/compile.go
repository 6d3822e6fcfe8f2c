package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Compile plans the graph and compiles its parts. Where a member may be lost and replaced, it keeps a copy of the weights.
//
// Errors: as [backend.Device]; a refusal names all nodes that no member runs, and what each member says of them.
func (d *Device) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if g == nil {
		return nil, errors.New("compile: want a graph, got nil")
	}
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	if !g.Bound() {
		return nil, fmt.Errorf("compile %q: want a graph with the data of all its parameters, got one without", g.Name)
	}
	if d.closed.Load() {
		return nil, fmt.Errorf("compile %q: %w", g.Name, backend.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("compile %q: %w", g.Name, err)
	}
	p, err := d.build(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("compile %q: %w", g.Name, err)
	}
	e, err := d.adopt(g, p)
	if err != nil {
		return nil, fmt.Errorf("compile %q: %w", g.Name, err)
	}
	if p.profiles() {
		return profiled{e}, nil
	}
	return e, nil
}

// adopt makes the executable of a program. Where a member could take the place of another it keeps the weights.
func (d *Device) adopt(g *graph.Graph, p *program) (*executable, error) {
	e := newExecutable(d, g, p)
	if left, err := d.candidates(); err == nil && d.recovers && len(left) > 1 {
		if e.kept, e.release, err = d.weights.keep(g); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	d.mu.Lock()
	isClosed := d.closed.Load()
	if !isClosed {
		d.children[e] = struct{}{}
	}
	d.mu.Unlock()
	if isClosed {
		return nil, errors.Join(backend.ErrClosed, e.Close())
	}
	return e, nil
}

// survey asks the members that are left about the graph.
func (d *Device) survey(g *graph.Graph) (*survey, error) {
	members, err := d.candidates()
	if err != nil {
		return nil, err
	}
	for _, r := range d.opts.Place {
		if !slices.ContainsFunc(g.Nodes, r.fits) {
			d.once(slog.LevelWarn, "a rule for placing nodes fits none", "graph", g.Name, "rule", r.Nodes+"="+r.Device)
		}
	}
	s, err := ask(g, members, force(g, members, d.opts.Place))
	if err != nil && !d.recovers {
		err = fmt.Errorf("%w (there is no fallback)", err)
	}
	return s, err
}

// maxChanges bounds how often members may refuse what they supported when they were asked.
const maxChanges = 8

// build plans and compiles until it succeeds without losing a member.
func (d *Device) build(ctx context.Context, g *graph.Graph) (*program, error) {
	changes := 0
	for first := true; ; first = false {
		s, err := d.survey(g)
		if err != nil && !first {
			err = afterLoss(err)
		}
		if err != nil {
			return nil, err
		}
		var p *program
		l, err := d.divide(ctx, s)
		if err == nil {
			p, err = d.assemble(ctx, l)
		}
		if m := lostBy(err); m != nil {
			if d.lose(m, err); d.recovers && ctx.Err() == nil {
				continue
			}
		}
		if errors.Is(err, errChanged) && changes < maxChanges && ctx.Err() == nil {
			d.log.Warn("planning again, as a device refuses what it supported before", "graph", g.Name, "error", err)
			changes++
			continue
		}
		if err == nil {
			d.tell(l)
		}
		return p, err
	}
}

// afterLoss makes a loss of the refusal of those that are left: with the lost member nothing was refused.
func afterLoss(err error) error {
	if backend.IsUnsupported(err) {
		return fmt.Errorf("%w, and those that are left do not run everything: %v", backend.ErrDeviceLost, err)
	}
	return err
}

// divide decides how the graph is divided, which may need measurements.
func (d *Device) divide(ctx context.Context, s *survey) (*layout, error) {
	sharing := s.sharing(d.opts.Split)
	if d.opts.Split == ByGraph || len(sharing) == 0 {
		return s.byGraph()
	}
	speeds, err := d.measure(ctx, s, sharing)
	if err != nil {
		return nil, err
	}
	return s.byBatch(speeds)
}

// tell says once what nobody asked for: nodes on the fallback. That no chosen device is left at all was said before.
func (d *Device) tell(l *layout) {
	strays := l.survey.strays
	if len(strays) == 0 || !l.survey.members[0].chosen {
		return
	}
	if !d.first("strays", l.survey.g.Name, strings.Join(strays, " ")) { // another batch size has other shapes in its reasons
		return
	}
	names := strings.Join(strays[:min(len(strays), mostListed)], " ")
	if n := len(strays) - mostListed; n > 0 {
		names += fmt.Sprintf(" and %d more", n)
	}
	var why error
	for i, n := range l.survey.g.Nodes {
		if n.Name == strays[0] {
			why = l.survey.refused[i][0]
		}
	}
	d.log.Warn("nodes that no chosen device supports run on the fallback", "graph", l.survey.g.Name, "count", len(strays), "nodes", names, "because", why)
}

// Plan says what Compile would do, without doing it. The graph need not be bound. Where a batch is to be divided and no speeds were
// measured yet, the shares come from estimates.
//
// Errors: a graph that is not valid, ErrUnsupported, ErrClosed, ErrDeviceLost when no member is left.
func (d *Device) Plan(ctx context.Context, g *graph.Graph) (*Plan, error) {
	if g == nil {
		return nil, errors.New("plan: want a graph, got nil")
	}
	if err := g.Validate(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if d.closed.Load() {
		return nil, fmt.Errorf("plan %q: %w", g.Name, backend.ErrClosed)
	}
	s, err := d.survey(g)
	if err != nil {
		return nil, fmt.Errorf("plan %q: %w", g.Name, err)
	}
	var l *layout
	measured := false
	if sharing := s.sharing(d.opts.Split); d.opts.Split == ByGraph || len(sharing) == 0 {
		l, err = s.byGraph()
	} else {
		var speeds []float64
		if speeds, measured, err = d.knownSpeeds(ctx, s, sharing); err == nil {
			l, err = s.byBatch(speeds)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("plan %q: %w", g.Name, err)
	}
	return d.report(l, measured), nil
}
