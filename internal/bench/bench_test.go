package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/machine"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

const classes = 7

// tiny is a network with everything that matters here: a batch, rows of logits, some hundred operations.
func tiny(t testing.TB) Network {
	t.Helper()
	return Network{Name: "tiny", Graph: func(batch int) (*graph.Graph, error) {
		b := graph.NewBuilder("tiny")
		param := func(name string, dims ...int) *graph.Value {
			s := graph.NewShape(dims...)
			w, err := graph.FromFloat32s(s, seeded.Uniform(3, name, s.Elems(), 0.5))
			if err != nil {
				t.Fatal(err)
			}
			return b.Param(name, w.Type, w)
		}
		x := b.Input("input", graph.F32(batch, 3, 6, 5))
		x = b.Node("conv", graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1, Act: graph.ActReLU}, x, param("w", 4, 3, 3, 3))
		x = b.Node("pool", graph.GlobalAvgPool{}, x)
		x = b.Node("flat", graph.Flatten{}, x)
		b.Output(b.Node("fc", graph.Linear{}, x, param("fw", classes, 4)))
		return b.Build()
	}}
}

// liar is the reference backend with executables that spoil their results.
type liar struct {
	backend.Device
	spoil func(run int, out []float32) // nil: honest
	held  int64
	peak  error
}

func (l *liar) AllocatedBytes() int64 { l.held += 1000; return l.held }

func (l *liar) MeasurePeak(context.Context) (backend.Peak, error) {
	return backend.Peak{Arithmetic: []backend.ArithmeticPeak{{DType: graph.Float32, FLOPsPerSecond: 1e3}, {DType: graph.Float32, FLOPsPerSecond: 1e12}}, BytesPerSecond: 5}, l.peak
}

func (l *liar) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := l.Device.Compile(ctx, g)
	return &lyingExecutable{Executable: e, l: l}, err
}

type lyingExecutable struct {
	backend.Executable
	l    *liar
	runs atomic.Int64
}

func (e *lyingExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	run := int(e.runs.Add(1))
	if err := e.Executable.Run(ctx, in, out); err != nil || e.l.spoil == nil {
		return err
	}
	x := graph.NewTensor(out[0].Type())
	if err := out[0].Read(ctx, x.Data); err != nil {
		return err
	}
	values := x.Float32s()
	e.l.spoil(run, values)
	y, err := graph.FromFloat32s(out[0].Type().Shape, values)
	if err != nil {
		return err
	}
	return out[0].Write(ctx, y.Data)
}

func (e *lyingExecutable) Profile(ctx context.Context, in, out []backend.Buffer) ([]backend.NodeTime, error) {
	return []backend.NodeTime{{Node: "conv", Seconds: 1}}, e.Run(ctx, in, out)
}

func open(t testing.TB, spoil func(int, []float32)) Target {
	t.Helper()
	return Target{Open: func(ctx context.Context) (backend.Device, error) {
		d, err := reference.New().Open(ctx, "cpu")
		return &liar{Device: d, spoil: spoil}, err
	}}
}

func suite(t testing.TB, spoil func(int, []float32)) *Suite {
	t.Helper()
	return &Suite{
		Targets: []Target{open(t, spoil)}, Networks: []Network{tiny(t)}, Batches: []int{1, 3}, Tolerance: Float32,
		Options: Options{Runs: 8}, Note: t.Logf, Done: func(*Result) {},
	}
}

func TestSuiteMeasuresWhatIsRight(t *testing.T) {
	done := 0
	s := suite(t, nil)
	s.Done = func(*Result) { done++ }
	r, err := s.Run(t.Context())
	if err != nil || r.Err() != nil || r.Interrupted || len(r.Results) != 2 || done != 2 {
		t.Fatalf("got %v, %v, %+v", err, r.Err(), r)
	}
	for i, x := range r.Results {
		if x.Status != OK || x.Batch != s.Batches[i] || x.Timing.Runs != 8 || len(x.Timing.Samples) != 8 || !x.Verification.Right || x.Verification.Pictures != x.Batch {
			t.Errorf("got %+v, %+v", x, x.Verification)
		}
		g, err := s.Networks[0].Graph(x.Batch)
		if err != nil {
			t.Fatal(err)
		}
		m := x.Timing.Seconds.Median
		near(t, "images/s", x.Timing.ImagesPerSecond*m, float64(x.Batch), 1e-9)
		near(t, "FLOP/s", x.Timing.FLOPsPerSecond*m, float64(g.Cost().FLOPs), 1e-3)
		near(t, "share of the peak", x.Timing.PeakShare, x.Timing.FLOPsPerSecond/1e12, 1e-15)
		if x.DeviceBytes != 2000 || x.Cold != nil { // what is held after the last run counts, not after the first buffers
			t.Errorf("got %d bytes of the device, %v", x.DeviceBytes, x.Cold)
		}
	}
	if p := r.Devices[0].Peak; p == nil || p.FLOPsPerSecond["float32"] != 1e12 || p.BytesPerSecond != 5 {
		t.Errorf("got peak %+v", p)
	}
}

// TestTheThreadsAreThoseOfTheRun: --threads takes hold when a device is opened, after the report was begun.
func TestTheThreadsAreThoseOfTheRun(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	s := suite(t, nil)
	open := s.Targets[0].Open
	s.Targets[0].Open = func(ctx context.Context) (backend.Device, error) {
		runtime.GOMAXPROCS(before + 3)
		return open(ctx)
	}
	r, err := s.Run(t.Context())
	if err != nil || r.Environment.Threads != before+3 {
		t.Errorf("got %d threads, %v, want %d", r.Environment.Threads, err, before+3)
	}
}

// TestNoNumberForAWrongAnswer spoils results in the ways that matter: each must be found, and there must be no time then.
func TestNoNumberForAWrongAnswer(t *testing.T) {
	for name, spoil := range map[string]func(run int, out []float32){
		"one element":           func(_ int, out []float32) { out[len(out)-1] *= 1.001 },
		"NaN":                   func(_ int, out []float32) { out[0] = float32(math.NaN()) },
		"infinity":              func(_ int, out []float32) { out[2] = float32(math.Inf(1)) },
		"zeros":                 func(_ int, out []float32) { clear(out) },
		"two pictures swapped":  func(_ int, out []float32) { swap(out) },
		"the tail of the batch": func(_ int, out []float32) { clear(out[len(out)-classes:]) },
		"the first run alone": func(run int, out []float32) {
			if run == 1 {
				out[0] += 1
			}
		},
		"the last run alone": func(run int, out []float32) {
			if run == 10 { // one that is cold, one to warm up, eight samples
				out[0] += 1
			}
		},
		"noise in every run": func(run int, out []float32) { out[1] *= 1 + float32(run)*1e-3 },
	} {
		t.Run(name, func(t *testing.T) {
			s := suite(t, spoil)
			s.Batches = []int{3}
			r, err := s.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			x := r.Results[0]
			if x.Status != Wrong || x.Timing != nil || x.Verification == nil || x.Verification.Right || x.Error == "" {
				t.Errorf("got %+v with %+v", x, x.Verification)
			}
			if !(x.Verification.Max > Float32.Max || x.Verification.L2 > Float32.L2) {
				t.Errorf("the error is not told: %+v", x.Verification)
			}
			if !errors.Is(r.Err(), ErrWrong) {
				t.Errorf("got %v", r.Err())
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("the report cannot be written: %v", err)
			}
		})
	}
}

func swap(out []float32) {
	row := slices.Clone(out[:classes])
	copy(out, out[classes:2*classes])
	copy(out[classes:], row)
}

// TestTheSkippedRun: an executable that does nothing from the second run on leaves the poison.
func TestTheSkippedRun(t *testing.T) {
	var right []float32
	s := suite(t, func(run int, out []float32) {
		if run == 1 {
			right = slices.Clone(out)
			return
		}
		for i := range out {
			out[i] = float32(math.NaN()) // what Once wrote there
		}
	})
	r, err := s.Run(t.Context())
	if err != nil || r.Results[0].Status != Wrong || right == nil {
		t.Errorf("got %v, %+v", err, r.Results[0])
	}
}

// TestNoiseWithinTheToleranceIsRight: a backend need not give the same bits each time; the worst is told.
func TestNoiseWithinTheToleranceIsRight(t *testing.T) {
	s := suite(t, func(run int, out []float32) { out[0] *= 1 + float32(run)*2e-7 })
	r, err := s.Run(t.Context())
	if err != nil || r.Err() != nil {
		t.Fatalf("got %v, %v", err, r.Err())
	}
	if v := r.Results[0].Verification; !(v.Max > 1e-8) {
		t.Errorf("got %+v, want the worst of the runs", v)
	}
}

func TestInterruptionKeepsWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := suite(t, func(run int, _ []float32) {
		if run == 6 {
			cancel()
		}
	})
	s.Options = Options{Duration: time.Hour}
	r, err := s.Run(ctx)
	if err != nil || !r.Interrupted || len(r.Results) != 1 {
		t.Fatalf("got %v, %+v", err, r)
	}
	x := r.Results[0]
	if x.Status != Interrupted || x.Timing == nil || x.Timing.Runs < 3 || x.Timing.Runs > 4 || !x.Verification.Right {
		t.Errorf("got %+v, %+v", x, x.Timing)
	}
	if r.Err() != nil {
		t.Errorf("an interruption is no failure of the device: %v", r.Err())
	}
}

// stuck is a device that does not come to an end.
type stuck chan struct{}

func (s stuck) Close() error { <-s; return errors.New("late") }

func TestInterruptedCloseDoesNotWaitForEver(t *testing.T) {
	defer func(was time.Duration) { grace = was }(grace)
	grace = time.Millisecond
	s := make(stuck)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Close(ctx, s); err != nil { // would hang
		t.Errorf("got %v", err)
	}
	close(s)
	if err := Close(t.Context(), s); err == nil {
		t.Error("without an interruption the error of Close is lost")
	}
}

func TestDurationAndWarmup(t *testing.T) {
	runs := 0
	s := suite(t, func(run int, _ []float32) { runs = run })
	s.Batches, s.Options = []int{1}, Options{}
	r, err := s.Run(t.Context())
	if err != nil || r.Results[0].Timing.Runs < MinRuns || runs != r.Results[0].Timing.Runs+2 {
		t.Errorf("no options: %v, %d runs, of which %d count", err, runs, r.Results[0].Timing.Runs)
	}
	s.Options = Options{Warmup: 20 * time.Millisecond, Duration: 30 * time.Millisecond, Transfers: true}
	r, err = s.Run(t.Context())
	if err != nil || !r.Results[0].Transfers {
		t.Fatalf("got %v, %+v", err, r.Results[0])
	}
	sum := 0.0
	for _, v := range r.Results[0].Timing.Samples {
		sum += v
	}
	if n := r.Results[0].Timing.Runs; n > MinRuns && sum > 30e-3+r.Results[0].Timing.Seconds.Max {
		t.Errorf("%d samples of %g s in all", n, sum)
	}
}

func TestFailuresAreReported(t *testing.T) {
	s := suite(t, nil)
	s.Networks[0].Graph = func(batch int) (*graph.Graph, error) {
		if batch == 3 {
			return nil, fmt.Errorf("batch %d: %w", batch, backend.ErrOutOfMemory)
		}
		return tiny(t).Graph(batch)
	}
	r, err := s.Run(t.Context())
	if err != nil || len(r.Results) != 2 || r.Results[0].Status != OK || r.Results[1].Status != Failed || r.Results[1].Timing != nil || !errors.Is(r.Err(), ErrFailed) {
		t.Errorf("got %v, %v, %+v", err, r.Err(), r.Results)
	}
	s.Targets[0].Open = func(context.Context) (backend.Device, error) { return nil, backend.ErrNoDevice }
	if _, err := s.Run(t.Context()); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("got %v", err)
	}
	s.Networks[0].Graph = func(batch int) (*graph.Graph, error) {
		g, err := tiny(t).Graph(batch)
		if err != nil {
			return nil, err
		}
		return g.WithOutputs("fc", "conv")
	}
	if _, err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "one output, got 1 and 2") {
		t.Errorf("two outputs: got %v", err)
	}
}

func TestPeakThatFailsIsSaid(t *testing.T) {
	dev, err := reference.New().Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	d := MeasurePeak(t.Context(), &liar{Device: dev, peak: backend.ErrDeviceLost})
	if d.Peak != nil || !strings.Contains(d.PeakError, "lost") {
		t.Errorf("got %+v", d)
	}
	if d := MeasurePeak(t.Context(), dev); d.Peak != nil || d.PeakError != "" {
		t.Errorf("a device that cannot tell: got %+v", d)
	}
}

func TestStarts(t *testing.T) {
	var dirs []string
	removed := 0
	s := suite(t, nil)
	s.Starts = 3
	s.TempDir = func() (string, func(), error) {
		dirs = append(dirs, fmt.Sprint("dir", len(dirs)))
		return dirs[len(dirs)-1], func() { removed++ }, nil
	}
	var used []string
	wrong := false
	s.Start = func(ctx context.Context, d backend.DeviceInfo, network, pictures, batch int, dir string) (Start, []float32, error) {
		used = append(used, dir)
		st, out, err := TimeStart(ctx, s.Targets[0].Open, s.Networks[network], pictures, batch)
		if wrong && err == nil {
			out[0]++
		}
		st.Total = []float64{5, 50, 1, 10, 3, 30}[(len(used)-1)%6] // cold, warm, ...
		return st, out, err
	}
	r, err := s.Run(t.Context())
	if err != nil || r.Err() != nil {
		t.Fatalf("got %v, %v", err, r.Err())
	}
	if want := []string{"dir0", "dir0", "dir1", "dir1", "dir2", "dir2"}; !slices.Equal(used, want) || removed != 3 {
		t.Errorf("used %v, want %v; %d removed", used, want, removed)
	}
	x := r.Results[0]
	if x.Cold == nil || x.Cold.Total != 3 || x.Warm.Total != 30 || r.Results[1].Cold != nil {
		t.Errorf("got %+v, %+v", x.Cold, x.Warm)
	}
	if c := x.Cold; !(c.Open > 0 && c.Compile > 0 && c.FirstRun > 0 && c.NextRun > 0) {
		t.Errorf("got %+v", c)
	}
	wrong = true
	r, err = s.Run(t.Context())
	if err != nil || r.Results[0].Status != Wrong || r.Results[0].Timing != nil || r.Results[0].Cold != nil || !errors.Is(r.Err(), ErrWrong) {
		t.Errorf("a wrong start: got %v, %+v", err, r.Results[0])
	}
}

func TestProfileIsVerified(t *testing.T) {
	for _, spoiled := range []bool{false, true} {
		dev, err := open(t, func(run int, out []float32) {
			if spoiled && run == 2 {
				out[0]++
			}
		}).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a, err := NewAnswers(t.Context(), tiny(t), 1)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Prepare(t.Context(), dev, tiny(t), a, 1, Float32)
		if err != nil {
			t.Fatal(err)
		}
		times, err := p.Profile(t.Context())
		if spoiled != errors.Is(err, ErrWrong) || len(times) != 1 {
			t.Errorf("spoiled %v: got %v, %v", spoiled, times, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestEnvironmentKnowsTheMachine(t *testing.T) {
	e := ReadEnvironment()
	if e.Cores < 1 || e.Threads < 1 || e.Go == "" || e.OS == "" || e.Platform == "" || e.Time.IsZero() {
		t.Errorf("got %+v", e)
	}
	if n, err := machine.Resident(os.Getpid()); err == nil && (ResidentBytes() < 1<<20 || n < 1<<20 || e.Memory < n) {
		t.Errorf("%d bytes of memory of %d", ResidentBytes(), e.Memory)
	}
	if field("no such file", "x") != "" || firstLine("no such file") != "" {
		t.Error("what is not there was found")
	}
}
