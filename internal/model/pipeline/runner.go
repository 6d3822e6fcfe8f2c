package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// Runner is a model on a device, compiled for batches of up to a number of pictures. One goroutine starts batches; those that were started
// may run side by side.
type Runner struct {
	dev      backend.Device
	model    *model.Model
	view     View
	batch    int
	flights  int              // batches on the device at once
	programs map[int]*program // by batch size
	// signature is that of the full batch.
	signature graph.Signature
	starting  sync.Mutex // for programs, where Batch and Warm are used
}

// View makes of a model's graph another one that computes something else of the same pictures: outputs whose first dimension is the batch.
type View func(*graph.Graph) (*graph.Graph, error)

// program is an executable with its buffers.
type program struct {
	exec backend.Executable
	made []*buffers
	idle chan *buffers
}

// buffers are those of one run.
type buffers struct {
	in  backend.Buffer
	out []backend.Buffer
}

func (b *buffers) close() error {
	errs := []error{b.in.Close()}
	for _, o := range b.out {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

// flightsOf is how many batches are on a device at once: one that is computed, and one that is written or read meanwhile. Where the host's own
// cores compute there is nothing to gain.
func flightsOf(d backend.DeviceInfo) int {
	if d.Type == backend.CPU {
		return 1
	}
	return 2
}

// NewRunner compiles the model, or a view of it that is not nil, for batches of the given size. With a batch of 0 it chooses one itself (see [AutoBatch])
// for up to pictures of them, and a smaller one when the device has not the memory.
//
// Errors: those of the view and of backend.Device.Compile; one that wraps backend.ErrOutOfMemory says to try a smaller batch.
func NewRunner(ctx context.Context, dev backend.Device, m *model.Model, view View, batch, pictures int) (*Runner, error) {
	auto := batch == 0
	if auto {
		batch = AutoBatch(dev.Info(), m.Side)
	}
	batch = max(1, min(batch, pictures))
	for {
		r := &Runner{dev: dev, model: m, view: view, batch: batch, flights: flightsOf(dev.Info()), programs: map[int]*program{}}
		p, err := r.program(ctx, batch)
		if err == nil {
			r.signature = p.exec.Signature()
			return r, nil
		}
		err = errors.Join(err, r.Close())
		if !errors.Is(err, backend.ErrOutOfMemory) || batch == 1 {
			return nil, err
		}
		if !auto {
			return nil, fmt.Errorf("%w; try a smaller batch, for example --batch %d", err, batch/2)
		}
		batch /= 2
	}
}

// AutoBatch is the batch size for pictures of side×side when none is asked for: as many as fill a device, few enough that
// results come often.
func AutoBatch(d backend.DeviceInfo, side int) int {
	batch := 8
	if side <= 64 {
		batch = 64
	}
	if d.Type == backend.CPU {
		batch /= 4
	}
	return batch
}

// locked calls f under a lock, which is free again also after a panic.
func locked[T any](mu *sync.Mutex, f func() (T, error)) (T, error) {
	mu.Lock()
	defer mu.Unlock()
	return f()
}

// MaxBatch is the most pictures that one run takes.
func (r *Runner) MaxBatch() int { return r.batch }

// Signature is that of a full batch.
func (r *Runner) Signature() graph.Signature { return r.signature }

// Elems is the number of elements of one picture.
func (r *Runner) Elems() int { return 3 * r.model.Side * r.model.Side }

// Flights is how many batches the device takes at once.
func (r *Runner) Flights() int { return r.flights }

// Warm compiles for every size of batch that may come, which otherwise happens when one does.
//
// Errors: those of backend.Device.Compile, but for memory that is missing for a smaller batch: the full batch's executable does its work.
func (r *Runner) Warm(ctx context.Context) error {
	for n := r.batch; n >= 1; n-- {
		_, err := locked(&r.starting, func() (*program, error) { return r.program(ctx, r.size(n)) })
		if err != nil && !errors.Is(err, backend.ErrOutOfMemory) {
			return err
		}
	}
	return nil
}

// Batch runs n pictures that were preprocessed, [n,3,side,side] at the beginning of data, which has room for a full batch: the rest is scratch
// space, and the contents are undefined afterwards. It returns every output, [n,...]. Several goroutines may call it at once; [Runner.Flights] of
// them run, the others wait. It is not for use beside [Run].
func (r *Runner) Batch(ctx context.Context, data []float32, n int) ([][]float32, error) {
	f, err := locked(&r.starting, func() (*flight, error) { return r.start(ctx, n) })
	if err != nil {
		return nil, err
	}
	return r.infer(ctx, f, data, func() {})
}

// size is the batch size of the executable that runs n pictures: the full batch, halved as often as n fits. So there
// are few executables however many pictures fail, and at most half of a run is padding.
func (r *Runner) size(n int) int {
	size := r.batch
	for half := (size + 1) / 2; half >= n && half < size; half = (size + 1) / 2 {
		size = half
	}
	return size
}

// program returns the executable for a batch size, compiling it the first time.
func (r *Runner) program(ctx context.Context, size int) (*program, error) {
	if p := r.programs[size]; p != nil {
		return p, nil
	}
	p, err := r.compile(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("compile %s for batch %d on %s: %w", r.model.Name, size, r.dev.Info().Name, err)
	}
	r.programs[size] = p
	return p, nil
}

func (r *Runner) compile(ctx context.Context, size int) (*program, error) {
	g, err := r.model.Graph(size)
	if err != nil {
		return nil, err
	}
	if r.view != nil {
		if g, err = r.view(g); err != nil {
			return nil, err
		}
	}
	if g, err = pass.Run(g, pass.Default()); err != nil {
		return nil, err
	}
	p := &program{idle: make(chan *buffers, r.flights)}
	if p.exec, err = r.dev.Compile(ctx, g); err != nil {
		return nil, err
	}
	if err := r.newBuffers(ctx, p); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// newBuffers adds buffers to those of a program.
func (r *Runner) newBuffers(ctx context.Context, p *program) error {
	sig := p.exec.Signature()
	in, err := r.dev.NewBuffer(ctx, sig.Inputs[0].Type)
	if err != nil {
		return err
	}
	b := &buffers{in: in}
	for _, o := range sig.Outputs {
		out, err := r.dev.NewBuffer(ctx, o.Type)
		if err != nil {
			return errors.Join(err, b.close())
		}
		b.out = append(b.out, out)
	}
	p.made = append(p.made, b)
	p.idle <- b
	return nil
}

// take returns buffers that no run uses. Where there is no memory for more, it waits for those that there are.
func (r *Runner) take(ctx context.Context, p *program) (*buffers, error) {
	if len(p.idle) == 0 && len(p.made) < r.flights {
		if err := r.newBuffers(ctx, p); err != nil && !errors.Is(err, backend.ErrOutOfMemory) {
			return nil, err
		}
	}
	select {
	case b := <-p.idle:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// flight is a batch on its way through the device.
type flight struct {
	*buffers
	p *program
	n int // pictures
	// compiling is how long the executable took to compile, if it was not there, and ended when it was.
	compiling time.Duration
	ended     time.Time
}

// start waits until n pictures may go to the device.
func (r *Runner) start(ctx context.Context, n int) (*flight, error) {
	start := stopwatch.Now()
	p, err := r.program(ctx, r.size(n))
	if errors.Is(err, backend.ErrOutOfMemory) { // for one more: the full batch's, which is there, does it too
		p, err = r.program(ctx, r.batch)
	}
	if err != nil {
		return nil, err
	}
	f := &flight{p: p, n: n, ended: stopwatch.Now()}
	f.compiling = f.ended.Sub(start)
	if f.buffers, err = r.take(ctx, p); err != nil {
		return nil, err
	}
	return f, nil
}

// compiledSince is how much of the time from start on the executable was being compiled.
func (f *flight) compiledSince(start time.Time) time.Duration {
	return max(min(f.compiling, f.ended.Sub(start)), 0)
}

// infer returns the outputs for n pictures [n,3,side,side], each [n,...], and gives the buffers back. The room of data up to a full batch is
// scratch space: data must have it, and its contents are undefined afterwards. written is called when data is not needed any more.
func (r *Runner) infer(ctx context.Context, f *flight, data []float32, written func()) ([][]float32, error) {
	defer func() { f.p.idle <- f.buffers }() // has room for all
	err := r.write(ctx, f, data)
	written()
	if err != nil {
		return nil, fmt.Errorf("write input: %w", err)
	}
	if err := f.p.exec.Run(ctx, []backend.Buffer{f.in}, f.out); err != nil {
		return nil, err
	}
	outputs := make([][]float32, len(f.out))
	for i, b := range f.out {
		t := graph.NewTensor(b.Type())
		if err := b.Read(ctx, t.Data); err != nil {
			return nil, fmt.Errorf("read output: %w", err)
		}
		outputs[i] = t.Float32s()[:t.Type.Shape.Elems()/t.Type.Shape.Dim(0)*f.n]
	}
	return outputs, nil
}

func (r *Runner) write(ctx context.Context, f *flight, data []float32) error {
	shape := f.in.Type().Shape
	used := data[:shape.Elems()]
	clear(used[f.n*r.Elems():])
	in, err := graph.FromFloat32s(shape, used)
	if err != nil {
		return err
	}
	return f.in.Write(ctx, in.Data)
}

// Close releases what was compiled.
func (r *Runner) Close() error {
	var errs []error
	for _, p := range r.programs {
		errs = append(errs, p.close())
	}
	r.programs = nil
	return errors.Join(errs...)
}

func (p *program) close() error {
	errs := []error{p.exec.Close()}
	for _, b := range p.made {
		errs = append(errs, b.close())
	}
	return errors.Join(errs...)
}
