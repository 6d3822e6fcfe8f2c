package reference_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

func open(t *testing.T) backend.Device {
	t.Helper()
	b := reference.New()
	list, err := b.Devices(t.Context())
	if err != nil || len(list) != 1 || b.Name() != "reference" || list[0].Backend != "reference" || list[0].ID != "cpu" || list[0].Type != backend.CPU {
		t.Fatalf("devices of %s: %+v, %v", b.Name(), list, err)
	}
	d, err := b.Open(t.Context(), list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if info := d.Info(); info.ID != list[0].ID || info.Name != list[0].Name || info.Backend != list[0].Backend {
		t.Errorf("the opened device says %+v, the list %+v", info, list[0])
	}
	return d
}

// buffer makes a buffer of the device, filled with data unless that is nil.
func buffer(t *testing.T, d backend.Device, typ graph.TensorType, data []float32) backend.Buffer {
	t.Helper()
	b, err := d.NewBuffer(t.Context(), typ)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if data != nil {
		raw := make([]byte, 0, 4*len(data))
		for _, v := range data {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		if err := b.Write(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func read(t *testing.T, b backend.Buffer) []float32 {
	t.Helper()
	raw := make([]byte, b.Type().SizeBytes())
	if err := b.Read(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}

// io makes buffers for a signature, the inputs filled.
func io(t *testing.T, d backend.Device, s graph.Signature, inputs [][]float32) (in, out []backend.Buffer) {
	t.Helper()
	for i, p := range s.Inputs {
		in = append(in, buffer(t, d, p.Type, inputs[i]))
	}
	for _, p := range s.Outputs {
		out = append(out, buffer(t, d, p.Type, nil))
	}
	return in, out
}

func TestTappedBlocksGiveEveryValueRoundedOnce(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	d := open(t)
	for _, c := range cases {
		taps := append([]string{"x"}, c.Values()...)
		tapped, err := c.Graph.WithOutputs(append([]string{c.Graph.Outputs[0].Name}, taps...)...)
		if err != nil {
			t.Fatal(err)
		}
		e, err := d.Compile(t.Context(), tapped)
		if err != nil {
			t.Fatal(err)
		}
		in, out := io(t, d, e.Signature(), c.Inputs)
		if err := e.Run(t.Context(), in, out); err != nil {
			t.Fatal(err)
		}
		want, err := reference.Eval(t.Context(), c.Graph, c.Inputs64(), taps...)
		if err != nil {
			t.Fatal(err)
		}
		names := append([]string{c.Graph.Outputs[0].Name}, taps...)
		for i, p := range e.Signature().Outputs {
			if p.Name != names[i] {
				t.Fatalf("%s: output %d is %q, want %q", c.Name, i, p.Name, names[i])
			}
			for j, got := range read(t, out[i]) {
				if got != float32(want[p.Name][j]) {
					t.Fatalf("%s: %s[%d] = %v, want %v", c.Name, p.Name, j, got, want[p.Name][j])
				}
			}
		}
		if got := read(t, in[0]); got[3] != c.Inputs[0][3] {
			t.Errorf("%s: the run changed its input", c.Name)
		}
	}
}

const small = `graph small
input %x : float32[1,2,3,3]
param @w : float32[2,2,1,1]
%c = conv2d(%x, @w)
%y = relu(%c)
output %y
`

// smallGraph is bound to seeded weights.
func smallGraph(t *testing.T) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	w, err := graph.FromFloat32s(g.Params[0].Type.Shape, seeded.Uniform(1, "w", 4, 1))
	if err != nil {
		t.Fatal(err)
	}
	if g, err = g.Bind(map[string]*graph.Tensor{"w": w}); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestConcurrentRunsAndDroppedWeights(t *testing.T) {
	d, g := open(t), smallGraph(t)
	x := seeded.Uniform(2, "x", 18, 1)
	want, err := reference.Eval(t.Context(), g, map[string][]float64{"x": reference.Widen(x)}, "y")
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	clear(g.Params[0].Data.Data) // allowed after Compile, as unmapping the file would be
	var wg sync.WaitGroup
	for range 8 {
		in, out := io(t, d, e.Signature(), [][]float32{x})
		wg.Go(func() {
			for range 50 {
				if err := e.Run(t.Context(), in, out); err != nil {
					t.Error(err)
					return
				}
			}
		})
		defer func() {
			for j, got := range read(t, out[0]) {
				if got != float32(want["y"][j]) {
					t.Errorf("y[%d] = %v, want %v", j, got, want["y"][j])
				}
			}
		}()
	}
	wg.Wait()
}

func TestCancelledRunReturnsPromptlyAndLeavesTheDeviceUsable(t *testing.T) {
	// 64 convolutions of 604 MMACs on small tensors: most of a minute of work behind little to copy.
	b := graph.NewBuilder("long")
	x, w := b.Input("x", graph.F32(1, 256, 32, 32)), b.Input("w", graph.F32(256, 256, 3, 3))
	for i := range 64 {
		x = b.Node(fmt.Sprintf("conv%d", i), graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Padding: graph.Pad(1), Groups: 1}, x, w)
	}
	b.Output(x)
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := open(t)
	e, err := d.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	in, out := io(t, d, e.Signature(), [][]float32{nil, nil})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := e.Run(ctx, in, out); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want the context's", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("returned after %v", took)
	}
	cancelled, cancel2 := context.WithCancel(t.Context())
	cancel2()
	if err := e.Run(cancelled, in, out); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want the context's", err)
	}
	s, err := d.Compile(t.Context(), smallGraph(t))
	if err != nil {
		t.Fatal(err)
	}
	sin, sout := io(t, d, s.Signature(), [][]float32{make([]float32, 18)})
	if err := s.Run(t.Context(), sin, sout); err != nil {
		t.Errorf("after a cancelled run: %v", err)
	}
	for name, call := range map[string]func() error{
		"devices": func() error { _, err := reference.New().Devices(cancelled); return err },
		"open":    func() error { _, err := reference.New().Open(cancelled, "cpu"); return err },
		"compile": func() error { _, err := d.Compile(cancelled, smallGraph(t)); return err },
		"buffer":  func() error { _, err := d.NewBuffer(cancelled, graph.F32(1)); return err },
		"read":    func() error { return sout[0].Read(cancelled, make([]byte, 72)) },
		"write":   func() error { return sin[0].Write(cancelled, make([]byte, 72)) },
		"eval": func() error {
			_, err := reference.Eval(cancelled, smallGraph(t), map[string][]float64{"x": make([]float64, 18)})
			return err
		},
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: got %v", name, err)
		}
	}
}

// TestResultsDoNotDependOnTheNumberOfProcessors, nor on where the work of long tensors is cut.
func TestResultsDoNotDependOnTheNumberOfProcessors(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[3,7,50,50]\n%r = relu(%x)\n%a = add(%r, %x)\n%p = avg_pool(%a) kernel=3,2\n%s = softmax(%p)\noutput %s\n"))
	if err != nil {
		t.Fatal(err)
	}
	x := reference.Widen(seeded.Uniform(3, "x", 3*7*50*50, 1))
	eval := func(procs int) map[string][]float64 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		out, err := reference.Eval(t.Context(), g, map[string][]float64{"x": x})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one, many := eval(1), eval(7)
	for name := range one {
		for i, v := range one[name] {
			if many[name][i] != v {
				t.Fatalf("%s[%d] = %v with one processor, %v with seven", name, i, v, many[name][i])
			}
		}
	}
	for i, v := range x {
		if r := max(v, 0); one["r"][i] != r || one["a"][i] != r+v {
			t.Fatalf("element %d: relu %v, add %v, want %v, %v", i, one["r"][i], one["a"][i], r, r+v)
		}
	}
}

func TestEmptyBatchGivesEmptyResults(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	g, err := cases[1].Graph.WithBatch(0)
	if err != nil {
		t.Fatal(err)
	}
	d := open(t)
	e, err := d.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	in, out := io(t, d, e.Signature(), [][]float32{{}})
	if err := e.Run(t.Context(), in, out); err != nil {
		t.Error(err)
	}
}
