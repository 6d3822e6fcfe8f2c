package vulkan

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
)

// TestProfileTimesEveryStepAndComputesTheSame on a batch that is whole and one that goes in parts, with copies.
func TestProfileTimesEveryStepAndComputesTheSame(t *testing.T) {
	for name, o := range map[string]Options{"whole": {}, "in parts": {MaxChunk: 2}} {
		t.Run(name, func(t *testing.T) {
			g := seededNetwork(t, "resnet20-cifar", 3, 32)
			eachDevice(t, o, func(t *testing.T, d *device) {
				e, in, out := ready(t, d, g)
				defer closeAll(in, out)
				defer e.Close() //nolint:errcheck // never fails
				if err := e.Run(t.Context(), in, out); err != nil {
					t.Fatal(err)
				}
				want := readFloats(t, out[0])
				writeFloats(t, out[0], make([]float32, len(want)))
				start := time.Now()
				times, err := e.(backend.Profiler).Profile(t.Context(), in, out)
				wall := time.Since(start).Seconds()
				if err != nil {
					t.Fatal(err)
				}
				for i, v := range readFloats(t, out[0]) {
					if v != want[i] {
						t.Fatalf("output %d: got %g profiled, %g in a run", i, v, want[i])
					}
				}
				checkTimes(t, times, wall)
				copies, seen := 0, map[string]int{}
				for _, n := range times {
					if n.Node == "" {
						copies++
					}
					seen[n.Node]++
				}
				if (copies > 0) != (name == "in parts") {
					t.Errorf("%d copies", copies)
				}
				parts := 1 + min(copies, 1) // 3 pictures in parts of 2 are two parts
				steps := map[string]int{}
				for _, s := range e.(*executable).plan.Steps {
					steps[s.Node]++
				}
				for _, n := range g.Nodes {
					if n.Op.Name() != "flatten" && (steps[n.Name] == 0 || seen[n.Name] != steps[n.Name]*parts) {
						t.Errorf("node %s: %d steps, want %d in each of %d parts, and one at least", n.Name, seen[n.Name], steps[n.Name], parts)
					}
				}
			})
		})
	}
}

// checkTimes holds the times against the time that passed around them.
func checkTimes(t *testing.T, times []backend.NodeTime, wall float64) {
	t.Helper()
	sum := 0.0
	for _, n := range times {
		if !(n.Seconds >= 0) || n.Kernel == "" {
			t.Errorf("got %+v", n)
		}
		if strings.HasPrefix(n.Kernel, "conv2d_") && n.Reason == "" {
			t.Errorf("%s: no reason for %s", n.Node, n.Kernel)
		}
		sum += n.Seconds
	}
	if !(sum > 0 && sum <= 1.1*wall) { // two clocks
		t.Errorf("the steps took %g s in all, the call %g s", sum, wall)
	}
}

func TestProfileRefusesAndRecovers(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		defer closeAll(in, out)
		p := e.(backend.Profiler)
		if _, err := p.Profile(t.Context(), nil, out); err == nil {
			t.Error("no inputs: want an error")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Profile(ctx, in, out); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v", err)
		}
		families := d.facts.QueueFamilies
		d.facts.QueueFamilies = make([]facts.QueueFamily, len(families))
		if _, err := p.Profile(t.Context(), in, out); !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("without timestamps: got %v, want backend.ErrUnsupported", err)
		}
		d.facts.QueueFamilies = families
		if _, err := p.Profile(t.Context(), in, out); err != nil {
			t.Errorf("after all that: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Profile(t.Context(), in, out); !errors.Is(err, backend.ErrClosed) {
			t.Errorf("closed: got %v", err)
		}
	})
}
