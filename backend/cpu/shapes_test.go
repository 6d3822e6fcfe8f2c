package cpu

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
)

// awkward are the ops that are not made of matrix products, with N for the batch.
var awkward = []struct{ inputs, params, op string }{
	{"x:N,1,1,1", "w:1 b:1", "group_norm(%x, @w, @b) groups=1 epsilon=0.001"},
	{"x:N,5,1,1", "w:5 b:5", "group_norm(%x, @w, @b) groups=5 epsilon=0.001 act=relu"},
	{"x:N,6,3,7", "w:6 b:6", "group_norm(%x, @w, @b) groups=2 epsilon=1e-05 act=relu"},
	{"x:N,3,1,13", "w:3 b:3", "group_norm(%x, @w, @b) groups=1 epsilon=1e-05"},
	{"x:N,3,11,1", "w:3 b:3", "group_norm(%x, @w, @b) groups=3 epsilon=1e-05"},
	{"x:N,7,91,83", "w:7 b:7", "group_norm(%x, @w, @b) groups=1 epsilon=1e-05"},     // a group of several parts
	{"x:N,4,1,9001", "w:4 b:4", "group_norm(%x, @w, @b) groups=2 epsilon=1e-05"},    // parts of one row
	{"x:N,520,9,7", "w:520 b:520", "group_norm(%x, @w, @b) groups=8 epsilon=1e-05"}, // groups across blocks of channels
	{"x:N,6,3,5 s:N,6,1,1", "", "split_attention(%x, %s) radix=1 groups=2"},
	{"x:N,6,3,5 s:N,6,1,1", "", "split_attention(%x, %s) radix=2 groups=1 act=relu"},
	{"x:N,6,3,5 s:N,6,1,1 z:N,2,3,5", "", "split_attention(%x, %s, %z) radix=3 groups=2 add=true act=relu"},
	{"x:N,28,2,1 s:N,28,1,1 z:N,7,2,1", "", "split_attention(%x, %s, %z) radix=4 groups=7 add=true"},
	{"x:N,2100,1,2 s:N,2100,1,1", "", "split_attention(%x, %s) radix=2 groups=2"},
	{"x:N,1030,1,2 s:N,1030,1,1 z:N,1030,1,2", "", "gate(%x, %s, %z) add=true act=relu"},
	{"x:N,1030,2,1 s:N,1030,1,1", "", "gate(%x, %s)"},
	{"x:N,3,2,5", "", "concat(%x)"},
	{"x:N,3,2,5 z:N,1,2,5 s:N,19,2,5", "", "concat(%z, %x, %s, %x, %z)"},
	{"x:N,3,1,1 z:N,2,1,1", "", "concat(%x, %z)"},
	{"x:N,9,2,5", "", "channel_slice(%x) begin=0 end=1"},
	{"x:N,9,2,5", "", "channel_slice(%x) begin=3 end=8"},
	{"x:N,9,2,5", "", "channel_slice(%x) begin=8 end=9"},
	{"x:N,9,2,5", "", "channel_slice(%x) begin=0 end=9"},
	{"x:N,3,2,5", "", "spatial_pad(%x) padding=0,0,0,0"},
	{"x:N,3,2,5", "", "spatial_pad(%x) padding=3,0,1,7"},
	{"x:N,3,2,5", "", "spatial_pad(%x) padding=1,4,1,3 reflect=true"},
	{"x:N,1,4,1", "", "spatial_pad(%x) padding=3,0,2,0 reflect=true"},
	{"x:N,12,1,1", "", "reshape(%x) to=1,12,1"},
	{"x:N,1,12,1", "", "reshape(%x) to=12,1,1"},
	{"x:N,1,1,12", "", "reshape(%x) to=1,12,1"},
	{"x:N,1,3,4", "", "reshape(%x) to=1,2,6"},
	{"x:N,3,4,2", "", "reshape(%x) to=4,2,3"},
	{"x:N,3,4,2", "", "reshape(%x) to=3,4,2"},
	{"x:N,3,4,2", "", "reshape(%x) to=1,1,24"},
	{"x:N,2,1,12", "", "reshape(%x) to=24,1,1"},
	{"x:N,5,3,2", "w:5 b:5 m:5 running_var:5", "batch_norm(%x, @w, @b, @m, @running_var) epsilon=1e-05"},
	{"x:N,1030,1,3", "", "relu(%x)"},
	{"x:N,1030,1,3 z:N,1030,1,3", "", "add(%x, %z)"},
	{"x:N,1030,5,3", "", "avg_pool(%x) kernel=3,2 stride=2,1 padding=1,1,2,0"},
	{"x:N,3,5,7", "", "avg_pool(%x) kernel=3,2 stride=2,1 padding=1,1,2,0 count_include_pad=true"},
	{"x:N,1030,5,3", "", "global_avg_pool(%x)"},
	{"x:N,70,1,9", "", "global_avg_pool(%x)"},
	{"x:N,16,7,5", "w:16,1,3,2 b:16", "conv2d(%x, @w, @b) stride=2,1 padding=1,2,0,1 dilation=1,2 groups=16 bias=true act=relu"},
	{"x:N,19,4,6 z:N,19,5,6", "w:19,1,2,3 b:19", "conv2d(%x, @w, @b, %z) padding=2,1,0,1 groups=19 bias=true add=true act=relu"},
	{"x:N,40,3,3 z:N,40,3,3", "w:40,1,1,1", "conv2d(%x, @w, %z) groups=40 add=true"},
}

// awkwardGraph has the op between convolutions that pad its input and its result, so that both have a halo, or without them.
func awkwardGraph(t *testing.T, batch int, inputs, params, op string, halo bool) *graph.Graph {
	t.Helper()
	var text strings.Builder
	text.WriteString("graph g\n")
	for _, v := range strings.Fields(strings.ReplaceAll(inputs, "N", fmt.Sprint(batch))) {
		name, shape, _ := strings.Cut(v, ":")
		fmt.Fprintf(&text, "input %%%s : float32[%s]\n", name, shape)
	}
	for _, v := range strings.Fields(params) {
		name, shape, _ := strings.Cut(v, ":")
		fmt.Fprintf(&text, "param @%s : float32[%s]\n", name, shape)
	}
	nodes := "%y = " + op + "\n"
	if halo {
		plain := parse(t, text.String()+nodes+"output %y\n")
		for _, v := range []*graph.Value{plain.Inputs[0], plain.Outputs[0]} {
			c := v.Type.Shape.Dim(1)
			fmt.Fprintf(&text, "param @halo_%s : float32[%d,1,2,3]\n", v.Name, c)
			nodes += fmt.Sprintf("%%padded_%s = conv2d(%%%[1]s, @halo_%[1]s) padding=1,2,3,1 groups=%d\n", v.Name, c)
		}
	}
	g := parse(t, text.String()+nodes+"output %y\n")
	data := map[string]*graph.Tensor{}
	for _, p := range g.Params {
		data[p.Name] = seededParam(t, p)
	}
	g, err := g.Bind(data)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestOpsOfAwkwardShapes(t *testing.T) {
	for _, c := range awkward {
		t.Run(c.op+"/"+c.inputs, func(t *testing.T) {
			for _, halo := range []bool{false, true} {
				g := awkwardGraph(t, 3, c.inputs, c.params, c.op, halo)
				eachSet(t, 2, func(t *testing.T, d *device) {
					backendtest.Judge(t, g, seededInput(g), func(g *graph.Graph, inputs [][]float32) backendtest.Result {
						return backendtest.Result{Outputs: runGraph(t, d, g, inputs)}
					})
				})
			}
			if g := awkwardGraph(t, 0, c.inputs, c.params, c.op, true); len(runGraph(t, open(t, Options{}), g, seededInput(g))[0]) != 0 {
				t.Error("a batch of none gives elements")
			}
		})
	}
}

// TestAwkwardShapesGiveTheSameBitsOnAnyThreadsAndInAnyBatch: sums are cut by the shape of a picture alone.
func TestAwkwardShapesGiveTheSameBitsOnAnyThreadsAndInAnyBatch(t *testing.T) {
	for _, c := range awkward {
		t.Run(c.op+"/"+c.inputs, func(t *testing.T) {
			three, one := awkwardGraph(t, 3, c.inputs, c.params, c.op, true), awkwardGraph(t, 1, c.inputs, c.params, c.op, true)
			in := seededInput(three)
			last := make([][]float32, len(in))
			for i, v := range in {
				last[i] = v[2*len(v)/3:]
			}
			eachSet(t, 1, func(t *testing.T, d *device) {
				want := runGraph(t, d, three, in)[0]
				d.workers = 5
				if got := runGraph(t, d, three, in)[0]; !slices.Equal(got, want) {
					t.Error("5 threads give other bits than 1")
				}
				if got := runGraph(t, d, one, last)[0]; !slices.Equal(got, want[2*len(want)/3:]) {
					t.Error("a picture alone gives other bits than the last of three")
				}
			})
		})
	}
}

// TestNumbersThatAreNotFiniteStayInTheirGroupOrBranch: the reference has them where the mathematics puts them.
func TestNumbersThatAreNotFiniteStayInTheirGroupOrBranch(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range awkward {
		if strings.HasPrefix(c.op, "conv2d") {
			continue // has tests of its own
		}
		g := awkwardGraph(t, 2, c.inputs, c.params, c.op, false)
		for i := range g.Inputs {
			for _, bad := range []float32{nan, inf, -inf} {
				in := seededInput(g)
				in[i][len(in[i])/2] = bad
				eachSet(t, 2, func(t *testing.T, d *device) {
					if err := wrong(t, d, g, in); err != nil {
						t.Errorf("%s of %s, %g in input %d: %v", c.op, c.inputs, bad, i, err)
					}
				})
			}
		}
	}
}

// TestMomentsDoNotCancel: a mean far from zero, a group whose first element lies far from all others, and one of equal elements.
func TestMomentsDoNotCancel(t *testing.T) {
	const size = 2 * 197 * 201
	g := awkwardGraph(t, 1, "x:N,2,197,201", "w:2 b:2", "group_norm(%x, @w, @b) groups=1 epsilon=1e-12", false)
	fill := func(f func(i int, v float32) float32) []float32 {
		x := seededInput(g)[0]
		for i, v := range x {
			x[i] = f(i, v)
		}
		return x
	}
	for name, x := range map[string][]float32{
		"mean 1000": fill(func(_ int, v float32) float32 { return 1000 + v }),
		"far first": fill(func(i int, v float32) float32 { return map[bool]float32{true: 1e15, false: v}[i == 0] }),
		"far last":  fill(func(i int, v float32) float32 { return map[bool]float32{true: -1e15, false: v}[i == size-1] }),
		"equal":     fill(func(int, float32) float32 { return 0.1 }),
	} {
		mean, variance := 0.0, 0.0
		for _, v := range x {
			mean += float64(v) / size
		}
		for _, v := range x {
			variance += (float64(v) - mean) * (float64(v) - mean) / size
		}
		weight, bias := g.Params[0].Data.Float32s(), g.Params[1].Data.Float32s()
		eachSet(t, 2, func(t *testing.T, d *device) {
			for i, v := range runGraph(t, d, g, [][]float32{x})[0] {
				c := i / (size / 2)
				scale := float64(weight[c]) / math.Sqrt(variance+1e-12)
				want := (float64(x[i])-mean)*scale + float64(bias[c])
				// Far below the bound, which allows for a sum of float32 numbers: what rounding the two factors and the result leaves.
				if limit := 4 * 0x1p-24 * (math.Abs(float64(x[i])*scale) + math.Abs(mean*scale) + math.Abs(float64(bias[c]))); !(math.Abs(float64(v)-want) <= limit) {
					t.Fatalf("%s: element %d: got %g, want %g within %g", name, i, v, want, limit)
				}
			}
		})
	}
}
