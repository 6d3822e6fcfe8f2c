package vulkan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// What the tests of all backends share.
var (
	seededNetwork = backendtest.Network
	seededInput   = backendtest.Input
	readFloats    = backendtest.ReadFloats
)

// oneKernel computes all convolutions: the planner may take other kernels for other batches, whose bits differ.
var oneKernel = []string{"conv2d_packed8x4_ssbo_f32", "conv2d_regtile4_f32"}

func TestSplitBatchGivesTheSameBits(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 5, 32)
	in := seededInput(g)
	results := map[string][][]float32{}
	for _, chunk := range []int{0, 1, 2} {
		eachDevice(t, Options{MaxChunk: chunk, Kernels: oneKernel}, func(t *testing.T, d *device) {
			got := runGraph(t, d, g, in)[0]
			results[d.info.Name] = append(results[d.info.Name], got)
		})
	}
	for name, r := range results {
		for i := 1; i < len(r); i++ {
			if !slices.Equal(r[i], r[0]) {
				t.Errorf("%s: parts of %d pictures give other bits than the whole batch", name, i)
			}
		}
	}
}

// TestNetworkMatchesTheReference runs whole networks of every block and shortcut kind on a small picture.
func TestNetworkMatchesTheReference(t *testing.T) {
	names := []string{"resnet20-cifar", "resnet20-cifar-b", "resnet18", "resnext50_32x4d"}
	if backendtest.Thorough() {
		names = append(names, "resnet50")
	}
	for _, name := range names {
		g := seededNetwork(t, name, 2, 32)
		in := seededInput(g)
		want, err := reference.Eval(context.Background(), g, map[string][]float64{g.Inputs[0].Name: reference.Widen(in[0])}, g.Outputs[0].Name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			eachDevice(t, Options{}, func(t *testing.T, d *device) {
				got := runGraph(t, d, g, in)[0]
				if e := golden.L2Error(reference.Widen(got), want[g.Outputs[0].Name]); !(e < 1e-5) {
					t.Errorf("relative L2 error of the logits: got %g, want below 1e-5", e)
				}
			})
		})
	}
}

func TestReplayGivesTheSameBits(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 3, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		var first []float32
		for i := range 25 {
			if err := e.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			got := readFloats(t, out[0])
			if first == nil {
				first = slices.Clone(got)
			}
			if !slices.Equal(got, first) {
				t.Fatalf("run %d gives other bits than the first", i)
			}
		}
	})
}

// ready compiles a graph and makes buffers with seeded inputs.
func ready(t *testing.T, d backend.Device, g *graph.Graph) (e backend.Executable, in, out []backend.Buffer) {
	t.Helper()
	e, err := d.Compile(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	in, out = newBuffers(t, d, e.Signature())
	for i, v := range seededInput(g) {
		writeFloats(t, in[i], v)
	}
	return e, in, out
}

func TestConcurrentRunsGiveTheSameBits(t *testing.T) {
	a, b := seededNetwork(t, "resnet20-cifar", 1, 32), seededNetwork(t, "resnet20-cifar-b", 1, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		type job struct {
			e       backend.Executable
			in, out []backend.Buffer
			alone   []float32
		}
		var jobs []job
		for _, g := range []*graph.Graph{a, b} {
			e, err := d.Compile(context.Background(), g)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				in, out := newBuffers(t, d, e.Signature())
				writeFloats(t, in[0], seededInput(g)[0])
				if err := e.Run(context.Background(), in, out); err != nil {
					t.Fatal(err)
				}
				jobs = append(jobs, job{e, in, out, slices.Clone(readFloats(t, out[0]))})
			}
		}
		var wg sync.WaitGroup
		for _, j := range jobs {
			wg.Go(func() {
				for range 5 {
					if err := j.e.Run(context.Background(), j.in, j.out); err != nil {
						t.Error(err)
						return
					}
					if got := readFloats(t, j.out[0]); !slices.Equal(got, j.alone) {
						t.Error("a run among others gives other bits than alone")
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestMoreBufferSetsThanBindings(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		if err := e.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(readFloats(t, out[0]))
		for i := range 2 * maxBindings {
			_, out := newBuffers(t, d, e.Signature())
			if err := e.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(readFloats(t, out[0]), want) {
				t.Errorf("output buffer %d: other bits than with the first", i)
			}
			closeAll(out)
		}
		if n := len(e.(*executable).bindings); n != maxBindings {
			t.Errorf("got %d bindings, want %d", n, maxBindings)
		}
	})
}

func TestRunAllocatesNothing(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		ctx := context.Background()
		allocs := testing.AllocsPerRun(20, func() {
			if err := e.Run(ctx, in, out); err != nil {
				t.Error(err)
			}
		})
		if allocs != 0 {
			t.Errorf("got %g allocations a run, want 0", allocs)
		}
	})
}

func TestCancelledRunReturnsAndLeavesTheDeviceUsable(t *testing.T) {
	g := seededNetwork(t, "resnet18", 8, 64)
	eachDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		if err := e.Run(context.Background(), in, out); err != nil { // drivers compile at the first run
			t.Fatal(err)
		}
		want := slices.Clone(readFloats(t, out[0]))
		before := runtime.NumGoroutine()

		done, cancel := context.WithCancel(context.Background())
		cancel()
		if err := e.Run(done, in, out); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: got %v, want context.Canceled", err)
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			if err := e.Run(ctx, in, out); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cancelled in mid-run: got %v, want context.DeadlineExceeded", err)
			}
			cancel()
		}
		if err := e.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		if got := readFloats(t, out[0]); !slices.Equal(got, want) {
			t.Error("a run after cancelled ones gives other bits")
		}
		// Closing while a run that was given up on is still going must wait for it; the validation layer would tell.
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_ = e.Run(ctx, in, out) // whether it was fast enough does not matter
		closeAll(in, out)
		e.Close()
		for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; {
			if time.Now().After(deadline) {
				t.Fatalf("got %d goroutines, want %d as before", runtime.NumGoroutine(), before)
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func TestErrorsOfTheContract(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachFreshDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
		ctx := context.Background()
		e, in, out := ready(t, d, g)
		wrong, err := d.NewBuffer(ctx, graph.F32(1, 3, 32, 31))
		if err != nil {
			t.Fatal(err)
		}
		ref, err := reference.New().Open(ctx, "cpu")
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := ref.NewBuffer(ctx, in[0].Type())
		if err != nil {
			t.Fatal(err)
		}
		var shape *graph.ShapeError
		for _, c := range []struct {
			name    string
			in, out []backend.Buffer
			want    string
			isShape bool
		}{
			{"too few inputs", nil, out, "inputs: want 1, got 0", true},
			{"too many outputs", in, append(slices.Clone(out), out[0]), "outputs: want 1, got 2", true},
			{"wrong shape", []backend.Buffer{wrong}, out, "want float32[1,3,32,32], got float32[1,3,32,31]", true},
			{"nil buffer", []backend.Buffer{nil}, out, "want a buffer of device", false},
			{"another device's buffer", []backend.Buffer{foreign}, out, "want a buffer of device", false},
		} {
			err := e.Run(ctx, c.in, c.out)
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &shape) != c.isShape {
				t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			}
		}
		if err := in[0].Write(ctx, make([]byte, 3)); !errors.As(err, &shape) {
			t.Errorf("short write: got %v, want a *graph.ShapeError", err)
		}
		if err := in[0].Read(ctx, make([]byte, 3)); !errors.As(err, &shape) {
			t.Errorf("short read: got %v, want a *graph.ShapeError", err)
		}
		checkSameBufferTwice(t, d)
		checkClosed(t, d, e, in, out)
	})
}

// checkSameBufferTwice: an output that is an input too would be read and written at once.
func checkSameBufferTwice(t *testing.T, d *device) {
	t.Helper()
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[2,2]\ninput %y : float32[2,2]\n%z = add(%x, %y)\noutput %z\noutput %x\n"))
	if err != nil {
		t.Fatal(err)
	}
	e, in, out := ready(t, d, g)
	ctx := context.Background()
	for _, bad := range [][]backend.Buffer{{in[0], out[1]}, {out[0], out[0]}} {
		if err := e.Run(ctx, in, bad); err == nil || !strings.Contains(err.Error(), "given twice") {
			t.Errorf("buffer given twice: got %v", err)
		}
	}
	if err := e.Run(ctx, []backend.Buffer{in[0], in[0]}, out); err != nil {
		t.Errorf("one buffer for both inputs: %v", err)
	}
	x := readFloats(t, in[0])
	for i, v := range readFloats(t, out[0]) {
		if v != x[i]+x[i] {
			t.Errorf("one buffer for both inputs: element %d: got %g, want %g", i, v, x[i]+x[i])
		}
	}
}

func checkClosed(t *testing.T, d *device, e backend.Executable, in, out []backend.Buffer) {
	t.Helper()
	ctx := context.Background()
	isClosed := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, backend.ErrClosed) {
			t.Errorf("%s: got %v, want backend.ErrClosed", what, err)
		}
	}
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	out[0].Close()
	isClosed("run with a closed buffer", e.Run(ctx, in, out))
	isClosed("read of a closed buffer", out[0].Read(ctx, make([]byte, 40)))
	if err := out[0].Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	e.Close()
	isClosed("run of a closed executable", e.Run(ctx, in, out))
	if err := e.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	d.Close()
	isClosed("run on a closed device", e.Run(ctx, in, out))
	isClosed("write on a closed device", in[0].Write(ctx, make([]byte, in[0].Type().SizeBytes())))
	_, err := d.Compile(ctx, g)
	isClosed("compile on a closed device", err)
	_, err = d.NewBuffer(ctx, graph.F32(1))
	isClosed("buffer on a closed device", err)
	if err := in[0].Close(); err != nil {
		t.Errorf("close of a buffer after its device: %v", err)
	}
}

func TestUnsupportedIsRefusedByCompileToo(t *testing.T) {
	b := graph.NewBuilder("half")
	half := graph.TensorType{DType: graph.Float16, Shape: graph.NewShape(1, 2, 3, 4)}
	b.Output(b.Node("y", graph.ReLU{}, b.Input("x", half)))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		if err := d.Supports(g.Nodes[0]); !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), "float16") {
			t.Errorf("Supports: got %v, want a refusal that names float16", err)
		}
		if _, err := d.Compile(context.Background(), g); !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), `"y"`) {
			t.Errorf("Compile: got %v, want a refusal that names the node", err)
		}
	})
}

func TestNaNAndInfinityAppearWhereTheyBelong(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1,1,1,6]\n%m = max_pool(%x) kernel=1,2 stride=1,2\n%a = avg_pool(%x) kernel=1,2 stride=1,2\n%r = relu(%x)\noutput %m\noutput %a\noutput %r\n"))
	if err != nil {
		t.Fatal(err)
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		got := runGraph(t, d, g, [][]float32{{nan, 1, 2, nan, -inf, inf}})
		want := [][]float32{{nan, nan, inf}, {nan, nan, nan}, {nan, 1, 2, nan, 0, inf}}
		for i := range want {
			for j, w := range want[i] {
				if v := got[i][j]; v != w && !(v != v && w != w) {
					t.Errorf("output %d element %d: got %g, want %g", i, j, v, w)
				}
			}
		}
	})
}

func TestEmptyBatch(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 0, 32)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		if got := runGraph(t, d, g, [][]float32{{}}); len(got) != 1 || len(got[0]) != 0 {
			t.Errorf("got %v, want one empty output", got)
		}
	})
}

func ExampleNew() {
	b := New(Options{})
	fmt.Println(b.Name())
	// Output: vulkan
}
