package vulkan

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// parseGraph reads a graph in text form and binds its parameters to seeded numbers.
func parseGraph(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		if data[p.Name], err = graph.FromFloat32s(p.Type.Shape, seeded.Uniform(3, p.Name, p.Type.Shape.Elems(), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if g, err = g.Bind(data); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestUnusualGraphs runs graphs whose outputs need no kernel, tensors without elements, and batches that cannot be
// split, each twice: the second run replays the first one's commands. Float32 holds their results exactly.
func TestUnusualGraphs(t *testing.T) {
	cases := map[string]string{
		"input as output":      "input %x : float32[2,3]\noutput %x\n",
		"the same value twice": "input %x : float32[2,3]\n%y = relu(%x)\noutput %y\noutput %y\n",
		"a chain of flattens":  "input %x : float32[3,2,1,2]\n%f = flatten(%x)\n%g = flatten(%f)\n%h = relu(%g)\noutput %g\noutput %h\noutput %x\noutput %f\n",
		"scalar":               "input %x : float32[]\n%y = relu(%x)\noutput %y\n",
		"rank 1 to rank 2":     "input %x : float32[3]\n%f = flatten(%x)\n%r = relu(%f)\noutput %f\noutput %r\n",
		"empty beside full":    "input %x : float32[0,3]\ninput %z : float32[2,3]\n%a = relu(%x)\n%b = relu(%a)\n%c = relu(%z)\noutput %b\noutput %c\n",
		"empty rows":           "input %x : float32[2,0]\ninput %z : float32[2,3]\n%a = relu(%x)\n%b = relu(%a)\n%c = relu(%z)\noutput %b\noutput %c\n",
		"different batches":    "input %x : float32[4,3]\ninput %z : float32[2,3]\n%a = relu(%x)\n%b = relu(%a)\n%c = relu(%z)\noutput %b\noutput %c\noutput %z\n",
		"unused input":         "input %x : float32[5,3]\ninput %z : float32[5,2]\n%y = relu(%x)\noutput %y\n",
		"no batch":             "input %x : float32[0,4]\n%y = softmax(%x)\noutput %y\noutput %x\n",
	}
	for _, opts := range []Options{{}, {MaxChunk: 1}, {MaxChunk: 2, ForceStaging: true}} {
		eachDevice(t, opts, func(t *testing.T, d *device) {
			for name, text := range cases {
				t.Run(name, func(t *testing.T) { checkExact(t, d, parseGraph(t, "graph g\n"+text)) })
			}
		})
	}
}

func checkExact(t *testing.T, d *device, g *graph.Graph) {
	t.Helper()
	ctx := context.Background()
	for _, n := range g.Nodes {
		if err := d.Supports(n); err != nil {
			t.Errorf("node %q: %v", n.Name, err)
		}
	}
	inputs, given := seededInput(g), map[string][]float64{}
	for i, v := range g.Inputs {
		given[v.Name] = reference.Widen(inputs[i])
	}
	want, err := reference.Eval(ctx, g, given)
	if err != nil {
		t.Fatal(err)
	}
	e, in, out := ready(t, d, g)
	defer e.Close()
	defer closeAll(in, out)
	for range 2 {
		if err := e.Run(ctx, in, out); err != nil {
			t.Fatal(err)
		}
		for i, b := range out {
			name := g.Outputs[i].Name
			if got := reference.Widen(readFloats(t, b)); !slices.Equal(got, want[name]) {
				t.Errorf("output %d (%s): got %v, want %v", i, name, got, want[name])
			}
		}
	}
}

// TestPoolsThatReachBeyondThePadding compares windows larger than the padded input with PyTorch's (2.9.1, float64).
func TestPoolsThatReachBeyondThePadding(t *testing.T) {
	g := parseGraph(t, `graph g
input %x : float32[1,2,2,3]
%pad = avg_pool(%x) kernel=5,4 stride=3,2 padding=1,1,1,1 ceil_mode=true count_include_pad=true
%bare = avg_pool(%x) kernel=5,4 stride=3,2 padding=1,1,1,1 ceil_mode=true
%max = max_pool(%x) kernel=5,4 stride=3,2 padding=1,1,1,1 ceil_mode=true
%cut = avg_pool(%x) kernel=4,3 stride=3,3 padding=1,1,1,1 ceil_mode=true count_include_pad=true
output %pad
output %bare
output %max
output %cut
`)
	want := [][]float64{{1.3125, 4. / 3, 3.5625, 10. / 3}, {3.5, 4, 9.5, 10}, {6, 6, 12, 12}, {1, 1.125, 3, 2.625}}
	x := make([]float32, 12)
	for i := range x {
		x[i] = float32(i + 1)
	}
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		for i, got := range runGraph(t, d, g, [][]float32{x}) {
			for j, w := range want[i] {
				if len(got) != len(want[i]) || !(math.Abs(float64(got[j])-w) < 1e-6*w) {
					t.Errorf("%s: got %v, want %v", g.Outputs[i].Name, got, want[i])
					break
				}
			}
		}
	})
}

// TestPaddingWiderThanThePicture: the window of the mean counts 2^32 elements, all but one of them padding.
func TestPaddingWiderThanThePicture(t *testing.T) {
	g := parseGraph(t, `graph g
input %x : float32[1,1,1,1]
%y = avg_pool(%x) kernel=65536,65536 stride=131072,131072 padding=65535,65535,65535,65535 count_include_pad=true
%z = max_pool(%x) kernel=65536,65536 stride=131072,131072 padding=65535,65535,65535,65535
output %y
output %z
`)
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		got := runGraph(t, d, g, [][]float32{{3}})
		if want := float32(3) / (1 << 32); len(got[0]) != 1 || math.Abs(float64(got[0][0]-want)) > 1e-6*float64(want) || !slices.Equal(got[1], []float32{3}) {
			t.Errorf("got %v, want %g and 3", got, want)
		}
	})
}

// TestParametersOnlyAsWeights: a parameter has no place among the tensors of a run, and weights that are computed
// cannot be packed beforehand. Both are refused, by Supports and by Compile, with the name of the operand.
func TestParametersOnlyAsWeights(t *testing.T) {
	head := "graph g\ninput %x : float32[1,3]\ninput %v : float32[1,3]\nparam @w : float32[1,3]\n"
	cases := map[string]string{
		"%y = add(%x, @w)\noutput %y\n":                   "input 1",
		"%y = relu(@w)\noutput %y\noutput %x\n":           "input 0",
		"%y = flatten(@w)\noutput %y\noutput %x\n":        "input 0",
		"%y = linear(%x, %v)\noutput %y\n":                "input 1",
		"%r = relu(%v)\n%y = linear(%x, %r)\noutput %y\n": "input 1",
		"%y = linear(@w, @w)\noutput %y\noutput %x\n":     "input 0",
	}
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		for text, operand := range cases {
			g := parseGraph(t, head+text)
			_, err := d.Compile(context.Background(), g)
			if !errors.Is(err, backend.ErrUnsupported) || !strings.Contains(err.Error(), operand) {
				t.Errorf("%s: Compile: got %v, want a refusal that names %s", text, err, operand)
			}
			refused := slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { return errors.Is(d.Supports(n), backend.ErrUnsupported) })
			if !refused {
				t.Errorf("%s: Supports refuses no node", text)
			}
		}
	})
}

// TestAllocationsAreCounted: every buffer is an allocation, and a device allows only so many at once.
func TestAllocationsAreCounted(t *testing.T) {
	g := parseGraph(t, "graph g\ninput %x : float32[1,3]\nparam @w : float32[4,3]\n%y = linear(%x, @w)\n%z = softmax(%y)\noutput %z\n")
	eachDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
		ctx := context.Background()
		d.facts.Limits.MaxMemoryAllocationCount = 2 // the test is alone with the device
		e, err := d.Compile(ctx, g)                 // takes two: the weights and the arena
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.NewBuffer(ctx, graph.F32(1)); !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "maxMemoryAllocationCount") {
			t.Errorf("third allocation: got %v, want out of memory that names maxMemoryAllocationCount", err)
		}
		if _, err := d.Compile(ctx, g); !errors.Is(err, backend.ErrOutOfMemory) {
			t.Errorf("second executable: got %v, want out of memory", err)
		}
		e.Close()
		for range 10 {
			b, err := d.NewBuffer(ctx, graph.F32(1))
			if err != nil {
				t.Fatalf("after everything was closed: %v", err)
			}
			b.Close()
		}
		if n := d.allocations.Load(); n != 0 {
			t.Errorf("got %d allocations, want none left", n)
		}
	})
}

func TestCompileLooksAtItsContext(t *testing.T) {
	g := parseGraph(t, "graph g\ninput %x : float32[2,3]\n%y = flatten(%x)\noutput %y\n")
	done, cancel := context.WithCancel(context.Background())
	cancel()
	eachDevice(t, Options{}, func(t *testing.T, d *device) {
		if _, err := d.Compile(done, g); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		d.Info().Properties["vendorID"] = "changed"
		if got := d.Info().Properties["vendorID"]; got == "changed" {
			t.Error("a caller changed the device's facts")
		}
	})
}

// TestOutputsFeedOtherExecutables hands a buffer from one executable to the next without the host in between.
func TestOutputsFeedOtherExecutables(t *testing.T) {
	head := "graph g\ninput %x : float32[3,700]\n"
	first := parseGraph(t, head+"%y = relu(%x)\noutput %y\n")
	second := parseGraph(t, head+"%y = add(%x, %x)\noutput %y\n")
	for _, opts := range []Options{{}, {ForceStaging: true}, {MaxChunk: 2, ForceStaging: true}} {
		eachDevice(t, opts, func(t *testing.T, d *device) {
			ctx := context.Background()
			a, in, mid := ready(t, d, first)
			b, _, out := ready(t, d, second)
			for round := range 3 {
				x := seeded.Uniform(uint64(round), "x", 3*700, 1)
				writeFloats(t, in[0], x)
				if err := errors.Join(a.Run(ctx, in, mid), b.Run(ctx, mid, out)); err != nil {
					t.Fatal(err)
				}
				for i, got := range readFloats(t, out[0]) {
					if want := 2 * max(x[i], 0); got != want {
						t.Fatalf("round %d, element %d: got %g, want %g", round, i, got, want)
					}
				}
			}
		})
	}
}
