package vulkan

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph"
)

// TestBatchAboveTheBudgetIsSplit forces a budget that holds the weights, but not the intermediate tensors of the batch.
func TestBatchAboveTheBudgetIsSplit(t *testing.T) {
	const batch = 8
	g := seededNetwork(t, "resnet20-cifar", batch, 32)
	whole := map[string][]float32{}
	need := map[string]needs{} // devices have different kernels, and so other weights
	eachDevice(t, Options{Kernels: oneKernel}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		p := e.(*executable).plan
		if p.Chunk != batch {
			t.Fatalf("without a budget: got parts of %d, want the whole batch", p.Chunk)
		}
		need[d.info.Name] = needsOf(g, p)
		if err := e.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		whole[d.info.Name] = slices.Clone(readFloats(t, out[0]))
	})
	for _, c := range []struct {
		name   string
		budget func(n needs) uint64
		split  bool
		log    string
	}{
		{"just enough", func(n needs) uint64 { return n.weights + n.buffers + n.arena }, false, ""},
		{"a byte too little", func(n needs) uint64 { return n.weights + n.buffers + n.arena - 1 }, true, "batch split"},
		{"a quarter of the intermediate tensors", func(n needs) uint64 { return n.weights + n.buffers + n.arena/4 }, true, "batch split"},
		{"too little for the weights", func(n needs) uint64 { return n.weights }, false, "may not hold"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			eachDevice(t, Options{Kernels: oneKernel, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, d *device) {
				budget := c.budget(need[d.info.Name])
				d.opts.MemoryBudget = int64(budget)
				log.Reset()
				x, in, out := ready(t, d, g)
				p := x.(*executable).plan
				n := needsOf(g, p)
				if split := p.Chunk < batch; split != c.split || split && p.Chunk > 1 && n.arena+n.weights+n.buffers > budget {
					t.Errorf("budget %d: got parts of %d with needs %+v, want the batch split: %v", budget, p.Chunk, n, c.split)
				}
				if got := log.String(); c.log == "" && got != "" || !strings.Contains(got, c.log) {
					t.Errorf("log: got %q, want it to say %q", got, c.log)
				}
				if err := x.Run(context.Background(), in, out); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(readFloats(t, out[0]), whole[d.info.Name]) {
					t.Error("parts within the budget give other bits than the whole batch")
				}
			})
		})
	}
}

// TestProofsKeepToTheBudget: nothing of a batch above the budget is proved before it is split.
func TestProofsKeepToTheBudget(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 64, 32)
	const budget = 8 << 20
	eachFreshDevice(t, Options{MemoryBudget: budget}, func(t *testing.T, d *device) {
		d.outcomes = newOutcomes(d)
		e, err := d.Compile(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if p := e.(*executable).plan; p.Chunk >= p.Batch {
			t.Errorf("got parts of %d, want the batch of %d split", p.Chunk, p.Batch)
		}
		proofs := d.outcomes.known.Proofs()
		if len(proofs) < 5 {
			t.Errorf("got %d proofs, want several", len(proofs))
		}
		for _, p := range proofs {
			if strings.Contains(p.Shape, "float32[64,3,32,32]") || strings.Contains(p.Shape, "float32[64,16,32,32]") {
				t.Errorf("%s was proved on the whole batch: %s", p.Kernel, p.Shape)
			}
		}
	})
}

// TestTransformsGoWhereMemoryIsShort: a budget between what a network takes with them and without.
func TestTransformsGoWhereMemoryIsShort(t *testing.T) {
	g := seededNetwork(t, "resnet18", 1, 64)
	var with, without needs
	var log bytes.Buffer
	eachFreshDevice(t, Options{Unproved: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, d *device) {
		for _, direct := range []bool{false, true} {
			opt := d.planOptions()
			opt.Direct = direct
			p, err := plan.Build(d.limits, opt, g)
			if err != nil {
				t.Fatal(err)
			}
			if direct {
				without = needsOf(g, p)
			} else if with = needsOf(g, p); len(p.Transforms) == 0 {
				t.Fatal("a network without transforms shows nothing")
			}
		}
		d.opts.MemoryBudget = int64(without.arena+without.weights+without.buffers+with.arena+with.weights+with.buffers) / 2
		log.Reset()
		e, in, out := ready(t, d, g)
		if p := e.(*executable).plan; len(p.Transforms) > 0 || !strings.Contains(log.String(), "without transforms") {
			t.Errorf("transforms %v with a budget of %d, needs %+v and %+v, log %q", p.Transforms, d.opts.MemoryBudget, with, without, log.String())
		}
		if err := e.Run(t.Context(), in, out); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFreeMemoryCountsWhatIsAllocated holds the estimate against allocations.
func TestFreeMemoryCountsWhatIsAllocated(t *testing.T) {
	eachDevice(t, Options{MemoryBudget: 1 << 20}, func(t *testing.T, d *device) {
		if free := d.freeMemory(); free > 1<<20 {
			t.Errorf("got %d bytes free, want at most the budget of 1 MiB", free)
		}
		before := d.freeMemory()
		m, err := d.allocate(256<<10, deviceMemory)
		if err != nil {
			t.Fatal(err)
		}
		defer d.free(m)
		if after := d.freeMemory(); after > before-256<<10 {
			t.Errorf("after an allocation of 256 KiB: got %d bytes free, had %d", after, before)
		}
	})
}

// TestMeasuredPlansKeepToTheBudget: the rule's plan fits, and what was measured to be faster does not.
func TestMeasuredPlansKeepToTheBudget(t *testing.T) {
	var log bytes.Buffer
	o := Options{NoCache: true, Tuning: Tuning{Mode: TuneCached}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	eachFreshDevice(t, o, func(t *testing.T, d *device) {
		g, fast := directByRule(t, d)
		n := g.Nodes[0]
		shape := shapeOf(n)
		rule, err := plan.Build(d.limits, d.planOptions(), g)
		if err != nil {
			t.Fatal(err)
		}
		timing := func(name string, seconds float64) tune.Timing {
			return tune.Timing{Kernel: name, Hash: d.outcomes.hash(n, shape, name), Median: seconds, Samples: 9}
		}
		d.outcomes.known.AddRace(tune.Race{Shape: d.outcomes.raceOf(shape), Timings: []tune.Timing{timing(rule.Choices[0], 1), timing(fast, 0.1)}})
		compiled := func() *plan.Plan {
			log.Reset()
			e, err := d.Compile(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			return e.(*executable).plan
		}
		free := compiled()
		if free.Choices[0] != fast {
			t.Fatalf("with enough memory: got %s, want %s, which was measured", free.Choices[0], fast)
		}
		least, most := needsOf(g, rule), needsOf(g, free)
		d.opts.MemoryBudget = int64(least.arena+least.weights+least.buffers+most.arena+most.weights+most.buffers) / 2
		if p := compiled(); len(p.Transforms) > 0 || !strings.Contains(log.String(), "without transforms") {
			t.Errorf("with a budget of %d between %+v and %+v: got %s, log %q", d.opts.MemoryBudget, least, most, p.Choices[0], log.String())
		}
	})
}

// directByRule is a convolution that the rule computes without a transform, and a candidate that has one.
func directByRule(t *testing.T, d *device) (g *graph.Graph, transformed string) {
	t.Helper()
	for channels := 4; channels <= 64; channels *= 2 {
		g := parseBound(t, fmt.Sprintf("input %%x : float32[1,%d,6,6]\nparam @w : float32[%[1]d,%[1]d,3,3]\n%%y = conv2d(%%x, @w) padding=1,1,1,1\noutput %%y\n", channels))
		p, err := plan.Build(d.limits, d.planOptions(), g)
		if err != nil {
			t.Fatal(err)
		}
		list, err := plan.Candidates(d.limits, d.planOptions(), g.Nodes[0])
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(c plan.Candidate) bool { return c.Class == plan.Transformed })
		if len(p.Transforms) == 0 && i >= 0 {
			return g, list[i].Name
		}
	}
	t.Fatal("the rule takes transforms for all convolutions, or for none")
	return nil, ""
}
