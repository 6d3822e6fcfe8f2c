package conformance_test

import (
	"context"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
)

func openDevice(ctx context.Context) (backend.Device, error) {
	return reference.New().Open(ctx, "cpu")
}

// TestCases guards the tables: how many cases each profile and each kind has, and that names can be typed.
func TestCases(t *testing.T) {
	all := conformance.Cases()
	names := map[string]bool{}
	kinds := map[string]int{}
	profiles := map[conformance.Profile]int{}
	legal := regexp.MustCompile(`^[a-z0-9_]+(/[a-z0-9_,.-]+)+$`)
	for _, c := range all {
		if names[c.Name] || !legal.MatchString(c.Name) || c.Reason == "" || c.Class == conformance.InvalidClass {
			t.Errorf("case %q: name taken or not legal, or no reason or class: %+v", c.Name, c)
		}
		names[c.Name] = true
		kind, _, _ := strings.Cut(c.Name, "/")
		kinds[kind]++
		profiles[c.Profile]++
	}
	t.Logf("%d cases: quick %d, full %d more, long %d more; %v", len(all), profiles[conformance.Quick], profiles[conformance.Full], profiles[conformance.Long], kinds)
	if profiles[conformance.Quick] < 1500 || profiles[conformance.Full] < 3000 || profiles[conformance.Long] < 2000 {
		t.Errorf("too few cases: %v", profiles)
	}
	for _, op := range graph.OpNames() {
		if kinds[op] < 40 {
			t.Errorf("op %s has %d cases", op, kinds[op])
		}
	}
	for kind, least := range map[string]int{"contract": 24, "block": 60, "network": 26, "replay": 10, "concurrent": 5, "cancel": 3, "outputs": 3, "inputs": 2, "alias": 16, "buffers": 5} {
		if kinds[kind] < least {
			t.Errorf("%s: got %d cases, want at least %d", kind, kinds[kind], least)
		}
	}
}

// TestCasesAreTheSameEachTime builds some cases twice.
func TestCasesAreTheSameEachTime(t *testing.T) {
	for i, c := range conformance.Cases() {
		if i%97 != 0 || c.Class == conformance.Agreement {
			continue
		}
		a, err := c.Graph()
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.Graph()
		if err != nil {
			t.Fatal(err)
		}
		if a.Text() != b.Text() || a == b {
			t.Errorf("%s: two graphs differ, or are one", c.Name)
		}
		for j, p := range a.Params {
			if !slices.Equal(p.Data.Data, b.Params[j].Data.Data) {
				t.Errorf("%s: parameter %s differs", c.Name, p.Name)
			}
		}
		x, y := c.Inputs(a), c.Inputs(b)
		for j := range x {
			if len(x[j]) != a.Inputs[j].Type.Shape.Elems() || !slices.EqualFunc(x[j], y[j], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
				t.Errorf("%s: input %d differs or has another size", c.Name, j)
			}
		}
	}
}

func TestValuesAreWhatTheySay(t *testing.T) {
	input := func(v conformance.Values) []float32 {
		for _, c := range conformance.Cases() {
			if c.Values == v && strings.HasPrefix(c.Name, "relu/n2-c5-h7-w9/") || v == conformance.Integers && c.Values == v && strings.HasPrefix(c.Name, "relu/") {
				g, err := c.Graph()
				if err != nil {
					t.Fatal(err)
				}
				return c.Inputs(g)[0]
			}
		}
		t.Fatalf("no case with %v", v)
		return nil
	}
	count := func(x []float32, is func(float64) bool) (n int) {
		for _, v := range x {
			if is(float64(v)) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		v           conformance.Values
		is          func(float64) bool
		least, most int
	}{
		{conformance.Integers, func(x float64) bool { return x != math.Trunc(x) || math.Abs(x) > 4 }, 0, 0},
		{conformance.Equal, func(x float64) bool { return x == float64(float32(0.7)) }, 630, 630},
		{conformance.OneHot, func(x float64) bool { return x == 1 }, 1, 1},
		{conformance.OneHot, func(x float64) bool { return x == 0 }, 629, 629},
		{conformance.Cancel, func(x float64) bool { return x == 1<<20 }, 294, 294},
		{conformance.Cancel, func(x float64) bool { return x == -1<<20 }, 294, 294},
		{conformance.Subnormal, func(x float64) bool { return x != 0 && math.Abs(x) < 0x1p-126 }, 600, 630},
		{conformance.MinusZero, func(x float64) bool { return x == 0 && math.Signbit(x) }, 504, 504},
		{conformance.HalfLimit, func(x float64) bool { return math.Abs(x) > 65000 && math.Abs(x) <= 65504 }, 630, 630},
		{conformance.NaN, math.IsNaN, 3, 3},
		{conformance.Infinity, func(x float64) bool { return math.IsInf(x, 1) }, 2, 2},
		{conformance.Infinity, func(x float64) bool { return math.IsInf(x, -1) }, 2, 2},
	} {
		if n := count(input(c.v), c.is); n < c.least || n > c.most {
			t.Errorf("%v: %d elements are so, want %d to %d", c.v, n, c.least, c.most)
		}
	}
}

func TestSelect(t *testing.T) {
	all := conformance.Cases()
	one := "replay/200/softmax"
	if got, err := conformance.Select(all, conformance.Quick, one); err != nil || len(got) != 1 || got[0].Name != one {
		t.Errorf("by its name: got %d cases, %v", len(got), err)
	}
	got, err := conformance.Select(all, conformance.Quick, "^replay/.*/softmax$")
	if err != nil || len(got) != 1 || got[0].Name != "replay/25/softmax" {
		t.Errorf("by expression: got %v, %v", got, err)
	}
	if got, err := conformance.Select(all, conformance.Long, ""); err != nil || len(got) != len(all) {
		t.Errorf("all: got %d of %d, %v", len(got), len(all), err)
	}
	for _, bad := range []string{"(", "no such case"} {
		if _, err := conformance.Select(all, conformance.Long, bad); err == nil {
			t.Errorf("filter %q: got no error", bad)
		}
	}
}

// TestExceptions runs one case that fails and one that passes under every kind of exception.
func TestExceptions(t *testing.T) {
	const fails, passes = "softmax/n3-c33/ordinary", "softmax/n3-c33/integers"
	failing := func(ctx context.Context) (backend.Device, error) {
		d, err := openDevice(ctx)
		return &brokenDevice{Device: d, fault: fault{damage: func(s graph.Shape, y []float32) {
			if y[0] < 0.03 { // the first case
				y[0] = 2
			}
		}}}, err
	}
	list := func(names ...string) (out []conformance.Exception) {
		for _, n := range names {
			out = append(out, conformance.Exception{Case: n, Reason: "known"})
		}
		return out
	}
	for _, c := range []struct {
		name    string
		o       conformance.Options
		want    conformance.Summary
		verdict string
	}{
		{"none", conformance.Options{}, conformance.Summary{Run: 2, Passed: 1, Failed: 1}, "1 of 2 cases failed"},
		{"known failure", conformance.Options{KnownFailures: list(fails), Strict: true}, conformance.Summary{Run: 2, Passed: 1, ExpectedFailures: 1}, ""},
		{"unexpected pass", conformance.Options{KnownFailures: list("softmax/.*")}, conformance.Summary{Run: 2, ExpectedFailures: 1, UnexpectedPasses: 1}, ""},
		{"unexpected pass, strict", conformance.Options{KnownFailures: list(fails, passes), Strict: true}, conformance.Summary{Run: 2, ExpectedFailures: 1, UnexpectedPasses: 1}, "1 cases passed that are listed"},
		{"limit", conformance.Options{Limits: list(fails)}, conformance.Summary{Run: 1, Passed: 1, Skipped: 1}, ""},
		{"limits", conformance.Options{Limits: list(fails, passes)}, conformance.Summary{Skipped: 2}, "no case was run"},
		{"a part of a name matches nothing", conformance.Options{Limits: list("softmax/n3-c33")}, conformance.Summary{Run: 2, Passed: 1, Failed: 1}, "1 of 2 cases failed"},
	} {
		c.o.Filter = "^softmax/n3-c33/"
		s, err := conformance.Execute(t.Context(), failing, c.o, func(r conformance.Result) error {
			if (r.Reason == "known") != (r.Status != conformance.Passed && r.Status != conformance.Failed) {
				t.Errorf("%s: %s is %v with reason %q", c.name, r.Case.Name, r.Status, r.Reason)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		v := conformance.Verdict(s, c.o.Strict)
		if s != c.want || (v == nil) != (c.verdict == "") || v != nil && !strings.Contains(v.Error(), c.verdict) {
			t.Errorf("%s: got %v, verdict %v, want %v, %q", c.name, s, v, c.want, c.verdict)
		}
	}
	for want, o := range map[string]conformance.Options{
		"want a reason":                {Limits: []conformance.Exception{{Case: fails}}},
		"error parsing":                {KnownFailures: list("(")},
		"no case of the suite matches": {KnownFailures: list("nothing"), Strict: true},
	} {
		if _, err := conformance.Execute(t.Context(), openDevice, o, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestExecuteStopsWhenToldTo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	s, err := conformance.Execute(ctx, openDevice, conformance.Options{Filter: "^softmax/n3"}, func(conformance.Result) error {
		if n++; n == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || s.Run != 2 {
		t.Errorf("cancelled after two: got %v, %v", s, err)
	}
	stop := errors.New("stop")
	if _, err := conformance.Execute(t.Context(), openDevice, conformance.Options{Filter: "^softmax/n3"}, func(conformance.Result) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("emit failed: got %v", err)
	}
	closed := func(context.Context) (backend.Device, error) { return nil, backend.ErrNoDevice }
	if _, err := conformance.Execute(t.Context(), closed, conformance.Options{}, nil); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("no device: got %v", err)
	}
}

// refusing supports nothing.
type refusing struct{ backend.Device }

var errNothing = backend.Unsupported("op", "none", "one")

func (refusing) Supports(*graph.Node) error { return errNothing }
func (refusing) Compile(context.Context, *graph.Graph) (backend.Executable, error) {
	return nil, errNothing
}

func TestRefusalsAreCountedAndNoPass(t *testing.T) {
	open := func(ctx context.Context) (backend.Device, error) {
		d, err := openDevice(ctx)
		return refusing{d}, err
	}
	s, err := conformance.Execute(t.Context(), open, conformance.Options{Filter: "^(softmax|block/basic-.*/n2|replay|cancel|contract/run)/"}, func(r conformance.Result) error {
		if r.Status != conformance.Refused && r.Case.Name != "cancel/compile" {
			t.Errorf("%s: got %v, %v, want refused", r.Case.Name, r.Status, r.Err)
		}
		return nil
	})
	if err != nil || s.Refused < 100 || s.Run != 1 {
		t.Errorf("got %v, %v", s, err)
	}
	d, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := conformance.Select(conformance.Cases(), conformance.Quick, "softmax/n3-c33/ordinary")
	if err != nil {
		t.Fatal(err)
	}
	if err := conformance.Check(t.Context(), d, c[0]); !conformance.IsRefusal(err) || !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("check: got %v, want a refusal", err)
	}
}

// TestWeightsAreWhatTheySay counts the special numbers among the parameters, for every op that has weights.
func TestWeightsAreWhatTheySay(t *testing.T) {
	subnormal := func(v float64) bool { return v != 0 && math.Abs(v) < 0x1p-126 }
	infinite := func(v float64) bool { return math.IsInf(v, 0) }
	seen := map[string]bool{}
	for _, c := range conformance.Cases() {
		is := map[conformance.Values]func(float64) bool{conformance.WeightSubnormal: subnormal, conformance.WeightNaN: math.IsNaN, conformance.WeightInfinity: infinite}[c.Values]
		if is == nil {
			continue
		}
		g, err := c.Graph()
		if err != nil {
			t.Fatal(err)
		}
		weight := g.Params[0].Data.Float32s()
		n := 0
		for _, v := range weight {
			if is(float64(v)) {
				n++
			}
		}
		if all := c.Values == conformance.WeightSubnormal; all && n < len(weight)*9/10 || !all && n != 2 {
			t.Errorf("%s: %d of %d weights are special", c.Name, n, len(weight))
		}
		for _, v := range c.Inputs(g)[0] {
			if math.Abs(float64(v)) > 4 || v != v {
				t.Errorf("%s: input %g, want ordinary ones", c.Name, v)
			}
		}
		seen[g.Nodes[0].Op.Name()+" "+c.Values.String()] = true
	}
	if len(seen) != 11 { // conv2d, linear and group_norm with three kinds, batch_norm with two
		t.Errorf("got %v", seen)
	}
}

// TestFarMeansFindTheSquareOfTheMeanLessTheMeanOfSquares: a group norm that loses the variance of what lies far from zero fails the cases that are
// for it, and the same with a second pass does not.
func TestFarMeansFindTheSquareOfTheMeanLessTheMeanOfSquares(t *testing.T) {
	seen := 0
	for _, c := range conformance.Cases() {
		if !strings.Contains(c.Name, "/far/") {
			continue
		}
		seen++
		g, err := c.Graph()
		if err != nil {
			t.Fatal(err)
		}
		n, x := g.Nodes[0], c.Inputs(g)[0]
		weight, bias := g.Params[0].Data.Float32s(), g.Params[1].Data.Float32s()
		want, bound, err := reference.Bounds(t.Context(), n, [][]float64{reference.Widen(x), reference.Widen(weight), reference.Widen(bias)})
		if err != nil {
			t.Fatal(err)
		}
		for _, onePass := range []bool{true, false} {
			f := conformance.Judge(n.Name, n.Op.Name(), n.Output.Type.Shape, normalised(n, x, weight, bias, onePass), want, bound)
			if (f.Failed > 0) != onePass {
				t.Errorf("%s, in one pass %v: %d of %d elements failed, the worst error is %.3g of its bound", c.Name, onePass, f.Failed, f.Elements, f.Fraction)
			}
		}
	}
	if seen < 4 {
		t.Errorf("%d cases, want at least 4", seen)
	}
}

// normalised is a group norm in float32.
func normalised(n *graph.Node, x, weight, bias []float32, onePass bool) []float32 {
	op := n.Op.(graph.GroupNorm)
	batch, c, h, w := n.Output.Type.Shape.NCHW()
	size := c / op.Groups * h * w
	y := make([]float32, len(x))
	for first := 0; first < batch*c*h*w; first += size {
		var sum, squares float32
		for _, v := range x[first:][:size] {
			sum += v
			squares += v * v
		}
		mean := sum / float32(size)
		variance := squares/float32(size) - mean*mean
		if !onePass {
			squares = 0
			for _, v := range x[first:][:size] {
				squares += (v - mean) * (v - mean)
			}
			variance = squares / float32(size)
		}
		root := float32(math.Sqrt(max(0, float64(variance)) + op.Epsilon))
		for i, v := range x[first:][:size] {
			ch := (first + i) / (h * w) % c
			y[first+i] = (v-mean)/root*weight[ch] + bias[ch]
			if op.Act == graph.ActReLU {
				y[first+i] = max(y[first+i], 0)
			}
		}
	}
	return y
}
