package vulkan

import (
	"context"
	"errors"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// TestOpposingRunsDoNotWaitForEachOther: one run reads what the other writes, and the other way round. If each took
// its buffers in its own order, both could end up holding what the other wants.
func TestOpposingRunsDoNotWaitForEachOther(t *testing.T) {
	g := parseGraph(t, "graph g\ninput %x : float32[2,3]\n%y = relu(%x)\noutput %y\n")
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		a, in, out := ready(t, d, g)
		b, err := d.Compile(ctx, g)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 2 {
			e, x, y := a, in, out
			wg.Go(func() {
				for range 300 {
					if err := e.Run(ctx, x, y); err != nil {
						t.Error(err)
						return
					}
				}
			})
			a, in, out = b, out, in
		}
		wg.Wait()
	})
}

// TestEverythingAtOnce lets runs, cancelled runs, reads, writes and compilations meet the closing of what they use,
// of the device at last. Each call must end, in success, in the context's error or in ErrClosed; the validation layer
// tells when something is destroyed too early, and the race detector what is not locked.
func TestEverythingAtOnce(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 2, 32)
	eachFreshDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
		const workers = 6
		var execs [2]backend.Executable
		var in, out [workers]backend.Buffer
		for i := range execs {
			var err error
			if execs[i], err = d.Compile(context.Background(), g); err != nil {
				t.Fatal(err)
			}
		}
		for i := range workers {
			a, b := newBuffers(t, d, execs[0].Signature())
			in[i], out[i] = a[0], b[0]
		}
		check := func(what string, err error) {
			if err != nil && !errors.Is(err, backend.ErrClosed) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want nothing, backend.ErrClosed or context.DeadlineExceeded", what, err)
			}
		}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				rng := rand.New(rand.NewSource(int64(w)))
				for i := range 12 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rng.Intn(40))*time.Millisecond)
					x, y := in[rng.Intn(workers)], out[rng.Intn(workers)] // shared with the others
					check("run", execs[rng.Intn(2)].Run(ctx, []backend.Buffer{x}, []backend.Buffer{y}))
					check("read", y.Read(ctx, make([]byte, y.Type().SizeBytes())))
					check("write", x.Write(ctx, make([]byte, x.Type().SizeBytes())))
					cancel()
					switch {
					case i == 8 && w < 3:
						check("close a buffer", in[w].Close())
						check("close a buffer again", in[w].Close())
					case i == 9 && w < 2:
						check("close an executable", execs[0].Close())
					case i == 10 && w == 3:
						check("close the device", d.Close())
					case i == 5:
						b, err := d.NewBuffer(context.Background(), graph.F32(7))
						if check("new buffer", err); err == nil {
							check("close it", b.Close())
						}
					}
				}
			})
		}
		ended := make(chan struct{})
		go func() { wg.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(90 * time.Second):
			t.Fatal("calls that do not end") // eachFreshDevice's Close may hang after this: the test's time limit ends it
		}
		if err := execs[1].Run(context.Background(), in[3:4], out[3:4]); !errors.Is(err, backend.ErrClosed) {
			t.Errorf("after the device was closed: got %v, want backend.ErrClosed", err)
		}
	})
}
