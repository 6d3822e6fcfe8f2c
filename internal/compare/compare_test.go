package compare

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// network is a small residual block with a projection and a classifier, bound.
func network(t *testing.T) (*graph.Graph, [][]float32) {
	t.Helper()
	b := graph.NewBuilder("block")
	param := func(name string, dims ...int) *graph.Value {
		shape := graph.NewShape(dims...)
		data, err := graph.FromFloat32s(shape, seeded.Uniform(5, name, shape.Elems(), 0.4))
		if err != nil {
			t.Fatal(err)
		}
		return b.Param(name, data.Type, data)
	}
	x := b.Input("input", graph.F32(2, 3, 9, 7))
	conv := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1}
	one := graph.Conv2D{Stride: [2]int{2, 2}, Dilation: [2]int{1, 1}, Groups: 1, Bias: true}
	stem := b.Node("stem", graph.ReLU{}, b.Node("stem.conv", conv, x, param("w0", 4, 3, 3, 3)))
	conv.Stride = [2]int{2, 2}
	main := b.Node("relu1", graph.ReLU{}, b.Node("conv1", conv, stem, param("w1", 5, 4, 3, 3)))
	conv.Stride = [2]int{1, 1}
	main = b.Node("conv2", conv, main, param("w2", 5, 5, 3, 3))
	short := b.Node("shortcut", one, stem, param("w3", 5, 4, 1, 1), param("b3", 5))
	y := b.Node("relu2", graph.ReLU{}, b.Node("sum", graph.Add{}, main, short))
	y = b.Node("flat", graph.Flatten{}, b.Node("pool", graph.GlobalAvgPool{}, y))
	b.Output(b.Node("logits", graph.Linear{}, y, param("w4", 6, 5)))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g, [][]float32{seeded.Uniform(6, "input", 2*3*9*7, 1)}
}

// faulty is a device that computes node by node as the reference does, rounds, and spoils one node's result.
type faulty struct {
	backend.Device
	node   string                      // the node that is wrong
	spoil  func([]float32)             // what is wrong with it
	when   func(outputs []string) bool // in which graphs; nil means in all
	memory int                         // elements of outputs that fit; 0 means any number
	fail   error                       // of every run
	open   int                         // executables that are not closed
	seen   [][]string                  // the outputs of each graph
}

func newFaulty(t *testing.T, node string) *faulty {
	t.Helper()
	d, err := reference.New().Open(t.Context(), "cpu")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &faulty{Device: d, node: node, spoil: func(x []float32) { x[len(x)/2] += 0.01 }}
}

func (f *faulty) Compile(_ context.Context, g *graph.Graph) (backend.Executable, error) {
	elems, names := 0, []string(nil)
	for _, v := range g.Outputs {
		elems += v.Type.Shape.Elems()
		names = append(names, v.Name)
	}
	if f.memory > 0 && elems > f.memory {
		return nil, fmt.Errorf("compile: %w", backend.ErrOutOfMemory)
	}
	f.seen = append(f.seen, names)
	f.open++
	return &faultyExecutable{f, g, f.when == nil || f.when(names)}, nil
}

type faultyExecutable struct {
	f     *faulty
	g     *graph.Graph
	wrong bool
}

func (e *faultyExecutable) Signature() graph.Signature { return e.g.Signature() }
func (e *faultyExecutable) Close() error               { e.f.open--; return nil }

func (e *faultyExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if e.f.fail != nil {
		return e.f.fail
	}
	values := map[*graph.Value][]float32{}
	for i, v := range e.g.Inputs {
		data := make([]byte, v.Type.SizeBytes())
		if err := in[i].Read(ctx, data); err != nil {
			return err
		}
		values[v] = decode(data)
	}
	for _, n := range e.g.Nodes {
		wide := make([][]float64, len(n.Inputs))
		for i, v := range n.Inputs {
			if v.Kind == graph.ParamValue {
				wide[i] = reference.Widen(v.Data.Float32s())
			} else {
				wide[i] = reference.Widen(values[v])
			}
		}
		y, err := reference.Node(ctx, n, wide)
		if err != nil {
			return err
		}
		values[n.Output] = reference.Narrow(y)
		if e.wrong && n.Name == e.f.node {
			e.f.spoil(values[n.Output])
		}
	}
	for i, v := range e.g.Outputs {
		if err := out[i].Write(ctx, encode(values[v])); err != nil {
			return err
		}
	}
	return nil
}

func TestRightDevicesHaveNoFault(t *testing.T) {
	g, in := network(t)
	a, b := newFaulty(t, ""), newFaulty(t, "")
	var steps []string
	r, err := Run(t.Context(), g, in, [2]backend.Device{a, b}, func(s string) { steps = append(steps, s) })
	if err != nil {
		t.Fatal(err)
	}
	for s, side := range r.Sides {
		if side.Fault != nil || side.Parts != 1 || side.Probes != 0 || !(side.PlainDrift > 0 && side.PlainDrift < 1e-6) || side.Info.Name == "" {
			t.Errorf("side %d: got %+v", s, side)
		}
	}
	for i, n := range r.Nodes {
		if n.Name != g.Nodes[i].Name || n.Max != 0 || n.L2 != 0 || n.ULP != 0 || !n.Sides[0].OK() || n.Sides[1].Fraction > 1 || n.Sides[0].Drift > 1e-6 || len(n.Place) != n.Shape.Rank() {
			t.Errorf("got %+v", n)
		}
	}
	if len(r.Nodes) != len(g.Nodes) || len(steps) != 5 || a.open != 0 || b.open != 0 {
		t.Errorf("got %d nodes, steps %v, %d and %d open", len(r.Nodes), steps, a.open, b.open)
	}
}

// TestTheFirstWrongNodeIsFound breaks each node of the network in turn, a little and a lot.
func TestTheFirstWrongNodeIsFound(t *testing.T) {
	g, in := network(t)
	for i, n := range g.Nodes {
		for name, spoil := range map[string]func([]float32){
			"one element": func(x []float32) { x[len(x)/2] += 1e-2 },
			"NaN":         func(x []float32) { x[0] = float32(math.NaN()) },
			"all":         func(x []float32) { clear(x) },
		} {
			bad := newFaulty(t, n.Name)
			bad.spoil = spoil
			r, err := Run(t.Context(), g, in, [2]backend.Device{newFaulty(t, ""), bad}, nil)
			if err != nil {
				t.Fatal(err)
			}
			f := r.Sides[1].Fault
			if r.Sides[0].Fault != nil || f == nil || f.Node != i || f.Hidden || !f.Confirmed || f.Finding.Node != n.Name || !(f.Finding.Fraction > 1) {
				t.Errorf("%s, %s: got %+v, want node %d", n.Name, name, f, i)
			}
			for k, v := range r.Nodes {
				if v.Sides[1].OK() != (k != i) || k < i && v.Max != 0 || k == i && !(v.Max > 0 && v.L2 > 0 && v.ULP > 0) {
					t.Errorf("%s, %s: node %d: got %+v", n.Name, name, k, v)
				}
			}
		}
	}
}

// TestAHiddenFaultIsFoundByBisection breaks a node only in graphs that expose few values.
func TestAHiddenFaultIsFoundByBisection(t *testing.T) {
	g, in := network(t)
	for i, n := range g.Nodes {
		bad := newFaulty(t, n.Name)
		bad.spoil = func(x []float32) {
			for k := range x {
				x[k] = x[k]*2 + 1
			}
		}
		bad.when = func(outputs []string) bool { return len(outputs) <= 5 }
		r, err := Run(t.Context(), g, in, [2]backend.Device{bad, newFaulty(t, "")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		side := r.Sides[0]
		f := side.Fault
		if f == nil || f.Node != i || !f.Hidden || !f.Confirmed || f.Finding.Node != n.Name || !(f.Finding.Fraction > 1) || !(f.Drift > 0.1) || !(side.PlainDrift > 1e-3) {
			t.Errorf("%s: got %+v, want node %d", n.Name, f, i)
		}
		if most := 2 + int(math.Ceil(math.Log2(float64(len(g.Nodes))))); side.Probes > most || side.Probes == 0 {
			t.Errorf("%s: got %d probes, want at most %d of %d nodes", n.Name, side.Probes, most, len(g.Nodes))
		}
		if bad.open != 0 {
			t.Errorf("%d executables are open", bad.open)
		}
	}
}

// TestAFaultThatHidesFromEveryProbe is that of the whole graph.
func TestAFaultThatHidesFromEveryProbe(t *testing.T) {
	g, in := network(t)
	bad := newFaulty(t, g.Nodes[2].Name)
	bad.spoil = func(x []float32) { clear(x) }
	bad.when = func(outputs []string) bool { return len(outputs) == len(g.Outputs) }
	r, err := Run(t.Context(), g, in, [2]backend.Device{bad, newFaulty(t, "")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The last cut has no value but the output, so that graph is the plain one.
	if f := r.Sides[0].Fault; f == nil || !f.Hidden || f.Confirmed || f.Node != len(g.Nodes)-1 {
		t.Errorf("got %+v", f)
	}
}

func TestMemoryThatHoldsNotEveryValue(t *testing.T) {
	g, in := network(t)
	total := 0
	for _, n := range g.Nodes {
		total += n.Output.Type.Shape.Elems()
	}
	small := newFaulty(t, g.Nodes[3].Name)
	small.memory = total / 2
	r, err := Run(t.Context(), g, in, [2]backend.Device{small, newFaulty(t, "")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Sides[0].Fault; r.Sides[0].Parts < 2 || f == nil || f.Node != 3 || f.Hidden {
		t.Errorf("got %d parts, %+v", r.Sides[0].Parts, f)
	}
	small.memory = 1
	if _, err := Run(t.Context(), g, in, [2]backend.Device{small, newFaulty(t, "")}, nil); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("no memory at all: got %v", err)
	}
}

func TestErrors(t *testing.T) {
	g, in := network(t)
	good := newFaulty(t, "")
	pair := [2]backend.Device{good, good}
	if _, err := Run(t.Context(), g, in[:0], pair, nil); err == nil || !strings.Contains(err.Error(), "want 1 inputs, got 0") {
		t.Errorf("no input: got %v", err)
	}
	var se *graph.ShapeError
	if _, err := Run(t.Context(), g, [][]float32{in[0][1:]}, pair, nil); !errors.As(err, &se) {
		t.Errorf("short input: got %v", err)
	}
	b := graph.NewBuilder("unbound")
	b.Output(b.Node("y", graph.Linear{}, b.Input("x", graph.F32(1, 2)), b.Param("w", graph.F32(3, 2), nil)))
	unbound, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), unbound, [][]float32{{1, 2}}, pair, nil); err == nil || !strings.Contains(err.Error(), "want a graph with weights") {
		t.Errorf("no weights: got %v", err)
	}
	lost := newFaulty(t, "")
	lost.fail = backend.ErrDeviceLost
	if _, err := Run(t.Context(), g, in, [2]backend.Device{good, lost}, nil); !errors.Is(err, backend.ErrDeviceLost) || lost.open != 0 {
		t.Errorf("a lost device: got %v, %d open", err, lost.open)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, g, in, pair, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestDrift(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	f := func(x ...float64) []float32 { return reference.Narrow(x) }
	for _, test := range []struct {
		got  []float32
		want []float64
		is   float64
	}{
		{f(), nil, 0}, {f(3, 4), []float64{3, 4}, 0}, {f(3, 5), []float64{3, 4}, 0.2}, {f(0, 0), []float64{0, 0}, 0}, {f(1), []float64{0}, inf},
		{f(nan), []float64{1}, inf}, {f(1), []float64{nan}, inf}, {f(nan, 4), []float64{nan, 4}, 0}, {f(inf, 4), []float64{inf, 5}, 0.2}, {f(inf), []float64{1}, inf}, {f(1), []float64{inf}, inf}, {f(1), []float64{1, 2}, inf},
	} {
		if got := drift(test.got, test.want); math.Abs(got-test.is) > 1e-15 && got != test.is {
			t.Errorf("%v against %v: got %v, want %v", test.got, test.want, got, test.is)
		}
	}
	most, place, ulp, l2 := difference(graph.NewShape(2, 2), f(1, 2, 3, 4), f(1, 2, 3.5, 4), []float64{1, 2, 3, 4})
	if most != 0.5 || !reflect.DeepEqual(place, []int{1, 0}) || ulp != 0.5/0x1p-22 || math.Abs(l2-0.5/math.Sqrt(30)) > 1e-15 {
		t.Errorf("got %v %v %v %v", most, place, ulp, l2)
	}
	if most, place, _, l2 := difference(graph.NewShape(2), f(nan, 1), f(1, 1), []float64{0, 0}); !math.IsInf(most, 1) || place[0] != 0 || !math.IsInf(l2, 1) {
		t.Errorf("NaN against 1: got %v at %v, %v", most, place, l2)
	}
	if most, place, ulp, l2 := difference(graph.NewShape(0), nil, nil, nil); most != 0 || place != nil || ulp != 0 || l2 != 0 {
		t.Errorf("empty: got %v %v %v %v", most, place, ulp, l2)
	}
}

func TestCutsHaveEverythingThatIsReadBehind(t *testing.T) {
	g, _ := network(t)
	for k := range g.Nodes {
		names := cut(g, k)
		if len(names) > 3 || names[0] != g.Nodes[k].Name {
			t.Errorf("node %d: got %v", k, names)
		}
		for _, n := range g.Nodes[k+1:] {
			for _, v := range n.Inputs {
				made := false
				for _, m := range g.Nodes[:k+1] {
					made = made || m.Output == v
				}
				if made && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+v.Name+" ") {
					t.Errorf("node %d: the cut %v lacks %s", k, names, v.Name)
				}
			}
		}
	}
}
