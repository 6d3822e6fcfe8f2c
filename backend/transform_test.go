package backend_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

func TestWinogradCheck(t *testing.T) {
	conv := func(attrs string) *graph.Node {
		g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1,2,19,18]\nparam @w : float32[4,2,3,5]\n%y = conv2d(%x, @w) " + attrs + "\noutput %y\n"))
		if err != nil {
			t.Fatal(err)
		}
		return g.Nodes[0]
	}
	relu := graph.NewBuilder("g")
	relu.Output(relu.Node("y", graph.ReLU{}, relu.Input("x", graph.F32(3))))
	r, err := relu.Build()
	if err != nil {
		t.Fatal(err)
	}
	f2, two := []float64{0, 1, -1}, []float64{0, 1, -1, 2, -2}
	for _, c := range []struct {
		name string
		n    *graph.Node
		w    backend.Winograd
		want string // "" for no error
	}{
		{"both axes", conv("padding=1,2,3,4"), backend.Winograd{Rows: f2, Columns: two}, ""},
		{"one axis", conv("stride=1,2 dilation=1,3 groups=1"), backend.Winograd{Rows: f2}, ""},
		{"the other axis has a stride", conv("stride=1,2"), backend.Winograd{Columns: two}, "stride 1 and dilation 1, got 2 and 1"},
		{"a dilation", conv("dilation=2,1"), backend.Winograd{Rows: f2}, "stride 1 and dilation 1, got 1 and 2"},
		{"another op", r.Nodes[0], backend.Winograd{Rows: f2}, "want a conv2d, got relu"},
		{"no points", conv(""), backend.Winograd{}, "points along rows or columns"},
		{"too few points", conv(""), backend.Winograd{Columns: f2}, "4 to 9 points for a kernel of 5, got 3"},
		{"too many points", conv(""), backend.Winograd{Rows: []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, -1}}, "2 to 9 points for a kernel of 3, got 10"},
		{"a point twice", conv(""), backend.Winograd{Rows: []float64{0, 1, math.Copysign(0, -1)}}, "each once"},
		{"a point too small", conv(""), backend.Winograd{Rows: []float64{0, 1, 0.1}}, "from 1/8 to 8"},
		{"no number", conv(""), backend.Winograd{Rows: []float64{0, 1, math.NaN()}}, "from 1/8 to 8"},
		{"infinity", conv(""), backend.Winograd{Rows: []float64{0, 1, math.Inf(1)}}, "from 1/8 to 8"},
	} {
		err := c.w.Check(c.n)
		var shape *graph.ShapeError
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &shape) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if got, want := (backend.Winograd{Rows: []float64{0, 1, -0.5}}).String(), "winograd rows 0,1,-0.5 columns direct"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
