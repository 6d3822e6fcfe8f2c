package onnx_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	"github.com/resnet-run/resnet-run/graph/weights"
	"github.com/resnet-run/resnet-run/internal/seeded"
)

// pools has every pool that fits a picture of a size, with all that a window may do at its end: the kernel, stride and padding of rows
// are those of columns in another order.
func pools(t *testing.T, size int) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder(fmt.Sprintf("pools%d", size))
	x := b.Input("x", graph.F32(1, 2, size, size+1))
	var shapes [][4]int
	for kernel := 1; kernel <= 4; kernel++ {
		for stride := 1; stride <= 4; stride++ {
			for before := range kernel {
				for after := range kernel {
					shapes = append(shapes, [4]int{kernel, stride, before, after})
				}
			}
		}
	}
	for i, r := range shapes {
		c := shapes[(i*37+5)%len(shapes)]
		kernel, stride, pad := [2]int{r[0], c[0]}, [2]int{r[1], c[1]}, graph.Padding{Top: r[2], Left: c[2], Bottom: r[3], Right: c[3]}
		for j, op := range []graph.Op{
			graph.MaxPool{Kernel: kernel, Stride: stride, Padding: pad, CeilMode: true},
			graph.AvgPool{Kernel: kernel, Stride: stride, Padding: pad, CeilMode: true},
			graph.AvgPool{Kernel: kernel, Stride: stride, Padding: pad, CeilMode: true, CountIncludePad: true},
			graph.AvgPool{Kernel: kernel, Stride: stride, Padding: pad, CountIncludePad: true},
		} {
			if _, err := graph.Infer(op, x.Type); err == nil {
				b.Output(b.Node(fmt.Sprintf("p%d.%d", i, j), op, x))
			}
		}
	}
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// drawn makes small graphs of all ops, each of one picture, whose parameters are numbers.
type drawn struct {
	rng    *rand.Rand
	b      *graph.Builder
	names  int
	values []*graph.Value // [N,C,H,W]
}

func draw(t *testing.T, seed int64) *graph.Graph {
	t.Helper()
	d := &drawn{rng: rand.New(rand.NewSource(seed)), b: graph.NewBuilder(fmt.Sprint("drawn", seed))}
	d.values = []*graph.Value{d.b.Input("x", graph.F32(1+d.rng.Intn(3), 1+d.rng.Intn(6), 1+d.rng.Intn(8), 1+d.rng.Intn(8)))}
	for range 12 {
		d.step()
	}
	d.b.Output(d.values[len(d.values)-1], d.values[d.rng.Intn(len(d.values))])
	last := d.node(graph.Flatten{}, d.values[len(d.values)-1])
	c := last.Type.Shape.Dim(1)
	d.b.Output(d.node(graph.Softmax{}, d.node(graph.Linear{Bias: true}, last, d.param(0, 0.5, 3, c), d.param(0, 1, 3))))
	g, err := d.b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (d *drawn) name() string {
	d.names++
	return fmt.Sprint("v", d.names)
}

func (d *drawn) param(mean, std float64, dims ...int) *graph.Value {
	typ := graph.F32(dims...)
	data, err := graph.FromFloat32s(typ.Shape, seeded.UniformAround(3, fmt.Sprint(d.names), typ.Shape.Elems(), mean, std))
	if err != nil {
		panic(err) // the shape is theirs
	}
	return d.b.Param(d.name()+".w", typ, data)
}

// node adds a node that fits, and returns its first input otherwise.
func (d *drawn) node(op graph.Op, in ...*graph.Value) *graph.Value {
	var types []graph.TensorType
	for _, v := range in {
		types = append(types, v.Type)
	}
	out, err := graph.Infer(op, types...)
	if err != nil || out.Shape.Elems() > 1<<14 {
		return in[0]
	}
	v := d.b.Node(d.name(), op, in...)
	if out.Shape.Rank() == 4 {
		d.values = append(d.values, v)
	}
	return v
}

func (d *drawn) divisor(n int) int {
	k := 1 + d.rng.Intn(n)
	for n%k != 0 {
		k--
	}
	return k
}

func (d *drawn) padding() graph.Padding {
	return graph.Padding{Top: d.rng.Intn(3), Left: d.rng.Intn(3), Bottom: d.rng.Intn(3), Right: d.rng.Intn(3)}
}

func (d *drawn) pair(n int) [2]int { return [2]int{1 + d.rng.Intn(n), 1 + d.rng.Intn(n)} }

// with adds a shortcut to the inputs of an op that wants one.
func with(add bool, x *graph.Value, in ...*graph.Value) []*graph.Value {
	if add {
		in = append(in, x)
	}
	return in
}

// step adds a node, or what a block is made of, that reads a value of those there are.
func (d *drawn) step() {
	x := d.values[d.rng.Intn(len(d.values))]
	_, c, h, w := x.Type.Shape.NCHW()
	add, act := d.rng.Intn(2) == 0, graph.Activation(d.rng.Intn(2))
	switch d.rng.Intn(14) {
	case 0:
		g := d.divisor(c)
		k := g * (1 + d.rng.Intn(3))
		weight := d.param(0, 0.5, k, c/g, 1+d.rng.Intn(3), 1+d.rng.Intn(3))
		op := graph.Conv2D{Stride: d.pair(2), Padding: d.padding(), Dilation: d.pair(2), Groups: g, Bias: true}
		if y := d.node(op, x, weight, d.param(0, 1, k)); y != x {
			op.Bias, op.Act, op.Add = false, act, true
			d.node(op, x, weight, y)
		}
	case 1:
		d.node(graph.BatchNorm{Epsilon: 1e-5}, x, d.param(1, 0.1, c), d.param(0, 1, c), d.param(0, 1, c), d.param(1, 0.1, c))
	case 2:
		d.node(graph.GroupNorm{Groups: d.divisor(c), Epsilon: 0.01, Act: act}, x, d.param(1, 0.1, c), d.param(0, 1, c))
	case 3:
		d.node(graph.Gate{Add: add, Act: act}, with(add, x, x, d.node(graph.GlobalAvgPool{}, x))...)
	case 4:
		r := 1 + d.rng.Intn(3)
		all := []*graph.Value{x}
		for len(all) < r {
			all = append(all, d.node(graph.ReLU{}, x))
		}
		y := d.node(graph.Concat{}, all...)
		d.node(graph.SplitAttention{Radix: r, Groups: d.divisor(c), Add: add, Act: act}, with(add, x, y, d.node(graph.GlobalAvgPool{}, y))...)
	case 5:
		d.node(graph.Add{}, x, d.node(graph.ReLU{}, x))
	case 6:
		d.node(graph.MaxPool{Kernel: d.pair(3), Stride: d.pair(3), Padding: d.padding(), CeilMode: add}, x)
	case 7:
		d.node(graph.AvgPool{Kernel: d.pair(3), Stride: d.pair(3), Padding: d.padding(), CeilMode: add, CountIncludePad: act == graph.ActReLU}, x)
	case 8:
		d.node(graph.ChannelPad{Before: d.rng.Intn(3), After: d.rng.Intn(3)}, x)
	case 9:
		d.node(graph.Subsample{Stride: d.pair(3)}, x)
	case 10:
		d.node(graph.SpatialPad{Padding: d.padding(), Reflect: add}, x)
	case 11:
		begin := d.rng.Intn(c)
		d.node(graph.ChannelSlice{Begin: begin, End: begin + 1 + d.rng.Intn(c-begin)}, x)
	case 12:
		d.node(graph.ReLU{}, d.node(graph.Reshape{To: [3]int{w, c, h}}, x))
	case 13:
		d.node(graph.Concat{}, x, d.node(graph.ReLU{}, x), x)
	}
}

// drawnGraphs are graphs that no file of golden numbers has.
func drawnGraphs(t *testing.T, n int) []*graph.Graph {
	t.Helper()
	list := []*graph.Graph{pools(t, 1), pools(t, 2), pools(t, 5), pools(t, 6)}
	for seed := range int64(n) {
		list = append(list, draw(t, seed))
	}
	return list
}

func TestDrawnGraphsComeBack(t *testing.T) {
	ops := map[string]bool{}
	for _, g := range drawnGraphs(t, 300) {
		back, err := reimport(t, g, onnx.ExportOptions{DynamicBatch: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, g.Text())
		}
		for _, n := range g.Nodes {
			ops[n.Op.Name()] = true
		}
		sameNumbers(t, g, back, map[string][]float64{"x": reference.Widen(seeded.Uniform(1, g.Name, g.Inputs[0].Type.Shape.Elems(), 1))})
	}
	if len(ops) != 19 {
		t.Errorf("got %d ops, want 19: %v", len(ops), ops)
	}
}

// Where a pool rounds up in a file, ONNX's formula alone gives its extent, also to a reader that lets a window begin in the padding; and
// its window fits, so that none need divide a number below 0.
func TestExportedPoolsAreReadInOneWay(t *testing.T) {
	ceil, floor := 0, 0
	for _, size := range []int{1, 2, 5, 6} {
		g := pools(t, size)
		var file bytes.Buffer
		if err := onnx.Export(&file, g, onnx.ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		m, err := proto.ReadModel(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range m.Graph.Nodes {
			if n.Op == "Pad" {
				continue
			}
			kernel, stride, pads := n.Attr("kernel_shape").Ints, n.Attr("strides").Ints, n.Attr("pads").Ints
			in := [2]int64{int64(size), int64(size) + 1}
			if v := g.Value(n.Name).Node.Op; n.Inputs[0] != "x" { // a Pad stands before it
				p := v.(graph.AvgPool).Padding
				in[0], in[1] = in[0]+int64(p.Top+p.Bottom), in[1]+int64(p.Left+p.Right)
			}
			for i := range 2 {
				span := in[i] + pads[i] + pads[i+2] - kernel[i]
				got := span/stride[i] + 1
				if n.Attr("ceil_mode") != nil {
					got = (span+stride[i]-1)/stride[i] + 1
					ceil++
				} else {
					floor++
				}
				if want := int64(g.Value(n.Name).Type.Shape.Dim(2 + i)); span < 0 || got != want || max(pads[i], pads[i+2]) >= kernel[i] {
					t.Fatalf("%s: dimension %d: got %d windows of %d with padding %d in %d, want %d", n.Name, i, got, kernel[i], pads, in[i], want)
				}
			}
		}
	}
	if ceil < 500 || floor < 500 {
		t.Errorf("got %d and %d dimensions, want both kinds", ceil, floor)
	}
}

// FuzzExport: what parses is exported, or refused for a reason that is listed; and what is exported is read back with the same numbers, or
// is no network of one picture.
func FuzzExport(f *testing.F) {
	for seed := range int64(20) {
		d := &drawn{rng: rand.New(rand.NewSource(seed)), b: graph.NewBuilder("drawn")}
		d.values = []*graph.Value{d.b.Input("x", graph.F32(2, 3, 5, 4))}
		for range 6 {
			d.step()
		}
		d.b.Output(d.values[len(d.values)-1])
		g, err := d.b.Build()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(g.Text())
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := graph.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		if g = filled(g); g == nil {
			return
		}
		var file bytes.Buffer
		if err := onnx.Export(&file, g, onnx.ExportOptions{}); err != nil {
			if file.Len() > 0 || !strings.HasPrefix(err.Error(), "export ONNX: ") {
				t.Errorf("got %v after %d bytes", err, file.Len())
			}
			return
		}
		checkFuzzed(t, g, file.Bytes())
	})
}

// filled binds a graph that is small enough to be computed to numbers, and returns nil for others.
func filled(g *graph.Graph) *graph.Graph {
	const most = 1 << 16
	c := g.Cost()
	if c.FLOPs > most || len(g.Nodes) > 50 {
		return nil
	}
	elems := 0
	for _, vs := range [][]*graph.Value{g.Inputs, g.Params} {
		for _, v := range vs {
			if elems += min(v.Type.Shape.Elems(), most+1); elems > most {
				return nil
			}
		}
	}
	tensors := map[string]*graph.Tensor{}
	for _, n := range g.Nodes {
		if n.Output.Type.Shape.Elems() > most {
			return nil
		}
	}
	for _, p := range g.Params {
		if p.Type.DType != graph.Float32 {
			tensors[p.Name] = graph.NewTensor(p.Type)
			continue
		}
		t, err := graph.FromFloat32s(p.Type.Shape, seeded.UniformAround(2, p.Name, p.Type.Shape.Elems(), 1, 0.3))
		if err != nil {
			return nil
		}
		tensors[p.Name] = t
	}
	g, err := g.Bind(tensors)
	if err != nil {
		return nil
	}
	return g
}

func checkFuzzed(t *testing.T, g *graph.Graph, file []byte) {
	t.Helper()
	f, err := weights.OpenBytes("fuzzed", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, g.Text())
	}
	defer f.Close()
	n, err := onnx.New(f)
	var back *graph.Graph
	if err == nil {
		_, _, h, w := g.Inputs[0].Type.Shape.NCHW()
		back, err = n.Graph(g.Inputs[0].Type.Shape.Dim(0), h, w)
	}
	if err != nil {
		var wrong *onnx.Error
		if !errors.As(err, &wrong) || !isNotRead(err) {
			t.Fatalf("%v\n%s", err, g.Text())
		}
		return
	}
	inputs := map[string][]float64{}
	for _, v := range g.Inputs {
		inputs[v.Name] = reference.Widen(seeded.Uniform(4, v.Name, v.Type.Shape.Elems(), 1))
	}
	sameNumbers(t, g, back, inputs)
}
