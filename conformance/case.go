package conformance

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
)

// Case is one thing that must hold. Its fields are read-only.
type Case struct {
	Name    string  // unique; parts separated by slashes, the first says what is tested: "conv2d/…", "contract/…"
	Reason  string  // why the case exists
	Class   Class   // how it is judged
	Profile Profile // the smallest profile that has it
	Values  Values  // what the inputs hold
	// ClosesDevice tells that the case closes the device it is given: it needs one of its own.
	ClosesDevice bool
	// OpensDevice tells that the case opens a second device beside the one it is given, and closes it.
	OpensDevice bool

	build func() (*graph.Graph, error)        // the graph, without data as a rule
	bind  func(*Case) (*graph.Graph, error)   // nil: bindSeeded
	check func(context.Context, *bench) error // nil: checkNumbers

	inputs func(*graph.Graph) [][]float32 // nil: seeded by Values
	stream string                         // what the seeded numbers are named after; "" for Name
}

// Graph builds the graph of the case, with its parameters bound. Every call gives an equal graph.
func (c *Case) Graph() (*graph.Graph, error) {
	bind := c.bind
	if bind == nil {
		bind = bindSeeded
	}
	g, err := bind(c)
	if err != nil {
		return nil, fmt.Errorf("build case %q: %w", c.Name, err)
	}
	return g, nil
}

// numbers is the name of the seeded numbers: cases of one name here have the same.
func (c *Case) numbers() string {
	if c.stream != "" {
		return c.stream
	}
	return c.Name
}

// Class says how a case is judged. The zero value is invalid.
type Class uint8

// The classes.
const (
	InvalidClass Class = iota
	ClassA             // each element within the bound of float32 sums in any order (class B: of a transform); see package reference
	Exact              // each element equal: whole numbers, so that no float32 sum is rounded in whatever order
	Agreement          // whole networks: relative L2 error, greatest error and first class against the float64 run
	Bits               // the device's results are the same bits each time
	Behaviour          // the promised error or effect, no numbers
)

var classNames = []string{"invalid", "class A", "exact", "agreement", "bits", "behaviour"}

// String returns "class A", "exact", "agreement", "bits" or "behaviour".
func (c Class) String() string { return nameOf(classNames, int(c)) }

// Profile is how much is run: each profile has all cases of those before it. The zero value is Quick.
type Profile uint8

// The profiles.
const (
	Quick Profile = iota // under a minute on a software driver
	Full                 // everything with a bound: minutes
	Long                 // more random geometry, more replays
)

var profileNames = []string{"quick", "full", "long"}

// String returns "quick", "full" or "long".
func (p Profile) String() string { return nameOf(profileNames, int(p)) }

// ParseProfile is the inverse of [Profile.String].
func ParseProfile(s string) (Profile, error) {
	for i, n := range profileNames {
		if n == s {
			return Profile(i), nil
		}
	}
	return Quick, fmt.Errorf("read profile: want %s, got %.40q", strings.Join(profileNames, ", "), s)
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("invalid(%d)", i)
}

// Cases returns every case of the suite, in the order in which they run: small before large. The slice is the caller's.
func Cases() []Case { return append([]Case(nil), allCases()...) }

var allCases = sync.OnceValue(func() []Case {
	t := &table{seen: map[string]bool{}}
	t.contract()
	t.elementwise()
	t.pools()
	t.linear()
	t.family()
	t.conv()
	t.blocks()
	t.familyBlocks()
	t.mutation()
	t.runs()
	t.aliases()
	t.networks()
	return t.cases
})

// Select returns the cases of a profile that a filter means: all when it is empty, the one of exactly that name, or
// those whose names the regular expression matches.
//
// Errors: a filter that is no regular expression, or that no case of the profile matches.
func Select(cases []Case, p Profile, filter string) ([]Case, error) {
	for _, c := range cases {
		if c.Name == filter {
			return []Case{c}, nil // of whatever profile: it was asked for by name
		}
	}
	re, err := regexp.Compile(filter)
	if err != nil {
		return nil, fmt.Errorf("read filter: %w", err)
	}
	var out []Case
	for _, c := range cases {
		if c.Profile <= p && re.MatchString(c.Name) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("select cases: no case of profile %v matches %q", p, filter)
	}
	return out, nil
}

// table collects cases.
type table struct {
	cases []Case
	seen  map[string]bool
}

// add adds a case unless one of that name is there: tables overlap, and the first reason stands.
func (t *table) add(c Case) {
	if t.seen[c.Name] {
		return
	}
	t.seen[c.Name] = true
	t.cases = append(t.cases, c)
}

// op adds a case of one op: the first value of types is the input x, params come after it, with names by their role.
func (t *table) op(p Profile, reason string, v Values, op graph.Op, geometry string, x graph.TensorType, rest ...port) {
	types := []graph.TensorType{x}
	for _, r := range rest {
		types = append(types, r.typ)
	}
	if _, err := graph.Infer(op, types...); err != nil {
		panic(fmt.Sprintf("conformance: bug: %s %s: %v", op.Name(), geometry, err))
	}
	t.add(Case{
		Name: fmt.Sprintf("%s/%s/%v", op.Name(), geometry, v), Reason: reason, Profile: p, Values: v, Class: classOf(op, v),
		build: func() (*graph.Graph, error) {
			b := graph.NewBuilder(op.Name())
			in := []*graph.Value{b.Input("x", x)}
			for _, r := range rest {
				if r.input {
					in = append(in, b.Input(r.name, r.typ))
				} else {
					in = append(in, b.Param(r.name, r.typ, nil))
				}
			}
			b.Output(b.Node("y", op, in...))
			return b.Build()
		},
	})
}

// port is an operand of an op after the first.
type port struct {
	name  string
	typ   graph.TensorType
	input bool // an input of the graph, else a parameter
}

// classOf is Exact for whole numbers where the op only adds, multiplies and compares.
func classOf(op graph.Op, v Values) Class {
	if v != Integers {
		return ClassA
	}
	switch op.(type) {
	case graph.BatchNorm, graph.GroupNorm, graph.Gate, graph.SplitAttention, graph.AvgPool, graph.GlobalAvgPool, graph.Softmax:
		return ClassA
	}
	return Exact
}
