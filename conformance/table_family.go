package conformance

import (
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// family has the ops that members of the family have beyond a ResNet's own.
func (t *table) family() {
	t.groupNorms()
	t.splitAttentions()
	t.concats()
	t.slices()
	t.spatialPads()
	t.reshapes()
}

// norm is a group norm by its extents.
type norm struct {
	n, c, h, w, groups int
	epsilon            float64
	relu               bool
}

func (v norm) ports() (op graph.GroupNorm, geometry string, x graph.TensorType, rest []port) {
	op = graph.GroupNorm{Groups: v.groups, Epsilon: v.epsilon}
	if op.Epsilon == 0 {
		op.Epsilon = 1e-5
	}
	x = graph.F32(v.n, v.c, v.h, v.w)
	geometry = fmt.Sprintf("%s-g%d/eps%g", name4(x.Shape), v.groups, op.Epsilon)
	if v.relu {
		op.Act = graph.ActReLU
		geometry += "/relu"
	}
	return op, geometry, x, []port{{name: "weight", typ: graph.F32(v.c)}, {name: "bias", typ: graph.F32(v.c)}}
}

func (t *table) norm(p Profile, reason string, values Values, v norm) {
	op, geometry, x, rest := v.ports()
	t.op(p, reason, values, op, geometry, x, rest...)
}

func (t *table) groupNorms() {
	for i, c := range channels {
		e := extents[(3*i+7)%len(extents)]
		for j, groups := range []int{1, 2, 32, c} {
			if c%groups == 0 {
				t.norm(quickIf((i+j)%2 == 0), "channel counts off and on the edges of vectors, in one group, in some, and each for itself", alternate(i+j),
					norm{n: 1 + i%3, c: c, h: e[0], w: e[1], groups: groups, relu: i%2 == 0})
			}
		}
	}
	for i, e := range extents {
		groups := []int{1, 2, 3, 6}[i%4]
		t.norm(quickIf(i%2 == 0), "groups of elements off and on the edges of workgroups", Ordinary, norm{n: 2, c: 6, h: e[0], w: e[1], groups: groups})
	}
	for i, n := range []int{0, 1, 3, 7, 8, 32} {
		t.norm(quickIf(n != 1), "batches, the empty one among them", alternate(i), norm{n: n, c: 10, h: 5, w: 3, groups: 5})
	}
	for i, epsilon := range []float64{1e-12, 1e-3, 0.5, 100} {
		t.norm(quickIf(i < 2), "what is added under the root", Ordinary, norm{n: 2, c: 12, h: 3, w: 5, groups: 4, epsilon: epsilon})
	}
	for _, values := range append(append([]Values(nil), special...), specialWeights...) {
		t.norm(Quick, "numbers that need care", values, norm{n: 2, c: 10, h: 7, w: 9, groups: 5})
		t.norm(Full, "numbers that need care", values, norm{n: 2, c: 9, h: 5, w: 6, groups: 3, epsilon: 1e-3, relu: true})
		t.norm(quickIf(values == Equal || values == NaN), "numbers that need care, in a group of all", values, norm{n: 3, c: 5, h: 3, w: 4, groups: 1, relu: true})
	}
	t.norm(Quick, "many channels in one group: few enough elements for the bound to show whether each is counted once", Ordinary, norm{n: 1, c: 521, h: 9, w: 8, groups: 1})
	t.norm(Quick, "a group of a hundred thousand elements", Ordinary, norm{n: 1, c: 33, h: 57, w: 56, groups: 1, relu: true})
	t.norm(Quick, "more groups than workgroups along one side of a dispatch", Ordinary, norm{n: 1, c: 65541, h: 1, w: 2, groups: 65541})
	t.norm(Full, "the first norm of a network on pictures of 224", Ordinary, norm{n: 1, c: 64, h: 112, w: 112, groups: 32, relu: true})
	t.farMeans()
}

// farMeans have a mean that is large beside the deviation, which the square of the mean less the mean of squares loses.
func (t *table) farMeans() {
	for i, v := range []norm{{n: 2, c: 6, h: 3, w: 5, groups: 3}, {n: 1, c: 4, h: 4, w: 4, groups: 1}, {n: 2, c: 34, h: 1, w: 1, groups: 2}, {n: 1, c: 8, h: 1, w: 7, groups: 8, relu: true}} {
		op, geometry, x, rest := v.ports()
		t.op(quickIf(i != 1), "a mean that is large beside the deviation", Ordinary, op, geometry+"/far", x, rest...)
		last := &t.cases[len(t.cases)-1]
		name := last.Name
		last.inputs = func(*graph.Graph) [][]float32 {
			in := bell(name+"/x", x.Shape.Elems())
			for j := range in {
				in[j] += 1000
			}
			return [][]float32{in}
		}
	}
}

// split is a split attention by its extents; c are the channels of its result.
type split struct {
	n, c, h, w, radix, groups int
	add, relu                 bool
}

func (v split) op() graph.SplitAttention {
	op := graph.SplitAttention{Radix: v.radix, Groups: v.groups, Add: v.add}
	if v.relu {
		op.Act = graph.ActReLU
	}
	return op
}

func (t *table) split(p Profile, reason string, values Values, v split) {
	x := graph.F32(v.n, v.radix*v.c, v.h, v.w)
	geometry := fmt.Sprintf("%s-r%d-g%d", name4(graph.NewShape(v.n, v.c, v.h, v.w)), v.radix, v.groups)
	rest := []port{{name: "s", typ: graph.F32(v.n, v.radix*v.c, 1, 1), input: true}}
	if v.add {
		rest = append(rest, port{name: "shortcut", typ: graph.F32(v.n, v.c, v.h, v.w), input: true})
	}
	switch {
	case v.add && v.relu:
		geometry += "/add-relu"
	case v.add:
		geometry += "/add"
	case v.relu:
		geometry += "/relu"
	}
	t.op(p, reason, values, v.op(), geometry, x, rest...)
}

func (t *table) splitAttentions() {
	for i, c := range channels {
		e := extents[(3*i+7)%len(extents)]
		for j, radix := range []int{2, []int{3, 4, 1}[i%3]} {
			groups := []int{1, 2, 4, 3}[(i+j)%4]
			if c%groups != 0 {
				groups = 1
			}
			t.split(quickIf((i+j)%2 == 0), "branches of channel counts off and on the edges of vectors", alternate(i+j),
				split{n: 1 + i%3, c: c, h: e[0], w: e[1], radix: radix, groups: groups, relu: j == 0})
		}
	}
	for i, e := range extents {
		t.split(quickIf(i%3 == 0), "numbers of pixels off and on the edges of workgroups", alternate(i),
			split{n: 2, c: 6, h: e[0], w: e[1], radix: 2 + i%2, groups: 1 + i%3, add: i%2 == 0, relu: i%4 == 0})
	}
	for i, n := range []int{0, 1, 3, 7, 8, 32} {
		t.split(quickIf(n != 1), "batches, the empty one among them", alternate(i), split{n: n, c: 10, h: 3, w: 5, radix: 2, groups: 2, add: true, relu: true})
	}
	for _, groups := range []int{1, 2, 5, 10} {
		for _, radix := range []int{2, 4, 9} {
			t.split(quickIf(radix == 4), "cardinal groups, each with the scores of its branches side by side", Ordinary, split{n: 2, c: 10, h: 3, w: 4, radix: radix, groups: groups})
		}
	}
	for _, values := range special {
		t.split(Quick, "numbers that need care", values, split{n: 2, c: 5, h: 7, w: 9, radix: 2, groups: 1})
		t.split(Quick, "numbers that need care", values, split{n: 2, c: 6, h: 3, w: 5, radix: 4, groups: 2, add: true})
		t.split(Full, "numbers that need care", values, split{n: 1, c: 6, h: 5, w: 3, radix: 3, groups: 3, add: true, relu: true})
	}
	t.splitScores()
	t.split(Quick, "more than a million elements", Ordinary, split{n: 1, c: 16, h: 256, w: 257, radix: 2, groups: 1})
}

// concat adds a concatenation of inputs that are named once each; one of twice is the first again at the end.
func (t *table) concat(p Profile, reason string, values Values, n, h, w int, twice bool, channels ...int) {
	names, list := "", append([]int(nil), channels...)
	for i, c := range list {
		if i > 0 {
			names += "."
		}
		names += fmt.Sprint(c)
	}
	if twice {
		names += ".twice"
	}
	name := fmt.Sprintf("concat/n%d-h%d-w%d/c%s/%v", n, h, w, names, values)
	t.add(Case{Name: name, Reason: reason, Profile: p, Values: values, Class: classOf(graph.Concat{}, values), build: func() (*graph.Graph, error) {
		b := graph.NewBuilder("concat")
		var in []*graph.Value
		for i, c := range list {
			in = append(in, b.Input(fmt.Sprint("x", i), graph.F32(n, c, h, w)))
		}
		if twice {
			in = append(in, in[0])
		}
		b.Output(b.Node("y", graph.Concat{}, in...))
		return b.Build()
	}})
}

func (t *table) concats() {
	for i, list := range [][]int{{1}, {4}, {3, 5}, {4, 8}, {1, 1, 1, 1, 1}, {5, 7, 3}, {26, 26, 26, 26}, {16, 1, 16}, {33, 64, 2}, {8, 4, 12, 3, 4}, {1, 31}, {63, 65}, {176, 3, 184}, {15, 17}, {32, 168, 1}, {192, 513}} {
		for j := range 3 {
			e := extents[(5*i+11*j+2)%len(extents)]
			t.concat(quickIf(j == 0), "one to five inputs, of channels that are and are not whole vectors", alternate(i+j), 1+(i+j)%3, e[0], e[1], j == 1, list...)
		}
	}
	for i, n := range []int{0, 1, 7, 8, 32} {
		t.concat(quickIf(n != 1), "batches, the empty one among them", alternate(i), n, 5, 3, false, 5, 2, 6)
	}
	for _, values := range special {
		t.concat(Quick, "numbers that need care", values, 2, 7, 9, false, 3, 5)
	}
	t.concat(Quick, "more than a million elements", Integers, 1, 256, 257, true, 7, 2)
}

func (t *table) slices() {
	for i, c := range channels {
		e := extents[(7*i+3)%len(extents)]
		for j, s := range [][2]int{{0, c}, {0, (c + 1) / 2}, {c / 2, c}, {min(5, c-1), c - c/4}} {
			if s[0] < s[1] && (j > 0 || i%5 == 0) {
				t.op(quickIf((i+j)%3 == 0), "channels that begin and end off and on the edges of vectors", alternate(i+j), graph.ChannelSlice{Begin: s[0], End: s[1]},
					fmt.Sprintf("n%d-c%d-h%d-w%d/%d-%d", 1+i%3, c, e[0], e[1], s[0], s[1]), graph.F32(1+i%3, c, e[0], e[1]))
			}
		}
	}
	for i, n := range []int{0, 7, 8, 32} {
		t.op(Quick, "batches, the empty one among them", alternate(i), graph.ChannelSlice{Begin: 3, End: 8}, fmt.Sprintf("n%d-c9-h3-w5/3-8", n), graph.F32(n, 9, 3, 5))
	}
	for _, values := range special {
		t.op(Quick, "numbers that need care", values, graph.ChannelSlice{Begin: 1, End: 4}, "n2-c5-h7-w9/1-4", graph.F32(2, 5, 7, 9))
	}
}

func (t *table) spatialPads() {
	pads := []graph.Padding{graph.Pad(1), {}, {Top: 2, Right: 1}, {Left: 4, Bottom: 3}, {Top: 1, Left: 2, Bottom: 3, Right: 4}, {Bottom: 6}, graph.Pad(3)}
	add := func(p Profile, reason string, values Values, op graph.SpatialPad, x graph.TensorType) {
		if !fits(op, x) {
			return // a picture that is too small to be mirrored so far
		}
		kind := "zeros"
		if op.Reflect {
			kind = "reflect"
		}
		d := op.Padding
		t.op(p, reason, values, op, fmt.Sprintf("%s/pad%d,%d,%d,%d-%s", name4(x.Shape), d.Top, d.Left, d.Bottom, d.Right, kind), x)
	}
	for i, e := range extents {
		for _, reflect := range []bool{false, true} {
			x := graph.F32(1+i%3, 1+(5*i)%7, e[0], e[1])
			pad := pads[i%len(pads)]
			if reflect {
				pad = graph.Padding{Top: min(pad.Top, e[0]-1), Left: min(pad.Left, e[1]-1), Bottom: min(pad.Bottom, e[0]-1), Right: min(pad.Right, e[1]-1)}
			}
			add(quickIf(i%3 == 0), "paddings that differ by side", alternate(i), graph.SpatialPad{Padding: pad, Reflect: reflect}, x)
		}
		far := graph.Padding{Top: e[0] - 1, Left: (e[1] - 1) / 2, Bottom: (e[0] - 1) / 3, Right: e[1] - 1}
		if i%2 == 0 && e[0]*e[1] < 400 {
			add(quickIf(i%3 == 0), "mirrored as far as a picture reaches", alternate(i), graph.SpatialPad{Padding: far, Reflect: true}, graph.F32(2, 3, e[0], e[1]))
		}
	}
	for i, c := range channels {
		add(quickIf(i%4 == 2), "channel counts off and on the edges of vectors", alternate(i), graph.SpatialPad{Padding: graph.Padding{Top: 1, Left: 2, Right: 1}, Reflect: i%2 == 0}, graph.F32(1+i%2, c, 4, 3))
	}
	for _, n := range []int{0, 7, 8, 32} {
		add(Quick, "batches, the empty one among them", Integers, graph.SpatialPad{Padding: graph.Padding{Top: 1, Left: 2, Bottom: 2}, Reflect: n == 7}, graph.F32(n, 5, 3, 4))
	}
	for _, values := range special {
		for _, reflect := range []bool{false, true} {
			add(Quick, "numbers that need care", values, graph.SpatialPad{Padding: graph.Padding{Top: 1, Left: 3, Bottom: 2, Right: 1}, Reflect: reflect}, graph.F32(2, 5, 7, 9))
		}
	}
}

func (t *table) reshapes() {
	add := func(p Profile, reason string, values Values, to [3]int, x graph.TensorType) {
		t.op(p, reason, values, graph.Reshape{To: to}, fmt.Sprintf("%s/to%dx%dx%d", rankName(x.Shape.Dims()), to[0], to[1], to[2]), x)
	}
	for i, c := range channels {
		e := extents[(3*i+1)%len(extents)]
		add(quickIf(i%2 == 0), "channels that become rows, and back", alternate(i), [3]int{1, c, 1}, graph.F32(1+i%3, c, 1, 1))
		add(quickIf(i%2 == 1), "channels that become rows, and back", alternate(i+1), [3]int{c, 1, 1}, graph.F32(1+i%3, 1, c, 1))
		add(quickIf(i%4 == 0), "other channels, rows and columns of as many elements", alternate(i), [3]int{e[1], c, e[0]}, graph.F32(2, c, e[0], e[1]))
	}
	for _, dims := range [][]int{{3}, {2, 30}, {2, 5, 6}, {1, 2, 3, 5, 7}, {2, 3, 1, 4, 5, 1}, {0, 30}} {
		elems := graph.NewShape(append([]int{1}, dims[1:]...)...).Elems()
		to := [3]int{elems, 1, 1}
		if elems%2 == 0 {
			to = [3]int{1, elems / 2, 2}
		}
		t.both(Quick, "every rank", graph.Reshape{To: to}, fmt.Sprintf("%s/to%dx%dx%d", rankName(dims), to[0], to[1], to[2]), graph.F32(dims...))
	}
	for _, n := range []int{7, 8} {
		add(Quick, "batches", Integers, [3]int{7, 5, 3}, graph.F32(n, 5, 3, 7))
	}
	for _, values := range special {
		add(Quick, "numbers that need care", values, [3]int{7, 5, 9}, graph.F32(2, 5, 7, 9))
	}
}

// splitScores are scores beyond what exp has in float32, with a common part that a device must take away first.
func (t *table) splitScores() {
	build := parse("input %x : float32[1,8,2,3]", "input %s : float32[1,8,1,1]", "%y = split_attention(%x, %s) radix=4 groups=2", "output %y")
	t.crafted("split_attention/n1-c2-h2-w3-r4-g2/large-scores", "scores whose exponentials overflow unless the greatest is subtracted, and some that vanish beside it", build, nil,
		func(in [][]float32) {
			copy(in[1], []float32{300, 301, 299, -300, -1000, -1001, -1002, -999.5})
		})
	t.crafted("split_attention/n1-c2-h2-w3-r4-g2/offset-scores", "scores that are sums, with a common part that their rounding depends on and the weights do not",
		parse("input %x : float32[1,8,2,3]", "input %s : float32[1,8,1,1]", "input %o : float32[1,8,1,1]", "%t = add(%s, %o)",
			"%y = split_attention(%x, %t) radix=4 groups=2", "output %t", "output %y"), nil,
		func(in [][]float32) {
			for i := range in[2] {
				in[2][i] = 1000
			}
		})
	t.crafted("split_attention/n1-c2-h2-w3-r4-g2/left-out", "branches whose score is minus infinity are left out; where all are, and where one is infinite, there is NaN", build, nil,
		func(in [][]float32) {
			inf := float32(math.Inf(1))
			copy(in[1], []float32{-inf, 1, -inf, 0.5, -inf, -inf, -inf, -inf})
		})
	for _, radix := range []int{2, 1} { // a compiler may take a number less itself for zero where there is one branch
		op := fmt.Sprintf("%%y = split_attention(%%x, %%s) radix=%d groups=3", radix)
		t.crafted(fmt.Sprintf("split_attention/n1-c%d-h2-w3-r%d-g3/nan-payloads", 12/radix, radix), "a score that is NaN makes NaN of its channel, whatever its sign and its other bits",
			parse("input %x : float32[1,12,2,3]", "input %s : float32[1,12,1,1]", op, "output %y"), nil, func(in [][]float32) {
				for i, bits := range nanPayloads {
					in[1][i/2*4+i%2] = math.Float32frombits(bits)
				}
				in[1][3] = float32(math.Inf(1))
			})
	}
	t.crafted("split_attention/n1-c2-h2-w3-r4-g2/infinite-branch", "a branch that is infinite makes its element so, and no other", build, nil,
		func(in [][]float32) {
			in[0][7], in[0][30] = float32(math.Inf(1)), float32(math.Inf(-1))
		})
}
