package conformance

import (
	"context"
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// sketch draws blocks of the family as their authors' code has them, layer by layer, with parameters that are named by their role.
type sketch struct{ b *graph.Builder }

// conv is a convolution without a bias to k channels, and batch is the norm after it with a ReLU where act says so.
func (s sketch) conv(name string, x *graph.Value, k, r, stride, groups int) *graph.Value {
	op := graph.Conv2D{Stride: [2]int{stride, stride}, Padding: graph.Pad(r / 2), Dilation: [2]int{1, 1}, Groups: groups}
	return s.b.Node(name, op, x, s.b.Param(name+".weight", graph.F32(k, x.Type.Shape.Dim(1)/groups, r, r), nil))
}

// fc is a convolution of one tap with a bias, as attention has it on its pooled channels.
func (s sketch) fc(name string, x *graph.Value, k, groups int) *graph.Value {
	op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: groups, Bias: true}
	return s.b.Node(name, op, x, s.b.Param(name+".weight", graph.F32(k, x.Type.Shape.Dim(1)/groups, 1, 1), nil), s.b.Param(name+".bias", graph.F32(k), nil))
}

func (s sketch) batchNorm(name string, x *graph.Value) *graph.Value {
	in := []*graph.Value{x}
	for _, role := range []string{"weight", "bias", "running_mean", "running_var"} {
		in = append(in, s.b.Param(name+"."+role, graph.F32(x.Type.Shape.Dim(1)), nil))
	}
	return s.b.Node(name, graph.BatchNorm{Epsilon: 1e-5}, in...)
}

func (s sketch) groupNorm(name string, x *graph.Value, groups int) *graph.Value {
	c := graph.F32(x.Type.Shape.Dim(1))
	return s.b.Node(name, graph.GroupNorm{Groups: groups, Epsilon: 1e-5}, x, s.b.Param(name+".weight", c, nil), s.b.Param(name+".bias", c, nil))
}

func (s sketch) relu(name string, x *graph.Value) *graph.Value {
	return s.b.Node(name, graph.ReLU{}, x)
}

// convNormReLU are the three under names that end alike.
func (s sketch) convNormReLU(layer, end string, x *graph.Value, k, r, stride, groups int) *graph.Value {
	x = s.batchNorm(layer+"bn"+end, s.conv(layer+"conv"+end, x, k, r, stride, groups))
	return s.relu(layer+"relu"+end, x)
}

// end is the last convolution of a bottleneck with its norm, the sum with the shortcut, and the ReLU.
func (s sketch) end(layer string, x, shortcut *graph.Value) *graph.Value {
	x = s.batchNorm(layer+"bn3", s.conv(layer+"conv3", x, shortcut.Type.Shape.Dim(1), 1, 1, 1))
	return s.relu(layer+"relu3", s.b.Node(layer+"sum", graph.Add{}, x, shortcut))
}

func (s sketch) slice(name string, x *graph.Value, begin, end int) *graph.Value {
	return s.b.Node(name, graph.ChannelSlice{Begin: begin, End: end}, x)
}

// familyBlocks are one block of each member of the family that is more than a ResNet's.
var familyBlocks = []struct {
	name string
	x    [3]int // channels, rows and columns of the input
	draw func(s sketch, x *graph.Value) *graph.Value
}{
	{"eca", [3]int{32, 9, 7}, ecaBlock},
	{"resnest-r2-g1", [3]int{18, 10, 7}, func(s sketch, x *graph.Value) *graph.Value { return resnestBlock(s, x, 10, 2, 1) }},
	{"resnest-r4-g2", [3]int{16, 7, 9}, func(s sketch, x *graph.Value) *graph.Value { return resnestBlock(s, x, 24, 4, 2) }},
	{"selective-kernel", [3]int{24, 9, 8}, selectiveKernelBlock},
	{"res2net-26w4s", [3]int{32, 8, 7}, func(s sketch, x *graph.Value) *graph.Value { return res2netBlock(s, x, false) }},
	{"res2net-26w4s-first", [3]int{20, 7, 9}, func(s sketch, x *graph.Value) *graph.Value { return res2netBlock(s, x, true) }},
	{"blur-pooled", [3]int{14, 11, 8}, blurBlock},
	{"preactivation-gn", [3]int{64, 13, 10}, func(s sketch, x *graph.Value) *graph.Value {
		return preactivationBlock(s, x, func(name string, x *graph.Value) *graph.Value {
			return s.groupNorm(name, x, min(32, x.Type.Shape.Dim(1)))
		})
	}},
	{"preactivation-bn", [3]int{17, 13, 10}, func(s sketch, x *graph.Value) *graph.Value { return preactivationBlock(s, x, s.batchNorm) }},
}

func (t *table) familyBlocks() {
	for _, block := range familyBlocks {
		for _, batch := range []int{2, 0, 1, 3} {
			for _, f := range forms {
				if batch != 2 && f.name != "fused" {
					continue
				}
				t.add(Case{
					Name:   fmt.Sprintf("block/%s/n%d/%s", block.name, batch, f.name),
					Reason: "a block of the family: every node within its bound; the whole, where memory is used again, as the unfused graph in float64",
					Class:  ClassA, Profile: quickIf(batch == 2 || batch == 0),
					build: func() (*graph.Graph, error) {
						s := sketch{graph.NewBuilder(block.name)}
						s.b.Output(block.draw(s, s.b.Input("x", graph.F32(batch, block.x[0], block.x[1], block.x[2]))))
						return s.b.Build()
					},
					bind:  calibrated,
					check: func(ctx context.Context, b *bench) error { return checkFused(ctx, b, f) },
				})
			}
		}
	}
	t.between()
	t.farScores()
	t.besideParts()
	t.movedGraphs()
}

// ecaBlock is a bottleneck with efficient channel attention: neighbouring channels are seen by a convolution, for which they become rows
// (Wang et al. 2020; timm's EcaModule).
func ecaBlock(s sketch, x *graph.Value) *graph.Value {
	c := x.Type.Shape.Dim(1)
	y := s.convNormReLU("layer.", "1", x, c/4, 1, 1, 1)
	y = s.convNormReLU("layer.", "2", y, c/4, 3, 1, 1)
	y = s.batchNorm("layer.bn3", s.conv("layer.conv3", y, c, 1, 1, 1))
	scores := s.b.Node("eca.rows", graph.Reshape{To: [3]int{1, c, 1}}, s.b.Node("eca.pool", graph.GlobalAvgPool{}, y))
	near := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Padding{Top: 2, Bottom: 2}, Dilation: [2]int{1, 1}, Groups: 1}
	scores = s.b.Node("eca.conv", near, scores, s.b.Param("eca.conv.weight", graph.F32(1, 1, 5, 1), nil))
	scores = s.b.Node("eca.channels", graph.Reshape{To: [3]int{c, 1, 1}}, scores)
	y = s.b.Node("eca.gate", graph.Gate{}, y, scores)
	return s.relu("layer.relu3", s.b.Node("layer.sum", graph.Add{}, y, x))
}

// resnestBlock is a split-attention bottleneck of stride 2 whose shortcut is pooled (Zhang et al. 2020; timm's ResNestBottleneck).
func resnestBlock(s sketch, x *graph.Value, c, radix, groups int) *graph.Value {
	y := s.convNormReLU("layer.", "1", x, c, 1, 1, 1)
	y = s.convNormReLU("split.", "0", y, radix*c, 3, 1, radix*groups)
	pooled := s.b.Node("split.pool", graph.GlobalAvgPool{}, y)
	sum := s.slice("split.pool0", pooled, 0, c)
	for r := 1; r < radix; r++ {
		sum = s.b.Node(fmt.Sprint("split.sum", r), graph.Add{}, sum, s.slice(fmt.Sprint("split.pool", r), pooled, r*c, (r+1)*c))
	}
	scores := s.relu("split.act1", s.batchNorm("split.bn1", s.fc("split.fc1", sum, 8, groups)))
	scores = s.fc("split.fc2", scores, radix*c, groups)
	y = s.b.Node("split", graph.SplitAttention{Radix: radix, Groups: groups}, y, scores)
	y = s.b.Node("layer.avd", graph.AvgPool{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}, Padding: graph.Pad(1), CountIncludePad: true}, y)
	shortcut := s.b.Node("down.pool", graph.AvgPool{Kernel: [2]int{2, 2}, Stride: [2]int{2, 2}, CeilMode: true}, x)
	shortcut = s.batchNorm("down.bn", s.conv("down.conv", shortcut, 4*c, 1, 1, 1))
	return s.end("layer.", y, shortcut)
}

// selectiveKernelBlock is a bottleneck whose input halves are seen by a kernel of 3 and by one of 5 as a dilated 3 (Li et al. 2019;
// timm's SelectiveKernel with split_input).
func selectiveKernelBlock(s sketch, x *graph.Value) *graph.Value {
	const c = 18
	y := s.convNormReLU("layer.", "1", x, c, 1, 1, 1)
	small := s.convNormReLU("paths.", "0", s.slice("paths.half0", y, 0, c/2), c, 3, 1, 1)
	wide := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(2), Dilation: [2]int{2, 2}, Groups: 1}
	large := s.b.Node("paths.conv1", wide, s.slice("paths.half1", y, c/2, c), s.b.Param("paths.conv1.weight", graph.F32(c, c/2, 3, 3), nil))
	large = s.relu("paths.relu1", s.batchNorm("paths.bn1", large))
	scores := s.b.Node("attn.pool", graph.GlobalAvgPool{}, s.b.Node("attn.sum", graph.Add{}, small, large))
	scores = s.convNormReLU("attn.", "", scores, 8, 1, 1, 1)
	scores = s.conv("attn.select", scores, 2*c, 1, 1, 1)
	y = s.b.Node("attn.weigh", graph.SplitAttention{Radix: 2, Groups: 1}, s.b.Node("attn.both", graph.Concat{}, small, large), scores)
	return s.end("layer.", y, x)
}

// res2netBlock is a bottleneck of four scales of 26 channels (Gao et al. 2019; timm's Bottle2neck). In the first block of a stage the scales are
// not added to each other, and the last one is pooled.
func res2netBlock(s sketch, x *graph.Value, first bool) *graph.Value {
	const width, scales = 26, 4
	y := s.convNormReLU("layer.", "1", x, width*scales, 1, 1, 1)
	parts := make([]*graph.Value, scales)
	for i := range parts {
		parts[i] = s.slice(fmt.Sprint("layer.scale", i), y, i*width, (i+1)*width)
		switch {
		case i < scales-1:
			if i > 0 && !first {
				parts[i] = s.b.Node(fmt.Sprint("layer.added", i), graph.Add{}, parts[i], parts[i-1])
			}
			parts[i] = s.convNormReLU("layer.", fmt.Sprint("2.", i), parts[i], width, 3, 1, 1)
		case first:
			parts[i] = s.b.Node("layer.pool", graph.AvgPool{Kernel: [2]int{3, 3}, Stride: [2]int{1, 1}, Padding: graph.Pad(1), CountIncludePad: true}, parts[i])
		}
	}
	if first {
		x = s.batchNorm("down.bn", s.conv("down.conv", x, 2*width, 1, 1, 1))
	}
	return s.end("layer.", s.b.Node("layer.scales", graph.Concat{}, parts...), x)
}

// blurBlock is a bottleneck that is blurred before it is sampled, as is its shortcut: a mirrored border, then each channel for itself (Zhang
// 2019; timm's BlurPool2d).
func blurBlock(s sketch, x *graph.Value) *graph.Value {
	const c = 9
	blur := func(name string, x *graph.Value) *graph.Value {
		k := x.Type.Shape.Dim(1)
		x = s.b.Node(name+".pad", graph.SpatialPad{Padding: graph.Pad(1), Reflect: true}, x)
		op := graph.Conv2D{Stride: [2]int{2, 2}, Dilation: [2]int{1, 1}, Groups: k}
		return s.b.Node(name, op, x, s.b.Param(name+".weight", graph.F32(k, 1, 3, 3), nil))
	}
	y := s.convNormReLU("layer.", "1", x, c, 1, 1, 1)
	y = blur("layer.aa", s.convNormReLU("layer.", "2", y, c, 3, 1, 1))
	shortcut := s.batchNorm("down.bn", s.conv("down.conv", blur("down.aa", x), 4*c, 1, 1, 1))
	return s.end("layer.", y, shortcut)
}

// preactivationBlock is a stem's pool with its own padding and a bottleneck whose norms come before its convolutions (He et al. 2016, "Identity
// mappings in deep residual networks"; timm's PreActBottleneck).
func preactivationBlock(s sketch, x *graph.Value, norm func(string, *graph.Value) *graph.Value) *graph.Value {
	c := x.Type.Shape.Dim(1)
	x = s.b.Node("stem.pad", graph.SpatialPad{Padding: graph.Pad(1)}, x)
	x = s.b.Node("stem.pool", graph.MaxPool{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}}, x)
	pre := s.relu("layer.relu1", norm("layer.norm1", x))
	y := s.conv("layer.conv1", pre, c/2, 1, 1, 1)
	y = s.conv("layer.conv2", s.relu("layer.relu2", norm("layer.norm2", y)), c/2, 3, 2, 1)
	y = s.conv("layer.conv3", s.relu("layer.relu3", norm("layer.norm3", y)), 2*c, 1, 1, 1)
	y = s.b.Node("layer.sum", graph.Add{}, y, s.conv("down.conv", pre, 2*c, 1, 2, 1))
	return s.relu("head.relu", norm("head.norm", y))
}

// movedGraphs have parts of values, and values made of parts, which a device may keep in one place without a copy.
func (t *table) movedGraphs() {
	for _, c := range []struct {
		name, reason string
		lines        []string
	}{
		{"reshaped", "reshape moves nothing: both sides may be outputs", []string{
			"%a = relu(%x)", "%r = reshape(%a) to=2,15,4", "%s = add(%a, %x)", "output %s", "output %a", "output %r"}},
		{"reshaped-input", "an input under other dimensions is an output", []string{"%r = reshape(%x) to=5,4,6", "output %r"}},
		{"reshaped-twice", "a view of a view, read after another value has been made", []string{
			"%a = relu(%x)", "%r = reshape(%a) to=120,1,1", "%b = add(%x, %x)", "%q = reshape(%r) to=6,5,4", "%s = add(%q, %b)", "output %s"}},
		{"parts", "parts of a value are outputs beside it", []string{
			"%a = relu(%x)", "%p = channel_slice(%a) begin=0 end=2", "%q = channel_slice(%a) begin=1 end=6", "output %q", "output %a", "output %p"}},
		{"whole-part", "a part that is the whole is another value", []string{
			"%a = relu(%x)", "%p = channel_slice(%a) begin=0 end=6", "%s = add(%p, %x)", "output %p", "output %s"}},
		{"one-part", "a concatenation of one input is another value", []string{"%a = relu(%x)", "%c = concat(%a)", "%s = add(%c, %x)", "output %a", "output %c", "output %s"}},
		{"swapped", "parts are put together in another order, and one twice", []string{
			"%p = channel_slice(%x) begin=0 end=2", "%q = channel_slice(%x) begin=2 end=6", "%c = concat(%q, %p, %q)", "output %c"}},
		{"concatenated-input", "an input and what is made of it are parts of one value, and are read afterwards", []string{
			"%a = relu(%x)", "%c = concat(%a, %x, %a)", "%s = add(%a, %x)", "output %c", "output %s", "output %a"}},
		{"nested", "a concatenation of concatenations of which one part is used again", []string{
			"%a = relu(%x)", "%b = add(%x, %x)", "%c = concat(%a, %b)", "%d = concat(%c, %x, %a)", "%e = channel_slice(%d) begin=4 end=16", "%f = relu(%e)",
			"output %f", "output %c"}},
		{"overwritten", "a part outlives the value that it is of, whose memory may be used again", []string{
			"%a = relu(%x)", "%p = channel_slice(%a) begin=3 end=5", "%b = add(%x, %x)", "%c = relu(%b)", "%d = add(%c, %b)", "%q = channel_slice(%d) begin=0 end=2",
			"%s = add(%p, %q)", "output %s"}},
		{"padded", "pads of each kind one after the other", []string{
			"%a = spatial_pad(%x) padding=1,0,2,3 reflect=true", "%b = spatial_pad(%a) padding=0,2,1,0", "%c = channel_pad(%b) before=1 after=2", "%d = spatial_pad(%c) padding=3,1,0,2 reflect=true",
			"output %d"}},
		{"normed", "a group norm of a part beside one of the whole", []string{
			"param @g.weight : float32[6]", "param @g.bias : float32[6]", "param @h.weight : float32[4]", "param @h.bias : float32[4]",
			"%a = group_norm(%x, @g.weight, @g.bias) groups=3 epsilon=1e-05 act=relu", "%p = channel_slice(%x) begin=1 end=5",
			"%b = group_norm(%p, @h.weight, @h.bias) groups=1 epsilon=1e-05", "%c = concat(%b, %a)", "output %c"}},
		{"attended", "scores that are made of the branches, and a shortcut that is one of them", []string{
			"%s = global_avg_pool(%x)", "%p = channel_slice(%x) begin=2 end=4", "%y = split_attention(%x, %s, %p) radix=3 groups=2 add=true act=relu", "output %y"}},
	} {
		for _, batch := range []int{2, 5} { // a batch that a backend may split is the other
			lines := append([]string{fmt.Sprintf("input %%x : float32[%d,6,5,4]", batch)}, c.lines...)
			t.add(Case{Name: fmt.Sprintf("outputs/%s-n%d", c.name, batch), Reason: c.reason, Class: ClassA, Profile: quickIf(batch == 2), build: parse(lines...)})
		}
	}
}
