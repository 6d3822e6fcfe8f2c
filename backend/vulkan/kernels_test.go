package vulkan

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
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

// TestPipelinesOutOfUseAreBounded compiles layers whose pipelines all differ, one after the other, with one that stays in use all the time.
func TestPipelinesOutOfUseAreBounded(t *testing.T) {
	layer := func(taps int) *graph.Graph { // in a row
		n, err := convNode(pointwise, graph.F32(1, 4, 3, 16), graph.F32(4, 4, 1, taps))
		if err != nil {
			t.Fatal(err)
		}
		g, err := graphOf(n, bellData(n))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	windowed := []string{"conv2d_regtile16_f32"} // with the window in the constants of its pipeline
	eachFreshDevice(t, Options{Unproved: true, Kernels: windowed}, func(t *testing.T, d *device) {
		const keep = 3
		d.kernels.keep = keep
		run := func(e backend.Executable, in, out []backend.Buffer) []float32 {
			if err := e.Run(t.Context(), in, out); err != nil {
				t.Fatal(err)
			}
			return slices.Clone(readFloats(t, out[0]))
		}
		stays, in, out := ready(t, d, layer(2))
		first := run(stays, in, out)
		used := len(d.kernels.pipelines)
		var results [][]float32
		for round := range 2 { // in the second all but the last few are made again
			for taps := 3; taps < 11; taps++ {
				e, in, out := ready(t, d, layer(taps))
				got := run(e, in, out)
				if round == 0 {
					results = append(results, got)
				} else if !slices.Equal(got, results[taps-3]) {
					t.Errorf("%d taps: a pipeline that was made again gives other bits", taps)
				}
				e.Close()
				if n := len(d.kernels.pipelines); n > used+keep || len(d.kernels.unused) > keep {
					t.Fatalf("%d taps: got %d pipelines, %d of them unused, want at most %d and %d", taps, n, len(d.kernels.unused), used+keep, keep)
				}
			}
		}
		if len(d.kernels.pipelines) != used+keep {
			t.Errorf("got %d pipelines, want %d", len(d.kernels.pipelines), used+keep)
		}
		if !slices.Equal(run(stays, in, out), first) {
			t.Error("an executable that was open all the time gives other bits")
		}
	})
}

// TestCancelledCompileEnds: neither the pipelines nor the upload go on.
func TestCancelledCompileEnds(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if list, err := d.kernels.getAll(ctx, nil); err != nil || len(list) != 0 {
			t.Errorf("no steps: got %d kernels, %v", len(list), err)
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
