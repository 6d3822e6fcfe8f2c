package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a runner whose batches take a second, and whose outputs tell which picture they are of.
type slow struct {
	batch, flights int
	takes          time.Duration
	err            error
	panics         int // of the first batches

	mu    sync.Mutex
	sizes []int
	now   atomic.Int64
	most  atomic.Int64
}

func (s *slow) MaxBatch() int { return s.batch }
func (s *slow) Flights() int  { return s.flights }
func (s *slow) Elems() int    { return 2 }

func (s *slow) Batch(ctx context.Context, data []float32, n int) ([][]float32, error) {
	s.mu.Lock()
	s.sizes = append(s.sizes, n)
	panics := len(s.sizes) <= s.panics
	s.mu.Unlock()
	if panics {
		panic("boom")
	}
	now := s.now.Add(1)
	defer s.now.Add(-1)
	s.most.Store(max(s.most.Load(), now))
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	a, b := make([]float32, n), make([]float32, 3*n)
	for i := range n {
		a[i] = data[2*i] + data[2*i+1]
		b[3*i+2] = data[2*i]
	}
	return [][]float32{a, b}, nil
}

func (s *slow) start(queue int) *batcher {
	return newBatcher(s, queue, newMetrics().meter("m"), slog.New(slog.DiscardHandler))
}

// ask reserves a place for a picture of a number and waits for what comes of it.
func ask(ctx context.Context, b *batcher, v float32) error {
	if err := b.reserve(1); err != nil {
		return err
	}
	out, err := b.wait(b.enqueue(ctx, []float32{v, 1}))
	if err == nil && (len(out) != 2 || len(out[0]) != 1 || out[0][0] != v+1 || len(out[1]) != 3 || out[1][2] != v) {
		return fmt.Errorf("picture %v: got %v", v, out)
	}
	return err
}

// taken is how many places are.
func taken(b *batcher) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reserved
}

// TestWhatWaitsGoesIntoOneBatch: the first picture runs alone, and what comes meanwhile together.
func TestWhatWaitsGoesIntoOneBatch(t *testing.T) {
	for _, flights := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			s := &slow{batch: 4, flights: flights, takes: time.Second}
			b := s.start(100)
			defer b.close()
			var all sync.WaitGroup
			for i := range 11 {
				time.Sleep(10 * time.Millisecond)
				all.Go(func() {
					if err := ask(t.Context(), b, float32(i)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			want := map[int]string{1: "[1 4 4 2]", 2: "[1 1 4 4 1]"}[flights]
			if got := fmt.Sprint(s.sizes); got != want || s.most.Load() != int64(flights) {
				t.Errorf("%d flights: got batches %s, %d at once, want %s", flights, got, s.most.Load(), want)
			}
			if n := taken(b); n != 0 {
				t.Errorf("%d places are still taken", n)
			}
		})
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{batch: 2, flights: 1, takes: time.Second}
		b := s.start(3)
		defer b.close()
		var busy, ok atomic.Int64
		var all sync.WaitGroup
		for i := range 9 {
			all.Go(func() {
				switch err := ask(t.Context(), b, float32(i)); {
				case err == nil:
					ok.Add(1)
				case errors.Is(err, errBusy):
					busy.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if ok.Load()+busy.Load() != 9 || ok.Load() < 3 || busy.Load() < 1 {
			t.Errorf("%d were answered and %d refused", ok.Load(), busy.Load())
		}
		if err := ask(t.Context(), b, 1); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if err := b.reserve(4); !errors.Is(err, errBusy) {
			t.Errorf("more than may wait: got %v", err)
		}
	})
}

// TestWhoGoesAwayLeavesTheQueue: and takes no place in a batch.
func TestWhoGoesAwayLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{batch: 8, flights: 1, takes: time.Second}
		b := s.start(100)
		defer b.close()
		var all sync.WaitGroup
		all.Go(func() { _ = ask(t.Context(), b, 0) })
		synctest.Wait() // it flies
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 5 {
			all.Go(func() {
				own := ctx
				if i == 3 {
					own = t.Context()
				}
				if err := ask(own, b, float32(i)); (err != nil) != (i != 3) || err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("picture %d: got %v", i, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if n := taken(b); n != 1 {
			t.Errorf("%d places are taken at once, want the one of the picture that waits", n)
		}
		all.Wait()
		if got := fmt.Sprint(s.sizes); got != "[1 1]" || taken(b) != 0 {
			t.Errorf("got batches %s, %d places taken", got, taken(b))
		}
	})
}

func TestErrorsOfTheDeviceReachEveryPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{batch: 4, flights: 1, takes: time.Second, err: errors.New("lost")}
		b := s.start(10)
		defer b.close()
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				if err := ask(t.Context(), b, float32(i)); err == nil || err.Error() != "lost" {
					t.Errorf("picture %d: got %v", i, err)
				}
			})
		}
		all.Wait()
	})
}

// TestAPanicIsAnError of its batch: what comes later is run.
func TestAPanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{batch: 4, flights: 1, takes: time.Second, panics: 1}
		b := s.start(10)
		defer b.close()
		if err := ask(t.Context(), b, 1); err == nil || !strings.Contains(err.Error(), "internal error: boom") {
			t.Errorf("got %v", err)
		}
		if err := ask(t.Context(), b, 2); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestCloseAnswersWhatWaits, what flies and what comes too late.
func TestCloseAnswersWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{batch: 1, flights: 1, takes: time.Hour}
		b := s.start(10)
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				if err := ask(t.Context(), b, float32(i)); !errors.Is(err, errClosed) {
					t.Errorf("picture %d: got %v", i, err)
				}
			})
		}
		synctest.Wait()
		b.close()
		all.Wait()
		if err := ask(t.Context(), b, 9); !errors.Is(err, errClosed) {
			t.Errorf("afterwards: got %v", err)
		}
	})
}
