package reference_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/golden"
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
