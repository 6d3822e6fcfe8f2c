package reference

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// rows calls row(0) to row(n-1), each once, from at most GOMAXPROCS goroutines. A row must write to memory of its
// own only, so that the result does not depend on who computes it. When ctx is cancelled no further row is begun.
func rows(ctx context.Context, n int, row func(i int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				row(i)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
