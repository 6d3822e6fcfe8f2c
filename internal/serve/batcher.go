package serve

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
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
	run     runner
	queue   chan *ticket
	waiting atomic.Int64 // pictures that have a place, in the queue or on their way there
	seen    *meter
	ctx     context.Context
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

func newBatcher(run runner, queue int, seen *meter) *batcher {
	b := &batcher{run: run, queue: make(chan *ticket, queue), seen: seen}
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
	if b.waiting.Add(int64(n)) > int64(cap(b.queue)) {
		b.release(n)
		return errBusy
	}
	return nil
}

func (b *batcher) release(n int) { b.waiting.Add(-int64(n)) }

// enqueue gives a picture with a place to the queue.
func (b *batcher) enqueue(ctx context.Context, data []float32) *ticket {
	t := &ticket{ctx, data, time.Now(), make(chan answer, 1)}
	b.queue <- t // has room: it has a place
	return t
}

// wait returns what came of the picture.
func (b *batcher) wait(t *ticket) ([][]float32, error) {
	select {
	case a := <-t.done:
		if a.err != nil && b.ctx.Err() != nil {
			return nil, errClosed // in mid-run
		}
		return a.outputs, a.err
	case <-t.ctx.Done():
		return nil, t.ctx.Err()
	case <-b.ctx.Done():
		return nil, errClosed
	}
}

// loop is one flight: it runs one batch after the other.
func (b *batcher) loop() {
	data := make([]float32, b.run.MaxBatch()*b.run.Elems())
	batch := make([]*ticket, 0, b.run.MaxBatch())
	for {
		select {
		case t := <-b.queue:
			batch = b.take(batch[:0], t)
		case <-b.ctx.Done():
			return
		}
		if len(batch) > 0 {
			b.fly(batch, data)
		}
	}
}

// take adds t, and what else waits, up to a full batch. Those whose request is over are left out.
func (b *batcher) take(batch []*ticket, t *ticket) []*ticket {
	for {
		b.release(1)
		if t.ctx.Err() == nil {
			batch = append(batch, t)
		}
		if len(batch) == b.run.MaxBatch() {
			return batch
		}
		select {
		case t = <-b.queue:
		default:
			return batch
		}
	}
}

// fly runs a batch and answers its pictures.
func (b *batcher) fly(batch []*ticket, data []float32) {
	start := time.Now()
	for i, t := range batch {
		copy(data[i*b.run.Elems():], t.data)
		b.seen.waited.Observe(start.Sub(t.queued).Seconds())
	}
	outputs, err := b.run.Batch(b.ctx, data, len(batch))
	b.seen.ran.Observe(time.Since(start).Seconds())
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

// close ends all flights; pictures that wait are answered with errClosed.
func (b *batcher) close() {
	b.stop()
	b.ended.Wait()
}
