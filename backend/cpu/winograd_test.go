package cpu

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
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
		g   *graph.Graph
		why string
	}{
		{conv(16, 8, 16, 3, same), "a quarter of the products"},
		{conv(512, 7, 512, 3, same), "7×7 pixels do not pay for four times the weights"},
		{conv(16, 8, 16, 3, func(op *graph.Conv2D) { op.Stride[1] = 2 }), "stride 1,2"},
		{conv(16, 8, 16, 3, func(op *graph.Conv2D) { op.Dilation[0] = 2 }), "dilation 2,1"},
		{conv(32, 8, 32, 3, func(op *graph.Conv2D) { op.Groups = 2 }), "2 groups"},
		{conv(16, 8, 16, 5, same), "5×5 kernel"},
		{conv(24, 8, 16, 3, same), "24 channels or 16 filters are no multiple of 16"},
		{conv(16, 8, 17, 3, same), "16 channels or 17 filters are no multiple of 16"},
		{huge, "a weight is huge or not finite"},
	} {
		if got := reason(t, open(t, Options{}), c.g); got != c.why {
			t.Errorf("got %q, want %q", got, c.why)
		}
		const direct = "direct by choice"
		if got := reason(t, open(t, Options{Direct: true}), c.g); got != direct {
			t.Errorf("%s: with the option: got %q, want %q", c.why, got, direct)
		}
		t.Setenv(directVariable, "1")
		if got := reason(t, open(t, Options{}), c.g); got != direct {
			t.Errorf("%s: with the variable: got %q, want %q", c.why, got, direct)
		}
		t.Setenv(directVariable, "")
	}
	t.Setenv(directVariable, "perhaps")
	if _, err := New(Options{}).Open(t.Context(), "cpu"); err == nil {
		t.Errorf("%s=perhaps was taken", directVariable)
	}
}

// reason is what the profile says of how node y is computed, which must be what the executable claims.
func reason(t *testing.T, d *device, g *graph.Graph) string {
	t.Helper()
	e, in, out := ready(t, d, g, seededInput(g))
	defer e.Close()
	times, err := e.(backend.Profiler).Profile(t.Context(), in, out)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(times, func(n backend.NodeTime) bool { return n.Node == "y" })
	_, isTransformed := e.(backend.Transformer).Transforms()["y"]
	if isTransformed != strings.Contains(times[i].Kernel, "winograd") {
		t.Errorf("kernel %q: transformed is %v", times[i].Kernel, isTransformed)
	}
	return times[i].Reason
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
