package vulkan

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// TestTuningChoosesAmongProvedKernels: the answers are right whatever is chosen, each kernel that was measured was proved before, and
// the next device that opens the cache measures nothing.
func TestTuningChoosesAmongProvedKernels(t *testing.T) {
	g := parseBound(t, twoConvs)
	dir := t.TempDir()
	var events []TuneEvent
	o := Options{CacheDir: dir, Tuning: Tuning{Mode: TuneQuick, Budget: time.Minute, On: func(e TuneEvent) { events = append(events, e) }}}
	eachFreshDevice(t, o, func(t *testing.T, d *device) {
		events = nil
		judge(t, d, g, seededInput(g))
		if len(events) < 2 || events[0].Total != 2 || events[0].Done != 1 || events[1].Done != 2 {
			t.Fatalf("got events %+v, want one for each of two shapes", events)
		}
		for _, e := range events[:2] {
			if e.Cached || e.Skipped || e.Nodes != 1 || len(e.Measured) < 2 || e.Chosen < 0 || e.Chosen >= len(e.Measured) {
				t.Errorf("got %+v, want several kernels measured", e)
			}
			for _, m := range e.Measured {
				if !(m.Median > 0) || m.Samples < minSamples {
					t.Errorf("%s: got %+v", e.Shape, m)
				}
				for _, shape := range []string{"", e.Shape} {
					if !slices.ContainsFunc(d.outcomes.known.Proofs(), func(p tune.Proof) bool { return p.Kernel == m.Kernel && p.Shape == shape && !p.Struck }) {
						t.Errorf("%s was measured and not proved on shape %q", m.Kernel, shape)
					}
				}
			}
		}
	})
	// As if another kernel had been much faster: it is chosen by who uses measurements, with a reason, and not by who does not.
	for _, mode := range []TuneMode{TuneCached, TuneQuick, TuneOff} {
		o.Tuning.Mode = mode
		eachFreshDevice(t, o, func(t *testing.T, d *device) {
			d.SetTuning(Tuning{})
			rule := chosenFor(t, d, g)[1]
			d.SetTuning(o.Tuning)
			shape := shapeOf(g.Nodes[1])
			race, ok := d.outcomes.known.Race(shape)
			if !ok || len(race.Timings) < 2 || race.Timings[0].Kernel != rule {
				t.Fatalf("got race %+v, want the one from the file, with %s first", race, rule)
			}
			race.Timings = slices.Clone(race.Timings)
			race.Timings[0].Spread = 0 // however busy the machine was
			race.Timings[1].Median, race.Timings[1].Spread, race.Full = race.Timings[0].Median/100, 0, true
			d.outcomes.known.AddRace(race)
			events = nil
			p, err := d.settle(t.Context(), d.planOptions(), g, *d.tuning.Load())
			if err != nil {
				t.Fatal(err)
			}
			want := race.Timings[1].Kernel
			if mode == TuneOff {
				want = rule
			}
			if p.Choices[1] != want {
				t.Errorf("%v: got %s, want %s", mode, p.Choices[1], want)
			}
			if mode != TuneOff && !strings.HasPrefix(reasonOf(p, "z"), "measured: 100.00x faster than "+rule) {
				t.Errorf("reason: got %q", reasonOf(p, "z"))
			}
			for _, e := range events {
				if !e.Cached {
					t.Errorf("%v: measured again: %+v", mode, e)
				}
			}
			judge(t, d, g, seededInput(g))
		})
	}
}

// reasonOf is the reason of a node's steps that have one.
func reasonOf(p *plan.Plan, node string) (reason string) {
	for _, s := range p.Steps {
		if s.Node == node && s.Reason != "" {
			reason = s.Reason
		}
	}
	return reason
}

// TestFullTuningMeasuresWhatQuickLeftOut, and a budget of nothing measures nothing.
func TestFullTuningMeasuresWhatQuickLeftOut(t *testing.T) {
	if testing.Short() {
		t.Skip("pipelines of all kernels take long to compile")
	}
	g := parseBound(t, "input %x : float32[1,16,9,9]\nparam @v : float32[32,16,1,1]\n%z = conv2d(%x, @v)\noutput %z\n")
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		d.outcomes = newOutcomes(d)
		var counts []int
		var skipped []bool
		for _, tuning := range []Tuning{{Mode: TuneQuick, Budget: 1}, {Mode: TuneQuick, Budget: time.Minute}, {Mode: TuneFull, Budget: time.Minute}, {Mode: TuneQuick}} {
			tuning.On = func(e TuneEvent) { counts, skipped = append(counts, len(e.Measured)), append(skipped, e.Skipped) }
			d.SetTuning(tuning)
			e, err := d.Compile(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			e.Close()
		}
		list, err := plan.Candidates(d.limits, d.planOptions(), g.Nodes[0])
		if err != nil {
			t.Fatal(err)
		}
		race, _ := d.outcomes.known.Race(shapeOf(g.Nodes[0]))
		if len(counts) != 4 || counts[0] != 0 || !skipped[0] || counts[1] < 2 || counts[1] > 4 || counts[2] < 2 || counts[3] != counts[2] || !race.Full {
			t.Errorf("measured %v kernels of %d, skipped %v, want none, some, and all that are not hopeless twice", counts, len(list), skipped)
		}
		proofs := 0
		for _, p := range d.outcomes.known.Proofs() {
			if p.Shape == race.Shape {
				proofs++
			}
		}
		if proofs != len(list) {
			t.Errorf("%d kernels were proved for the full race, want all %d", proofs, len(list))
		}
	})
}

// TestTuningEndsWhenItIsCancelled, and leaves the device usable.
func TestTuningEndsWhenItIsCancelled(t *testing.T) {
	g := parseBound(t, twoConvs)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		d.outcomes = newOutcomes(d)
		ctx, cancel := context.WithCancel(t.Context())
		d.SetTuning(Tuning{Mode: TuneQuick, Budget: time.Minute, On: func(TuneEvent) { cancel() }})
		if _, err := d.Compile(ctx, g); !errors.Is(err, ctx.Err()) || ctx.Err() == nil {
			t.Errorf("got %v, want the context's error", err)
		}
		judge(t, d, g, seededInput(g))
	})
}

// TestDamagedOutcomesAreToldAndReplaced.
func TestDamagedOutcomesAreToldAndReplaced(t *testing.T) {
	g := parseBound(t, "input %x : float32[2,3]\n%y = relu(%x)\noutput %y\n")
	dir := t.TempDir()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	eachFreshDevice(t, Options{CacheDir: dir, Logger: logger}, func(t *testing.T, d *device) {
		if err := os.MkdirAll(filepath.Dir(d.outcomes.file.Path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.outcomes.file.Path, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	eachFreshDevice(t, Options{CacheDir: dir, Logger: logger}, func(t *testing.T, d *device) {
		judge(t, d, g, seededInput(g))
		if o, err := d.outcomes.file.Load(); err != nil || len(o.Proofs()) == 0 {
			t.Errorf("after a damaged file: %v, %v", o.Proofs(), err)
		}
	})
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "ignored") {
		t.Errorf("the log says nothing of the damage: %s", log.String())
	}
}

func TestTuneModesHaveNames(t *testing.T) {
	for _, m := range []TuneMode{TuneOff, TuneCached, TuneQuick, TuneFull} {
		if got, err := ParseTuneMode(m.String()); err != nil || got != m {
			t.Errorf("%v: got %v, %v", m, got, err)
		}
	}
	if _, err := ParseTuneMode("fast"); err == nil || !strings.Contains(err.Error(), "quick") {
		t.Errorf("got %v, want an error that lists the modes", err)
	}
	if got := TuneMode(9).String(); got != "tunemode(9)" {
		t.Errorf("got %q", got)
	}
}

// scripted is a contender whose times are the first of the list and then the second.
func scripted(name string, first []float64, then float64) *contender {
	c := &contender{name: name, hash: "h"}
	c.measure = func(context.Context) (float64, error) {
		if len(first) > 0 {
			s := first[0]
			first = first[1:]
			return s, nil
		}
		return then, nil
	}
	return c
}

// TestAWinnerMustWinAgain: what only looked faster in the first rounds is not chosen, what is faster is, and a slow spell of the machine in the
// further rounds changes nothing.
func TestAWinnerMustWinAgain(t *testing.T) {
	spell := func(base float64) []float64 {
		return []float64{base, base, base, base, base, base, 9 * base, 9 * base, 9 * base, base, base, base, base, base, base}
	}
	for _, c := range []struct {
		name string
		list []*contender
		want string
	}{
		{"luck", []*contender{scripted("rule", []float64{2, 2, 2, 2, 2}, 1), scripted("lucky", nil, 1)}, "rule"},
		{"faster", []*contender{scripted("rule", nil, 2), scripted("equal", nil, 2), scripted("fast", nil, 1)}, "fast"},
		{"a slow spell", []*contender{scripted("rule", spell(2), 2), scripted("fast", spell(1), 1)}, "fast"},
		{"luck, and one that is faster", []*contender{scripted("rule", nil, 2), scripted("lucky", []float64{1, 1, 1, 1, 1}, 2), scripted("fast", nil, 1.5)}, "fast"},
		{"much luck", []*contender{scripted("rule", []float64{2, 2, 2, 2, 2}, 1), scripted("a", nil, 1), scripted("b", nil, 1), scripted("c", nil, 1), scripted("d", nil, 1),
			scripted("e", nil, 1), scripted("f", nil, 1)}, "rule"},
	} {
		if err := turns(t.Context(), c.list, 5, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		race := tune.Race{Shape: "s"}
		for _, x := range c.list {
			median, spread := quartiles(x.samples)
			race.Timings = append(race.Timings, tune.Timing{Kernel: x.name, Hash: "h", Median: median, Spread: spread, Samples: 5})
		}
		if err := confirm(t.Context(), c.list, &race, 10); err != nil {
			t.Fatal(err)
		}
		if got := race.Timings[race.Best()].Kernel; got != c.want {
			t.Errorf("%s: got %s, want %s: %+v", c.name, got, c.want, race.Timings)
		}
	}
}

func TestQuartiles(t *testing.T) {
	for _, c := range []struct {
		samples        []float64
		median, spread float64
	}{{[]float64{3}, 3, 0}, {[]float64{3, 1}, 2, 0.5}, {[]float64{5, 1, 2, 4, 3}, 3, 1}, {[]float64{1, 1, 1, 100}, 1, 12.375}} {
		if m, s := quartiles(c.samples); m != c.median || math.Abs(s-c.spread) > 1e-12 {
			t.Errorf("%v: got %g, %g, want %g, %g", c.samples, m, s, c.median, c.spread)
		}
	}
}

// TestTunedNetworkAnswersAlike runs a network untuned, and with every second shape as if another kernel had been much faster: the logits differ by
// rounding alone, and the class is the same.
func TestTunedNetworkAnswersAlike(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the layers of a network")
	}
	g, err := pass.Run(seededNetwork(t, "resnet20-cifar", 2, 32), pass.Default())
	if err != nil {
		t.Fatal(err)
	}
	inputs := seededInput(g)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		d.outcomes = newOutcomes(d)
		untuned := runGraph(t, d, g, inputs)[0]
		d.SetTuning(Tuning{Mode: TuneQuick, Budget: 20 * time.Second})
		rule, err := d.settle(t.Context(), d.planOptions(), g, *d.tuning.Load())
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range d.outcomes.known.Races() {
			if i%2 == 0 && len(r.Timings) > 1 {
				r.Timings = slices.Clone(r.Timings)
				r.Timings[1].Median, r.Timings[1].Spread, r.When = r.Timings[0].Median/100, 0, r.When+1
				d.outcomes.known.AddRace(r)
			}
		}
		p, err := d.settle(t.Context(), d.planOptions(), g, *d.tuning.Load())
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(p.Choices, rule.Choices) {
			t.Error("the same kernels are chosen: the test shows nothing")
		}
		tuned := runGraph(t, d, g, inputs)[0]
		if e := golden.L2Error(reference.Widen(tuned), reference.Widen(untuned)); !(e < 1e-5) {
			t.Errorf("relative L2 distance of the logits: got %g, want rounding alone", e)
		}
		for i := range 2 {
			row := func(x []float32) []float32 { return x[i*len(x)/2:][:len(x)/2] }
			if a, b := argmax(row(tuned)), argmax(row(untuned)); a != b {
				t.Errorf("picture %d: class %d tuned, %d untuned", i, a, b)
			}
		}
	})
}

// TestTuningMeasuresTheBatchThatIsCompiled, and not the one picture by which float16 is calibrated before.
func TestTuningMeasuresTheBatchThatIsCompiled(t *testing.T) {
	g := parseBound(t, "input %x : float32[3,16,9,9]\nparam @v : float32[32,16,1,1]\n%z = conv2d(%x, @v)\noutput %z\n")
	eachDevice(t, Options{Precision: Half}, func(t *testing.T, d *device) {
		d.outcomes = newOutcomes(d)
		var shapes []string
		d.SetTuning(Tuning{Mode: TuneQuick, Budget: 1, On: func(e TuneEvent) { shapes = append(shapes, e.Shape) }})
		e, err := d.Compile(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		if want := shapeOf(g.Nodes[0]); len(shapes) != 1 || shapes[0] != want {
			t.Errorf("measured %q, want %q alone", shapes, want)
		}
	})
}

// TestRacesOfOnePrecisionLeaveTheOthersAlone: what was measured with one is found again, whatever was measured with the other in between.
func TestRacesOfOnePrecisionLeaveTheOthersAlone(t *testing.T) {
	g := parseBound(t, "input %x : float32[1,16,9,9]\nparam @v : float32[32,16,1,1]\n%z = conv2d(%x, @v)\noutput %z\n")
	dir := t.TempDir()
	for round, p := range []Precision{Float32, Half, Float32, Half} {
		var events []TuneEvent
		o := Options{CacheDir: dir, Precision: p, Tuning: Tuning{Mode: TuneQuick, Budget: time.Minute, On: func(e TuneEvent) { events = append(events, e) }}}
		eachFreshDevice(t, o, func(t *testing.T, d *device) {
			events = nil
			e, err := d.Compile(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			e.Close()
			if len(events) != 1 || events[0].Cached != (round > 1) || events[0].Skipped {
				t.Errorf("round %d, %v: got %+v", round, p, events)
			}
		})
	}
}

// TestKernelOnAGPUThatWasAsleepIsMeasuredAgain.
func TestKernelOnAGPUThatWasAsleepIsMeasuredAgain(t *testing.T) {
	runs := 0
	c := &contender{measure: func(context.Context) (float64, error) {
		runs++
		time.Sleep(time.Millisecond)
		if runs < 4 {
			return 5e-3, nil
		}
		return 1e-3, nil
	}}
	if s, err := c.awake(t.Context()); err != nil || s != 1e-3 || runs < 4 {
		t.Errorf("got %g, %v after %d runs, want 0.001", s, err, runs)
	}
	wrong := errors.New("lost")
	c.measure = func(context.Context) (float64, error) { return 0, wrong }
	if _, err := c.awake(t.Context()); !errors.Is(err, wrong) {
		t.Errorf("got %v, want the kernel's error", err)
	}
}
