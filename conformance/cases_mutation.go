package conformance

import (
	"context"
	"encoding/binary"
	"math"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// nanPayloads are NaNs of both signs, signalling and quiet, with the lowest bit alone among them.
var nanPayloads = []uint32{0x7f800001, 0xff800001, 0x7fffffff, 0xffc00000, 0x7fc00001, 0xffbfffff}

// mutation adds the cases that tools/mutate asked for: each sees mistakes in kernels that no other case sees.
func (t *table) mutation() {
	t.mutationGraphs()
	t.crafted("outputs/early-n5", "an output that is made early and not read again, and an input that is read late", earlyOutput, nil, nil)
	t.crafted("softmax/n129-c129/peaks", "each place of a row is its maximum once, and exp overflows unless that is subtracted",
		parse("input %x : float32[129,129]", "%y = softmax(%x)", "output %y"), nil, func(in [][]float32) {
			clear(in[0])
			for i := range 129 {
				in[0][i*129+i] = 300
			}
		})
	t.crafted("softmax/n65541-c2/many-rows", "more rows than workgroups along one side of a dispatch",
		parse("input %x : float32[65541,2]", "%y = softmax(%x)", "output %y"), nil, nil)
	t.crafted("batch_norm/n1-c65538-h1-w1/many-channels", "so many weights that a device may bring them to their order in pieces",
		parse("input %x : float32[1,65538,1,1]", "param @w : float32[65538]", "param @b : float32[65538]", "param @m : float32[65538]", "param @v : float32[65538]",
			"%y = batch_norm(%x, @w, @b, @m, @v) epsilon=1e-05", "output %y"), nil, nil)
	x := graph.F32(3, 5, 541, 541)
	t.op(Quick, "more elements than 64 for each workgroup along one side of a dispatch", Integers, graph.ReLU{}, name4(x.Shape), x)
	for _, c := range []struct{ name, lines string }{
		{"max_pool", "%y = max_pool(%x) kernel=3,2 stride=3,2"}, {"relu", "%y = relu(%x)"},
		{"group_norm", "param @g : float32[2]\nparam @b : float32[2]\n%y = group_norm(%x, @g, @b) groups=2 epsilon=1e-05 act=relu"},
		{"spatial_pad", "%y = spatial_pad(%x) padding=1,0,2,3 reflect=true"}, {"channel_slice", "%y = channel_slice(%x) begin=1 end=2"}, {"concat", "%y = concat(%x, %x)"},
		{"conv2d", "param @w : float32[3,2,1,1]\n%y = conv2d(%x, @w) act=relu"},
	} {
		lines := append([]string{"input %x : float32[1,2,7,6]"}, strings.Split(c.lines, "\n")...)
		t.crafted(c.name+"/n1-c2-h7-w6/nan-payloads", "a NaN is a NaN whatever its sign and its other bits",
			parse(append(lines, "output %y")...), nil, func(in [][]float32) {
				for i, bits := range nanPayloads {
					in[0][i*13] = math.Float32frombits(bits)
				}
			})
	}
	t.crafted("gate/n1-c12-h2-w3/closing", "gates that close: what is let through shrinks with the exponential, down to where float32 has no more of it, and is no zero before",
		parse("input %x : float32[1,12,2,3]", "input %s : float32[1,12,1,1]", "%y = gate(%x, %s)", "output %y"), nil, func(in [][]float32) {
			copy(in[1], []float32{-4, -8, -16, -17, -20, -29, -40, -60, -80, -86, 16, 40})
		})
	t.crafted("gate/n1-c6-h2-w3/nan-payloads", "a gate that is NaN makes NaN of its channel, whatever its sign and its other bits",
		parse("input %x : float32[1,6,2,3]", "input %s : float32[1,6,1,1]", "%y = gate(%x, %s)", "output %y"), nil, func(in [][]float32) {
			for i, bits := range nanPayloads {
				in[1][i] = math.Float32frombits(bits)
			}
		})
	t.crafted("relu/n1-c2-h7-w6/infinity", "what is below zero becomes zero, minus infinity too",
		parse("input %x : float32[1,2,7,6]", "%y = relu(%x)", "output %y"), nil, func(in [][]float32) {
			in[0][13], in[0][40] = float32(math.Inf(-1)), float32(math.Inf(1))
		})
	t.convCase(Quick, "one product and nothing to add: the bound is half a unit of the last place", Ordinary, convolution{n: 2, c: 1, h: 9, w: 7, k: 5, win: square(1, 1, 0)})
	t.crafted("avg_pool/n1-c2-h1-w1/wide-padding", "a window of 2^32 elements, all but one of them padding: their number is beyond 32 bits",
		parse("input %x : float32[1,2,1,1]", "%y = avg_pool(%x) kernel=65536,65536 stride=131072,131072 padding=65535,65535,65535,65535 count_include_pad=true", "output %y"), nil, nil)
	// 45 taps are no multiple of what kernels take at once: those that they make up the rest with must not be others' numbers,
	// which times zero are NaN when they are infinite. Inputs above zero keep the sum of the infinite filters from being NaN.
	t.crafted("conv2d/n1-c5-h7-w6-k70-g1/r3-s3/infinite-filters", "filters that are infinite leave the others alone",
		parse("input %x : float32[1,5,7,6]", "param @w : float32[70,5,3,3]", "param @b : float32[70]", "%y = conv2d(%x, @w, @b) bias=true", "output %y"),
		func(g *graph.Graph) {
			for _, p := range g.Params {
				fan := p.Type.Shape.Elems() / 70
				for i := 60 * fan; i < 70*fan; i++ {
					binary.LittleEndian.PutUint32(p.Data.Data[4*i:], math.Float32bits(float32(math.Inf(1))))
				}
			}
		}, func(in [][]float32) {
			for i, v := range in[0] {
				in[0][i] = 1 + float32(math.Abs(float64(v)))
			}
		})
	t.crafted("conv2d/n1-c10-h7-w6-k6-g2/r3-s3/infinite-group", "a group whose input is infinite leaves the other alone",
		parse("input %x : float32[1,10,7,6]", "param @w : float32[6,5,3,3]", "%y = conv2d(%x, @w) groups=2", "output %y"), nil,
		func(in [][]float32) {
			for i := len(in[0]) / 2; i < len(in[0]); i++ {
				in[0][i] = float32(math.Inf(1))
			}
		})
	t.crafted("conv2d/n1-c16-h7-w6-k8-g2/r3-s3/infinite-group", "the same with channels that fill vectors, but not the steps of a kernel",
		parse("input %x : float32[1,16,7,6]", "param @w : float32[8,8,3,3]", "%y = conv2d(%x, @w) groups=2", "output %y"), nil,
		func(in [][]float32) {
			for i := len(in[0]) / 2; i < len(in[0]); i++ {
				in[0][i] = float32(math.Inf(1))
			}
		})
	// Kernels on vectors of four channels take groups of whole vectors only: of inputs and of results.
	for _, v := range []convolution{{n: 2, c: 10, h: 7, w: 6, k: 16, groups: 2}, {n: 2, c: 16, h: 7, w: 6, k: 10, groups: 2}} {
		v.win, v.bias = square(3, 1, 1), true
		t.convCase(Quick, "groups whose channels fill vectors on one side only", Ordinary, v)
	}
	// Kernels may take several taps of a row at once where channels are few.
	t.convCase(Quick, "few channels, more taps in a row than a kernel takes at once, and dilations that differ", Ordinary,
		convolution{n: 2, c: 3, h: 13, w: 17, k: 6, win: window{3, 5, [2]int{2, 1}, graph.Padding{Top: 1, Left: 3, Right: 2}, [2]int{2, 3}}, bias: true})
	// 65,536 texels are what a texel buffer must hold: devices may divide convolutions whose weights are more, and each part adds its own shortcut.
	for _, v := range []convolution{{n: 2, c: 192, h: 5, w: 7, k: 196}, {n: 1, c: 189, h: 6, w: 5, k: 203}} {
		v.win, v.bias, v.add, v.relu = square(3, 1, 1), true, true, true
		t.convCase(Quick, "a shortcut, and more weights than a small texel buffer holds", Ordinary, v)
	}
	// With one tap, no stride and no padding an input is a matrix of channels by pixels, and may be read as one.
	t.convCase(Quick, "one tap, several tiles of filters and of pixels, and a shortcut", Ordinary,
		convolution{n: 3, c: 40, h: 15, w: 17, k: 132, win: square(1, 1, 0), bias: true, add: true, relu: true})
	for _, v := range []struct {
		reason string
		stride [2]int
		pad    graph.Padding
	}{
		{"one tap, and padding behind the picture alone", [2]int{1, 1}, graph.Padding{Bottom: 1, Right: 2}},
		{"one tap, and a stride of columns alone", [2]int{1, 2}, graph.Padding{}},
		{"one tap, and a stride of rows alone", [2]int{2, 1}, graph.Padding{}},
	} {
		t.convCase(Quick, v.reason, Ordinary, convolution{n: 2, c: 17, h: 9, w: 7, k: 19, win: window{1, 1, v.stride, v.pad, [2]int{1, 1}}, bias: true})
	}
	t.mutationTails()
	t.mutationFamily()
}

// mutationTails have channels that are no multiple of the vectors that a device may store them in: what fills up the last vector
// is multiplied by zero, which only numbers that are not finite show.
func (t *table) mutationTails() {
	t.crafted("conv2d/n2-c5-h7-w6-k6-g1/r3-s3/infinite-picture", "a picture that is infinite leaves the one before it alone",
		parse("input %x : float32[2,5,7,6]", "param @w : float32[6,5,3,3]", "%y = conv2d(%x, @w) padding=1,1,1,1", "output %y"), nil,
		func(in [][]float32) {
			for i := len(in[0]) / 2; i < len(in[0]); i++ {
				in[0][i] = float32(math.Inf(1))
			}
		})
	t.crafted("conv2d/n1-c3-h7-w6-k5-g1/r3-s3/infinite-between", "a sum of minus infinity that ReLU makes zero: filters that do not exist are zero there too",
		parse("input %x : float32[1,3,7,6]", "param @w : float32[5,3,3,3]", "param @v : float32[4,5,1,1]",
			"%a = conv2d(%x, @w) padding=1,1,1,1 act=relu", "%y = conv2d(%a, @v)", "output %y"),
		func(g *graph.Graph) {
			data := g.Params[0].Data.Data
			for i := 0; i < len(data); i += 4 {
				data[i+3] |= 0x80 // the sign
			}
		}, func(in [][]float32) {
			in[0][9] = float32(math.Inf(1))
			in[0][60] = float32(math.Inf(1))
		})
}

// mutationFamily has what the ops of the family's other members need: groups and branches that leave each other alone, and more elements than 64 for
// each workgroup along one side of a dispatch.
func (t *table) mutationFamily() {
	inf := float32(math.Inf(1))
	for _, c := range []struct{ name, shape, groups string }{{"c10-h7-w6-g2", "2,10,7,6", "2"}, {"c16-h7-w6-g4", "2,16,7,6", "4"}, {"c6-h1-w1-g3", "2,6,1,1", "3"}} {
		channels := strings.Split(c.shape, ",")[1]
		t.crafted("group_norm/n2-"+c.name+"/infinite-group", "a group that is infinite leaves the others of its picture and of others alone",
			parse("input %x : float32["+c.shape+"]", "param @weight : float32["+channels+"]", "param @bias : float32["+channels+"]",
				"%y = group_norm(%x, @weight, @bias) groups="+c.groups+" epsilon=1e-05", "output %y"), nil, func(in [][]float32) {
				in[0][len(in[0])/2-1] = inf // the last element of the first picture
			})
	}
	t.crafted("group_norm/n2-c10-h7-w6-g5/one-element", "one element of a group that is beyond the others shows whether it is counted, and once", parse("input %x : float32[2,10,7,6]",
		"param @weight : float32[10]", "param @bias : float32[10]", "%y = group_norm(%x, @weight, @bias) groups=5 epsilon=1e-05", "output %y"), nil, func(in [][]float32) {
		for g := range 10 { // another place in each
			in[0][g*84+(g*41+83)%84] = 100
		}
	})
	t.crafted("split_attention/n2-c5-h7-w6-r3-g1/infinite-picture", "branches that are infinite leave the picture before them alone",
		parse("input %x : float32[2,15,7,6]", "input %s : float32[2,15,1,1]", "%y = split_attention(%x, %s) radix=3 groups=1", "output %y"), nil,
		func(in [][]float32) {
			for i := len(in[0]) / 2; i < len(in[0]); i++ {
				in[0][i] = inf
			}
		})
	const reason = "more elements than 64 for each workgroup along one side of a dispatch"
	x := graph.F32(3, 5, 541, 541)
	t.op(Full, reason, Integers, graph.ChannelSlice{Begin: 0, End: 5}, name4(x.Shape)+"/0-5", x)
	t.op(Full, reason, Integers, graph.SpatialPad{Padding: graph.Padding{Top: 1, Right: 2}, Reflect: true}, name4(x.Shape)+"/pad1,0,0,2-reflect", x)
	t.op(Full, reason, Ordinary, graph.GroupNorm{Groups: 5, Epsilon: 1e-5}, name4(x.Shape)+"-g5/eps1e-05", x, port{name: "weight", typ: graph.F32(5)}, port{name: "bias", typ: graph.F32(5)})
	t.concat(Full, reason, Integers, 3, 541, 541, false, 2, 3)
	t.split(Full, reason, Ordinary, split{n: 3, c: 5, h: 541, w: 541, radix: 2, groups: 1})
}

// mutationGraphs have values that share memory without one of them being made from the other, so that nothing but a barrier of
// their own keeps the kernels in order: a driver that runs them one after the other shows nothing, synchronization validation does.
func (t *table) mutationGraphs() {
	for _, c := range []struct {
		name, reason string
		lines        []string
	}{
		{"unread", "a value that nothing reads: its memory is written again, with no read between", []string{
			"param @w : float32[16,16,5,5]", "%dead = conv2d(%x, @w) padding=2,2,2,2", "%a = add(%x, %x)", "%s = relu(%a)",
		}},
		{"second-operand-reused", "memory that was last read as a second operand is written by a kernel that depends on nothing before it", []string{
			"%a = relu(%x)", "%z = add(%x, %x)", "%r = add(%a, %z)", "%c = relu(%x)", "%t = add(%a, %c)", "%s = add(%r, %t)",
		}},
	} {
		lines := append([]string{"input %x : float32[2,16,23,21]"}, c.lines...)
		t.add(Case{Name: "outputs/" + c.name, Reason: c.reason, Class: Agreement, Values: Integers, build: parse(append(lines, "output %s")...),
			check: func(ctx context.Context, b *bench) error {
				g, err := b.c.Graph()
				if err != nil {
					return err
				}
				return b.judgeWhole(ctx, g, g, b.c.Inputs(g))
			}})
	}
}

// earlyOutput is a batch that a backend may split: outputs and inputs must keep their memory as long as they are wanted.
var earlyOutput = parse("input %x : float32[5,3,7,4]", "%a = relu(%x)", "%b = add(%a, %x)", "%c = relu(%b)", "%s = add(%c, %x)", "output %a", "output %s")

// crafted adds a quick case whose parameters and inputs are changed by hand before they are used.
func (t *table) crafted(name, reason string, build func() (*graph.Graph, error), params func(*graph.Graph), inputs func([][]float32)) {
	t.add(Case{
		Name: name, Reason: reason, Class: ClassA, build: build,
		bind: func(c *Case) (*graph.Graph, error) {
			g, err := bindSeeded(c)
			if err == nil && params != nil {
				params(g)
			}
			return g, err
		},
		check: func(ctx context.Context, b *bench) error {
			g, err := b.c.Graph()
			if err != nil {
				return err
			}
			in := b.c.Inputs(g)
			if inputs != nil {
				inputs(in)
			}
			if len(g.Outputs) < len(g.Nodes) {
				return b.judgeWhole(ctx, g, g, in)
			}
			return b.judgeNodes(ctx, g, in)
		},
	})
}
