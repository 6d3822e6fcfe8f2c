package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// ended is a run of one of several callers.
type ended struct {
	at  time.Time
	err error
}

// measureInFlight is Measure with callers that run side by side.
func (p *Prepared) measureInFlight(ctx context.Context, o Options) ([]float64, error) {
	for len(p.callers) < o.InFlight {
		if err := p.addCaller(ctx); err != nil {
			return nil, err
		}
	}
	runs := make(chan ended)
	var stopped atomic.Bool
	var wg sync.WaitGroup
	for _, c := range p.callers {
		wg.Go(func() {
			for err := error(nil); err == nil && !stopped.Load(); {
				_, err = p.once(ctx, c, o.Transfers)
				runs <- ended{stopwatch.Now(), err}
			}
		})
	}
	samples, err := sampleEnds(runs, o)
	stopped.Store(true)
	go func() { wg.Wait(); close(runs) }()
	for r := range runs { // those that were under way: a wrong answer counts, whenever it comes
		if errors.Is(r.err, ErrWrong) {
			err = r.err
		}
	}
	if errors.Is(err, ErrWrong) {
		return nil, err
	}
	return samples, err
}

// sampleEnds makes a sample of each group of as many runs as are in flight, after the warm-up.
func sampleEnds(runs <-chan ended, o Options) (samples []float64, err error) {
	begun := stopwatch.Now()
	var start, last time.Time // of the samples, and of the group
	for n := 0; ; {
		r := <-runs
		if r.err != nil {
			return samples, r.err
		}
		n++
		switch {
		case start.IsZero():
			if n >= o.InFlight && r.at.Sub(begun) >= o.Warmup {
				start, last, n = r.at, r.at, 0
			}
		case n == o.InFlight:
			samples = append(samples, r.at.Sub(last).Seconds()/float64(o.InFlight))
			last, n = r.at, 0
			if o.enough(len(samples), r.at.Sub(start)) {
				return samples, nil
			}
		}
	}
}
