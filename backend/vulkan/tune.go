package vulkan

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
)

// TuneMode says whether kernels are chosen by what was measured on the device. Whatever is chosen has proved itself.
type TuneMode uint8

// The modes.
const (
	TuneOff    TuneMode = iota // by rule
	TuneCached                 // by what was measured before, by rule where nothing was; nothing is measured
	TuneQuick                  // measure a few candidates of each layer, some seconds in all
	TuneFull                   // measure every candidate of each layer, some minutes in all
)

var tuneNames = []string{"off", "cached", "quick", "full"}

// String returns "off", "cached", "quick" or "full".
func (m TuneMode) String() string {
	if int(m) < len(tuneNames) {
		return tuneNames[m]
	}
	return fmt.Sprintf("tunemode(%d)", uint8(m))
}

// ParseTuneMode is the inverse of String.
func ParseTuneMode(text string) (TuneMode, error) {
	if i := slices.Index(tuneNames, text); i >= 0 {
		return TuneMode(i), nil
	}
	return TuneOff, fmt.Errorf("want one of %v, got %.40q", tuneNames, text)
}

// Tuning is how a device chooses kernels.
type Tuning struct {
	Mode TuneMode
	// Budget bounds the time of measuring, in each Compile; 0 is 3 s for quick and 5 min for full. Layers are measured in the order of
	// their work, and those that the time does not suffice for keep the rule's choice until a later Compile.
	Budget time.Duration
	// On, when not nil, is called after each shape of layer, from within Compile.
	On func(TuneEvent)
}

// Tuner is an ability of the devices of this backend.
type Tuner interface {
	// SetTuning changes how later Compiles choose kernels.
	SetTuning(Tuning)
}

var _ Tuner = (*device)(nil)

// TuneEvent says how the kernels of one shape came out.
type TuneEvent struct {
	Done, Total int    // shapes; Done counts this one
	Shape       string // operation, attributes and types of the operands
	Nodes       int    // of the graph that have it
	Cached      bool   // measured before
	Skipped     bool   // not measured, as the budget was spent
	Measured    []TuneTime
	Chosen      int // the best of Measured; 0 is the rule's own choice
}

// TuneTime is how long a kernel took.
type TuneTime struct {
	Kernel         string
	Median, Spread float64 // seconds; Spread is half the distance between the quartiles
	Samples        int
}

// SetTuning changes how later Compiles choose kernels.
func (d *device) SetTuning(t Tuning) { d.tuning.Store(&t) }

// runner is a shape of a graph whose candidates are to be measured.
type runner struct {
	shape string
	node  *graph.Node
	rule  string
	nodes int
	work  float64
}

// effort is how thorough a mode is.
type effort struct {
	budget     time.Duration
	candidates int
	samples    int
}

func effortOf(t Tuning) effort {
	e := effort{3 * time.Second, 4, 5}
	if t.Mode == TuneFull {
		e = effort{5 * time.Minute, math.MaxInt, 11}
	}
	if t.Budget > 0 {
		e.budget = t.Budget
	}
	return e
}

// race measures the candidates of the graph's shapes, and tells how it came out. p is the plan that the rule makes.
func (o *outcomes) race(ctx context.Context, opt plan.Options, g *graph.Graph, p *plan.Plan, t Tuning) error {
	part, err := withBatch(g, p, p.Chunk)
	if err != nil || len(p.Choices) == 0 {
		return err
	}
	runners := o.runners(opt, part, p)
	e := effortOf(t)
	end := time.Now().Add(e.budget)
	for i, r := range runners {
		event := TuneEvent{Done: i + 1, Total: len(runners), Shape: r.shape, Nodes: r.nodes}
		result, ok := o.raced(r, t.Mode)
		switch {
		case ok:
			event.Cached = true
		case t.Mode == TuneCached || time.Now().After(end):
			event.Skipped = true
		default:
			if result, err = o.measure(ctx, opt, r, e, end); err != nil {
				return fmt.Errorf("measure kernels of node %q (%s): %w", r.node.Name, r.node.Op.Name(), err)
			}
			result.Full = t.Mode == TuneFull
			o.mu.Lock()
			o.known.AddRace(result)
			o.fresh = true
			o.mu.Unlock()
			o.save() // it took long
		}
		for _, m := range result.Timings {
			event.Measured = append(event.Measured, TuneTime{m.Kernel, m.Median, m.Spread, m.Samples})
		}
		event.Chosen = result.Best()
		if t.On != nil {
			t.On(event)
		}
	}
	return nil
}

// runners are the shapes for which there is a choice, those with the most work first.
func (o *outcomes) runners(opt plan.Options, g *graph.Graph, p *plan.Plan) []*runner {
	var list []*runner
	byShape := map[string]*runner{}
	for i, n := range g.Nodes {
		op, ok := n.Op.(graph.Conv2D)
		if !ok || p.Choices[i] == "" {
			continue
		}
		shape := shapeOf(n)
		if r := byShape[shape]; r != nil {
			r.nodes++
			continue
		}
		all, err := plan.Candidates(o.dev.limits, opt, n)
		if err != nil || len(all) < 2 {
			continue
		}
		taps := n.Inputs[1].Type.Shape.Elems() / max(1, n.Inputs[1].Type.Shape.Dim(0))
		r := &runner{shape: shape, node: n, rule: p.Choices[i], nodes: 1, work: float64(n.Output.Type.Shape.Elems()) * float64(taps) / float64(op.Groups)}
		byShape[shape] = r
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(a, b *runner) int { return cmp.Compare(b.work*float64(b.nodes), a.work*float64(a.nodes)) })
	return list
}

// raced returns what was measured before, if it still holds.
func (o *outcomes) raced(r *runner, mode TuneMode) (tune.Race, bool) {
	hash := o.hash(r.node, r.shape, r.rule)
	o.mu.Lock()
	defer o.mu.Unlock()
	old, ok := o.known.Race(o.raceOf(r.shape))
	if !ok || mode == TuneFull && !old.Full || old.Seconds(r.rule, hash) == 0 {
		return tune.Race{}, false
	}
	return old, true
}

// measure lets the candidates of a shape run in turns, so that whatever else the machine does slows all of them alike.
func (o *outcomes) measure(ctx context.Context, opt plan.Options, r *runner, e effort, end time.Time) (race tune.Race, err error) {
	race = tune.Race{Shape: o.raceOf(r.shape), When: time.Now().Unix()}
	list, err := o.contenders(ctx, opt, r, e, end)
	defer func() {
		for _, c := range slices.Backward(list) { // the first has the buffers of all
			c.trial.close()
		}
	}()
	if err != nil {
		return race, err
	}
	if err := turns(ctx, list, e.samples, end); err != nil {
		return race, err
	}
	for _, c := range list {
		median, spread := quartiles(c.samples)
		race.Timings = append(race.Timings, tune.Timing{Kernel: c.name, Hash: c.hash, Median: median, Spread: spread, Samples: len(c.samples)})
	}
	return race, confirm(ctx, list, &race, 2*e.samples)
}

// turns takes samples of the contenders, one of each a round. When the time is up it makes the least number of rounds full.
func turns(ctx context.Context, list []*contender, rounds int, end time.Time) error {
	for round := range rounds {
		for _, c := range list {
			s, err := c.measure(ctx)
			if err != nil {
				return err
			}
			c.samples = append(c.samples, s)
		}
		if round >= minSamples-1 && time.Now().After(end) {
			break
		}
	}
	return nil
}

// confirm lets whoever seems to be faster than the rule's choice run against it alone, for so many rounds more: of many that are equally
// fast one always seems to be the fastest, and a few samples on a busy machine prove little. What does not last counts as no faster.
func confirm(ctx context.Context, list []*contender, race *tune.Race, rounds int) error {
	rule := race.Timings[0]
	confirmed := map[int]bool{}
	for range maxConfirmed {
		best := race.Best()
		if best == 0 || confirmed[best] {
			break
		}
		pair := []*contender{list[0], list[best]}
		pair[0].samples, pair[1].samples = nil, nil
		if err := turns(ctx, pair, rounds, time.Now().Add(time.Hour)); err != nil {
			return err
		}
		confirmed[best] = true
		ratios := make([]float64, rounds) // within a round, so that a slow spell does not count
		for i := range ratios {
			ratios[i] = pair[1].samples[i] / pair[0].samples[i]
		}
		ratio, spread := quartiles(ratios)
		t := &race.Timings[best]
		t.Median, t.Spread, t.Samples = rule.Median*ratio, rule.Median*spread, rounds
	}
	for i := range race.Timings {
		if t := &race.Timings[i]; i > 0 && !confirmed[i] && tune.Faster(*t, rule) {
			t.Median = rule.Median
		}
	}
	return nil
}

const (
	maxConfirmed = 4   // contenders; others count as no faster
	hopeless     = 2.5 // times the best so far in the first run that counts: not worth further ones
	minSamples   = 3
)

// quartiles returns the median, and half the distance between the quartiles.
func quartiles(samples []float64) (median, spread float64) {
	s := slices.Sorted(slices.Values(samples))
	at := func(q float64) float64 {
		x := q * float64(len(s)-1)
		i := int(x)
		if i+1 >= len(s) {
			return s[len(s)-1]
		}
		return s[i] + (x-float64(i))*(s[i+1]-s[i])
	}
	return at(0.5), (at(0.75) - at(0.25)) / 2
}

// why says in a few words what a measurement says for a kernel.
func why(r tune.Race, kernel string) string {
	i := slices.IndexFunc(r.Timings, func(t tune.Timing) bool { return t.Kernel == kernel })
	switch {
	case i < 0:
		return ""
	case i > 0 && tune.Faster(r.Timings[i], r.Timings[0]):
		return fmt.Sprintf("measured: %.2fx faster than %s", r.Timings[0].Median/r.Timings[i].Median, r.Timings[0].Kernel)
	case i == 0:
		return fmt.Sprintf("measured: the rule's choice, of %d measured", len(r.Timings))
	}
	return fmt.Sprintf("measured: as fast as %s, and in the format that its neighbours have", r.Timings[0].Kernel)
}
