package cpu

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// step is a part of a run: tasks in any order, on any worker, each writing to memory of its own. What a task computes
// depends on nothing but its number, so that the bits of a result do not depend on who computes it.
type step struct {
	name, kernel string
	why          string // the kernel was chosen; may be empty
	tasks        int
	do           func(w *worker, task int)
}

// worker is what one goroutine needs for itself.
type worker struct {
	id      int
	dump    int // where rows beyond the last pixel are written, in the arena
	wake    chan struct{}
	scratch convScratch
	moments momentScratch
}

// workers runs steps, one after the other, on goroutines that wait for the next run in between. The goroutine that
// calls run is worker 0.
type workers struct {
	all   []*worker
	steps []step
	state []stepState
	stop  atomic.Bool
	done  <-chan struct{} // of the run's context; set before the workers are woken
	busy  sync.WaitGroup  // of the workers beside worker 0, during a run
	gone  sync.WaitGroup  // of their goroutines
	ends  []time.Time     // unless nil, worker 0 writes down when each step came to its end
}

// stepState counts a step's tasks during a run; padded so that the steps share no cache line.
type stepState struct {
	next, done atomic.Int64
	_          [48]byte
}

// newWorkers starts n workers; dump and dumpElems are where each may write what no one reads.
func newWorkers(n int, steps []step, dump, dumpElems int) *workers {
	p := &workers{steps: steps, state: make([]stepState, len(steps))}
	for i := range n {
		w := &worker{id: i, dump: dump + i*dumpElems}
		p.all = append(p.all, w)
		if i == 0 {
			continue
		}
		w.wake = make(chan struct{}, 1)
		p.gone.Go(func() {
			for range w.wake {
				p.work(w)
				p.busy.Done()
			}
		})
	}
	return p
}

// run does all steps and returns the context's error when it was cancelled before the last.
func (p *workers) run(ctx context.Context) error {
	p.stop.Store(false)
	p.done = ctx.Done()
	for i := range p.state {
		p.state[i].next.Store(0)
		p.state[i].done.Store(0)
	}
	p.busy.Add(len(p.all) - 1)
	for _, w := range p.all[1:] {
		w.wake <- struct{}{}
	}
	p.work(p.all[0])
	p.busy.Wait()
	if p.stop.Load() {
		return ctx.Err()
	}
	return nil
}

// work takes part in a run. Every worker looks at the context between tasks and while waiting, since the system may let
// any one of them sleep.
func (p *workers) work(w *worker) {
	for i := range p.steps {
		s, st := &p.steps[i], &p.state[i]
		for {
			task := int(st.next.Add(1)) - 1
			if task >= s.tasks {
				break
			}
			if p.stopped() {
				return
			}
			s.do(w, task)
			st.done.Add(1)
		}
		for spins := 1; st.done.Load() < int64(s.tasks); spins++ {
			if p.stopped() {
				return
			}
			if spins%64 == 0 {
				runtime.Gosched()
			}
		}
		if w.id == 0 && p.ends != nil {
			p.ends[i] = stopwatch.Now()
		}
	}
}

func (p *workers) stopped() bool {
	select {
	case <-p.done:
		p.stop.Store(true)
	default:
	}
	return p.stop.Load()
}

// close ends the goroutines; no run may be going on.
func (p *workers) close() {
	for _, w := range p.all[1:] {
		close(w.wake)
	}
	p.gone.Wait()
}
