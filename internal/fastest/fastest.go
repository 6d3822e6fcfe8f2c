// Package fastest finds out which of some devices is the fastest: it times small networks on each, once, and keeps the
// figures in a file.
//
// It is for devices of one processor: a backend made for it, a GPU beside it, and a driver that emulates a GPU there.
// Nothing that such a device says of itself tells which is faster on the machine at hand.
package fastest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// Candidate is a device that may be chosen.
type Candidate struct {
	Info backend.DeviceInfo
	Open func(ctx context.Context) (backend.Device, error)
}

// Rate is how fast a candidate is.
type Rate struct {
	FLOPsPerSecond float64 // 0 when it could not be measured
	Err            error   // why not
}

// Chooser measures and remembers.
type Chooser struct {
	// Dir is where the figures are kept; "" keeps none.
	Dir string
	// Version is part of what the figures are valid for, as devices and their drivers are: that of the program.
	Version string
	// Warn is told about a file that cannot be used or written; it may be nil.
	Warn func(error)
	// Rate times a device; nil is [Time].
	Rate func(ctx context.Context, d backend.Device) (float64, error)
}

// Measure returns a rate for each candidate: the ones kept for exactly these devices, or new ones. Only complete figures
// are kept, so that a device that failed once is tried again.
//
// Errors: only the context's. What is wrong with a candidate is in its rate.
func (c Chooser) Measure(ctx context.Context, candidates []Candidate) ([]Rate, error) {
	file := c.file(candidates)
	rates, err := file.read(len(candidates))
	if err != nil {
		c.warn(err)
	}
	if rates != nil {
		return rates, nil
	}
	isComplete := true
	for _, d := range candidates {
		flops, err := c.rate(ctx, d)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		isComplete = isComplete && err == nil
		rates = append(rates, Rate{flops, err})
	}
	if isComplete {
		if err := file.write(rates); err != nil {
			c.warn(err)
		}
	}
	return rates, nil
}

func (c Chooser) warn(err error) {
	if c.Warn != nil {
		c.Warn(err)
	}
}

func (c Chooser) rate(ctx context.Context, d Candidate) (flops float64, err error) {
	dev, err := d.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = errors.Join(err, dev.Close()); err != nil {
			flops = 0 // a speed of wrong results is none
		}
	}()
	measure := c.Rate
	if measure == nil {
		measure = Time
	}
	flops, err = measure(ctx, dev)
	if err == nil && !(flops > 0 && flops < math.Inf(1)) {
		err = fmt.Errorf("measure %s: got %g operations a second", d.Info.Name, flops)
	}
	return flops, err
}

// probe is a network of [Time]: a 3×3 convolution with as many filters as channels and ReLU.
type probe struct{ batch, channels, side int }

// probes grow from 14 million operations, for there are drivers that reach no more than a few thousand million a second, to 3,700 million: what a GPU
// needs to be told from its driver, which takes a tenth of a millisecond to begin whatever it is.
var probes = []probe{{1, 32, 28}, {1, 64, 56}, {16, 64, 56}}

const (
	longEnough = 2 * time.Millisecond  // for a run: then no larger network is needed
	probeTime  = 60 * time.Millisecond // how long the runs of a network go on, about: processors and GPUs that stood still need some of it to raise their clocks
	probeRuns  = 1000                  // at most
)

// Time returns the operations a second of the fastest of some runs of a small network, or of a larger one where that is over at once.
func Time(ctx context.Context, d backend.Device) (flopsPerSecond float64, err error) {
	for _, p := range probes {
		var best time.Duration
		if flopsPerSecond, best, err = p.time(ctx, d); err != nil || best >= longEnough {
			break
		}
	}
	return flopsPerSecond, err
}

// time is the fastest of some runs, after one that does not count.
func (p probe) time(ctx context.Context, d backend.Device) (flopsPerSecond float64, best time.Duration, err error) {
	g, err := p.graph()
	if err != nil {
		return 0, 0, err
	}
	e, err := d.Compile(ctx, g)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	in, err := d.NewBuffer(ctx, e.Signature().Inputs[0].Type)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := d.NewBuffer(ctx, e.Signature().Outputs[0].Type)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	ones := make([]byte, in.Type().SizeBytes())
	for i := 0; i < len(ones); i += 4 {
		binary.LittleEndian.PutUint32(ones[i:], math.Float32bits(1))
	}
	if err := in.Write(ctx, ones); err != nil {
		return 0, 0, err
	}
	best, err = fastestRun(ctx, e, []backend.Buffer{in}, []backend.Buffer{out})
	if err != nil {
		return 0, 0, err
	}
	return float64(g.Cost().FLOPs) / max(best, time.Nanosecond).Seconds(), best, p.check(ctx, out)
}

func fastestRun(ctx context.Context, e backend.Executable, ins, outs []backend.Buffer) (time.Duration, error) {
	if err := e.Run(ctx, ins, outs); err != nil {
		return 0, err
	}
	best := time.Duration(math.MaxInt64)
	begin := stopwatch.Now()
	for range probeRuns {
		start := stopwatch.Now()
		if err := e.Run(ctx, ins, outs); err != nil {
			return 0, err
		}
		best = min(best, stopwatch.Since(start))
		if stopwatch.Since(begin) > probeTime {
			break
		}
	}
	return best, nil
}

func (p probe) graph() (*graph.Graph, error) {
	b := graph.NewBuilder("probe")
	weights := make([]float32, p.channels*p.channels*9)
	for i := range weights {
		weights[i] = 0.25
	}
	t, err := graph.FromFloat32s(graph.NewShape(p.channels, p.channels, 3, 3), weights)
	if err != nil {
		return nil, err
	}
	x, w := b.Input("x", graph.F32(p.batch, p.channels, p.side, p.side)), b.Param("w", t.Type, t)
	b.Output(b.Node("y", graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1, Act: graph.ActReLU}, x, w))
	return b.Build()
}

// check holds the middle of the output's last plane against what it must be: a speed of wrong results is none.
func (p probe) check(ctx context.Context, out backend.Buffer) error {
	data := make([]byte, out.Type().SizeBytes())
	if err := out.Read(ctx, data); err != nil {
		return err
	}
	want := 0.25 * 9 * float64(p.channels)
	middle := len(data) - 4*(p.side/2*p.side+p.side/2)
	if got := float64(math.Float32frombits(binary.LittleEndian.Uint32(data[middle:]))); !(math.Abs(got-want) < 1e-2*want) {
		return fmt.Errorf("a small network gives %g, want %g", got, want)
	}
	return nil
}
