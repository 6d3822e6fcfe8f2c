package vulkan

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// TestRandomGraphs draws small graphs of all ops and judges every node of each by its bound, on a run that gives out
// every value. The graph's own outputs must then have the same bits in runs where the other values share the arena,
// with the whole batch at once and in parts, if the convolutions are computed by the same
// kernels: to give a value out costs a conversion, which may make another the better choice.
func TestRandomGraphs(t *testing.T) {
	count := 60 / backendtest.OneIn(2)
	if testing.Short() {
		count = 12 // drivers take long to compile pipelines, the more so with the race detector
	}
	same, other := 0, 0
	kernels := [][]string{nil}
	for i, k := range plan.ConvKernels() {
		if i%backendtest.OneIn(2) != 0 {
			continue
		}
		kernels = append(kernels, []string{k, "conv2d_regtile4_f32"}) // not each takes all groups
	}
	graphs := make([]*graph.Graph, count)
	ops := map[string]int{}
	for i := range graphs {
		r := &randomGraph{rng: rand.New(rand.NewSource(int64(i))), share: i % len(kernels)}
		graphs[i] = r.draw(t, fmt.Sprintf("random%d", i))
		for _, n := range graphs[i].Nodes {
			ops[n.Op.Name()]++
		}
	}
	for _, name := range graph.OpNames() {
		if ops[name] < 3 && backendtest.Thorough() && !testing.Short() {
			t.Errorf("op %s: drawn %d times, want at least 3 for the test to mean something", name, ops[name])
		}
	}
	for i, names := range kernels {
		eachDevice(t, Options{Kernels: names, Unproved: true}, func(t *testing.T, d *device) {
			for j := i; j < len(graphs); j += len(kernels) {
				s, o := checkRandom(t, d, graphs[j])
				same, other = same+s, other+o
			}
		})
	}
	if same < 3*other {
		t.Errorf("%d runs had the convolution kernels of the run that gives out every value, and %d others: too few to mean something", same, other)
	}
}

// convolutions are the choices for the convolutions of a graph. Other kernels add up in one order, whatever the format.
func convolutions(g *graph.Graph, choices []string) (list []string) {
	for i, n := range g.Nodes {
		if _, ok := n.Op.(graph.Conv2D); ok {
			list = append(list, choices[i])
		}
	}
	return list
}

// checkRandom returns how many runs had the convolution kernels of the one that gives out every value, and how many had not.
func checkRandom(t *testing.T, d *device, g *graph.Graph) (same, other int) {
	t.Helper()
	inputs := seededInput(g)
	values := judge(t, d, g, inputs)
	var names []string
	for _, n := range g.Nodes {
		names = append(names, n.Name)
	}
	all, err := g.WithOutputs(names...)
	if err != nil {
		t.Fatal(err)
	}
	judged := convolutions(g, chosenFor(t, d, all))
	batch := g.Inputs[0].Type.Shape.Dim(0)
	for _, chunk := range []int{0, 1, max(batch-1, 1), 2} {
		d.opts.MaxChunk = chunk // the test is alone with the device
		if !slices.Equal(convolutions(g, chosenFor(t, d, g)), judged) {
			other++
			continue
		}
		same++
		for i, got := range runGraph(t, d, g, inputs) {
			if name := g.Outputs[i].Name; !slices.Equal(got, values[name]) {
				t.Errorf("graph %q in parts of %d: %q has other bits than in the run that gives out every value", g.Name, chunk, name)
			}
		}
	}
	d.opts.MaxChunk = 0
	if t.Failed() {
		t.Fatal(g.Text())
	}
	return same, other
}

// randomGraph draws one graph. Values that a later node may take are kept by their rank.
type randomGraph struct {
	rng      *rand.Rand
	share    int // graphs of the same share run on the same device
	b        *graph.Builder
	names    int
	pictures []*graph.Value // [N,C,H,W]
	rows     []*graph.Value // [N,K]
	used     map[*graph.Value]bool
}

func (r *randomGraph) draw(t *testing.T, name string) *graph.Graph {
	t.Helper()
	r.b, r.used = graph.NewBuilder(name), map[*graph.Value]bool{}
	batch := 1 + r.rng.Intn(5)
	for i := range 1 + r.rng.Intn(2) {
		r.pictures = append(r.pictures, r.b.Input(fmt.Sprint("x", i), graph.F32(batch, 1+r.rng.Intn(9), 1+r.rng.Intn(12), 1+r.rng.Intn(12))))
	}
	for range 6 + r.rng.Intn(8) {
		r.step()
	}
	// What no node reads is given out, and now and then what one does, an input, or a value once more.
	all := slices.Concat(r.pictures, r.rows)
	var outs []*graph.Value
	for _, v := range all {
		if !r.used[v] || r.rng.Intn(8) == 0 {
			outs = append(outs, v)
		}
	}
	if r.rng.Intn(4) == 0 {
		outs = append(outs, outs[0])
	}
	r.b.Output(outs...)
	g, err := r.b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// step adds a node, or what a block of a network is made of.
func (r *randomGraph) step() {
	x := r.pick(r.pictures)
	switch r.rng.Intn(18) {
	case 0, 1, 2, 3:
		r.conv(x)
	case 4:
		c := x.Type.Shape.Dim(1)
		r.picture(graph.BatchNorm{Epsilon: 1e-5}, x, r.param(1, c), r.param(1, c), r.param(1, c), r.positive(c))
	case 5:
		r.picture(graph.ReLU{}, x)
	case 6:
		y := r.picture(graph.ReLU{}, x)
		r.picture(graph.Add{}, y, x)
	case 7, 8:
		r.pool(x)
	case 9:
		r.picture(graph.ChannelPad{Before: r.rng.Intn(3), After: r.rng.Intn(3)}, x)
	case 10:
		r.picture(graph.Subsample{Stride: [2]int{1 + r.rng.Intn(3), 1 + r.rng.Intn(3)}}, x)
	case 11:
		r.row(graph.Flatten{}, r.picture(graph.GlobalAvgPool{}, x))
	case 12:
		o := graph.Gate{Add: r.rng.Intn(2) == 0, Act: graph.Activation(r.rng.Intn(2))}
		ins := []*graph.Value{x, r.picture(graph.GlobalAvgPool{}, x)}
		if o.Add {
			ins = append(ins, x)
		}
		r.picture(o, ins...)
	case 14:
		c := x.Type.Shape.Dim(1)
		r.picture(graph.GroupNorm{Groups: r.divisor(c), Epsilon: 1e-5, Act: graph.Activation(r.rng.Intn(2))}, x, r.param(1, c), r.param(1, c))
	case 15:
		r.splitAttention(x)
	case 16:
		x = r.picture(graph.SpatialPad{Padding: graph.Padding{Top: r.rng.Intn(3), Left: r.rng.Intn(3), Right: r.rng.Intn(3)}}, x)
		_, _, h, w := x.Type.Shape.NCHW()
		r.picture(graph.SpatialPad{Padding: graph.Padding{Left: r.rng.Intn(min(w, 4)), Bottom: r.rng.Intn(min(h, 4))}, Reflect: true}, x)
	case 17: // efficient channel attention, or any other use of it
		_, c, h, w := x.Type.Shape.NCHW()
		y := r.picture(graph.Reshape{To: [3]int{h, c, w}}, x)
		r.picture(graph.Reshape{To: [3]int{c, h, w}}, r.picture(graph.ReLU{}, y))
	case 13:
		r.row(graph.Flatten{}, x)
		y := r.pick(r.rows)
		k, c := 1+r.rng.Intn(20), y.Type.Shape.Dim(1)
		ins := []*graph.Value{y, r.param(1/float64(c), k, c)}
		bias := r.rng.Intn(2) == 0
		if bias {
			ins = append(ins, r.param(1, k))
		}
		z := r.row(graph.Linear{Bias: bias}, ins...)
		if r.rng.Intn(2) == 0 {
			r.row(graph.Softmax{}, z)
		}
	}
}

// few makes a generator that begins in one of a few states, the same for all graphs that share a device: every other
// geometry is another pipeline, and drivers take up to a second to compile one.
func (r *randomGraph) few() *rand.Rand {
	return rand.New(rand.NewSource(int64(100*r.share + r.rng.Intn(6))))
}

// conv adds a convolution that may have every attribute at once, if its window fits.
func (r *randomGraph) conv(x *graph.Value) {
	geo := r.few()
	o := graph.Conv2D{
		Stride: [2]int{1 + geo.Intn(3), 1 + geo.Intn(3)}, Dilation: [2]int{1 + geo.Intn(2), 1 + geo.Intn(2)}, Groups: 1,
		Padding: graph.Padding{Top: geo.Intn(3), Left: geo.Intn(3), Bottom: geo.Intn(3), Right: geo.Intn(3)},
		Act:     graph.Activation(geo.Intn(2)), Bias: r.rng.Intn(2) == 0,
	}
	rows, cols := 1+geo.Intn(4), 1+geo.Intn(4)
	c := x.Type.Shape.Dim(1)
	o.Groups = r.divisor(c)
	filters := o.Groups * (1 + r.rng.Intn([]int{3, 20, 70}[r.rng.Intn(3)]/o.Groups+1))
	plain := graph.Conv2D{Stride: o.Stride, Padding: o.Padding, Dilation: o.Dilation, Groups: o.Groups}
	if _, err := graph.Infer(plain, x.Type, graph.F32(filters, c/o.Groups, rows, cols)); err != nil {
		return
	}
	ins := []*graph.Value{x, r.param(1/float64(rows*cols*c/o.Groups), filters, c/o.Groups, rows, cols)}
	if o.Bias {
		ins = append(ins, r.param(1, filters))
	}
	y := r.picture(o, ins...)
	if r.rng.Intn(3) == 0 { // the same again with a shortcut
		o.Add = true
		r.picture(o, append(ins, y)...)
	}
}

// splitAttention adds the sum of some branches, one beside the other, and takes some of its channels.
func (r *randomGraph) splitAttention(x *graph.Value) {
	c := x.Type.Shape.Dim(1)
	o := graph.SplitAttention{Radix: 1 + r.rng.Intn(3), Groups: r.divisor(c), Add: r.rng.Intn(2) == 0, Act: graph.Activation(r.rng.Intn(2))}
	branches := []*graph.Value{x}
	for len(branches) < o.Radix {
		branches = append(branches, []*graph.Value{x, r.picture(graph.ReLU{}, x)}[r.rng.Intn(2)])
	}
	y := r.picture(graph.Concat{}, branches...)
	ins := []*graph.Value{y, r.picture(graph.GlobalAvgPool{}, y)}
	if o.Add {
		ins = append(ins, x)
	}
	begin := r.rng.Intn(c)
	r.picture(graph.ChannelSlice{Begin: begin, End: begin + 1 + r.rng.Intn(c-begin)}, r.picture(o, ins...))
}

func (r *randomGraph) divisor(n int) int {
	d := 1
	for i := 2; i <= n; i++ {
		if n%i == 0 && r.rng.Intn(2) == 0 {
			d = i
		}
	}
	return d
}

// pool adds a maximum or a mean. In ceil mode the kernel may exceed the padded input by less than a stride.
func (r *randomGraph) pool(x *graph.Value) {
	geo := r.few()
	kernel, stride := [2]int{1 + geo.Intn(4), 1 + geo.Intn(4)}, [2]int{1 + geo.Intn(3), 1 + geo.Intn(3)}
	pad := graph.Padding{Top: geo.Intn(kernel[0]), Left: geo.Intn(kernel[1]), Bottom: geo.Intn(kernel[0]), Right: geo.Intn(kernel[1])}
	ceil := r.rng.Intn(2) == 0
	var op graph.Op = graph.MaxPool{Kernel: kernel, Stride: stride, Padding: pad, CeilMode: ceil}
	if geo.Intn(3) > 0 {
		op = graph.AvgPool{Kernel: kernel, Stride: stride, Padding: pad, CeilMode: ceil, CountIncludePad: geo.Intn(2) == 0}
	}
	if _, err := graph.Infer(op, x.Type); err == nil {
		r.picture(op, x)
	}
}

// pick prefers recent values, so that graphs are deep, but takes old ones too, so that some live long.
func (r *randomGraph) pick(list []*graph.Value) *graph.Value {
	i := len(list) - 1
	for i > 0 && r.rng.Intn(3) == 0 {
		i--
	}
	return list[i]
}

func (r *randomGraph) picture(op graph.Op, in ...*graph.Value) *graph.Value {
	v := r.node(op, in...)
	r.pictures = append(r.pictures, v)
	return v
}

func (r *randomGraph) row(op graph.Op, in ...*graph.Value) *graph.Value {
	v := r.node(op, in...)
	r.rows = append(r.rows, v)
	return v
}

func (r *randomGraph) node(op graph.Op, in ...*graph.Value) *graph.Value {
	for _, v := range in {
		r.used[v] = true
	}
	r.names++
	return r.b.Node(fmt.Sprintf("n%d", r.names), op, in...)
}

func (r *randomGraph) param(std float64, dims ...int) *graph.Value {
	return r.add(func(name string, n int) []float32 { return seeded.Uniform(11, name, n, std) }, dims...)
}

func (r *randomGraph) positive(c int) *graph.Value {
	return r.add(func(name string, n int) []float32 { return seeded.UniformAround(11, name, n, 1, 0.2) }, c)
}

func (r *randomGraph) add(data func(name string, n int) []float32, dims ...int) *graph.Value {
	r.names++
	name, typ := fmt.Sprintf("p%d", r.names), graph.F32(dims...)
	x, err := graph.FromFloat32s(typ.Shape, data(name, typ.Shape.Elems()))
	if err != nil {
		panic(err) // a bug of the test
	}
	return r.b.Param(name, typ, x)
}
