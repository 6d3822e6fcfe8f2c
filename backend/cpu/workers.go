package cpu

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
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
}

// workers runs steps, one after the other, on goroutines that wait for the next run in between. The goroutine that
// calls run is worker 0.
type workers struct {
	all   []*worker
	steps []step
	state []stepState
	stop  atomic.Bool
	busy  sync.WaitGroup // of the workers beside worker 0, during a run
	gone  sync.WaitGroup // of their goroutines
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
				p.work(w, nil)
				p.busy.Done()
			}
		})
	}
	return p
}

// run does all steps and returns the context's error when it was cancelled before the last.
func (p *workers) run(ctx context.Context) error {
	p.stop.Store(false)
	for i := range p.state {
		p.state[i].next.Store(0)
		p.state[i].done.Store(0)
	}
	p.busy.Add(len(p.all) - 1)
	for _, w := range p.all[1:] {
		w.wake <- struct{}{}
	}
	p.work(p.all[0], ctx.Done())
	p.busy.Wait()
	if p.stop.Load() {
		return ctx.Err()
	}
	return nil
}

// work takes part in a run. The one who has the context's channel looks at it between tasks and while waiting.
func (p *workers) work(w *worker, cancelled <-chan struct{}) {
	for i := range p.steps {
		s, st := &p.steps[i], &p.state[i]
		for {
			task := int(st.next.Add(1)) - 1
			if task >= s.tasks {
				break
			}
			if p.stopped(cancelled) {
				return
			}
			s.do(w, task)
			st.done.Add(1)
		}
		for spins := 1; st.done.Load() < int64(s.tasks); spins++ {
			if p.stopped(cancelled) {
				return
			}
			if spins%64 == 0 {
				runtime.Gosched()
			}
		}
	}
}

func (p *workers) stopped(cancelled <-chan struct{}) bool {
	select {
	case <-cancelled:
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
