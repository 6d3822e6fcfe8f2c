package vulkan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
)

// TestRunsAreInFlightTogether holds the buffers of one run and looks whether runs with others pass it by, and whether
// several runs are on the device at once.
func TestRunsAreInFlightTogether(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 2, 32)
	eachDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
		ctx := context.Background()
		x, err := d.Compile(ctx, g)
		if err != nil {
			t.Fatal(err)
		}
		e := x.(*executable)
		in, out := newBuffers(t, d, e.Signature())
		blocked := in[0].(*buffer)
		blocked.use <- struct{}{}
		waiting := make(chan error)
		go func() { waiting <- e.Run(ctx, in, out) }()

		const callers = maxFlights + 2
		var most atomic.Int64
		var wg sync.WaitGroup
		var want []float32
		var first sync.Once
		for range callers {
			in, out := newBuffers(t, d, e.Signature())
			writeFloats(t, in[0], seededInput(g)[0])
			wg.Go(func() {
				for range 3 {
					if err := e.Run(ctx, in, out); err != nil {
						t.Error(err)
						return
					}
					flying := int64(len(e.flights)) // the others: this one has landed
					for old := most.Load(); flying > old && !most.CompareAndSwap(old, flying); old = most.Load() {
					}
					got := readFloats(t, out[0])
					first.Do(func() { want = slices.Clone(got) })
					if !slices.Equal(got, want) {
						t.Error("runs in flight together give different bits")
					}
				}
			})
		}
		wg.Wait()
		if most.Load() < 2 {
			t.Errorf("got %d other runs on the device when one ended, want at least 2 of %d callers", most.Load(), callers)
		}
		<-blocked.use
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		if n := len(e.flights); n != 0 {
			t.Errorf("after all runs: got %d in flight, want none", n)
		}
	})
}

// TestLongRunsAreSplit forces a bound that each dispatch breaks.
func TestLongRunsAreSplit(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 3, 32)
	whole := map[string][]float32{}
	for _, o := range []Options{{Unproved: true}, {Unproved: true, MaxSubmission: 1}, {Unproved: true, MaxSubmission: 1, MaxChunk: 2}} {
		eachDevice(t, o, func(t *testing.T, d *device) {
			x, in, out := ready(t, d, g)
			e := x.(*executable)
			work := 0
			for _, c := range e.plan.Commands {
				if _, ok := c.(plan.Barrier); !ok {
					work++
				}
			}
			switch n := len(e.pieces); {
			case o.MaxSubmission == 0 && n != 1:
				t.Errorf("got %d pieces without a bound, want 1", n)
			case o.MaxSubmission > 0 && n < 5*work:
				t.Errorf("bound %v: got %d pieces of %d commands, want most dispatches divided", o.MaxSubmission, n, work)
			}
			checkPieces(t, e)
			for range 3 {
				if err := e.Run(context.Background(), in, out); err != nil {
					t.Fatal(err)
				}
				got := slices.Clone(readFloats(t, out[0]))
				if o.MaxSubmission == 0 {
					whole[d.info.Name] = got
				}
				if !slices.Equal(got, whole[d.info.Name]) {
					t.Error("a split run gives other bits than a whole one")
				}
			}
			if o.MaxSubmission == 0 {
				return
			}
			if n := testing.AllocsPerRun(5, func() { _ = e.Run(context.Background(), in, out) }); n != 0 {
				t.Errorf("got %g allocations in a split run, want 0", n)
			}
			cancelBetweenSubmissions(t, e, in, out, whole[d.info.Name])
		})
	}
}

// cancelBetweenSubmissions: what was not submitted yet is not, and the next run is right.
func cancelBetweenSubmissions(t *testing.T, e *executable, in, out []backend.Buffer, want []float32) {
	t.Helper()
	r, err := e.begin(context.Background(), in, out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.turn <- struct{}{}
	err = r.submit(ctx, in, out)
	<-e.turn
	if n := r.submitted; !errors.Is(err, context.Canceled) || n < 1 || n > ahead {
		t.Errorf("cancelled between submissions: got %v after %d of %d, want context.Canceled after at most %d", err, n, len(e.pieces), ahead)
	}
	r.drain()
	if err := e.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(readFloats(t, out[0]), want) {
		t.Error("a run after one that was cancelled between submissions gives other bits")
	}
}

func TestPaceGroupsPieces(t *testing.T) {
	const bound = 500 * time.Millisecond
	var p pace
	if n := p.group(bound); n != 1 {
		t.Errorf("not measured: got groups of %d, want 1", n)
	}
	p.measured(40*10*time.Millisecond, 10) // 40 ms each
	if n := p.group(bound); n != 6 {
		t.Errorf("40 ms a piece: got groups of %d, want 6, half of the bound", n)
	}
	p.measured(20*time.Second, 10)
	if n := p.group(bound); n != 1 {
		t.Errorf("2 s a piece: got groups of %d, want 1", n)
	}
	for range 50 {
		p.measured(10*time.Millisecond, 10)
	}
	if n := p.group(bound); n != 16 {
		t.Errorf("1 ms a piece: got groups of %d, want all that one submission takes, 16", n)
	}
}

// TestCutKeepsToTheCost: on a GPU a small network is one submission, and a large batch several of about the same cost.
func TestCutKeepsToTheCost(t *testing.T) {
	for _, c := range []struct {
		batch, least, most int
	}{{1, 1, 1}, {32, 20, 60}} {
		g := seededNetwork(t, "resnet50", c.batch, 224)
		p, err := plan.Build(plan.Floor(), plan.Options{}, g)
		if err != nil {
			t.Fatal(err)
		}
		pieces := cut(p, pieceCost(submissionBound(Options{}, false)), g)
		if n := len(pieces); n < c.least || n > c.most {
			t.Errorf("resnet50 N%d: got %d pieces, want %d to %d", c.batch, n, c.least, c.most)
		}
		if got, want := fmt.Sprint(slices.Concat(pieces...)), fmt.Sprint(p.Commands); got != want {
			t.Errorf("resnet50 N%d: the pieces together are not the plan", c.batch)
		}
	}
}

// checkPieces: each piece has one dispatch or copy at most where the bound is below all, and the parts of a dispatch are all of it.
func checkPieces(t *testing.T, e *executable) {
	t.Helper()
	shares, dispatches := map[*plan.Step]float64{}, map[*plan.Step]float64{}
	for _, c := range e.plan.Commands {
		if d, ok := c.(plan.Dispatch); ok {
			dispatches[d.Step]++
		}
	}
	for _, piece := range e.pieces {
		for _, c := range piece {
			d, ok := c.(plan.Dispatch)
			if !ok {
				continue
			}
			shares[d.Step] += share(d)
			if d.Part != nil && !e.plan.Steps[d.Set].Pieces {
				t.Errorf("%v: its pipeline is not made for parts", d)
			}
		}
	}
	for s, want := range dispatches {
		if math.Abs(shares[s]-want) > 1e-9 {
			t.Errorf("%s: the parts are %g of %g dispatches", s.Node, shares[s], want)
		}
	}
}

// TestLongDispatchesAreDivided: on the slowest GPU a layer of a large batch would take longer than a watchdog waits. No part of it does, and nothing of an
// ordinary batch is divided.
func TestLongDispatchesAreDivided(t *testing.T) {
	limit := pieceCost(submissionBound(Options{}, false))
	for batch, divided := range map[int]bool{1: false, 64: false, 1024: true} {
		g := seededNetwork(t, "resnet50", batch, 224)
		lim := plan.Floor()
		lim.MaxStorageBufferRange, lim.MaxMemoryAllocationSize = 1<<32-1, 1<<36 // the batch as a whole
		p, err := plan.Build(lim, plan.Options{}, g)
		if err != nil {
			t.Fatal(err)
		}
		pieces := cut(p, limit, g)
		costs := map[string]float64{}
		for _, n := range g.Nodes {
			costs[n.Name] = float64(n.Cost().FLOPs) * float64(p.Chunk) / float64(batch)
		}
		parts := 0
		for _, c := range slices.Concat(pieces...) {
			d, ok := c.(plan.Dispatch)
			if !ok || plan.ChangesFormat(d.Step.Variant) {
				continue
			}
			cost := costs[d.Step.Node] * share(d)
			if d.Part != nil {
				parts++
			}
			if cost > 1.1*longest*limit { // workgroups do not divide evenly
				t.Errorf("batch %d: %v costs %g, want at most %g", batch, d, cost, longest*limit)
			}
		}
		if divided != (parts > 0) {
			t.Errorf("batch %d in parts of %d: %d parts of dispatches, want some: %v", batch, p.Chunk, parts, divided)
		}
	}
}
