package schedule

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

func buffersFor(t testing.TB, d backend.Device, e backend.Executable) *session {
	t.Helper()
	s := &session{exec: e, sig: e.Signature()}
	for _, p := range s.sig.Inputs {
		b, err := d.NewBuffer(t.Context(), p.Type)
		if err != nil {
			t.Fatal(err)
		}
		s.in = append(s.in, b)
	}
	for _, p := range s.sig.Outputs {
		b, err := d.NewBuffer(t.Context(), p.Type)
		if err != nil {
			t.Fatal(err)
		}
		s.out = append(s.out, b)
	}
	return s
}

// TestALostDeviceIsReplaced at every moment: the results are those of one device, the lost one is not asked again, and it is said once.
func TestALostDeviceIsReplaced(t *testing.T) {
	middle := op("global_avg_pool", "avg_pool")
	for _, c := range []struct {
		name  string
		split Split
		a, b  func(*graph.Node) bool // what they refuse; c has everything
		at    int64                  // run of a that fails
		err   error
		place []Rule
	}{
		{"first run", ByGraph, nothing, nothing, 1, backend.ErrDeviceLost, nil},
		{"third run", ByGraph, nothing, nothing, 3, backend.ErrDeviceLost, nil},
		{"a plugin", ByGraph, nothing, nothing, 2, backend.ErrPluginExited, nil},
		{"between two parts", ByGraph, middle, nothing, 2, backend.ErrDeviceLost, nil},
		{"in the third chunk of four", ByGraph, middle, nothing, 5, backend.ErrDeviceLost, nil},
		{"forced to it", ByGraph, nothing, nothing, 3, backend.ErrDeviceLost, []Rule{{"*.conv2", "a"}, {"*", "b"}}},
		{"when the speed is measured", ByBatch, nothing, nothing, 2, backend.ErrDeviceLost, nil},
		{"in its share of the batch", ByBatch, nothing, nothing, 4, backend.ErrDeviceLost, nil},
		{"in its share, a plugin", ByBatch, nothing, nothing, 5, backend.ErrPluginExited, nil},
	} {
		for _, batch := range []int{1, 8} {
			t.Run(fmt.Sprintf("%s/batch%d", c.name, batch), func(t *testing.T) {
				a, b, spare := newFake(t, "a").loseAt(c.at, c.err), newFake(t, "b"), newFake(t, "spare")
				a.refuse, b.refuse = c.a, c.b
				var log journal
				d := schedule(t, Options{
					Devices: members(a, b), Fallback: Member{Device: spare}, Split: c.split, Place: c.place, Rates: steep("a"), Logger: log.logger(), now: new(clock).time,
				})
				g := small(t, batch)
				s := open(t, d, g)
				want := map[uint64][][]byte{}
				for seed := range uint64(6) {
					want[seed] = alone(t, g, seed)
				}
				for _, p := range g.Params {
					clear(p.Data.Data) // the caller's weights may be gone by now
				}
				for seed := range uint64(6) {
					sameBytes(t, fmt.Sprintf("run %d", seed), s.mustRun(t, seed), want[seed])
				}
				if !a.gone.Load() {
					t.Fatal("the device was not lost: the test shows nothing")
				}
				before := a.runs.Load()
				s.mustRun(t, 1)
				if a.runs.Load() != before {
					t.Error("the lost device was asked again")
				}
				if n := strings.Count(log.String(), "a device is lost"); n != 1 {
					t.Errorf("said %d times: %s", n, &log)
				}
			})
		}
	}
}

// TestADeviceChangesItsMind: while it compiles it finds out that it computes some node wrongly, refuses it from then on, and the node runs
// elsewhere. One that supports what it refuses to compile fails, as before.
func TestADeviceChangesItsMind(t *testing.T) {
	a, spare := newFake(t, "a"), newFake(t, "spare")
	isConv := func(n *graph.Node) bool { return n.Op.Name() == "conv2d" }
	a.compile = func(g *graph.Graph) error {
		if slices.ContainsFunc(g.Nodes, isConv) {
			a.refuse = isConv
			return backend.Unsupported("conv2d", "a kernel that gives right answers", "none")
		}
		return nil
	}
	var log journal
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: spare}, Split: ByGraph, Logger: log.logger()})
	g := small(t, 2)
	s := open(t, d, g)
	sameBytes(t, "run", s.mustRun(t, 1), alone(t, g, 1))
	if spare.runs.Load() == 0 {
		t.Error("the fallback ran nothing")
	}
	if !strings.Contains(log.String(), "refuses what it supported before") {
		t.Errorf("the log says nothing of it: %s", log.String())
	}
	a.refuse = nothing
	a.compile = func(*graph.Graph) error { return backend.Unsupported("conv2d", "another", "this") }
	if _, err := d.Compile(t.Context(), small(t, 3)); err == nil || backend.IsUnsupported(err) || !contains(err, "refuses them together") {
		t.Errorf("got %v, want the member's fault", err)
	}
}

// TestDevicesAreLostOneAfterTheOther until none is left.
func TestDevicesAreLostOneAfterTheOther(t *testing.T) {
	a, b, c := newFake(t, "a").loseAt(2, backend.ErrDeviceLost), newFake(t, "b").loseAt(2, backend.ErrPluginExited), newFake(t, "c").loseAt(2, backend.ErrDeviceLost)
	d := schedule(t, Options{Devices: members(a, b), Fallback: Member{Device: c}, Split: ByGraph})
	g := small(t, 1)
	s, want := open(t, d, g), alone(t, g, 1)
	for range 3 { // a, then b, then c
		sameBytes(t, "run", s.mustRun(t, 1), want)
	}
	for range 2 {
		if _, err := s.run(t, t.Context(), 1); !errors.Is(err, backend.ErrDeviceLost) || !contains(err, "a, b, c") {
			t.Errorf("nothing left: got %v", err)
		}
	}
	if _, err := d.Compile(t.Context(), g); !errors.Is(err, backend.ErrDeviceLost) {
		t.Errorf("compile: got %v", err)
	}
	if err := d.Supports(g.Nodes[0]); !errors.Is(err, backend.ErrDeviceLost) {
		t.Errorf("supports: got %v", err)
	}
}

func TestAllDevicesLostInOneRun(t *testing.T) {
	a, b := newFake(t, "a").loseAt(4, backend.ErrDeviceLost), newFake(t, "b").loseAt(4, backend.ErrDeviceLost)
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: b}, Split: ByBatch, now: new(clock).time})
	s := open(t, d, small(t, 8))
	var err error
	for range 9 {
		if _, err = s.run(t, t.Context(), 1); err != nil {
			break
		}
	}
	if !errors.Is(err, backend.ErrDeviceLost) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutFallbackALossIsAnError(t *testing.T) {
	for _, kind := range []error{backend.ErrDeviceLost, backend.ErrPluginExited} {
		a, b := newFake(t, "a").loseAt(2, kind), newFake(t, "b")
		d := schedule(t, Options{Devices: members(a, b), Split: ByGraph})
		g := small(t, 2)
		s, other := open(t, d, g), open(t, d, g)
		s.mustRun(t, 1)
		if _, err := s.run(t, t.Context(), 1); !errors.Is(err, kind) || !contains(err, `device "a"`) {
			t.Errorf("got %v", err)
		}
		for _, e := range []*session{s, other} {
			if _, err := e.run(t, t.Context(), 1); !errors.Is(err, backend.ErrDeviceLost) {
				t.Errorf("the run after: got %v", err)
			}
		}
		// What is compiled from now on is for the device that is left.
		sameBytes(t, "later", open(t, d, g).mustRun(t, 1), alone(t, g, 1))
	}
}

func TestLostInCompile(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.gone.Store(true)
	g := small(t, 4)
	if _, err := tryOpen(t, schedule(t, Options{Devices: members(a, b), Split: ByGraph}), g); !errors.Is(err, backend.ErrDeviceLost) {
		t.Errorf("without a fallback: got %v", err)
	}
	for _, split := range []Split{ByGraph, ByBatch} {
		a := newFake(t, "a")
		a.gone.Store(true)
		d := schedule(t, Options{Devices: members(a, newFake(t, "b")), Fallback: Member{Device: newFake(t, "c")}, Split: split})
		sameBytes(t, "split by "+split.String(), open(t, d, g).mustRun(t, 1), alone(t, g, 1))
	}
}

// TestOtherErrorsAreNoLoss: an error that says nothing of the device's state is the run's.
func TestOtherErrorsAreNoLoss(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: b}})
	g := small(t, 2)
	s := open(t, d, g)
	a.run = func(context.Context, int64) error { return errBroken }
	if _, err := s.run(t, t.Context(), 1); !errors.Is(err, errBroken) || !contains(err, `device "a"`) || b.runs.Load() != 0 {
		t.Errorf("got %v, and %d runs on the fallback", err, b.runs.Load())
	}
	a.run = nil
	sameBytes(t, "the run after", s.mustRun(t, 1), alone(t, g, 1))
}

// TestALossAmongManyRuns: each run has its own results, whichever device they came from.
func TestALossAmongManyRuns(t *testing.T) {
	for _, split := range []Split{ByGraph, ByBatch} {
		a, b := newFake(t, "a").loseAt(9, backend.ErrDeviceLost), newFake(t, "b")
		d := schedule(t, Options{Devices: members(a, b), Fallback: Member{Device: newFake(t, "c")}, Split: split, now: new(clock).time})
		g := small(t, 4)
		executables := []backend.Executable{open(t, d, g).exec, open(t, d, g).exec}
		var wg sync.WaitGroup
		for i := range uint64(6) {
			s, want := buffersFor(t, d, executables[i%2]), alone(t, g, i)
			wg.Go(func() {
				for range 5 {
					out, err := s.run(t, t.Context(), i)
					if err != nil {
						t.Errorf("%v: %v", split, err)
						return
					}
					sameBytes(t, split.String(), out, want)
				}
			})
		}
		wg.Wait()
		if !a.gone.Load() {
			t.Error("the device was not lost")
		}
	}
}

// TestCancelledWhileCompilingAgain: the run gives up, and a later one finishes the work.
func TestCancelledWhileCompilingAgain(t *testing.T) {
	a, b := newFake(t, "a").loseAt(1, backend.ErrDeviceLost), newFake(t, "b")
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: b}})
	g := small(t, 1)
	s := open(t, d, g)
	ctx, cancel := context.WithCancel(t.Context())
	b.compile = func(*graph.Graph) error { cancel(); return ctx.Err() }
	if _, err := s.run(t, ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.compile = nil
	sameBytes(t, "later", s.mustRun(t, 1), alone(t, g, 1))
}

// TestLossesAtAnyCall loses devices at arbitrary calls, in compiles, copies and runs, while several runs go on: each run gives its own results,
// or says that the devices are lost.
func TestLossesAtAnyCall(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 31))
	rounds := 40
	if os.Getenv("RESNET_RUN_FULL") != "" {
		rounds = 500
	}
	finished, ended := 0, 0
	for round := range rounds {
		g := randomGraph(t, r, 1+r.IntN(12))
		if r.IntN(2) == 0 {
			g = small(t, 1+r.IntN(6))
		}
		var fakes []*fake
		for _, name := range []string{"a", "b", "c"} {
			f, refused := newFake(t, name), map[string]bool{}
			for _, n := range g.Nodes {
				refused[n.Name] = name != "c" && r.IntN(3) == 0
			}
			f.refuse = func(n *graph.Node) bool { return refused[n.Name] }
			f.fuse.Store(1 + r.Int64N(300))
			fakes = append(fakes, f)
		}
		if r.IntN(4) > 0 {
			fakes[2].fuse.Store(0)
		}
		d := schedule(t, Options{Devices: members(fakes[:2]...), Fallback: Member{Device: fakes[2]}, Split: Split(r.IntN(3)), Rates: freeMoves, now: new(clock).time})
		first, err := tryOpen(t, d, g)
		if err != nil {
			if !errors.Is(err, backend.ErrDeviceLost) {
				t.Fatalf("round %d: compile: %v", round, err)
			}
			continue
		}
		var wg sync.WaitGroup
		results := make([]error, 3)
		for i := range results {
			s, want := buffersFor(t, d, first.exec), alone(t, g, uint64(i))
			wg.Go(func() {
				for range 4 {
					out, err := s.run(t, t.Context(), uint64(i))
					if err != nil {
						results[i] = err
						return
					}
					sameBytes(t, fmt.Sprintf("round %d", round), out, want)
				}
			})
		}
		wg.Wait()
		for _, err := range results {
			switch {
			case err == nil:
				finished++
			case errors.Is(err, backend.ErrDeviceLost) && !backend.IsUnsupported(err) && fakes[2].gone.Load(): // that one had everything
				ended++
			default:
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
	if finished < rounds || ended == 0 {
		t.Errorf("%d runs were finished and %d were not: the faults are too many or too few", finished, ended)
	}
	t.Logf("%d rounds: %d series of runs finished, %d ended with the devices", rounds, finished, ended)
}
