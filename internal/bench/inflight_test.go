package bench

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// TestSampleEnds has runs that end in pairs: what counts is the time for a group, and the samples add up to the whole.
func TestSampleEnds(t *testing.T) {
	now := time.Now()
	runs := make(chan ended, 99)
	for _, ms := range []int{1, 1, 2, 9, 10, 12, 20, 21, 30, 30, 44} { // the warm-up ends with the fourth
		runs <- ended{at: now.Add(time.Duration(ms) * time.Millisecond)}
	}
	got, err := sampleEnds(runs, Options{InFlight: 2, Runs: 3, Warmup: 5 * time.Millisecond})
	want := []float64{(12 - 9) / 2e3, (21 - 12) / 2e3, (30 - 21) / 2e3}
	if err != nil || len(got) != 3 || slices.ContainsFunc([]int{0, 1, 2}, func(i int) bool { return math.Abs(got[i]-want[i]) > 1e-6 }) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	lost := errors.New("lost")
	runs <- ended{err: lost}
	if got, err := sampleEnds(runs, Options{InFlight: 1, Runs: 3}); !errors.Is(err, lost) || len(got) > 2 {
		t.Errorf("got %v, %v, want the error and the samples before it", got, err)
	}
}

// meeting is the reference device whose runs wait until as many are under way.
type meeting struct {
	backend.Device
	want  int64
	under atomic.Int64
	met   atomic.Bool
}

type meetingExecutable struct {
	backend.Executable
	m *meeting
}

func (e *meetingExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	m := e.m
	defer m.under.Add(-1)
	m.under.Add(1)
	for deadline := time.Now().Add(20 * time.Millisecond); !m.met.Load() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if m.under.Load() >= m.want {
			m.met.Store(true)
		}
	}
	return e.Executable.Run(ctx, in, out)
}

func TestRunsInFlight(t *testing.T) {
	d, err := reference.New().Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	m := &meeting{Device: d, want: 3}
	s := suite(t, nil)
	s.Targets = []Target{{Open: func(context.Context) (backend.Device, error) { return m, nil }}}
	s.Options.InFlight = 3
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Results {
		if x.Status != OK || x.InFlight != 3 || x.Timing.Runs != 8 || x.Timing.Seconds.Median <= 0 {
			t.Errorf("got %+v, timing %+v", x, x.Timing)
		}
	}
	if !m.met.Load() {
		t.Error("three runs were never under way at once")
	}
}

func (m *meeting) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	e, err := m.Device.Compile(ctx, g)
	return &meetingExecutable{e, m}, err
}

// TestAWrongAnswerInFlight: it has no time, whichever caller meets it.
func TestAWrongAnswerInFlight(t *testing.T) {
	var runs atomic.Int64
	s := suite(t, func(_ int, out []float32) {
		if runs.Add(1) == 15 {
			out[0] += 1
		}
	})
	s.Batches, s.Options = []int{1}, Options{Runs: 20, InFlight: 2}
	r, err := s.Run(t.Context())
	if err != nil || r.Results[0].Status != Wrong || r.Results[0].Timing != nil {
		t.Errorf("got %v, %+v", err, r.Results[0])
	}
}

// TestAWrongAnswerAfterTheLastSample is that of a run which was under way when there were enough: run 1 is the first, 2 and 3 are the warm-up,
// and six make three samples.
func TestAWrongAnswerAfterTheLastSample(t *testing.T) {
	tenth := make(chan struct{})
	s := suite(t, func(run int, out []float32) {
		switch run {
		case 9:
			<-tenth
		case 10:
			close(tenth)
			time.Sleep(50 * time.Millisecond) // the ninth ends first
			out[0] += 1
		}
	})
	s.Batches, s.Options = []int{1}, Options{Runs: 3, InFlight: 2}
	r, err := s.Run(t.Context())
	if err != nil || r.Results[0].Status != Wrong || r.Results[0].Timing != nil {
		t.Errorf("got %v, %+v", err, r.Results[0])
	}
}
