package cpu

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

var _ backend.PeakMeasurer = (*device)(nil)

const (
	peakRounds = 12
	peakTurn   = 15 * time.Millisecond // about how long a round lasts
	copyElems  = 1 << 24               // 64 MiB
	copyRounds = 5
)

// MeasurePeak implements [backend.PeakMeasurer] on the threads that a run would use. A third of a second each.
func (d *device) MeasurePeak(ctx context.Context) (backend.Peak, error) {
	if d.Check() != nil {
		return backend.Peak{}, fmt.Errorf("measure the peak: %w", backend.ErrClosed)
	}
	flops, err := d.arithmeticPeak(ctx)
	if err != nil {
		return backend.Peak{}, fmt.Errorf("measure the peak of arithmetic: %w", err)
	}
	bytes, err := d.copyPeak(ctx)
	if err != nil {
		return backend.Peak{}, fmt.Errorf("measure the peak of memory: %w", err)
	}
	return backend.Peak{Arithmetic: []backend.ArithmeticPeak{{DType: graph.Float32, Kernel: d.set.Name, FLOPsPerSecond: flops}}, BytesPerSecond: bytes}, nil
}

// everyThread times f on all threads at once, and returns the time until the last is done.
func (d *device) everyThread(f func(thread int)) time.Duration {
	var all sync.WaitGroup
	start := stopwatch.Now()
	for i := range d.workers {
		all.Go(func() { f(i) })
	}
	all.Wait()
	return stopwatch.Since(start)
}

// arithmeticPeak is the best of some rounds, in operations a second.
func (d *device) arithmeticPeak(ctx context.Context) (best float64, err error) {
	p := d.set.Peak
	sums := make([][]float32, d.workers)
	for i := range sums {
		sums[i] = make([]float32, p.Lanes)
	}
	factors := [2]float32{0.5, 2}
	n := 1 << 12
	for round := 0; round < peakRounds; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		took := d.everyThread(func(i int) { p.Run(&factors, sums[i], n) })
		for _, s := range sums {
			for _, v := range s {
				if v != float32(n) { // up to 2^24 a sum of ones is exact
					return 0, fmt.Errorf("%s: a sum of %d ones: got %g", d.set.Name, n, v)
				}
			}
		}
		best = max(best, 2*float64(p.Lanes)*float64(n)*float64(d.workers)/took.Seconds())
		if took < peakTurn/2 && n < 1<<24 {
			n *= 2
			continue
		}
		round++
	}
	return best, nil
}

// copyPeak is the best of some copies from one array to another, each thread its part, in bytes read and written a second.
func (d *device) copyPeak(ctx context.Context) (best float64, err error) {
	from, to := make([]float32, copyElems), make([]float32, copyElems)
	for i := range from {
		from[i] = float32(i)
	}
	for range copyRounds {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		took := d.everyThread(func(i int) {
			first, end := i*copyElems/d.workers, (i+1)*copyElems/d.workers
			copy(to[first:end], from[first:end])
		})
		best = max(best, 2*4*copyElems/took.Seconds())
		if i := copyElems - 1; to[0] != from[0] || to[i] != from[i] || to[i/3] != from[i/3] {
			return 0, fmt.Errorf("a copy of %d elements is not the same", copyElems)
		}
	}
	return best, nil
}
