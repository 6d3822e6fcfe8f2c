package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

func op(names ...string) func(*graph.Node) bool {
	return func(n *graph.Node) bool {
		for _, name := range names {
			if n.Op.Name() == name {
				return true
			}
		}
		return false
	}
}

// TestAnyCutGivesTheSameBits runs random graphs and networks over devices that refuse this and that, cut in many ways.
func TestAnyCutGivesTheSameBits(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 23))
	graphs := []*graph.Graph{small(t, 1), small(t, 6)}
	for range 20 {
		graphs = append(graphs, randomGraph(t, r, 1+r.IntN(14)))
	}
	for i, g := range graphs {
		want := alone(t, g, 5)
		for _, split := range []Split{Auto, ByGraph, ByBatch} {
			t.Run(fmt.Sprintf("%d/%v", i, split), func(t *testing.T) {
				refused := map[string]int{}
				for _, n := range g.Nodes {
					refused[n.Name] = r.IntN(4)
				}
				a, b, c := newFake(t, "a"), newFake(t, "b"), newFake(t, "c")
				a.refuse = func(n *graph.Node) bool { return refused[n.Name]&1 != 0 }
				b.refuse = func(n *graph.Node) bool { return refused[n.Name]&2 != 0 }
				d := schedule(t, Options{Devices: members(a, b), Fallback: Member{Device: c}, Split: split, Rates: freeMoves})
				s := open(t, d, g)
				for range 2 {
					sameBytes(t, "schedule", s.mustRun(t, 5), want)
				}
			})
		}
	}
}

// TestWorkStaysWithTheChosen: the estimate would give the whole graph to the fallback, which is as fast and needs no copies.
func TestWorkStaysWithTheChosen(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.refuse = op("relu", "add", "global_avg_pool", "avg_pool", "max_pool", "flatten")
	var log journal
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: b}, Logger: log.logger()})
	for _, batch := range []int{1, 2} {
		g := small(t, batch)
		open(t, d, g).mustRun(t, 1)
		plan, err := d.Plan(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		on := map[string]string{}
		for _, r := range plan.Routes {
			for _, p := range r.Parts {
				for _, n := range p.Nodes {
					on[n] = p.Device
				}
			}
		}
		for _, n := range g.Nodes {
			if isWork(n.Op) && on[n.Name] != "a" {
				t.Errorf("batch %d: %s (%s) is on %q", batch, n.Name, n.Op.Name(), on[n.Name])
			}
		}
		if b.runs.Load() == 0 {
			t.Error("nothing ran on the fallback")
		}
	}
	if n := strings.Count(log.String(), "run on the fallback"); n != 1 {
		t.Errorf("said %d times for two batch sizes, want once: %s", n, &log)
	}
}

func TestFallbackIsForNodesThatNobodyElseHas(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.refuse = op("global_avg_pool", "avg_pool")
	var log journal
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: b}, Rates: steep("a"), Logger: log.logger()})
	g := small(t, 2)
	want := alone(t, g, 1)
	for range 2 {
		sameBytes(t, "with a fallback", open(t, d, g).mustRun(t, 1), want)
	}
	if a.runs.Load() == 0 || b.runs.Load() == 0 {
		t.Errorf("got %d runs on the device and %d on the fallback", a.runs.Load(), b.runs.Load())
	}
	if n := strings.Count(log.String(), "run on the fallback"); n != 1 || !strings.Contains(log.String(), "avgpool") {
		t.Errorf("said %d times, want once, with the node's name: %s", n, &log)
	}
	// A graph that the chosen device has does not touch the fallback.
	before := len(b.compiled)
	open(t, d, parse(t, "input %x : float32[2,3]", "%y = relu(%x)", "output %y")).mustRun(t, 1)
	if len(b.compiled) != before {
		t.Error("the fallback has a part of a graph that does not need it")
	}
}

func TestWithoutFallbackTheErrorNamesNodesAndReasons(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.refuse, b.refuse = op("linear", "avg_pool", "global_avg_pool"), op("linear")
	d := schedule(t, Options{Devices: members(a, b)})
	g := small(t, 1)
	_, err := tryOpen(t, d, g)
	if !backend.IsUnsupported(err) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`node "fc" (linear)`, "a: ", "one that a has", "b: ", "one that b has", "no fallback"} {
		if !contains(err, want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if contains(err, "avgpool") {
		t.Errorf("got %v, which names a node that b has", err)
	}
	if _, err := d.Plan(t.Context(), g); !backend.IsUnsupported(err) {
		t.Errorf("plan: got %v", err)
	}
	for _, n := range g.Nodes {
		if err := d.Supports(n); backend.IsUnsupported(err) != (n.Name == "fc") {
			t.Errorf("supports %q: got %v", n.Name, err)
		}
	}
}

func TestRulesForce(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	b.refuse = op("linear")
	var log journal
	d := schedule(t, Options{Devices: members(a, b), Rates: steep("a"), Logger: log.logger(), Place: []Rule{{"layer*.conv2", "b"}, {"layer2*", "a"}, {"layr*", "b"}}})
	g := small(t, 4)
	sameBytes(t, "forced", open(t, d, g).mustRun(t, 3), alone(t, g, 3))
	if strings.Count(log.String(), "fits none") != 1 || !strings.Contains(log.String(), "layr*=b") {
		t.Errorf("a rule that fits no node is not told: %s", &log)
	}
	for _, part := range b.compiled {
		for _, n := range part.Nodes {
			if !strings.Contains(n.Name, "relu2") && !strings.Contains(n.Name, "bn2") {
				t.Errorf("node %q is on b", n.Name)
			}
		}
	}
	if len(b.compiled) < 9 {
		t.Errorf("b has %d parts, want one a block", len(b.compiled))
	}
	other := newFake(t, "b")
	other.refuse = op("linear")
	d = schedule(t, Options{Devices: members(newFake(t, "a"), other), Place: []Rule{{"fc", "b"}}})
	if _, err := tryOpen(t, d, g); !backend.IsUnsupported(err) || !contains(err, `"fc"`) || !contains(err, "forced") {
		t.Errorf("got %v", err)
	}
	if err := d.Supports(g.Nodes[len(g.Nodes)-1]); !backend.IsUnsupported(err) {
		t.Errorf("got %v", err)
	}
}

func TestADeviceThatRefusesWhatItClaimed(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.compile = func(*graph.Graph) error { return backend.Unsupported("weather", "sun", "rain") }
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: b}})
	_, err := tryOpen(t, d, small(t, 1))
	if err == nil || backend.IsUnsupported(err) || !contains(err, `device "a"`) || !contains(err, "weather") || !contains(err, "said that it supports") {
		t.Errorf("got %v", err)
	}
	a.compile = func(*graph.Graph) error { return fmt.Errorf("compile: %w", backend.ErrOutOfMemory) }
	if _, err := tryOpen(t, d, small(t, 1)); !isAny(err, backend.ErrOutOfMemory) {
		t.Errorf("got %v", err)
	}
}

func TestSharesFollowTheMeasuredSpeed(t *testing.T) {
	var c clock
	fast, slow, idle := c.tick(newFake(t, "fast"), time.Second), c.tick(newFake(t, "slow"), 3*time.Second), newFake(t, "idle")
	d := schedule(t, Options{Devices: members(fast, slow), Fallback: Member{Device: idle}, now: c.time})
	g := small(t, 8)
	p, err := d.Plan(t.Context(), g)
	if err != nil || p.Measured || p.Split != ByBatch || len(p.Routes) != 2 {
		t.Fatalf("before: got %+v, %v", p, err)
	}
	s := open(t, d, g)
	if p, err = d.Plan(t.Context(), g); err != nil || !p.Measured || len(p.Routes) != 2 {
		t.Fatalf("after: got %+v, %v", p, err)
	}
	if a, b := p.Routes[0], p.Routes[1]; a.Batch != 6 || b.Batch != 2 || a.First != 0 || b.First != 6 || a.Parts[0].Device != "fast" {
		t.Errorf("got shares %d and %d, want 6 and 2", a.Batch, b.Batch)
	}
	want := alone(t, g, 9)
	sameBytes(t, "divided", s.mustRun(t, 9), want)
	// Speeds change, shares do not: a second executable gives the same bits.
	c.tick(fast, time.Minute)
	again := open(t, d, g)
	sameBytes(t, "second executable", again.mustRun(t, 9), want)
	if q, err := d.Plan(t.Context(), g); err != nil || q.Routes[0].Batch != 6 {
		t.Errorf("later: got %+v, %v", q, err)
	}
	if len(idle.compiled) != 0 {
		t.Error("the fallback has a share")
	}
	// A batch of 1 is not divided.
	if p, err = d.Plan(t.Context(), small(t, 1)); err != nil || p.Split != ByGraph || len(p.Routes) != 1 {
		t.Errorf("batch 1: got %+v, %v", p, err)
	}
}

// TestOrderDoesNotDependOnWhoIsDoneFirst holds the first share back until the other is done.
// until waits for a thing that must happen beside a run; that it never does is the failure of the test that hangs.
// TestCopiesMoveWhileADeviceComputes: the first run is not over before the input of the second is on the device.
// TestTwoDevicesWorkAtOnce: the second device is not done with the first chunk before the first device has begun with the second.
func TestNew(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "at least one device"},
		{Options{Fallback: Member{Device: a}}, "at least one device"},
		{Options{Devices: []Member{{"x", nil}}}, "nil"},
		{Options{Devices: []Member{{"x", a}, {"x", b}}}, "two devices"},
		{Options{Devices: members(a), Place: []Rule{{"*", "b"}}}, "want one of a"},
		{Options{Devices: members(a), Fallback: Member{Name: "b"}}, "want one of a"},
		{Options{Devices: members(a), Fallback: Member{"a", b}}, "two devices"},
		{Options{Devices: make([]Member, maxMembers+1)}, "nil"},
	} {
		if _, err := New(c.o); !contains(err, c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	d := schedule(t, Options{Devices: members(a, newFake(t, "a"), b), Fallback: Member{Name: "b"}})
	if got := strings.Join(d.names(), " "); got != "a a#2 b" || len(d.members) != 3 || !d.recovers {
		t.Errorf("got %s", got)
	}
	if i := d.Info(); i.Backend != "a,a,b" || i.ID != "a-id,a-id,b-id" || i.Name != "a a + a a + a b" || i.Type != backend.CPU {
		t.Errorf("got %+v", i)
	}
	one := schedule(t, Options{Devices: members(newFake(t, "x")), Fallback: Member{Device: newFake(t, "y")}})
	if i := one.Info(); i.Backend != "x" || i.ID != "x-id" || i.Properties["fallback"] != "y" {
		t.Errorf("got %+v", i)
	}
}

func TestClosing(t *testing.T) {
	a := newFake(t, "a")
	d, err := New(Options{Devices: members(a)})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, d, small(t, 1))
	s.mustRun(t, 1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Compile(t.Context(), small(t, 1)); !isAny(err, backend.ErrClosed) {
		t.Errorf("compile: got %v", err)
	}
	if _, err := d.Plan(t.Context(), small(t, 1)); !isAny(err, backend.ErrClosed) {
		t.Errorf("plan: got %v", err)
	}
	if err := s.exec.Run(t.Context(), s.in, s.out); !isAny(err, backend.ErrClosed) {
		t.Errorf("run: got %v", err)
	}
	if err := d.Supports(small(t, 1).Nodes[0]); !isAny(err, backend.ErrClosed) {
		t.Errorf("supports: got %v", err)
	}
	if err := d.Close(); err != nil || a.open.Load() != 0 {
		t.Errorf("second close: %v, %d open", err, a.open.Load())
	}
}

// TestWeightsAreKeptOnce however many batches of a network are compiled, and not at all where nothing could be done with them.
func TestWeightsAreKeptOnce(t *testing.T) {
	d := schedule(t, Options{Devices: members(newFake(t, "a")), Fallback: Member{Device: newFake(t, "b")}})
	g := small(t, 4)
	open(t, d, g)
	count := func() (n int) {
		for _, list := range d.weights.held {
			n += len(list)
		}
		return n
	}
	first := count()
	other, err := g.WithBatch(2)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, d, other)
	if n := count(); n != first || n == 0 {
		t.Errorf("%d tensors after the first, %d after the second", first, n)
	}
	if err := s.exec.Close(); err != nil || count() != first {
		t.Errorf("close: %v, %d tensors left", err, count())
	}
	for _, without := range []Options{{Devices: members(newFake(t, "a"), newFake(t, "b"))}, {Devices: members(newFake(t, "a"))}} {
		d := schedule(t, without)
		if open(t, d, g); len(d.weights.held) != 0 {
			t.Errorf("weights are kept without a fallback")
		}
	}
}

// TestProfile: nodes have the times of their devices, and copies stand between.
