package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

var (
	errBusy   = errors.New("too many pictures are waiting: try again later")
	errClosed = errors.New("the server is being stopped")
)

// runner runs batches; pipeline.Runner is one.
type runner interface {
	MaxBatch() int
	Flights() int
	Elems() int
	Batch(ctx context.Context, data []float32, n int) ([][]float32, error)
}

// ticket is a picture that waits.
type ticket struct {
	ctx    context.Context // of the request
	data   []float32       // preprocessed
	queued time.Time
	done   chan answer // has room for it
}

// answer is what came of a picture: its part of every output, or why there is none.
type answer struct {
	outputs [][]float32
	err     error
}

// batcher puts pictures of all requests into batches.
type batcher struct {
	run   runner
	most  int // pictures that may wait
	seen  *meter
	log   *slog.Logger
	wake  chan struct{} // a flight that stands still has something to do
	ctx   context.Context
	stop  context.CancelFunc
	ended sync.WaitGroup

	mu       sync.Mutex
	queue    []*ticket
	reserved int // places that are taken: by what is in the queue, and what is on its way there
}

func newBatcher(run runner, most int, seen *meter, log *slog.Logger) *batcher {
	b := &batcher{run: run, most: most, seen: seen, log: log, wake: make(chan struct{}, run.Flights())}
	b.ctx, b.stop = context.WithCancel(context.Background())
	for range run.Flights() {
		b.ended.Go(b.loop)
	}
	return b
}

// reserve takes places for n pictures; those that get no ticket must be released.
//
// Errors: errBusy.
func (b *batcher) reserve(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reserved+n > b.most {
		return errBusy
	}
	b.reserved += n
	return nil
}

func (b *batcher) release(n int) {
	b.mu.Lock()
	b.reserved -= n
	b.mu.Unlock()
}

// enqueue gives a picture with a place to the queue.
func (b *batcher) enqueue(ctx context.Context, data []float32) *ticket {
	t := &ticket{ctx, data, stopwatch.Now(), make(chan answer, 1)}
	b.mu.Lock()
	b.queue = append(b.queue, t)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // every flight will look
	}
	return t
}

// wait returns what came of the picture. One whose request is over leaves the queue.
func (b *batcher) wait(t *ticket) ([][]float32, error) {
	select {
	case a := <-t.done:
		if a.err != nil && b.ctx.Err() != nil {
			return nil, errClosed // in mid-run
		}
		return a.outputs, a.err
	case <-t.ctx.Done():
		b.leave(t)
		return nil, t.ctx.Err()
	case <-b.ctx.Done():
		return nil, errClosed
	}
}

func (b *batcher) leave(t *ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, t); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		b.reserved--
	}
}

// loop is one flight: it runs one batch after the other.
func (b *batcher) loop() {
	data := make([]float32, b.run.MaxBatch()*b.run.Elems())
	for {
		select {
		case <-b.wake:
		case <-b.ctx.Done():
			return
		}
		for batch := b.take(); len(batch) > 0 && b.ctx.Err() == nil; batch = b.take() {
			b.fly(batch, data)
		}
	}
}

// take takes what waits, up to a full batch.
func (b *batcher) take() []*ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.queue), b.run.MaxBatch())
	batch := slices.Clone(b.queue[:n])
	b.queue = slices.Delete(b.queue, 0, n)
	b.reserved -= n
	return batch
}

// fly runs a batch and answers its pictures.
func (b *batcher) fly(batch []*ticket, data []float32) {
	start := stopwatch.Now()
	for i, t := range batch {
		copy(data[i*b.run.Elems():], t.data)
		b.seen.waited.Observe(start.Sub(t.queued).Seconds())
	}
	outputs, err := b.runSafely(data, len(batch))
	b.seen.ran.Observe(stopwatch.Since(start).Seconds())
	b.seen.batch.Observe(float64(len(batch)))
	for i, t := range batch {
		a := answer{err: err}
		if err == nil {
			for _, all := range outputs {
				n := len(all) / len(batch)
				a.outputs = append(a.outputs, all[i*n:(i+1)*n:(i+1)*n])
			}
		}
		t.done <- a
	}
}

// runSafely runs a batch. A panic is an error of the batch: it must not end the others.
func (b *batcher) runSafely(data []float32, n int) (outputs [][]float32, err error) {
	defer recovered(b.log, &err)
	return b.run.Batch(b.ctx, data, n)
}

// recovered makes an error of a panic, and writes down where it was.
func recovered(log *slog.Logger, err *error) {
	if v := recover(); v != nil {
		log.Error("panic", "value", v, "stack", string(debug.Stack()))
		*err = fmt.Errorf("internal error: %v", v)
	}
}

// close ends all flights; pictures that wait are answered with errClosed.
func (b *batcher) close() {
	b.stop()
	b.ended.Wait()
}
