package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Spec describes a case of the caller's own; [NewCase] makes the case of it, and [Options.Cases] adds it to the suite's.
type Spec struct {
	// Name has parts of lower-case letters, digits and _ , . - separated by slashes, at least two, as "mine/conv-7".
	Name    string
	Reason  string // why the case exists; it must not be empty
	Profile Profile
	// Class is how the results are judged: ClassA, Exact, Agreement, Bits (25 runs) or, with Check, Behaviour. 0 is
	// Behaviour with Check and ClassA without.
	Class  Class
	Values Values // what the inputs hold, unless Inputs makes them
	// Graph makes the graph, the same each time. Parameters without data get seeded numbers.
	Graph func() (*graph.Graph, error)
	// Inputs makes the inputs of the graph, in its order; nil for seeded ones.
	Inputs func(g *graph.Graph) [][]float32
	// Check, unless nil, is the whole case: it gets the device and returns what does not hold. An error that wraps
	// backend.ErrUnsupported is a failure as any other: ask the device's Supports before.
	Check func(ctx context.Context, dev backend.Device) error
	// ClosesDevice tells that Check closes the device.
	ClosesDevice bool
}

var legalName = regexp.MustCompile(`^[a-z0-9_]+(/[a-z0-9_,.-]+)+$`)

const longestName = 200

// NewCase makes a case of one's own. It is listed, filtered, judged and reported as the suite's cases are.
//
// Errors: a field that is missing or does not fit, a graph that cannot be built or bound, inputs of another size.
func NewCase(s Spec) (Case, error) {
	fault := func(field, want string, got any) (Case, error) {
		return Case{}, fmt.Errorf("make case %.80q: %s: want %s, got %v", s.Name, field, want, got)
	}
	if !legalName.MatchString(s.Name) || len(s.Name) > longestName {
		return fault("name", "parts of a-z 0-9 _ , . - separated by slashes, at least 2 and at most 200 characters", fmt.Sprintf("%.80q", s.Name))
	}
	if s.Reason == "" {
		return fault("reason", "why the case exists", "none")
	}
	if s.Profile > Long {
		return fault("profile", "quick, full or long", s.Profile)
	}
	if int(s.Values) >= len(valuesNames) {
		return fault("values", "one of the kinds", s.Values)
	}
	if (s.Graph == nil) == (s.Check == nil) {
		return fault("graph", "Graph or Check", map[bool]string{true: "neither", false: "both"}[s.Graph == nil])
	}
	c := Case{Name: s.Name, Reason: s.Reason, Class: s.Class, Profile: s.Profile, Values: s.Values, ClosesDevice: s.ClosesDevice}
	if s.Check != nil {
		if c.Class != InvalidClass && c.Class != Behaviour {
			return fault("class", "behaviour for a case with Check", s.Class)
		}
		c.Class = Behaviour
		c.build = func() (*graph.Graph, error) { return nil, errors.New("the case has no graph") }
		c.check = func(ctx context.Context, b *bench) error { return noRefusal(s.Check(ctx, b.dev)) }
		return c, nil
	}
	switch s.Class {
	case InvalidClass:
		c.Class = ClassA
	case ClassA, Exact:
	case Agreement:
		c.check = checkWhole
	case Bits:
		c.check = func(ctx context.Context, b *bench) error { return checkReplay(ctx, b, 25) }
	default:
		return fault("class", "class A, exact, agreement or bits for a case with Graph", s.Class)
	}
	if s.ClosesDevice {
		return fault("closes device", "Check", "Graph")
	}
	c.build, c.inputs = s.Graph, s.Inputs
	return c, c.tryGraph()
}

// tryGraph builds the graph and the inputs of a case once.
func (c *Case) tryGraph() error {
	g, err := c.Graph()
	if err != nil {
		return err
	}
	in := c.Inputs(g)
	if len(in) != len(g.Inputs) {
		return fmt.Errorf("make case %q: inputs: want %d, got %d", c.Name, len(g.Inputs), len(in))
	}
	for i, v := range g.Inputs {
		if v.Type.DType != graph.Float32 {
			return fmt.Errorf("make case %q: input %q: want %v, got %v", c.Name, v.Name, graph.Float32, v.Type.DType)
		}
		if n := v.Type.Shape.Elems(); len(in[i]) != n {
			return fmt.Errorf("make case %q: input %q: want %d elements for %v, got %d", c.Name, v.Name, n, v.Type, len(in[i]))
		}
	}
	return nil
}

// noRefusal keeps what a caller's check returns from counting as a refusal by the device.
func noRefusal(err error) error {
	if IsRefusal(err) {
		return noWrap(err)
	}
	return err
}

// checkWhole compares the outputs of the graph with the float64 run, as those of whole networks.
func checkWhole(ctx context.Context, b *bench) error {
	g, err := b.c.Graph()
	if err != nil {
		return err
	}
	return b.judgeWhole(ctx, g, g, b.c.Inputs(g))
}

// all returns the suite's cases and the caller's own.
func (o Options) all() ([]Case, error) {
	all := allCases()
	if len(o.Cases) == 0 {
		return all, nil
	}
	taken := make(map[string]string, len(all))
	for _, c := range all {
		taken[c.Name] = "a case of the suite"
	}
	out := append([]Case(nil), all...)
	for i, c := range o.Cases {
		if c.build == nil {
			return nil, fmt.Errorf("add case %d (%.80q): want one that NewCase made", i, c.Name)
		}
		if by := taken[c.Name]; by != "" {
			return nil, fmt.Errorf("add case %d: the name %q is taken by %s", i, c.Name, by)
		}
		taken[c.Name] = fmt.Sprintf("case %d of the options", i)
		out = append(out, c)
	}
	return out, nil
}

// Chosen lists the cases that the options choose, the caller's own after the suite's, in the order in which they run.
//
// Errors: as [Select]; a case of the caller's own that NewCase did not make, or whose name is taken; an unknown After.
func (o Options) Chosen() ([]Case, error) {
	p, err := newPlan(o)
	if err != nil {
		return nil, err
	}
	return append([]Case(nil), p.cases...), nil
}

// Weigh holds the outcome of a case that something else ran, a child process for example that may have ended in it,
// against the exceptions of the options: err is nil when it held, else what did not, or how the process ended.
//
// Errors: options that make no sense, a case that they do not choose.
func Weigh(o Options, name string, err error) (Result, error) {
	p, fault := newPlan(o)
	if fault != nil {
		return Result{}, fault
	}
	for i := range p.cases {
		if c := &p.cases[i]; c.Name == name {
			r := Result{Case: c, Err: err}
			if limit, ok := find(p.limits, name); ok {
				r.Status, r.Reason, r.Err = Skipped, limit.Reason, nil
				return r, nil
			}
			p.weigh(&r)
			return r, nil
		}
	}
	return Result{}, fmt.Errorf("weigh outcome: no case %q among those chosen", name)
}
