package vulkan

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
)

// TestPipelinesAreMadeOnce compiles one graph in several goroutines. A pipeline made twice would be lost, which the validation
// layer tells at the end.
func TestPipelinesAreMadeOnce(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachFreshDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) { // a proof makes pipelines of its own
		execs := make([]backend.Executable, 4)
		var wg sync.WaitGroup
		for i := range execs {
			wg.Go(func() {
				var err error
				if execs[i], err = d.Compile(context.Background(), g); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		distinct := map[string]bool{}
		for i, s := range execs[0].(*executable).plan.Steps {
			distinct[pipelineKey(s)] = true
			for _, e := range execs[1:] {
				if e.(*executable).kernels[i].pipeline != execs[0].(*executable).kernels[i].pipeline {
					t.Errorf("step %d: executables do not share the pipeline", i)
				}
			}
		}
		if n := len(d.kernels.pipelines); n != len(distinct) || len(d.kernels.making) != 0 {
			t.Errorf("got %d pipelines and %d in the making, want %d and none", n, len(d.kernels.making), len(distinct))
		}
		var first []float32
		for _, e := range execs {
			in, out := newBuffers(t, d, e.Signature())
			writeFloats(t, in[0], seededInput(g)[0])
			if err := e.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			got := slices.Clone(readFloats(t, out[0]))
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Error("executables compiled side by side give different bits")
			}
		}
	})
}

// TestCancelledCompileEnds: neither the pipelines nor the upload go on.
func TestCancelledCompileEnds(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := d.kernels.getAll(ctx, nil); err != nil {
			t.Errorf("no steps: got %v", err)
		}
		e, err := d.Compile(context.Background(), g)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.kernels.getAll(ctx, e.(*executable).plan.Steps); !errors.Is(err, context.Canceled) {
			t.Errorf("pipelines with a cancelled context: got %v, want context.Canceled", err)
		}
		if err := e.(*executable).load(ctx, g); !errors.Is(err, context.Canceled) {
			t.Errorf("load with a cancelled context: got %v, want context.Canceled", err)
		}
	})
}
