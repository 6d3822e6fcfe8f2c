package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// Options say how long is measured. The zero value is the defaults.
type Options struct {
	Warmup   time.Duration // that runs are repeated at least, before the first that counts; there is always one
	Duration time.Duration // that samples are taken for at least
	Runs     int           // samples; 0 is as many as fit into Duration, but at least MinRuns
	// Transfers counts writing the inputs and reading the outputs as part of a run.
	Transfers bool
	// InFlight is how many runs are under way at once, each with buffers of its own; 0 is one. Of several a sample is the
	// time for as many to end, divided by their number: what a run adds, with what is done between two runs of a caller.
	InFlight int
}

const (
	// MinRuns is how many samples are taken however long they take: enough for [Compare].
	MinRuns = FewestSamples
	// MaxRuns bounds the samples that are kept.
	MaxRuns = 100_000
)

// Prepared is a network compiled on a device with its buffers, of which one run has given the right answer.
type Prepared struct {
	Batch        int
	Cost         graph.Cost // of the graph after the passes
	Graph        *graph.Graph
	Passes       float64 // seconds that the passes took, and the next two
	Compile      float64
	FirstRun     float64
	Verification Verification // of the runs so far

	dev     backend.Device
	exec    backend.Executable
	callers []*caller
	answers *Answers
	tol     Tolerance
	input   []byte
	poison  []byte

	verifying sync.Mutex
	right     []byte // the output of the last run that was verified
}

// caller is one that runs the network, again and again.
type caller struct {
	in, out backend.Buffer
	got     []byte
}

// Prepare compiles the network for a batch and runs it once. The caller closes it.
//
// An executable that computes convolutions through transforms has four times the tolerance, and one that stores tensors as float16 a thousand
// times, as in package conformance.
// Errors: those of the passes and of backend.Device; ErrWrong for a first run whose answer is wrong: Prepared is then not nil,
// and its Verification tells how wrong it is.
func Prepare(ctx context.Context, dev backend.Device, n Network, a *Answers, batch int, tol Tolerance) (*Prepared, error) {
	g, err := n.Graph(batch)
	if err != nil {
		return nil, fmt.Errorf("benchmark %s: %w", n.Name, err)
	}
	start := stopwatch.Now()
	if g, err = pass.Run(g, pass.Default()); err != nil {
		return nil, fmt.Errorf("benchmark %s: %w", n.Name, err)
	}
	p := &Prepared{Batch: batch, Cost: g.Cost(), Graph: g, Passes: stopwatch.Since(start).Seconds(), dev: dev, answers: a, tol: tol}
	start = stopwatch.Now()
	if p.exec, err = dev.Compile(ctx, g); err != nil {
		return nil, fmt.Errorf("benchmark %s: %w", n.Name, err)
	}
	p.Compile = stopwatch.Since(start).Seconds()
	if t, ok := p.exec.(backend.Transformer); ok && len(t.Transforms()) > 0 {
		p.tol = tol.ofTransforms()
	}
	if len(p.Precisions()) > 0 {
		p.tol = tol.ofHalf()
	}
	err = p.data()
	if err == nil {
		err = p.addCaller(ctx)
	}
	if err == nil {
		p.FirstRun, err = p.Once(ctx, false)
	}
	if err != nil {
		if !errors.Is(err, ErrWrong) {
			return nil, errors.Join(fmt.Errorf("benchmark %s: %w", n.Name, err), p.Close())
		}
		return p, err
	}
	return p, nil
}

// data makes what callers write to their buffers.
func (p *Prepared) data() error {
	sig := p.exec.Signature()
	x, err := graph.FromFloat32s(sig.Inputs[0].Type.Shape, p.answers.Input(p.Batch))
	if err != nil {
		return err
	}
	p.input, p.poison = x.Data, make([]byte, sig.Outputs[0].Type.SizeBytes())
	for i := 0; i+4 <= len(p.poison); i += 4 {
		binary.LittleEndian.PutUint32(p.poison[i:], math.Float32bits(float32(math.NaN())))
	}
	return nil
}

func (p *Prepared) addCaller(ctx context.Context) (err error) {
	sig, c := p.exec.Signature(), &caller{got: make([]byte, len(p.poison))}
	if c.in, err = p.dev.NewBuffer(ctx, sig.Inputs[0].Type); err != nil {
		return err
	}
	if c.out, err = p.dev.NewBuffer(ctx, sig.Outputs[0].Type); err != nil {
		return errors.Join(err, c.in.Close())
	}
	p.callers = append(p.callers, c)
	return c.in.Write(ctx, p.input)
}

// Once runs the network one time and returns the seconds of the run. The output is verified, unless it is bit for bit one
// that was.
//
// Errors: those of backend.Executable.Run, and ErrWrong.
func (p *Prepared) Once(ctx context.Context, transfers bool) (float64, error) {
	return p.once(ctx, p.callers[0], transfers)
}

func (p *Prepared) once(ctx context.Context, c *caller, transfers bool) (float64, error) {
	if err := c.out.Write(ctx, p.poison); err != nil {
		return 0, err
	}
	in, out := []backend.Buffer{c.in}, []backend.Buffer{c.out}
	start := stopwatch.Now()
	if transfers {
		if err := c.in.Write(ctx, p.input); err != nil {
			return 0, err
		}
	}
	if err := p.exec.Run(ctx, in, out); err != nil {
		return 0, err
	}
	if transfers {
		if err := c.out.Read(ctx, c.got); err != nil {
			return 0, err
		}
	}
	seconds := stopwatch.Since(start).Seconds()
	if !transfers {
		if err := c.out.Read(ctx, c.got); err != nil {
			return 0, err
		}
	}
	return seconds, p.verify(c.got)
}

func (p *Prepared) verify(got []byte) error {
	p.verifying.Lock()
	defer p.verifying.Unlock()
	if p.answers.want == nil || p.right != nil && bytes.Equal(got, p.right) {
		return nil
	}
	t := graph.Tensor{Type: p.exec.Signature().Outputs[0].Type, Data: got}
	v := p.answers.Check(t.Float32s(), p.Batch, p.tol)
	if p.right == nil || !v.Right || v.L2 > p.Verification.L2 {
		p.Verification = v // the worst that was seen
	}
	if v.Right {
		p.right = bytes.Clone(got)
	}
	return v.Err()
}

// Output is the output of the last run, row by row.
func (p *Prepared) Output() []float32 {
	t := graph.Tensor{Type: p.exec.Signature().Outputs[0].Type, Data: bytes.Clone(p.callers[0].got)}
	return t.Float32s()
}

// Measure warms up and returns the samples, in seconds and in the order they were taken. When the context ends, the samples
// so far come with its error.
//
// Errors: as Once; ErrWrong comes without samples.
func (p *Prepared) Measure(ctx context.Context, o Options) ([]float64, error) {
	if o.InFlight > 1 {
		return p.measureInFlight(ctx, o)
	}
	for start := stopwatch.Now(); ; {
		if _, err := p.Once(ctx, o.Transfers); err != nil {
			return nil, err
		}
		if stopwatch.Since(start) >= o.Warmup {
			break
		}
	}
	var samples []float64
	for start := stopwatch.Now(); ; {
		s, err := p.Once(ctx, o.Transfers)
		if errors.Is(err, ErrWrong) {
			return nil, err
		}
		if err != nil {
			return samples, err
		}
		samples = append(samples, s)
		if o.enough(len(samples), stopwatch.Since(start)) {
			return samples, nil
		}
	}
}

// enough tells whether n samples do, after the time that they took.
func (o *Options) enough(n int, took time.Duration) bool {
	return n >= MaxRuns || o.Runs > 0 && n >= o.Runs || o.Runs == 0 && n >= MinRuns && took >= o.Duration
}

// Take returns exactly n samples, without warming up.
//
// Errors: as Once.
func (p *Prepared) Take(ctx context.Context, n int, transfers bool) ([]float64, error) {
	samples := make([]float64, n)
	for i := range samples {
		var err error
		if samples[i], err = p.Once(ctx, transfers); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// Profile is the device's own time per step, of one verified run.
//
// Errors: as Once; backend.ErrUnsupported when the device cannot tell.
func (p *Prepared) Profile(ctx context.Context) ([]backend.NodeTime, error) {
	profiler, ok := p.exec.(backend.Profiler)
	if !ok {
		return nil, backend.Unsupported("profile", "a backend that tells the time of each node", "none")
	}
	c := p.callers[0]
	if err := c.out.Write(ctx, p.poison); err != nil {
		return nil, err
	}
	times, err := profiler.Profile(ctx, []backend.Buffer{c.in}, []backend.Buffer{c.out})
	if err == nil {
		err = c.out.Read(ctx, c.got)
	}
	if err == nil {
		err = p.verify(c.got)
	}
	return times, err
}

// Kernels is what the device's compiler says of the kernels, nil where it says nothing.
//
// Errors: those of [backend.KernelReporter] but backend.ErrUnsupported.
func (p *Prepared) Kernels(ctx context.Context) ([]backend.KernelReport, error) {
	r, ok := p.exec.(backend.KernelReporter)
	if !ok {
		return nil, nil
	}
	list, err := r.Kernels(ctx)
	if backend.IsUnsupported(err) {
		return nil, nil
	}
	return list, err
}

// Precisions is what the executable says as a [backend.MixedPrecision], nil where it does not.
func (p *Prepared) Precisions() map[string]backend.Precision {
	if m, ok := p.exec.(backend.MixedPrecision); ok {
		return m.Precisions()
	}
	return nil
}

// Close releases what Prepare made.
func (p *Prepared) Close() error {
	errs := []error{p.exec.Close()}
	for _, c := range p.callers {
		errs = append(errs, c.in.Close(), c.out.Close())
	}
	return errors.Join(errs...)
}
