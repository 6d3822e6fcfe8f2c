package cpu

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// winogradCases are convolutions with every rest of a tile, of a block of filters and of a chunk of tiles; with 1, 2
// and 5 workers they go both ways, from input to output and in three steps.
var winogradCases = []struct {
	n, c, h, w, k int
	padding       graph.Padding
	add, bias     bool
	act           graph.Activation
}{
	{1, 16, 8, 8, 16, graph.Pad(1), false, true, graph.ActReLU},
	{2, 32, 15, 14, 48, graph.Pad(1), true, true, graph.ActReLU},
	{1, 16, 40, 45, 80, graph.Padding{Top: 2, Left: 1, Right: 3}, true, false, 0},
	{3, 48, 17, 23, 112, graph.Padding{Bottom: 1, Right: 1}, false, false, 0},
	{1, 272, 12, 13, 16, graph.Pad(1), false, true, graph.ActReLU}, // products in two parts
	{7, 64, 9, 26, 32, graph.Padding{Top: 1}, true, true, 0},
}

func winogradGraph(t testing.TB, i int) *graph.Graph {
	c := winogradCases[i]
	op := graph.Conv2D{Stride: [2]int{1, 1}, Padding: c.padding, Dilation: [2]int{1, 1}, Groups: 1, Bias: c.bias, Add: c.add, Act: c.act}
	return convGraph(t, c.n, c.c, c.h, c.w, c.k, [2]int{3, 3}, op)
}

// TestWinogradIsWithinItsBoundAndHasTheSameBitsOnAnyNumberOfThreads also holds it against the bound that it claims.
func TestWinogradIsWithinItsBoundAndHasTheSameBitsOnAnyNumberOfThreads(t *testing.T) {
	for i, c := range winogradCases {
		if testing.Short() && i > 1 {
			continue
		}
		g := winogradGraph(t, i)
		in := seededInput(g)
		var value, bound []float64
		want := map[string][]float32{}
		for _, threads := range []int{1, 2, 5} {
			eachSet(t, threads, func(t *testing.T, d *device) {
				e, inputs, outputs := ready(t, d, g, in)
				defer e.Close()
				claim, ok := e.(backend.Transformer).Transforms()["y"]
				if !ok {
					t.Fatalf("%+v is summed directly", c)
				}
				if value == nil {
					value, bound = winogradBounds(t, g, in, claim)
				}
				if err := e.Run(context.Background(), inputs, outputs); err != nil {
					t.Fatal(err)
				}
				got := readFloats(t, outputs[0])
				for j, v := range got {
					if err := math.Abs(float64(v) - value[j]); !(err <= bound[j]/20) { // the bound is far from tight
						t.Fatalf("%+v: element %d: got %g, want %g ± %g", c, j, v, value[j], bound[j])
					}
				}
				if want[d.set.Name] == nil {
					want[d.set.Name] = got
				}
				if !slices.Equal(got, want[d.set.Name]) {
					t.Errorf("%+v: %d threads give other bits than 1", c, threads)
				}
			})
		}
	}
}

func winogradBounds(t *testing.T, g *graph.Graph, in [][]float32, claim backend.Winograd) (value, bound []float64) {
	t.Helper()
	n := g.Nodes[0]
	inputs := make([][]float64, len(n.Inputs))
	for i, v := range n.Inputs {
		if v.Kind == graph.ParamValue {
			inputs[i] = reference.Widen(v.Data.Float32s())
			continue
		}
		inputs[i] = reference.Widen(in[slices.Index(g.Inputs, v)])
	}
	value, bound, err := reference.WinogradBounds(t.Context(), n, inputs, claim)
	if err != nil {
		t.Fatal(err)
	}
	return value, bound
}

// TestWhatIsSummedDirectly: the choice is one of geometry and weights, and it can be turned off.
func TestWhatIsSummedDirectly(t *testing.T) {
	plain := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1}
	conv := func(c, side, k, r int, change func(op *graph.Conv2D)) *graph.Graph {
		op := plain
		change(&op)
		return convGraph(t, 1, c, side, side, k, [2]int{r, r}, op)
	}
	same := func(*graph.Conv2D) {}
	huge := conv(16, 8, 16, 3, same)
	weights := huge.Params[0].Data.Float32s()
	weights[len(weights)-1] = 1e38
	for _, c := range []struct {
		name string
		g    *graph.Graph
		want bool
	}{
		{"3x3", conv(16, 8, 16, 3, same), true},
		{"small pictures of many channels", conv(512, 7, 512, 3, same), false},
		{"stride", conv(16, 8, 16, 3, func(op *graph.Conv2D) { op.Stride[1] = 2 }), false},
		{"dilation", conv(16, 8, 16, 3, func(op *graph.Conv2D) { op.Dilation[0] = 2 }), false},
		{"groups", conv(32, 8, 32, 3, func(op *graph.Conv2D) { op.Groups = 2 }), false},
		{"5x5", conv(16, 8, 16, 5, same), false},
		{"channels", conv(24, 8, 16, 3, same), false},
		{"filters", conv(16, 8, 17, 3, same), false},
		{"a huge weight", huge, false},
	} {
		is := func(d *device) bool {
			e, err := d.Compile(t.Context(), c.g)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			return len(e.(backend.Transformer).Transforms()) > 0
		}
		if got := is(open(t, Options{})); got != c.want {
			t.Errorf("%s: transforms: got %v, want %v", c.name, got, c.want)
		}
		if is(open(t, Options{Direct: true})) {
			t.Errorf("%s: transforms in spite of the option", c.name)
		}
		t.Setenv(directVariable, "1")
		if is(open(t, Options{})) {
			t.Errorf("%s: transforms in spite of the variable", c.name)
		}
		t.Setenv(directVariable, "")
	}
	t.Setenv(directVariable, "perhaps")
	if _, err := New(Options{}).Open(t.Context(), "cpu"); err == nil {
		t.Errorf("%s=perhaps was taken", directVariable)
	}
}

// BenchmarkWinograd has the layers of ResNet-18 that are computed so.
func BenchmarkWinograd(b *testing.B) {
	for _, c := range []struct{ channels, side int }{{64, 56}, {128, 28}, {256, 14}} {
		for _, direct := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dx%d/direct=%v", c.channels, c.side, direct), func(b *testing.B) {
				op := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1, Act: graph.ActReLU}
				benchGraph(b, open(b, Options{Direct: direct}), convGraph(b, 1, c.channels, c.side, c.side, c.channels, [2]int{3, 3}, op))
			})
		}
	}
}
