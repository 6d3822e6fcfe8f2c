package cpu

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/golden"
)

// TestNetworksMatchTheReference runs whole networks of every block and shortcut kind on a small picture.
func TestNetworksMatchTheReference(t *testing.T) {
	names := []string{"resnet20-cifar", "resnet20-cifar-b", "resnet18", "resnet50", "resnext50_32x4d", "res2net50_26w_4s"}
	side := 32
	if testing.Short() {
		names, side = names[:2], 8
	}
	for _, name := range names {
		if name == "res2net50_26w_4s" { // its layers pay for transforms
			side = 64
		}
		g := seededNetwork(t, name, 2, side)
		in := seededInput(g)
		output := g.Outputs[0].Name
		want, err := reference.Eval(context.Background(), g, map[string][]float64{g.Inputs[0].Name: reference.Widen(in[0])}, output)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			eachSet(t, 2, func(t *testing.T, d *device) {
				got := runGraph(t, d, g, in)[0]
				if e := golden.L2Error(reference.Widen(got), want[output]); !(e < 4e-6) { // some layers are of class B
					t.Errorf("relative L2 error of the logits: got %g, want below 4e-6", e)
				}
			})
		})
	}
}

func TestTheNumberOfThreadsDoesNotChangeTheBits(t *testing.T) {
	graphs := []*graph.Graph{seededNetwork(t, "resnet20-cifar", 3, 8)}
	if !testing.Short() {
		graphs = append(graphs, seededNetwork(t, "resnext50_32x4d", 1, 32))
	}
	for _, g := range graphs {
		in := seededInput(g)
		want := map[string][]float32{}
		for _, threads := range []int{1, 2, 5, 16} {
			eachSet(t, threads, func(t *testing.T, d *device) {
				got := runGraph(t, d, g, in)[0]
				if want[d.set.Name] == nil {
					want[d.set.Name] = got
				}
				if !slices.Equal(got, want[d.set.Name]) {
					t.Errorf("%d threads give other bits than 1", threads)
				}
			})
		}
	}
}

// TestAPictureGivesTheSameBitsInAnyBatch: a tile may hold pixels of several pictures.
func TestAPictureGivesTheSameBitsInAnyBatch(t *testing.T) {
	batch, one := seededNetwork(t, "resnet20-cifar", 5, 8), seededNetwork(t, "resnet20-cifar", 1, 8)
	in := seededInput(batch)[0]
	eachSet(t, 2, func(t *testing.T, d *device) {
		all := runGraph(t, d, batch, [][]float32{in})[0]
		for i := range 5 {
			alone := runGraph(t, d, one, [][]float32{in[i*len(in)/5:][:len(in)/5]})[0]
			if !slices.Equal(alone, all[10*i:][:10]) {
				t.Errorf("picture %d gives other bits alone", i)
			}
		}
	})
}

func TestReplayAndNewBuffersGiveTheSameBits(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 3, 8)
	eachSet(t, 2, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g, seededInput(g))
		var first []float32
		for i := range 10 {
			if err := e.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			got := readFloats(t, out[0])
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Fatalf("run %d gives other bits than the first", i)
			}
			poison(e.(*executable).arena) // a run relies on nothing that another left
			out = newOutputs(t, d, e)
		}
	})
}

func TestConcurrentRunsGiveTheSameBits(t *testing.T) {
	graphs := []*graph.Graph{seededNetwork(t, "resnet20-cifar", 1, 8), seededNetwork(t, "resnet20-cifar-b", 1, 8)}
	eachSet(t, 2, func(t *testing.T, d *device) {
		var wg sync.WaitGroup
		for _, g := range graphs {
			e, in, out := ready(t, d, g, seededInput(g))
			if err := e.Run(context.Background(), in, out); err != nil {
				t.Fatal(err)
			}
			alone := readFloats(t, out[0])
			for range 3 {
				in, out := []backend.Buffer{newBuffer(t, d, in[0].Type(), seededInput(g)[0])}, newOutputs(t, d, e)
				wg.Go(func() {
					for range 5 {
						if err := e.Run(context.Background(), in, out); err != nil {
							t.Error(err)
							return
						}
						if got := readFloats(t, out[0]); !slices.Equal(got, alone) {
							t.Error("a run among others gives other bits than alone")
						}
					}
				})
			}
		}
		wg.Wait()
	})
}

func TestRunAllocatesNothing(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 8)
	eachSet(t, 2, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g, seededInput(g))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
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
	g := seededNetwork(t, "resnet20-cifar", 4, 16)
	before := runtime.NumGoroutine()
	eachSet(t, 3, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g, seededInput(g))
		if err := e.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		want := readFloats(t, out[0])
		done, cancel := context.WithCancel(context.Background())
		cancel()
		if err := e.Run(done, in, out); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: got %v, want context.Canceled", err)
		}
		for range 5 {
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
		checkCancelInTheMiddle(t, e.(*executable), in, out)
		d.Close()
	})
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d goroutines, want %d as before", runtime.NumGoroutine(), before)
		}
	}
}

// checkCancelInTheMiddle cancels from within a step and counts what is still begun.
func checkCancelInTheMiddle(t *testing.T, e *executable, in, out []backend.Buffer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	steps := e.crew.steps
	middle, last := &steps[len(steps)/2], &steps[len(steps)-1]
	do, end := middle.do, last.do
	middle.do = func(w *worker, task int) { cancel(); do(w, task) }
	last.do = func(w *worker, task int) {
		t.Error("the last step was begun after the run was cancelled")
		end(w, task)
	}
	defer func() { middle.do, last.do = do, end }()
	if err := e.Run(ctx, in, out); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled by a step: got %v, want context.Canceled", err)
	}
}

func TestWaitingForATurnEndsWithTheContext(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 8)
	d := open(t, Options{Threads: 1})
	e, in, out := ready(t, d, g, seededInput(g))
	x := e.(*executable)
	x.turn <- struct{}{} // as if a run were going on
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := e.Run(ctx, in, out); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	<-x.turn
	if err := e.Run(context.Background(), in, out); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfTheContract(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 8)
	ctx := context.Background()
	d, other := open(t, Options{Threads: 2}), open(t, Options{Threads: 1})
	e, in, out := ready(t, d, g, seededInput(g))
	wrong := newBuffer(t, d, graph.F32(1, 3, 8, 7), make([]float32, 3*8*7))
	foreign := newBuffer(t, other, in[0].Type(), make([]float32, 3*8*8))
	var shape *graph.ShapeError
	for _, c := range []struct {
		name    string
		in, out []backend.Buffer
		want    string
	}{
		{"too few inputs", nil, out, "inputs: want 1 buffers, got 0"},
		{"too many outputs", in, append(slices.Clone(out), out[0]), "outputs: want 1 buffers, got 2"},
		{"wrong shape", []backend.Buffer{wrong}, out, "want float32[1,3,8,8], got float32[1,3,8,7]"},
		{"nil buffer", []backend.Buffer{nil}, out, "want a buffer of the device"},
		{"another device's buffer", []backend.Buffer{foreign}, out, "want a buffer of the device"},
	} {
		if err := e.Run(ctx, c.in, c.out); err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &shape) {
			t.Errorf("%s: got %v, want a *graph.ShapeError with %q", c.name, err, c.want)
		}
	}
	if err := in[0].Write(ctx, make([]byte, 3)); !errors.As(err, &shape) {
		t.Errorf("short write: got %v, want a *graph.ShapeError", err)
	}
	if err := in[0].Read(ctx, make([]byte, 3)); !errors.As(err, &shape) {
		t.Errorf("short read: got %v, want a *graph.ShapeError", err)
	}
	if _, err := New(Options{}).Open(ctx, "gpu"); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("unknown device: got %v, want backend.ErrNoDevice", err)
	}
	if _, err := New(Options{Kernels: "mmx"}).Devices(ctx); !errors.Is(err, backend.ErrNoDevice) || !strings.Contains(err.Error(), "portable") {
		t.Errorf("unknown instruction set: got %v, want backend.ErrNoDevice and the known ones", err)
	}
	if _, err := d.NewBuffer(ctx, graph.F32(1<<20, 1<<10)); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("buffer of 4 GiB: got %v, want backend.ErrOutOfMemory", err)
	}
	checkSameBufferTwice(t, d)
	checkClosed(t, d, e, in, out)
}

// checkSameBufferTwice: an output that is an input too would be read and written at once.
func checkSameBufferTwice(t *testing.T, d *device) {
	t.Helper()
	g := parse(t, "graph g\ninput %x : float32[2,2]\ninput %y : float32[2,2]\n%z = add(%x, %y)\noutput %z\noutput %x\n")
	e, in, out := ready(t, d, g, [][]float32{{1, 2, 3, 4}, {5, 6, 7, 8}})
	ctx := context.Background()
	for _, bad := range [][]backend.Buffer{{in[0], out[1]}, {out[0], out[0]}} {
		if err := e.Run(ctx, in, bad); err == nil || !strings.Contains(err.Error(), "given twice") {
			t.Errorf("buffer given twice: got %v", err)
		}
	}
	if err := e.Run(ctx, []backend.Buffer{in[0], in[0]}, out); err != nil {
		t.Errorf("one buffer for both inputs: %v", err)
	}
	if got := readFloats(t, out[0]); !slices.Equal(got, []float32{2, 4, 6, 8}) {
		t.Errorf("one buffer for both inputs: got %v", got)
	}
	if got := readFloats(t, out[1]); !slices.Equal(got, []float32{1, 2, 3, 4}) {
		t.Errorf("an input as an output: got %v", got)
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
	g := seededNetwork(t, "resnet20-cifar", 1, 8)
	left, leftIn, leftOut := ready(t, d, g, seededInput(g)) // for the device to close
	out[0].Close()
	isClosed("run with a closed buffer", e.Run(ctx, in, out))
	isClosed("read of a closed buffer", out[0].Read(ctx, make([]byte, 40)))
	e.Close()
	isClosed("run of a closed executable", e.Run(ctx, in, out))
	_, err := e.(backend.Profiler).Profile(ctx, in, out)
	isClosed("profile of a closed executable", err)
	d.Close()
	isClosed("run on a closed device", left.Run(ctx, leftIn, leftOut))
	isClosed("write on a closed device", in[0].Write(ctx, make([]byte, in[0].Type().SizeBytes())))
	isClosed("question to a closed device", d.Supports(g.Nodes[0]))
	_, err = d.Compile(ctx, g)
	isClosed("compile on a closed device", err)
	_, err = d.NewBuffer(ctx, graph.F32(1))
	isClosed("buffer on a closed device", err)
	for _, c := range []interface{ Close() error }{out[0], in[0], e, left, d} {
		if err := c.Close(); err != nil {
			t.Errorf("second close of %T: %v", c, err)
		}
	}
}

func TestRefusalsAreOnesOfCompileToo(t *testing.T) {
	d := open(t, Options{Threads: 1})
	half := graph.TensorType{DType: graph.Float16, Shape: graph.NewShape(1, 2, 3, 4)}
	conv := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
	far := conv
	far.Padding, far.Stride = graph.Pad(1<<24), [2]int{1 << 24, 1 << 24}
	for _, c := range []struct {
		name, want string
		build      func(b *graph.Builder) *graph.Value
	}{
		{"half", "float16", func(b *graph.Builder) *graph.Value { return b.Node("y", graph.ReLU{}, b.Input("x", half)) }},
		{"computed weights", "want a parameter", func(b *graph.Builder) *graph.Value {
			return b.Node("y", conv, b.Input("x", graph.F32(1, 2, 3, 3)), b.Input("w", graph.F32(2, 2, 1, 1)))
		}},
		{"constant operand", "want an input of the graph or a result", func(b *graph.Builder) *graph.Value {
			return b.Node("y", graph.Add{}, b.Input("x", graph.F32(2)), b.Param("p", graph.F32(2), graph.NewTensor(graph.F32(2))))
		}},
		{"computed scale", "input 1: want a parameter", func(b *graph.Builder) *graph.Value {
			return b.Node("y", graph.GroupNorm{Groups: 1, Epsilon: 1}, b.Input("x", graph.F32(1, 2, 3, 3)), b.Input("w", graph.F32(2)), b.Input("c", graph.F32(2)))
		}},
		{"constant scores", "want an input of the graph or a result", func(b *graph.Builder) *graph.Value {
			return b.Node("y", graph.SplitAttention{Radix: 2, Groups: 1}, b.Input("x", graph.F32(1, 2, 3, 3)), b.Param("p", graph.F32(1, 2, 1, 1), graph.NewTensor(graph.F32(1, 2, 1, 1))))
		}},
		{"a large picture", "result size", func(b *graph.Builder) *graph.Value {
			return b.Node("y", graph.SpatialPad{Padding: graph.Pad(1 << 14)}, b.Input("x", graph.F32(1, 1, 1, 1)))
		}},
		{"wide padding", "padding", func(b *graph.Builder) *graph.Value {
			w := graph.F32(1, 1, 1, 1)
			return b.Node("y", far, b.Input("x", graph.F32(1, 1, 1, 1)), b.Param("w", w, graph.NewTensor(w)))
		}},
	} {
		b := graph.NewBuilder("g")
		b.Output(c.build(b))
		g, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Supports(g.Nodes[0]); !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Supports: got %v, want a refusal with %q", c.name, err, c.want)
		}
		if _, err := d.Compile(context.Background(), g); !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), `"y"`) {
			t.Errorf("%s: Compile: got %v, want a refusal that names the node", c.name, err)
		}
	}
	if err := d.Supports(nil); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("nil node: got %v, want a refusal", err)
	}
}

func TestCompileRefusesWhatIsNotBoundOrTooLarge(t *testing.T) {
	d := open(t, Options{Threads: 1})
	ctx := context.Background()
	if _, err := d.Compile(ctx, nil); err == nil || !strings.Contains(err.Error(), "nil") {
		t.Errorf("nil graph: got %v", err)
	}
	g := parse(t, "graph g\ninput %x : float32[1,2]\nparam @w : float32[2,2]\n%y = linear(%x, @w)\noutput %y\n")
	if _, err := d.Compile(ctx, g); err == nil || !strings.Contains(err.Error(), `"w" is not bound`) {
		t.Errorf("unbound graph: got %v", err)
	}
	d.limit = 1000
	if _, err := d.Compile(ctx, parse(t, "graph g\ninput %x : float32[2000]\n%y = relu(%x)\noutput %y\n")); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("too large: got %v, want backend.ErrOutOfMemory", err)
	}
}

func TestProfileGivesTheSameBitsAndATimeForEveryNode(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 8)
	eachSet(t, 2, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g, seededInput(g))
		if err := e.Run(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
		want := readFloats(t, out[0])
		out = newOutputs(t, d, e)
		times, err := e.(backend.Profiler).Profile(context.Background(), in, out)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(readFloats(t, out[0]), want) {
			t.Error("a profiled run gives other bits")
		}
		names := map[string]bool{}
		for _, n := range times {
			names[n.Node] = names[n.Node] || n.Seconds >= 0 && n.Kernel != ""
		}
		for _, n := range g.Nodes {
			if !names[n.Name] {
				t.Errorf("node %q has no time", n.Name)
			}
		}
	})
}
