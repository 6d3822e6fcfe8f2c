package schedule

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
)

func TestOrderDoesNotDependOnWhoIsDoneFirst(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	d := schedule(t, Options{Devices: members(a, b), Split: ByBatch, now: new(clock).time})
	g := small(t, 8)
	s, want := open(t, d, g), alone(t, g, 2)
	for _, late := range []*fake{a, b} {
		early := map[*fake]*fake{a: b, b: a}[late]
		done := make(chan struct{})
		late.run = func(ctx context.Context, _ int64) error {
			select {
			case <-done:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		early.run = func(context.Context, int64) error { close(done); return nil }
		sameBytes(t, late.name+" late", s.mustRun(t, 2), want)
	}
}

func until(happened <-chan struct{}) func(context.Context, int64) error {
	return func(ctx context.Context, _ int64) error {
		select {
		case <-happened:
			return nil
		case <-time.After(time.Minute):
			return fmt.Errorf("a minute went by, and nothing happened beside the run: %w", errBroken)
		}
	}
}

func TestCopiesMoveWhileADeviceComputes(t *testing.T) {
	a := newFake(t, "a")
	d := schedule(t, Options{Devices: members(a)})
	g := small(t, 2)
	e := open(t, d, g).exec
	var written atomic.Int64
	both := make(chan struct{})
	a.writes = func() {
		if written.Add(1) == 2 {
			close(both)
		}
	}
	a.run = until(both)
	var wg sync.WaitGroup
	for i := range uint64(2) {
		s, want := buffersFor(t, d, e), alone(t, g, i)
		wg.Go(func() {
			out, err := s.run(t, t.Context(), i)
			if err != nil {
				t.Error(err)
				return
			}
			sameBytes(t, "run", out, want)
		})
	}
	wg.Wait()
}

func TestTwoDevicesWorkAtOnce(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.refuse = op("global_avg_pool", "avg_pool")
	d := schedule(t, Options{Devices: members(a, b), Rates: steep("a")})
	g := small(t, 4)
	s, want := open(t, d, g), alone(t, g, 6)
	p, err := d.Plan(t.Context(), g)
	if err != nil || p.Routes[0].Chunk != 1 || len(p.Routes[0].Parts) != 3 {
		t.Fatalf("got %+v, %v, want 4 chunks through 3 parts", p, err)
	}
	second := make(chan struct{})
	a.run = func(_ context.Context, n int64) error {
		if n == 2 {
			close(second)
		}
		return nil
	}
	b.run = until(second)
	sameBytes(t, "pipeline", s.mustRun(t, 6), want)
}

func TestRunsSideBySide(t *testing.T) {
	for _, split := range []Split{ByGraph, ByBatch} {
		a, b := newFake(t, "a"), newFake(t, "b")
		if split == ByGraph {
			a.refuse = op("add", "global_avg_pool", "avg_pool")
		}
		d := schedule(t, Options{Devices: members(a, b), Split: split, Rates: steep("a")})
		g := small(t, 4)
		e := open(t, d, g).exec
		var wg sync.WaitGroup
		for i := range uint64(5) {
			s := buffersFor(t, d, e)
			want := alone(t, g, i)
			wg.Go(func() {
				for range 4 {
					out, err := s.run(t, t.Context(), i)
					if err != nil {
						t.Error(err)
						return
					}
					sameBytes(t, fmt.Sprintf("%v: run among others", split), out, want)
				}
			})
		}
		wg.Wait()
	}
}

func TestACancelledRunReturnsAndTheNextIsRight(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.refuse = op("global_avg_pool", "avg_pool")
	d := schedule(t, Options{Devices: members(a, b), Rates: steep("a")})
	g := small(t, 4)
	s, want := open(t, d, g), alone(t, g, 4)
	for _, f := range []*fake{a, b} {
		ctx, cancel := context.WithCancel(t.Context())
		f.run = func(ctx context.Context, _ int64) error {
			cancel()
			<-ctx.Done()
			return fmt.Errorf("run: %w", ctx.Err())
		}
		if _, err := s.run(t, ctx, 4); !isAny(err, context.Canceled) {
			t.Errorf("cancelled on %s: got %v", f.name, err)
		}
		f.run = nil
		sameBytes(t, "the run after", s.mustRun(t, 4), want)
	}
	// A run that waits for buffers gives up too.
	block, entered := make(chan struct{}), make(chan struct{}, 9)
	a.run = func(context.Context, int64) error { entered <- struct{}{}; <-block; return nil }
	first := make(chan error, 1)
	go func() { first <- s.exec.Run(t.Context(), s.in, s.out) }()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { second <- s.exec.Run(ctx, s.in, s.out) }()
	cancel()
	if err := <-second; !isAny(err, context.Canceled) {
		t.Errorf("waiting: got %v", err)
	}
	close(block)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestARunAllocatesNothing(t *testing.T) {
	a, b := newFake(t, "a"), newFake(t, "b")
	a.refuse = op("global_avg_pool", "avg_pool")
	d := schedule(t, Options{Devices: members(a), Fallback: Member{Device: b}, Rates: steep("a")})
	s := open(t, d, small(t, 1))
	s.mustRun(t, 1)
	ctx := t.Context()
	allocations := testing.AllocsPerRun(20, func() {
		if err := s.exec.Run(ctx, s.in, s.out); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 0 {
		t.Errorf("a run makes %v allocations", allocations)
	}
	if a.runs.Load() == 0 || b.runs.Load() == 0 {
		t.Error("one device is idle")
	}
}

func TestProfile(t *testing.T) {
	a, b := newFake(t, "a").Device, newFake(t, "b").Device
	for _, split := range []Split{ByGraph, ByBatch} {
		d := schedule(t, Options{Devices: []Member{{"a", a}, {"b", b}}, Split: split, Place: map[Split][]Rule{ByGraph: {{"layer1*", "b"}, {"*", "a"}}}[split], Rates: freeMoves})
		g := small(t, 3)
		s := open(t, d, g)
		want := s.mustRun(t, 1)
		for _, o := range s.out {
			if err := o.Write(t.Context(), make([]byte, o.Type().SizeBytes())); err != nil {
				t.Fatal(err)
			}
		}
		times, err := s.exec.(backend.Profiler).Profile(t.Context(), s.in, s.out)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want[0]))
		if err := s.out[0].Read(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		sameBytes(t, "profiled run", [][]byte{got}, want)
		seen := map[string]int{}
		for _, n := range times {
			kernel, _, _ := strings.Cut(n.Kernel, ":")
			seen[kernel]++
			if n.Seconds < 0 || n.Node == "" {
				t.Errorf("got %+v", n)
			}
		}
		for _, kernel := range []string{"a", "copy to a", "copy from a"} {
			if seen[kernel] == 0 {
				t.Errorf("%v: got %v, want some of %q", split, seen, kernel)
			}
		}
		if split == ByGraph && seen["b"] < 6 {
			t.Errorf("got %v", seen)
		}
	}
}
