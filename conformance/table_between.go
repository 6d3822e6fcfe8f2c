package conformance

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// drawn makes a value of a, the result of a convolution, and of x, its input.
type drawn func(s sketch, a, x *graph.Value) *graph.Value

func normBetween(groups int, act graph.Activation) drawn {
	return func(s sketch, a, _ *graph.Value) *graph.Value {
		c := graph.F32(a.Type.Shape.Dim(1))
		return s.b.Node("o", graph.GroupNorm{Groups: groups, Epsilon: 1e-5, Act: act}, a, s.b.Param("o.weight", c, nil), s.b.Param("o.bias", c, nil))
	}
}

func splitBetween(radix, groups int, add bool) drawn {
	return func(s sketch, a, x *graph.Value) *graph.Value {
		in := []*graph.Value{a, s.b.Node("pool", graph.GlobalAvgPool{}, a)}
		if add {
			in = append(in, s.conv("shortcut", x, a.Type.Shape.Dim(1)/radix, 1, 1, 1))
		}
		return s.b.Node("o", graph.SplitAttention{Radix: radix, Groups: groups, Add: add, Act: graph.ActReLU}, in...)
	}
}

// concatBetween puts results of convolutions of so many channels behind a, and a behind these again.
func concatBetween(again bool, channels ...int) drawn {
	return func(s sketch, a, x *graph.Value) *graph.Value {
		in := []*graph.Value{a}
		for i, c := range channels {
			in = append(in, s.conv(fmt.Sprint("b", i), x, c, 1, 1, 1))
		}
		if again {
			in = append(in, a)
		}
		return s.b.Node("o", graph.Concat{}, in...)
	}
}

func opBetween(op graph.Op) drawn {
	return func(s sketch, a, _ *graph.Value) *graph.Value { return s.b.Node("o", op, a) }
}

// padded puts zeros behind the channels of what draw makes: a device that stores channels as vectors may have something else behind the last one.
func padded(draw drawn) drawn {
	return func(s sketch, a, x *graph.Value) *graph.Value {
		return s.b.Node("padded", graph.ChannelPad{After: 3}, draw(s, a, x))
	}
}

// between has each op between convolutions, where a device may keep activations as vectors of channels, or narrower: with channels, and parts of
// them, that are and are not whole vectors.
func (t *table) between() {
	reflect := func(top, left, bottom, right int) drawn {
		return opBetween(graph.SpatialPad{Padding: graph.Padding{Top: top, Left: left, Bottom: bottom, Right: right}, Reflect: true})
	}
	for i, c := range []struct {
		name string
		c    int // channels of a
		draw drawn
	}{
		{"group_norm-g5", 10, normBetween(5, graph.ActReLU)}, {"group_norm-g2", 26, normBetween(2, graph.NoActivation)}, {"group_norm-g1", 17, normBetween(1, graph.ActReLU)},
		{"group_norm-g32", 32, normBetween(32, graph.NoActivation)}, {"group_norm-g3", 24, normBetween(3, graph.ActReLU)}, {"group_norm-g2", 64, normBetween(2, graph.ActReLU)},
		{"split_attention-r2-g1", 16, splitBetween(2, 1, false)}, {"split_attention-r4-g2", 32, splitBetween(4, 2, false)}, {"split_attention-r3-g1", 15, splitBetween(3, 1, false)},
		{"split_attention-r2-g3", 12, splitBetween(2, 3, false)}, {"split_attention-r2-g1-add", 24, splitBetween(2, 1, true)}, {"split_attention-r1-g1-add", 6, splitBetween(1, 1, true)},
		{"concat-7.3", 5, concatBetween(false, 7, 3)}, {"concat-4.twice", 8, concatBetween(true, 4)}, {"concat-3.twice", 6, concatBetween(true, 3)}, {"concat-8.1", 2, concatBetween(false, 8, 1)},
		{"concat-input", 10, func(s sketch, a, x *graph.Value) *graph.Value { return s.b.Node("o", graph.Concat{}, a, x) }},
		{"channel_slice-3.8", 13, opBetween(graph.ChannelSlice{Begin: 3, End: 8})}, {"channel_slice-8.16", 32, opBetween(graph.ChannelSlice{Begin: 8, End: 16})},
		{"channel_slice-26.52", 104, opBetween(graph.ChannelSlice{Begin: 26, End: 52})}, {"channel_slice-8.11", 11, opBetween(graph.ChannelSlice{Begin: 8, End: 11})},
		{"channel_slice-4.9", 10, opBetween(graph.ChannelSlice{Begin: 4, End: 9})}, {"channel_slice-1.4", 4, opBetween(graph.ChannelSlice{Begin: 1, End: 4})},
		{"spatial_pad-zeros", 5, opBetween(graph.SpatialPad{Padding: graph.Padding{Top: 1, Left: 3, Right: 2}})}, {"spatial_pad-reflect", 16, reflect(2, 0, 5, 1)}, {"spatial_pad-reflect", 10, reflect(0, 4, 1, 3)},
		{"reshape", 12, opBetween(graph.Reshape{To: [3]int{6, 14, 5}})}, {"reshape", 9, opBetween(graph.Reshape{To: [3]int{15, 7, 3}})},
		{"normed-part", 10, func(s sketch, a, x *graph.Value) *graph.Value { // what follows the last channel of a norm in its vector
			n := normBetween(2, graph.NoActivation)(s, a, x)
			return s.b.Node("joined", graph.Concat{}, s.slice("part", n, 0, 4), n, s.slice("rest", n, 8, 10), n)
		}},
		{"group_norm-padded", 6, padded(normBetween(2, graph.NoActivation))}, {"group_norm-padded", 9, padded(normBetween(3, graph.ActReLU))},
		{"conv2d-padded", 5, padded(func(_ sketch, a, _ *graph.Value) *graph.Value { return a })}, {"split_attention-padded", 12, padded(splitBetween(2, 1, false))},
		{"concat-padded", 3, padded(concatBetween(false, 6))}, {"spatial_pad-padded", 7, padded(opBetween(graph.SpatialPad{Padding: graph.Pad(1)}))},
		{"relu-padded", 5, padded(opBetween(graph.ReLU{}))}, {"max_pool-padded", 6, padded(opBetween(graph.MaxPool{Kernel: [2]int{2, 3}, Stride: [2]int{1, 1}}))},
		{"avg_pool-padded", 9, padded(opBetween(graph.AvgPool{Kernel: [2]int{3, 2}, Stride: [2]int{1, 1}}))},
		{"gate-padded", 10, padded(func(s sketch, a, _ *graph.Value) *graph.Value {
			return s.b.Node("o", graph.Gate{}, a, s.b.Node("pool", graph.GlobalAvgPool{}, a))
		})},
		{"parts", 13, func(s sketch, a, _ *graph.Value) *graph.Value {
			last := s.b.Node("padded", graph.SpatialPad{Padding: graph.Padding{Top: 1, Bottom: 1}}, s.slice("last", a, 6, 13))
			first := s.b.Node("mirrored", graph.SpatialPad{Padding: graph.Padding{Top: 1, Bottom: 1}, Reflect: true}, s.slice("first", a, 0, 6))
			return s.b.Node("joined", graph.Concat{}, last, first)
		}},
	} {
		for _, values := range []Values{Ordinary, Infinity} {
			check := checkNumbers
			if values == Infinity {
				check = checkTapped // as a whole it has no norm
			}
			t.add(Case{
				Name: fmt.Sprintf("block/between-convs/c%d-%s/%v", c.c, c.name, values), Reason: "an op between convolutions, for which a device may store activations in another way",
				Class: ClassA, Profile: quickIf(values == Ordinary || i%2 == 0), Values: values, check: check,
				build: func() (*graph.Graph, error) {
					s := sketch{graph.NewBuilder("between")}
					x := s.b.Input("x", graph.F32(2, 7, 7, 5))
					s.b.Output(s.conv("y", c.draw(s, s.conv("a", x, c.c, 3, 1, 1), x), 9, 3, 1, 1))
					return s.b.Build()
				},
			})
		}
	}
}

// farScores has neighbouring channels whose scores lie so far apart that the greatest of another one makes infinity of a channel, or nothing.
func (t *table) farScores() {
	t.crafted("block/between-convs/c16-split_attention-r2-g1/far-scores", "scores of a channel are far from those of its neighbours, which a device may have in the same vector",
		parse("input %x : float32[2,7,7,5]", "input %s : float32[2,16,1,1]", "param @a.weight : float32[16,7,3,3]", "param @y.weight : float32[9,8,3,3]",
			"%a = conv2d(%x, @a.weight) padding=1,1,1,1", "%o = split_attention(%a, %s) radix=2 groups=1", "%y = conv2d(%o, @y.weight) padding=1,1,1,1", "output %y"), nil,
		func(in [][]float32) {
			for i := range in[1] {
				in[1][i] = float32(300*(i%4)-450) + float32(i/8%2)
			}
		})
}

// besideParts has parts of values between convolutions whose other channels are infinite: a device that stores channels as vectors may have them
// beside the part, where what follows multiplies them by zero.
func (t *table) besideParts() {
	for _, v := range []struct{ channels, begin, end int }{{10, 4, 9}, {4, 0, 3}, {13, 3, 8}, {14, 8, 11}, {12, 5, 8}} {
		lines := []string{"input %x : float32[2,7,7,5]", fmt.Sprintf("param @a.weight : float32[%d,7,3,3]", v.channels), fmt.Sprintf("param @y.weight : float32[7,%d,3,3]", v.end-v.begin),
			"%a = conv2d(%x, @a.weight) padding=1,1,1,1", fmt.Sprintf("%%o = channel_slice(%%a) begin=%d end=%d", v.begin, v.end), "%y = conv2d(%o, @y.weight) padding=1,1,1,1"}
		t.crafted(fmt.Sprintf("block/between-convs/c%d-channel_slice-%d.%d/infinite-beside", v.channels, v.begin, v.end), "channels beside a part are infinite, and are no part of it",
			parse(append(lines, "output %y")...), func(g *graph.Graph) {
				for _, p := range g.Params {
					if p.Name != "a.weight" {
						continue
					}
					for i := range p.Type.Shape.Elems() {
						if channel := i / 63; channel < v.begin || channel >= v.end {
							binary.LittleEndian.PutUint32(p.Data.Data[4*i:], math.Float32bits(float32(math.Inf(1))))
						}
					}
				}
			}, nil)
	}
}
