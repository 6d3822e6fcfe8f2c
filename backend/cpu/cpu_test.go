package cpu

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

// eachSet runs f on a device of every instruction set that the processor has.
func eachSet(t *testing.T, threads int, f func(t *testing.T, d *device)) {
	t.Helper()
	for _, name := range kernel.Names() {
		t.Run(name, func(t *testing.T) { f(t, open(t, Options{Threads: threads, Kernels: name})) })
	}
}

func open(t testing.TB, o Options) *device {
	t.Helper()
	d, err := New(o).Open(context.Background(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d.(*device)
}

// runGraph compiles g and runs it once, returning the outputs.
func runGraph(t testing.TB, d backend.Device, g *graph.Graph, inputs [][]float32) [][]float32 {
	t.Helper()
	e, in, out := ready(t, d, g, inputs)
	defer e.Close()
	if err := e.Run(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	results := make([][]float32, len(out))
	for i, b := range out {
		results[i] = readFloats(t, b)
	}
	return results
}

// ready compiles a graph and makes buffers: the inputs filled, the outputs and the arena poisoned with NaN.
func ready(t testing.TB, d backend.Device, g *graph.Graph, inputs [][]float32) (e backend.Executable, in, out []backend.Buffer) {
	t.Helper()
	e, err := d.Compile(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	poison(e.(*executable).arena)
	for i, p := range e.Signature().Inputs {
		in = append(in, newBuffer(t, d, p.Type, inputs[i]))
	}
	return e, in, newOutputs(t, d, e)
}

func newOutputs(t testing.TB, d backend.Device, e backend.Executable) (out []backend.Buffer) {
	t.Helper()
	for _, p := range e.Signature().Outputs {
		v := make([]float32, p.Type.Shape.Elems())
		poison(v)
		out = append(out, newBuffer(t, d, p.Type, v))
	}
	return out
}

func poison(v []float32) {
	for i := range v {
		v[i] = float32(math.NaN())
	}
}

func newBuffer(t testing.TB, d backend.Device, typ graph.TensorType, v []float32) backend.Buffer {
	t.Helper()
	x, err := graph.FromFloat32s(typ.Shape, v)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.NewBuffer(context.Background(), typ)
	if err == nil {
		err = b.Write(context.Background(), x.Data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the tests of all backends share.
var (
	seededNetwork = backendtest.Network
	seededParam   = backendtest.Param
	seededInput   = backendtest.Input
	readFloats    = backendtest.ReadFloats
)

func parse(t testing.TB, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestThreadsFollowGOMAXPROCS, which the Go runtime takes from the processors of the machine, the process's affinity and
// the quota of its control group.
func TestThreadsFollowGOMAXPROCS(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	for _, want := range []int{3, 1} {
		runtime.GOMAXPROCS(want)
		want = int(math.Min(float64(want), math.Ceil(quotaCPUs("/")))) // the tests may have one themselves
		d := open(t, Options{})
		e, _, _ := ready(t, d, seededNetwork(t, "resnet20-cifar", 1, 8), [][]float32{make([]float32, 3*8*8)})
		if got := len(e.(*executable).crew.all); got != want || d.Info().Properties["threads"] != fmt.Sprint(want) {
			t.Errorf("GOMAXPROCS %d: got %d threads, properties %v", want, got, d.Info().Properties)
		}
		if got := open(t, Options{Threads: 5}).Info().Properties["threads"]; got != "5" {
			t.Errorf("an explicit number: got %s threads, want 5", got)
		}
	}
}
