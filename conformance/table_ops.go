package conformance

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// name4 writes the extents of an activation.
func name4(s graph.Shape) string {
	n, c, h, w := s.NCHW()
	return fmt.Sprintf("n%d-c%d-h%d-w%d", n, c, h, w)
}

// both adds a case with ordinary and one with whole numbers.
func (t *table) both(p Profile, reason string, op graph.Op, geometry string, x graph.TensorType, rest ...port) {
	t.op(p, reason, Ordinary, op, geometry, x, rest...)
	t.op(p, reason, Integers, op, geometry, x, rest...)
}

// shapes are activations one off the edges of vectors and workgroups, with extents of one and of none.
func shapes() []graph.Shape {
	var out []graph.Shape
	for i, c := range channels {
		e := extents[(3*i+7)%len(extents)]
		out = append(out, graph.NewShape(1+i%3, c, e[0], e[1]))
	}
	for i, e := range extents {
		out = append(out, graph.NewShape([]int{1, 2, 3, 7, 8}[i%5], 1+i%6, e[0], e[1]))
	}
	return append(out, graph.NewShape(0, 3, 4, 5), graph.NewShape(1, 1, 1, 1), graph.NewShape(32, 2, 3, 5))
}

func (t *table) elementwise() {
	for _, s := range shapes() {
		x := graph.TensorType{DType: graph.Float32, Shape: s}
		c := graph.F32(s.Dim(1))
		other := port{name: "b", typ: x, input: true}
		stats := []port{{name: "weight", typ: c}, {name: "bias", typ: c}, {name: "mean", typ: c}, {name: "variance", typ: c}}
		const edges = "counts off and on the edges of vectors and workgroups"
		t.both(Quick, edges, graph.ReLU{}, name4(s), x)
		t.both(Quick, edges, graph.Add{}, name4(s), x, other)
		t.both(Quick, edges, graph.BatchNorm{Epsilon: 1e-5}, name4(s)+"/eps1e-5", x, stats...)
		gates := port{name: "s", typ: graph.F32(s.Dim(0), s.Dim(1), 1, 1), input: true}
		t.both(Quick, edges, graph.Gate{}, name4(s), x, gates)
		t.both(Full, edges, graph.Gate{Act: graph.ActReLU}, name4(s)+"/relu", x, gates)
		t.both(quickIf(s.Dim(0) > 1), edges, graph.Gate{Add: true, Act: graph.ActReLU}, name4(s)+"/add-relu", x, gates, port{name: "shortcut", typ: x, input: true})
		t.both(Quick, edges, graph.GlobalAvgPool{}, name4(s), x)
		t.both(Quick, edges, graph.Flatten{}, name4(s), x)
		for i, p := range [][2]int{{0, 0}, {1, 0}, {0, 3}, {2, 5}, {16, 16}} {
			t.both(quickIf(i > 2), "channels before and after", graph.ChannelPad{Before: p[0], After: p[1]}, fmt.Sprintf("%s/before%d-after%d", name4(s), p[0], p[1]), x)
		}
		for i, st := range [][2]int{{2, 2}, {1, 2}, {3, 1}, {5, 7}} {
			t.both(quickIf(i < 2), "strides that differ and exceed the picture", graph.Subsample{Stride: st}, fmt.Sprintf("%s/stride%d,%d", name4(s), st[0], st[1]), x)
		}
	}
	s := graph.NewShape(2, 5, 7, 9)
	x, c := graph.TensorType{DType: graph.Float32, Shape: s}, graph.F32(5)
	for _, v := range special {
		const care = "numbers that need care"
		t.op(Quick, care, v, graph.ReLU{}, name4(s), x)
		t.op(Quick, care, v, graph.Add{}, name4(s), x, port{name: "b", typ: x, input: true})
		t.op(Quick, care, v, graph.BatchNorm{Epsilon: 1e-3}, name4(s)+"/eps1e-3", x,
			port{name: "weight", typ: c}, port{name: "bias", typ: c}, port{name: "mean", typ: c}, port{name: "variance", typ: c})
		gates := port{name: "s", typ: graph.F32(2, 5, 1, 1), input: true}
		t.op(Quick, care, v, graph.Gate{}, name4(s), x, gates)
		t.op(Quick, care, v, graph.Gate{Add: true}, name4(s)+"/add", x, gates, port{name: "shortcut", typ: x, input: true})
		t.op(Quick, care, v, graph.GlobalAvgPool{}, name4(s), x)
		t.op(Quick, care, v, graph.Flatten{}, name4(s), x)
		t.op(Quick, care, v, graph.ChannelPad{Before: 1, After: 2}, name4(s)+"/before1-after2", x)
		t.op(Quick, care, v, graph.Subsample{Stride: [2]int{2, 1}}, name4(s)+"/stride2,1", x)
		t.op(Quick, care, v, graph.Softmax{}, "n7-c33", graph.F32(7, 33))
	}
	t.rankCases()
	million := graph.F32(1, 16, 256, 257)
	t.both(Quick, "more than a million elements: one wrong one must be found", graph.ReLU{}, name4(million.Shape), million)
	t.softmax()
}

func (t *table) softmax() {
	for i, k := range []int{1, 2, 3, 10, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 168, 176, 184, 192, 257, 513, 1000, 1001, 4097} {
		for _, n := range []int{0, 1, 3, 8} {
			t.both(Quick, "row lengths off and on the edges of workgroups", graph.Softmax{}, fmt.Sprintf("n%d-c%d", n, k), graph.F32(n, k))
		}
		t.both(Full, "more dimensions", graph.Softmax{}, fmt.Sprintf("n2-a3-b%d-c%d", 1+i%4, k), graph.F32(2, 3, 1+i%4, k))
	}
}

func (t *table) linear() {
	add := func(p Profile, reason string, v Values, n, c, k int, bias bool) {
		rest := []port{{name: "weight", typ: graph.F32(k, c)}}
		name := "plain"
		if bias {
			rest = append(rest, port{name: "bias", typ: graph.F32(k)})
			name = "bias"
		}
		t.op(p, reason, v, graph.Linear{Bias: bias}, fmt.Sprintf("n%d-c%d-k%d/%s", n, c, k, name), graph.F32(n, c), rest...)
	}
	for i, c := range channels {
		for j, k := range channels {
			add(quickIf(j == i || j == (i+3)%len(channels)), "feature counts off and on the edges of vectors", alternate(i+j), 1+(i+j)%3, c, k, j%2 == 0)
		}
		for _, n := range []int{0, 1, 2, 3, 7, 8} {
			add(quickIf(c == 33), "batches, the empty one among them", alternate(n), n, c, 10, true)
		}
	}
	add(Quick, "the classifier of the family", Ordinary, 2, 2048, 1000, true)
	for _, v := range special {
		add(Quick, "numbers that need care", v, 3, 65, 17, true)
	}
}

// pooling is a pooling window.
type pooling struct {
	kernel, stride [2]int
	pad            graph.Padding
	ceil           bool
}

var poolings = []pooling{
	{[2]int{3, 3}, [2]int{2, 2}, graph.Pad(1), false}, // the stem of the family
	{[2]int{2, 2}, [2]int{2, 2}, graph.Padding{}, true},
	{[2]int{3, 2}, [2]int{1, 3}, graph.Padding{Top: 2, Right: 1}, false},
	{[2]int{1, 5}, [2]int{2, 1}, graph.Padding{Left: 4, Right: 2}, true},
	{[2]int{4, 3}, [2]int{3, 2}, graph.Padding{Top: 1, Left: 2, Bottom: 3}, true},
	{[2]int{7, 6}, [2]int{7, 6}, graph.Pad(3), true},
	{[2]int{1, 1}, [2]int{3, 2}, graph.Padding{}, false},
	{[2]int{2, 3}, [2]int{5, 4}, graph.Padding{Bottom: 1, Left: 1}, true},
}

func (p pooling) String() string {
	s := fmt.Sprintf("r%d-s%d-stride%d,%d-pad%d,%d,%d,%d", p.kernel[0], p.kernel[1], p.stride[0], p.stride[1], p.pad.Top, p.pad.Left, p.pad.Bottom, p.pad.Right)
	if p.ceil {
		s += "-ceil"
	}
	return s
}

func (t *table) pools() {
	const reason = "windows with strides, paddings and rounding that differ"
	for i, p := range poolings {
		for j, e := range extents {
			x := graph.F32(1+j%3, 1+(i+j)%7, e[0], e[1])
			t.pool(quickIf(j%3 == i%3), reason, alternate(i+j), p, x)
		}
		for _, v := range special {
			t.pool(Quick, "numbers that need care", v, p, graph.F32(2, 3, 11, 8))
		}
		t.pool(Quick, "an empty batch", Ordinary, p, graph.F32(0, 3, 11, 8))
	}
	t.poolChannels()
}

// pool adds the pools of a window that fits.
func (t *table) pool(profile Profile, reason string, v Values, p pooling, x graph.TensorType) {
	geometry := name4(x.Shape) + "/" + p.String()
	if m := (graph.MaxPool{Kernel: p.kernel, Stride: p.stride, Padding: p.pad, CeilMode: p.ceil}); fits(m, x) {
		t.op(profile, reason, v, m, geometry, x)
	}
	for _, include := range []bool{false, true} {
		a := graph.AvgPool{Kernel: p.kernel, Stride: p.stride, Padding: p.pad, CeilMode: p.ceil, CountIncludePad: include}
		name := geometry + "/excludepad"
		if include {
			name = geometry + "/includepad"
		}
		if fits(a, x) {
			t.op(profile, reason, v, a, name, x)
		}
	}
}

func fits(op graph.Op, x graph.TensorType) bool {
	_, err := graph.Infer(op, x)
	return err == nil
}
