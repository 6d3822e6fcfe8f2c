// Package pipeline moves pictures through a model: goroutines decode and preprocess them into batches, and while the device
// computes one, the next is written to it, and others fill. Results come in the order of the pictures, and memory is bounded by the number
// of batches in flight, whatever the number of pictures.
package pipeline

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// batchesInFlight are those in the host's memory: one full, waiting or being written to the device, and one filling.
const batchesInFlight = 2

// Options say how pictures are read.
type Options struct {
	Decode imaging.DecodeOptions
	// Thumbnail has each result bring its picture along, scaled so that the longer side has this many pixels; 0: without.
	Thumbnail int
	// KeepSmall leaves a thumbnail of a picture that is no larger as the picture is.
	KeepSmall bool
}

// Result is what became of one picture.
type Result struct {
	Picture       pictures.Picture
	Outputs       [][]float32  // its part of every output of the view, see [NewRunner]; nil on an error
	Width, Height int          // of the picture as decoded; 0 on an error
	Thumbnail     *imaging.RGB // nil unless asked for, or on an error
	Err           error        // about this picture alone
}

// Logits is the first output, one number for each class in most views; nil on an error.
func (r Result) Logits() []float32 {
	if r.Outputs == nil {
		return nil
	}
	return r.Outputs[0]
}

// Times says where the time of [Run] went.
type Times struct {
	Wall    time.Duration // from the first picture to the last result
	Backend time.Duration // writing inputs, running, reading outputs; part of Wall
	Waiting time.Duration // the device idle because no batch was full; part of Wall
	Compile time.Duration // the device idle while executables for smaller batches were compiled; part of Wall
	// Decode and Preprocess run beside the device; they are summed over all workers.
	Decode, Preprocess time.Duration
	Workers            int
}

// batch is a group of pictures on their way.
type batch struct {
	results []Result
	data    []float32 // room for a full batch
	filling sync.WaitGroup
}

// job is one place of a batch to fill.
type job struct {
	b *batch
	i int
}

// pending is a batch that was started, or why not.
type pending struct {
	b      *batch
	flight *flight // nil after an error, and where no picture of it could be read
	err    error
	// What came of it, when done is closed.
	done    chan struct{}
	outputs [][]float32 // for all pictures that could be read
}

type flow struct {
	r                  *Runner
	opts               Options
	jobs               chan job
	ready              chan *batch // in order, perhaps not filled yet
	free               chan []float32
	started            chan *pending // in order
	decode, preprocess atomic.Int64
}

// Run classifies the pictures and hands each result to emit, in order, from the calling goroutine. A picture that
// cannot be read is a result with an error; Run itself fails when the device does, when emit does, or when ctx ends. All
// goroutines have ended when it returns, but for one blocked in a read of standard input or a named pipe.
func Run(ctx context.Context, r *Runner, list []pictures.Picture, opts Options, emit func(Result) error) (Times, error) {
	start := stopwatch.Now()
	workers := max(1, min(runtime.GOMAXPROCS(0), len(list)))
	ctx, cancel := context.WithCancel(ctx)
	f := &flow{r: r, opts: opts, jobs: make(chan job), ready: make(chan *batch, batchesInFlight), free: make(chan []float32, batchesInFlight), started: make(chan *pending, r.flights)}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { f.feed(ctx, list) })
	wg.Go(func() { f.start(ctx, &wg) })
	for range workers {
		wg.Go(func() {
			for j := range f.jobs {
				f.fill(ctx, j)
			}
		})
	}
	var t Times
	err := f.drain(ctx, &t, emit)
	t.Wall, t.Workers = stopwatch.Since(start), workers
	t.Decode, t.Preprocess = time.Duration(f.decode.Load()), time.Duration(f.preprocess.Load())
	return t, err
}

// feed deals the pictures out to the workers, batch by batch, as buffers come free.
func (f *flow) feed(ctx context.Context, list []pictures.Picture) {
	defer close(f.jobs)
	defer close(f.ready)
	for made := 0; len(list) > 0 && ctx.Err() == nil; {
		n := min(f.r.batch, len(list))
		b := &batch{results: make([]Result, n)}
		for i := range b.results {
			b.results[i].Picture = list[i]
		}
		list = list[n:]
		if made < batchesInFlight {
			b.data = make([]float32, f.r.batch*f.r.Elems())
			made++
		} else {
			select {
			case b.data = <-f.free:
			case <-ctx.Done():
				return
			}
		}
		b.filling.Add(n)
		f.ready <- b // has room: there are no more batches than places
		for i := range n {
			select {
			case f.jobs <- job{b, i}:
			case <-ctx.Done():
				b.results[i].Err = ctx.Err()
				b.filling.Done()
			}
		}
	}
}

// fill decodes one picture into its place.
func (f *flow) fill(ctx context.Context, j job) {
	defer j.b.filling.Done()
	res := &j.b.results[j.i]
	res.Err = func() error {
		p := res.Picture
		if p.Err != nil {
			return p.Err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		start := stopwatch.Now()
		file, err := p.Open(ctx)
		if err != nil {
			return err
		}
		img, err := imaging.Decode(file, p.Name, f.opts.Decode)
		err = errors.Join(err, file.Close())
		decoded := stopwatch.Now()
		f.decode.Add(int64(decoded.Sub(start)))
		if err != nil {
			return err
		}
		n := f.r.Elems()
		err = f.r.model.Preprocess.Apply(img, j.b.data[j.i*n:(j.i+1)*n])
		f.preprocess.Add(int64(stopwatch.Since(decoded)))
		if err != nil {
			return err
		}
		res.Width, res.Height = img.Width, img.Height
		switch side := f.opts.Thumbnail; {
		case side < 1:
		case f.opts.KeepSmall && max(img.Width, img.Height) <= side:
			res.Thumbnail = img
		default:
			res.Thumbnail = imaging.Thumbnail(img, side)
		}
		return nil
	}()
}

// start brings the batches to the device, in order.
func (f *flow) start(ctx context.Context, wg *sync.WaitGroup) {
	defer close(f.started)
	for b := range f.ready {
		b.filling.Wait()
		p := &pending{b: b, err: ctx.Err(), done: make(chan struct{})}
		free := func() { f.free <- b.data } // has room: the buffer came from there or was one of the first
		if n := f.compact(b); n > 0 && p.err == nil {
			p.flight, p.err = f.r.start(ctx, n)
		}
		if p.flight == nil {
			free()
			close(p.done)
		}
		select {
		case f.started <- p:
		case <-ctx.Done(): // infer will say so
		}
		if p.flight == nil {
			continue
		}
		infer := func() {
			defer close(p.done)
			p.outputs, p.err = f.r.infer(ctx, p.flight, b.data, free)
		}
		if f.r.flights == 1 {
			infer() // to hand each batch to another goroutine costs a device on these cores some of its time
		} else {
			wg.Go(infer)
		}
	}
}

// compact moves the pictures of a batch that could be read to its front, and returns how many they are.
func (f *flow) compact(b *batch) int {
	n, elems := 0, f.r.Elems()
	for i := range b.results {
		if b.results[i].Err != nil {
			continue
		}
		if n < i {
			copy(b.data[n*elems:(n+1)*elems], b.data[i*elems:(i+1)*elems])
		}
		n++
	}
	return n
}

// drain takes what came of the batches, in order.
func (f *flow) drain(ctx context.Context, t *Times, emit func(Result) error) error {
	for {
		start := stopwatch.Now()
		p, ok := <-f.started
		if err := ctx.Err(); err != nil || !ok {
			return err
		}
		began := stopwatch.Now()
		<-p.done
		if p.flight != nil {
			compiling := p.flight.compiledSince(start)
			t.Compile += compiling
			t.Waiting -= compiling
		}
		t.Waiting += began.Sub(start)
		t.Backend += stopwatch.Since(began)
		if p.err != nil {
			return p.err
		}
		n := 0
		for _, r := range p.b.results {
			if r.Err == nil {
				r.Outputs = p.part(n)
				n++
			}
			if err := emit(r); err != nil {
				return err
			}
		}
	}
}

// part is what the outputs have for the i-th picture that could be read.
func (p *pending) part(i int) [][]float32 {
	parts := make([][]float32, len(p.outputs))
	for o, all := range p.outputs {
		n := len(all) / p.flight.n
		parts[o] = all[i*n : (i+1)*n : (i+1)*n]
	}
	return parts
}
