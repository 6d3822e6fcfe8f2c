package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Target is a device to measure on.
type Target struct {
	Open func(context.Context) (backend.Device, error)
}

// Starter times a start of the network in a process of its own, with the caches in dir, and returns the first run's output.
type Starter func(ctx context.Context, device backend.DeviceInfo, network, pictures, batch int, dir string) (Start, []float32, error)

// Suite is a benchmark: every network with every batch on every target.
type Suite struct {
	Targets   []Target
	Networks  []Network
	Batches   []int
	Tolerance Tolerance
	Options   Options
	NoPeak    bool
	// Starts is how often a cold and a warm start are timed, with the first batch; Start does it in a folder that
	// TempDir makes. None without it.
	Starts  int
	Start   Starter
	TempDir func() (dir string, remove func(), err error)
	// Note tells people what goes on; Done is called with each result.
	Note func(format string, args ...any)
	Done func(*Result)
}

// pictures is how many different ones a batch has at most: enough that neighbours in a batch are not alike.
const pictures = 2

// Run measures. What fails is part of the report; when the context ends the report has what there is.
//
// Errors: the reference's, a target that cannot be opened.
func (s *Suite) Run(ctx context.Context) (*Report, error) {
	r := &Report{Format: FormatVersion, Environment: ReadEnvironment(), Results: []Result{}, ReferenceSeconds: map[string]float64{}}
	var answers []*Answers
	for _, n := range s.Networks {
		s.Note("reference: %s: computing the answers in float64, which takes a large network a while", n.Name)
		a, err := NewAnswers(ctx, n, min(pictures, slices.Max(s.Batches)))
		if err != nil {
			return r, err
		}
		s.Note("reference: %s: %d pictures took %.1f s", n.Name, len(a.Pictures), a.Seconds)
		answers = append(answers, a)
		r.ReferenceSeconds[n.Name] = a.Seconds
	}
	for _, t := range s.Targets {
		if err := s.target(ctx, t, answers, r); err != nil {
			return r, err
		}
	}
	r.Interrupted = ctx.Err() != nil
	return r, nil
}

func (s *Suite) target(ctx context.Context, t Target, answers []*Answers, r *Report) (err error) {
	dev, err := t.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, Close(ctx, dev)) }()
	r.Environment.Threads = runtime.GOMAXPROCS(0) // --threads holds from when a device is opened
	d := Device{DeviceInfo: dev.Info()}
	if !s.NoPeak {
		d = MeasurePeak(ctx, dev)
	}
	if d.PeakError != "" && ctx.Err() == nil {
		s.Note("the peak of %s is not known: %s", d.Name, d.PeakError)
	}
	r.Devices = append(r.Devices, d)
	for i, n := range s.Networks {
		for j, batch := range s.Batches {
			if ctx.Err() != nil {
				return nil
			}
			res := s.one(ctx, dev, d, n, answers[i], batch)
			if res.Status == OK && j == 0 && s.Starts > 0 && s.Start != nil {
				s.starts(ctx, &res, d.DeviceInfo, i, answers[i])
			}
			r.Results = append(r.Results, res)
			s.Done(&r.Results[len(r.Results)-1])
		}
	}
	return nil
}

// one measures a case.
func (s *Suite) one(ctx context.Context, dev backend.Device, d Device, n Network, a *Answers, batch int) Result {
	res := Result{
		Case:   Case{Network: n.Name, Backend: d.Backend, DeviceID: d.ID, Batch: batch, Precision: PrecisionOf(d.DeviceInfo), Transfers: s.Options.Transfers, InFlight: s.Options.InFlight},
		Device: d.Name,
	}
	if res.InFlight == 1 {
		res.InFlight = 0
	}
	before := allocated(dev)
	p, err := Prepare(ctx, dev, n, a, batch, s.Tolerance)
	var samples []float64
	if p != nil {
		res.DeviceBytes = max(allocated(dev)-before, 0)
		if err == nil {
			samples, err = p.Measure(ctx, s.Options)
			res.DeviceBytes = max(allocated(dev)-before, res.DeviceBytes) // with the buffers of all callers
		}
		if p.Verification.Pictures > 0 {
			v := p.Verification
			res.Verification = &v
		}
		if len(samples) > 0 {
			res.Timing = newTiming(samples, batch, p.Cost.FLOPs, d.PeakIn(res.Precision))
		}
		if closing := Close(ctx, p); err == nil {
			err = closing
		}
	}
	res.settle(ctx, err)
	return res
}

// settle turns the error of a case into its status.
func (r *Result) settle(ctx context.Context, err error) {
	switch {
	case errors.Is(err, ErrWrong):
		r.Status, r.Error, r.Timing = Wrong, err.Error(), nil
	case ctx.Err() != nil:
		r.Status, r.Error = Interrupted, ctx.Err().Error()
	case err != nil:
		r.Status, r.Error, r.Timing = Failed, err.Error(), nil
	default:
		r.Status = OK
	}
}

// grace is how long an interrupted measurement waits for a device to finish the work that it cannot take back.
var grace = 2 * time.Second // tests make it short

// Close closes c. When the context has ended it does not wait for ever: a software driver may take minutes to come to the end
// of a batch, and the program ends anyway.
func Close(ctx context.Context, c io.Closer) error {
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	if ctx.Err() == nil {
		return <-closed
	}
	select {
	case err := <-closed:
		return err
	case <-time.After(grace):
		return nil
	}
}

func allocated(dev backend.Device) int64 {
	if m, ok := dev.(backend.MemoryReporter); ok {
		return m.AllocatedBytes()
	}
	return 0
}

// PeakIn is the arithmetic peak for a precision in FLOP/s, 0 when it is not known.
func (d *Device) PeakIn(precision string) float64 {
	if d.Peak == nil {
		return 0
	}
	best := d.Peak.FLOPsPerSecond[graph.Float32.String()]
	if precision == F16 || precision == F16A { // stored as float16, in whichever arithmetic is faster
		best = max(best, d.Peak.FLOPsPerSecond[graph.Float16.String()])
	}
	return best
}

// The precisions of tensors in a device's memory.
const (
	F32 = "f32" // that every backend has
	F16 = "f16"
	// F16A is F16 with products that are made, and a few of them added, in float16.
	F16A = "f16a"
)

// PrecisionOf is the precision that a device works in: its property "precision", else F32.
func PrecisionOf(d backend.DeviceInfo) string {
	if p := d.Properties["precision"]; p != "" {
		return p
	}
	return F32
}

// starts times cold and warm starts in turn, each with a folder of its own for the caches, and keeps the medians.
func (s *Suite) starts(ctx context.Context, res *Result, d backend.DeviceInfo, network int, a *Answers) {
	var cold, warm []Start
	err := func() error {
		for range s.Starts {
			dir, remove, err := s.TempDir()
			if err != nil {
				return err
			}
			for _, list := range []*[]Start{&cold, &warm} {
				t, out, err := s.Start(ctx, d, network, len(a.Pictures), res.Batch, dir)
				if err == nil {
					err = a.Check(out, res.Batch, res.Verification.Tolerance).Err()
				}
				if err != nil {
					remove()
					return fmt.Errorf("start of %v: %w", res.Case, err)
				}
				*list = append(*list, t)
			}
			remove()
		}
		return nil
	}()
	switch {
	case ctx.Err() != nil: // the times of the runs stand
	case err != nil:
		res.settle(ctx, err)
	default:
		res.Cold, res.Warm = medianStart(cold), medianStart(warm)
	}
}

// medianStart is the start with the median total: its parts belong together.
func medianStart(list []Start) *Start {
	slices.SortFunc(list, func(a, b Start) int {
		switch {
		case a.Total < b.Total:
			return -1
		case a.Total > b.Total:
			return 1
		}
		return 0
	})
	return &list[(len(list)-1)/2]
}
