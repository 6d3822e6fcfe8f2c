package conformance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
)

// channels are one off the multiples that tiles and vectors have, and those that the field found trouble with.
var channels = []int{1, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 168, 176, 184, 192, 513}

// extents give numbers of pixels one off every tile edge, and rows and columns of one.
var extents = [][2]int{
	{1, 1}, {1, 2}, {3, 1}, {1, 4}, {5, 1}, {1, 7}, {2, 4}, {3, 3}, {1, 15}, {3, 5}, {4, 4}, {2, 8}, {17, 1}, {1, 31}, {4, 8}, {3, 11},
	{7, 9}, {8, 8}, {4, 16}, {5, 13}, {9, 7}, {127, 1}, {8, 16}, {3, 43}, {15, 17}, {16, 16}, {1, 257}, {14, 13}, {28, 27}, {57, 56},
}

// window is how a convolution looks at its input.
type window struct {
	r, s   int
	stride [2]int
	pad    graph.Padding
	dil    [2]int
}

func square(r, stride, pad int) window {
	return window{r, r, [2]int{stride, stride}, graph.Pad(pad), [2]int{1, 1}}
}

// windows are those of the family, and others in which no two axes are alike. Quick cases share them, since a
// backend may have to compile a kernel for each.
var windows = []window{
	square(1, 1, 0), square(3, 1, 1), square(3, 2, 1), square(7, 2, 3), square(1, 2, 0),
	{3, 5, [2]int{1, 2}, graph.Padding{Top: 2, Left: 1, Bottom: 0, Right: 3}, [2]int{2, 1}},
	{5, 2, [2]int{2, 1}, graph.Padding{Top: 0, Left: 3, Bottom: 1, Right: 0}, [2]int{1, 3}},
	{1, 7, [2]int{1, 1}, graph.Padding{Top: 0, Left: 3, Bottom: 0, Right: 2}, [2]int{1, 1}},
	{6, 1, [2]int{3, 1}, graph.Padding{Top: 5, Left: 0, Bottom: 2, Right: 0}, [2]int{1, 1}},
	{2, 2, [2]int{2, 2}, graph.Padding{Bottom: 1, Right: 1}, [2]int{1, 1}},
	{3, 3, [2]int{1, 1}, graph.Pad(4), [2]int{1, 1}}, // windows of padding alone
	square(11, 4, 2),
}

// convolution is a convolution by its extents.
type convolution struct {
	n, c, h, w, k, groups int
	win                   window
	bias, add, relu       bool
}

func (v convolution) op() graph.Conv2D {
	o := graph.Conv2D{Stride: v.win.stride, Padding: v.win.pad, Dilation: v.win.dil, Groups: v.groups, Bias: v.bias, Add: v.add}
	if v.relu {
		o.Act = graph.ActReLU
	}
	return o
}

// String is the geometry as it stands in names.
func (v convolution) String() string {
	p := v.win.pad
	s := fmt.Sprintf("n%d-c%d-h%d-w%d-k%d-g%d/r%d-s%d-stride%d,%d-pad%d,%d,%d,%d-dil%d,%d", v.n, v.c, v.h, v.w, v.k, v.groups,
		v.win.r, v.win.s, v.win.stride[0], v.win.stride[1], p.Top, p.Left, p.Bottom, p.Right, v.win.dil[0], v.win.dil[1])
	var parts []string
	for _, e := range []struct {
		on   bool
		name string
	}{{v.bias, "bias"}, {v.add, "add"}, {v.relu, "relu"}} {
		if e.on {
			parts = append(parts, e.name)
		}
	}
	if len(parts) == 0 {
		parts = []string{"plain"}
	}
	return s + "/" + strings.Join(parts, "-")
}

// convCase adds a case; the picture grows where the kernel would not fit it.
func (t *table) convCase(p Profile, reason string, values Values, v convolution) {
	v.groups = max(v.groups, 1)
	v.h = max(v.h, v.win.dil[0]*(v.win.r-1)+1-v.win.pad.Top-v.win.pad.Bottom)
	v.w = max(v.w, v.win.dil[1]*(v.win.s-1)+1-v.win.pad.Left-v.win.pad.Right)
	x, w := graph.F32(v.n, v.c, v.h, v.w), graph.F32(v.k, v.c/v.groups, v.win.r, v.win.s)
	rest := []port{{name: "weight", typ: w}}
	if v.bias {
		rest = append(rest, port{name: "bias", typ: graph.F32(v.k)})
	}
	if v.add {
		plain := v.op()
		plain.Bias, plain.Add = false, false
		y, err := graph.Infer(plain, x, w)
		if err != nil {
			panic(fmt.Sprintf("conformance: bug: %v: %v", v, err))
		}
		rest = append(rest, port{name: "shortcut", typ: y, input: true})
	}
	t.op(p, reason, values, v.op(), v.String(), x, rest...)
}

// alternate is Integers, whose bound is zero, and Ordinary in turns.
func alternate(i int) Values { return Values((i + 1) % 2) }

func (t *table) conv() {
	t.convValues()
	t.convChannels()
	t.convWide()
	t.convExtents()
	t.convGroups()
	t.convDepthwise()
	t.convWindows()
	t.convFamily()
	t.convRandom()
	t.weightCases()
	big := convolution{n: 1, c: 3, h: 129, w: 131, k: 64, win: square(1, 1, 0), bias: true}
	t.convCase(Quick, "more than a million elements: one wrong one must be found", Ordinary, big)
}

func quickIf(ok bool) Profile {
	if ok {
		return Quick
	}
	return Full
}

func (t *table) convValues() {
	for w, win := range windows {
		for e := range 8 {
			v := convolution{n: 2, c: 17, h: 9, w: 7, k: 19, win: win, bias: e&1 != 0, add: e&2 != 0, relu: e&4 != 0}
			t.convCase(quickIf(w < 2 || e == 0 || e == 7), "every epilogue on every window", Integers, v)
			t.convCase(Full, "every epilogue on every window", Ordinary, v)
			for _, values := range special {
				t.convCase(quickIf(w < 3 && (e == 0 || e == 7)), "numbers that need care", values, v)
			}
		}
	}
}

func (t *table) convChannels() {
	for i, c := range channels {
		for j, k := range channels {
			for w, win := range windows[:3] {
				v := convolution{n: 1 + w%2, c: c, h: 5, w: 7, k: k, win: win, bias: true, relu: true}
				t.convCase(quickIf(w < 2 && (j == i || j == (i+5)%len(channels))), "channel counts off and on the edges of tiles", alternate(i+j), v)
			}
		}
	}
}

// convWide has one filter and one channel off the edges of the widest tiles.
func (t *table) convWide() {
	for i, k := range []int{127, 128, 129, 255, 256, 257} {
		for w, win := range windows[:3] {
			v := convolution{n: 1 + w%2, c: []int{19, 64}[i%2], h: 7, w: 9, k: k, win: win, bias: true, add: i%2 == 0, relu: w > 0}
			t.convCase(quickIf(w == 0), "filters off and on the edges of wide tiles", alternate(i+w), v)
			v.c, v.k = k, []int{18, 64}[i%2]
			t.convCase(quickIf(w == 1), "channels off and on the edges of wide tiles", alternate(i+w), v)
		}
	}
}

func (t *table) convExtents() {
	for i, e := range extents {
		for w, win := range windows[:5] {
			v := convolution{n: 1, c: 5, h: e[0], w: e[1], k: 18 + 2*(i%2), win: win, bias: true, relu: true} // multiples of 4, and others
			t.convCase(quickIf(w < 3), "numbers of pixels off and on the edges of tiles", alternate(i), v)
		}
	}
	for _, n := range []int{0, 1, 2, 3, 7, 8, 32} {
		for i, win := range windows[:5] {
			v := convolution{n: n, c: 6, h: 6, w: 5, k: 20, win: win, bias: true, add: true, relu: true}
			t.convCase(quickIf(i < 3), "batches, the empty one among them", alternate(i), v)
		}
	}
}

func (t *table) convGroups() {
	for i, g := range [][3]int{ // groups, channels and filters a group
		{2, 1, 1}, {2, 3, 5}, {2, 16, 17}, {3, 5, 1}, {4, 4, 4}, {4, 17, 15}, {32, 1, 1}, {32, 4, 4}, {32, 3, 2}, {32, 2, 33},
		{17, 1, 1}, {64, 1, 1}, {65, 1, 1}, {33, 1, 2}, {192, 1, 1}, {2, 84, 92}, {8, 31, 1},
	} {
		for w, win := range windows[:7] {
			v := convolution{n: 2, c: g[0] * g[1], h: 6, w: 9, k: g[0] * g[2], groups: g[0], win: win, bias: true, relu: w%2 == 0}
			t.convCase(quickIf(w < 3), "groups, depthwise among them", alternate(i+w), v)
		}
	}
}

// convDepthwise has a filter for each channel, for which devices have kernels of their own: every epilogue over windows whose axes differ, and every kind of
// values.
func (t *table) convDepthwise() {
	v := convolution{n: 3, c: 21, h: 9, w: 7, k: 21, groups: 21}
	for i, w := range []int{5, 6, 2, 8, 9, 10} {
		for e := range 4 {
			v.win, v.bias, v.add, v.relu = windows[w], e%2 == 1, e > 1, e == 1 || e == 3
			t.convCase(quickIf(i < 2), "a filter for each channel, with every epilogue", alternate(i+e/2), v)
		}
	}
	v.win, v.bias, v.add, v.relu = windows[1], true, true, true
	for _, values := range slices.Concat(special, specialWeights) {
		t.convCase(Quick, "a filter for each channel, with every kind of values", values, v)
	}
}

// convWindows has kernels of 1 to 11 rows and columns with strides, paddings and dilations that differ by side and axis.
func (t *table) convWindows() {
	strides := [][2]int{{1, 1}, {2, 1}, {1, 3}, {2, 2}, {4, 3}}
	dilations := [][2]int{{1, 1}, {2, 1}, {1, 3}, {3, 2}}
	i := 0
	for r := 1; r <= 11; r++ {
		for _, s := range []int{r, 1 + r*3%11} {
			for _, stride := range strides {
				for _, pad := range []graph.Padding{{}, {Top: r / 2, Left: s / 2, Bottom: r / 2, Right: s / 2}, {Top: r, Left: 1, Bottom: 0, Right: s / 3}} {
					v := convolution{n: 2, c: 4, h: 13, w: 17, k: 5 + i%14, win: window{r, s, stride, pad, dilations[i%4]}, bias: true, relu: i%2 == 0}
					t.convCase(Full, "kernels of 1 to 11 with strides, paddings and dilations that differ", alternate(i), v)
					i++
				}
			}
		}
	}
	t.convTransformed()
	for i, win := range windows {
		v := convolution{n: 3, c: 7, h: 14, w: 19, k: 21, win: win, bias: true, relu: true}
		t.convCase(Quick, "the windows of the family and others", alternate(i), v)
	}
}

// convTransformed has kernels of stride 1, which a device may compute through transforms of tiles of 2 to 6, with every
// way in which a tile can lie over the edges. It may want a multiple of 4 filters for that.
func (t *table) convTransformed() {
	i := 0
	for _, pad := range []graph.Padding{{}, {Top: 1, Right: 1}, {Top: 2, Left: 1, Right: 2}, {Left: 2, Bottom: 1, Right: 1}, graph.Pad(1)} {
		for _, e := range [][2]int{{3, 4}, {5, 6}, {7, 13}, {12, 9}} {
			for j, r := range []int{3, 5, 2} {
				win := window{r, r, [2]int{1, 1}, pad, [2]int{1, 1}}
				v := convolution{n: 2, c: 9, h: e[0], w: e[1], k: []int{12, 20, 11}[i%3], win: win, bias: i%5 != 0, add: i%2 == 0, relu: i/2%2 == 0}
				for _, values := range []Values{Ordinary, Integers, HalfLimit, NaN} {
					t.convCase(quickIf(j == 0 && values <= Integers), "tiles of a transform over every edge", values, v)
				}
			}
			i++
		}
	}
}

// familyMembers are the networks that come first: one of each kind and depth.
var familyMembers = []string{
	"resnet20-cifar", "resnet20-cifar-b", "resnet18", "resnet34", "resnet50", "resnet50-v1", "resnext50_32x4d", "wide_resnet50_2",
	"resnet101", "resnet152", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2", "resnet110-cifar",
}

// mostParameters is how many a network may have to be in the full profile: half a gigabyte of weights.
const mostParameters = 125e6

// member is a network of the family and the profile that it belongs to.
type member struct {
	name    string
	profile Profile
}

// family lists all members, those of the full profile first: a case is of the profile where it is first met. Some are as others, but so
// large that their weights take longer than all else.
var family = sync.OnceValue(func() (list []member) {
	var large []member
	for _, name := range slices.Concat(familyMembers, resnet.Names()) {
		if slices.ContainsFunc(list, func(m member) bool { return m.name == name }) {
			continue
		}
		if g := structure(name, 1, 64); strings.HasPrefix(name, "resnet1202") || g.Cost().Params > mostParameters && !slices.Contains(familyMembers, name) {
			large = append(large, member{name, Long})
			continue
		}
		list = append(list, member{name, Full})
	}
	return append(list, large...)
})

// structure is a member of the family for pictures of side pixels at most.
func structure(name string, batch, side int) *graph.Graph {
	config, err := resnet.Lookup(name)
	if err != nil {
		panic("conformance: bug: " + err.Error())
	}
	side = min(config.InputSize, side)
	g, err := config.Build(batch, side, side)
	if err != nil {
		panic("conformance: bug: " + err.Error())
	}
	return g
}

// convFamily has every distinct convolution of the networks, on small pictures.
func (t *table) convFamily() {
	for _, m := range family() {
		for _, n := range structure(m.name, 1, 64).Nodes {
			op, ok := n.Op.(graph.Conv2D)
			if !ok {
				continue
			}
			k, cg, r, s := n.Inputs[1].Type.Shape.NCHW()
			v := convolution{n: 1, c: cg * op.Groups, h: 4, w: 3, k: k, groups: op.Groups, win: window{r, s, op.Stride, op.Padding, op.Dilation}, bias: true, relu: true}
			t.convCase(m.profile, "a layer of "+m.name, Ordinary, v)
		}
	}
}

// convRandom draws geometry that no table thought of.
func (t *table) convRandom() {
	rng := rand.New(rand.NewPCG(seed, 0))
	pick := func(most int) int { return 1 + rng.IntN(most) }
	for i := range 2600 {
		p := Full
		if i >= 600 {
			p = Long
		}
		g := []int{1, 1, 1, 2, 3, 4, 32}[rng.IntN(7)]
		most := max(2, 70/g)
		win := window{r: pick(6), s: pick(6), stride: [2]int{pick(3), pick(3)}, dil: [2]int{pick(2), pick(2)}}
		win.pad = graph.Padding{Top: rng.IntN(win.r + 1), Left: rng.IntN(win.s + 1), Bottom: rng.IntN(win.r + 1), Right: rng.IntN(win.s + 1)}
		v := convolution{
			n: pick(3), c: g * pick(most), h: pick(20), w: pick(20), k: g * pick(most), groups: g, win: win,
			bias: rng.IntN(2) == 0, add: rng.IntN(3) == 0, relu: rng.IntN(2) == 0,
		}
		t.convCase(p, "random geometry", alternate(i), v)
	}
}
