package cpu

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu/internal/kernel"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// winogradCases are convolutions with every rest of a tile, of a block of filters and of a chunk of tiles, and of a vector of channels
// or filters; with 1, 2 and 5 workers they go both ways, from input to output and in three steps.
var winogradCases = []struct {
	n, c, h, w, k, groups int
	padding               graph.Padding
	add, bias             bool
	act                   graph.Activation
}{
	{1, 16, 8, 8, 16, 1, graph.Pad(1), false, true, graph.ActReLU},
	{2, 39, 15, 14, 51, 3, graph.Pad(1), true, true, graph.ActReLU}, // groups end within vectors
	{2, 32, 15, 14, 48, 1, graph.Pad(1), true, true, graph.ActReLU},
	{1, 16, 40, 45, 80, 1, graph.Padding{Top: 2, Left: 1, Right: 3}, true, false, 0},
	{3, 48, 17, 23, 112, 1, graph.Padding{Bottom: 1, Right: 1}, false, false, 0},
	{1, 272, 12, 13, 16, 1, graph.Pad(1), false, true, graph.ActReLU}, // products in two parts
	{7, 64, 9, 26, 32, 1, graph.Padding{Top: 1}, true, true, 0},
	{2, 64, 13, 12, 128, 2, graph.Pad(1), true, true, graph.ActReLU},
	{1, 128, 29, 28, 128, 32, graph.Pad(1), true, true, graph.ActReLU}, // several groups a slab
	{1, 130, 10, 12, 73, 1, graph.Pad(1), true, true, 0},               // products in two parts of several slabs
	{1, 80, 10, 9, 146, 2, graph.Pad(1), true, true, 0},                // several slabs a group
	{3, 26, 18, 14, 26, 1, graph.Padding{Right: 2}, false, true, graph.ActReLU},
	{1, 104, 14, 14, 104, 1, graph.Pad(1), true, true, graph.ActReLU},
	{1, 119, 16, 20, 85, 17, graph.Pad(1), false, false, graph.ActReLU}, // slabs of one group more and less
}

func winogradGraph(t testing.TB, i, pictures int) *graph.Graph {
	c := winogradCases[i]
	op := graph.Conv2D{Stride: [2]int{1, 1}, Padding: c.padding, Dilation: [2]int{1, 1}, Groups: c.groups, Bias: c.bias, Add: c.add, Act: c.act}
	return convGraph(t, pictures, c.c, c.h, c.w, c.k, [2]int{3, 3}, op)
}

// TestWinogradIsWithinItsBoundAndHasTheSameBitsOnAnyNumberOfThreadsAndInAnyBatch also holds it against the bound that it claims.
func TestWinogradIsWithinItsBoundAndHasTheSameBitsOnAnyNumberOfThreadsAndInAnyBatch(t *testing.T) {
	for i, c := range winogradCases {
		if testing.Short() && i > 2 {
			continue
		}
		g := winogradGraph(t, i, c.n)
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
				last := make([][]float32, len(in)) // picture, alone
				for j, v := range in {
					last[j] = v[len(v)-len(v)/c.n:]
				}
				if alone := runGraph(t, d, winogradGraph(t, i, 1), last)[0]; !slices.Equal(alone, got[len(got)-len(alone):]) {
					t.Errorf("%+v: %d threads: a picture has other bits in a batch than alone", c, threads)
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
	groups := func(n int) func(op *graph.Conv2D) { return func(op *graph.Conv2D) { op.Groups = n } }
	huge := conv(16, 8, 16, 3, same)
	weights := huge.Params[0].Data.Float32s()
	weights[len(weights)-1] = 1e38
	for _, c := range []struct {
		g   *graph.Graph
		why string
	}{
		{conv(16, 8, 16, 3, same), "a quarter of the products"},
		{conv(64, 8, 128, 3, groups(2)), "a quarter of the products"},
		{conv(26, 56, 26, 3, same), "a quarter of the products"},
		{conv(128, 56, 128, 3, groups(32)), "a quarter of the products"},
		{conv(128, 14, 128, 3, groups(32)), "14×14 pixels of 4 channels do not pay for transforms and four times the weights"},
		{conv(32, 56, 32, 3, groups(32)), "56×56 pixels of 1 channels do not pay for transforms and four times the weights"},
		{conv(512, 7, 512, 3, same), "7×7 pixels of 512 channels do not pay for transforms and four times the weights"},
		{conv(1024, 7, 1024, 3, groups(32)), "7×7 pixels of 32 channels do not pay for transforms and four times the weights"},
		{conv(16, 8, 16, 3, func(op *graph.Conv2D) { op.Stride[1] = 2 }), "stride 1,2"},
		{conv(16, 8, 16, 3, func(op *graph.Conv2D) { op.Dilation[0] = 2 }), "dilation 2,1"},
		{conv(16, 8, 16, 5, same), "5×5 kernel"},
		{conv(15, 56, 16, 3, same), "15 channels or 16 filters are fewer than 16"},
		{conv(16, 56, 15, 3, same), "16 channels or 15 filters are fewer than 16"},
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

// TestSlabsHaveEveryFilterOnceAndAreNoNarrowerThanAVector: the output is made a vector at a time, of the slab's own filters.
func TestSlabsHaveEveryFilterOnceAndAreNoNarrowerThanAVector(t *testing.T) {
	for _, widths := range [][]int{{1}, {2, 1}, {4, 2, 1}} {
		set := &kernel.Set{Widths: widths}
		for groups := 1; groups <= 70; groups++ {
			for kg := ceilDiv(kernel.Lanes, groups); kg <= 300 && (kg <= 66 || groups <= 3); kg++ {
				g := &winograd{k: groups * kg, groups: groups, kg: kg, set: set}
				g.cutSlabs()
				next, block := 0, 0
				for _, s := range g.slabs {
					if s.first != next || s.begin != block || s.count < kernel.Lanes || s.room%kernel.Lanes != 0 {
						t.Fatalf("widths %v, %d groups of %d: slab %+v, want filters from %d and blocks from %d on", widths, groups, kg, s, next, block)
					}
					for _, f := range g.blocks[s.begin:s.end] {
						full := f.width * kernel.Lanes
						if f.first != next || f.group != next/kg || (f.first+f.count-1)/kg != f.group || f.count > full || f.first-s.first+full > s.room {
							t.Fatalf("widths %v, %d groups of %d: block %+v of slab %+v, want filters from %d on", widths, groups, kg, f, s, next)
						}
						next += f.count
					}
					block = s.end
					if next != s.first+s.count {
						t.Fatalf("widths %v, %d groups of %d: the blocks of slab %+v end at %d", widths, groups, kg, s, next)
					}
				}
				if next != g.k || block != len(g.blocks) {
					t.Fatalf("widths %v, %d groups of %d: %d filters and %d of %d blocks are in slabs", widths, groups, kg, next, block, len(g.blocks))
				}
			}
		}
	}
}

// BenchmarkWinograd has the layers of ResNet-18 that are computed so, and some of ResNeSt, Res2Net and ResNeXt.
func BenchmarkWinograd(b *testing.B) {
	for _, c := range []struct{ channels, filters, groups, side int }{
		{64, 64, 1, 56}, {128, 128, 1, 28}, {256, 256, 1, 14},
		{64, 128, 2, 56}, {256, 512, 2, 14}, {26, 26, 1, 56}, {104, 104, 1, 14}, {128, 128, 32, 56}, {512, 512, 32, 14},
	} {
		for _, direct := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d-%d-g%d/%d/direct=%v", c.channels, c.filters, c.groups, c.side, direct), func(b *testing.B) {
				op := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: c.groups, Act: graph.ActReLU}
				benchGraph(b, open(b, Options{Direct: direct}), convGraph(b, 1, c.channels, c.side, c.side, c.filters, [2]int{3, 3}, op))
			})
		}
	}
}
