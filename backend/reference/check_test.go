package reference_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/golden"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// float32Run computes every value of the graph as the imaginary device does, exact ops by rounding the reference's
// result, and adds 1e-3 to one element of the broken node's.
func float32Run(t *testing.T, d device32, c golden.Case, broken string) map[string][]float32 {
	t.Helper()
	values := map[string][]float32{}
	for i, v := range c.Graph.Inputs {
		values[v.Name] = c.Inputs[i]
	}
	for _, n := range c.Graph.Nodes {
		var in [][]float32
		var wide [][]float64
		for _, v := range n.Inputs {
			x := values[v.Name]
			if v.Kind == graph.ParamValue {
				x = v.Data.Float32s()
			}
			in, wide = append(in, x), append(wide, reference.Widen(x))
		}
		result := d.run(n, in)
		if result == nil {
			exact, err := reference.Node(t.Context(), n, wide)
			if err != nil {
				t.Fatal(err)
			}
			result = reference.Narrow(exact)
		}
		if n.Name == broken {
			result[5] += 1e-3
		}
		values[n.Name] = result
	}
	return values
}

func TestCheckFindsTheNodeThatIsWrongAndNoOther(t *testing.T) {
	cases, err := golden.Blocks()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for _, d := range devices32 {
			for _, broken := range append([]string{""}, c.Values()...) {
				values := float32Run(t, d, c, broken)
				reports, err := reference.Check(t.Context(), c.Graph, values)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range reports {
					if r.Node != c.Graph.Nodes[i] || r.OK() != (r.Node.Name != broken) || (r.Err() == nil) != r.OK() {
						t.Errorf("%s, device %s, %q broken: node %s: %+v", c.Name, d.name, broken, r.Node.Name, r.Report)
					}
					if err := r.Err(); err != nil && !strings.HasPrefix(err.Error(), "node \""+broken+"\" (") {
						t.Errorf("error %q does not begin with the node", err)
					}
				}
			}
		}
	}
}

func TestCheckNeedsEveryValue(t *testing.T) {
	g := smallGraph(t)
	full := func() map[string][]float32 {
		return map[string][]float32{"x": make([]float32, 18), "c": make([]float32, 18), "y": make([]float32, 18)}
	}
	if _, err := reference.Check(t.Context(), g, full()); err != nil {
		t.Fatal(err)
	}
	var se *graph.ShapeError
	for _, name := range []string{"x", "c", "y"} {
		values := full()
		delete(values, name)
		if _, err := reference.Check(t.Context(), g, values); !errors.As(err, &se) || se.Node != name {
			t.Errorf("without %s: got error %v", name, err)
		}
		values[name] = make([]float32, 17)
		if _, err := reference.Check(t.Context(), g, values); !errors.As(err, &se) || se.Node != name {
			t.Errorf("%s too short: got error %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := reference.Check(ctx, g, full()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v", err)
	}
	if _, err := reference.Check(t.Context(), nil, nil); err == nil {
		t.Error("no graph: got no error")
	}
}

// TestCheckTransformedLoosensTheNamedNodeAlone: an error between the bounds of the two classes passes in the node that is
// said to be computed through a transform, and in no other.
func TestCheckTransformedLoosensTheNamedNodeAlone(t *testing.T) {
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1,8,6,6]\nparam @w : float32[8,8,3,3]\n%a = conv2d(%x, @w) padding=1,1,1,1\n%b = conv2d(%a, @w) padding=1,1,1,1\noutput %b\n"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := graph.FromFloat32s(graph.NewShape(8, 8, 3, 3), seeded.Uniform(1, "w", 8*8*9, 0.1))
	if err != nil {
		t.Fatal(err)
	}
	if g, err = g.Bind(map[string]*graph.Tensor{"w": w}); err != nil {
		t.Fatal(err)
	}
	c := golden.Case{Graph: g, Inputs: [][]float32{seeded.Uniform(1, "x", 8*36, 1)}}
	for _, off := range []string{"a", "b"} {
		values := float32Run(t, devices32[0], c, "")
		for i := range values[off] {
			values[off][i] *= 1 + 1e-4 // far more than a plain sum of 72 may be off
		}
		how := map[string]backend.Winograd{off: {Rows: f4, Columns: f4}}
		reports, err := reference.CheckTransformed(t.Context(), g, values, how)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := reference.Check(t.Context(), g, values)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range reports {
			if named := r.Node.Name == off; named && (!r.OK() || plain[i].OK()) || !named && r.Report != plain[i].Report {
				t.Errorf("node %s is off; node %s: as a transform %v, plain %v", off, r.Node.Name, r.Err(), plain[i].Err())
			}
		}
	}
	if _, err := reference.CheckTransformed(t.Context(), g, float32Run(t, devices32[0], c, ""), map[string]backend.Winograd{"b": {}}); err == nil {
		t.Error("a transform without points: got no error")
	}
}
