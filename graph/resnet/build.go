package resnet

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// Build makes the graph for pictures of the given batch size and extent: one input "input" [batch,InChannels,height,
// width], one output "fc" [batch,Classes], and parameters that are not bound yet. The package comment has the names.
//
// Errors: those of [Config.Validate]; a *[graph.ShapeError] that names the node for which the picture is too small, or,
// with a PoolKernel, too large: a 4×4 pool leaves one row and column of 4 to 7, so of inputs of 25 to 56.
func (c Config) Build(batch, height, width int) (*graph.Graph, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	shape, err := graph.MakeShape([]int{batch, c.InChannels, height, width})
	if err != nil {
		return nil, fmt.Errorf("build %s: input: %w", c.Name, err)
	}
	name := c.Name
	if name == "" {
		name = c.CanonicalName()
	}
	n := network{c: c, b: graph.NewBuilder(name)}
	x := tap{n.b.Input("input", graph.TensorType{DType: graph.Float32, Shape: shape}), c.InChannels}
	x = n.stem(x)
	for s := range c.Stages() {
		for i := range c.Depths[s] {
			stride := 1
			if i == 0 {
				stride = strideOf(s)
			}
			x = n.block(fmt.Sprintf("layer%d.%d.", s+1, i), x, s, stride, i == 0)
		}
	}
	if c.PreActivation {
		x = n.normReLU("norm", "relu", x)
	}
	logits, err := n.head(x)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", name, err)
	}
	n.b.Output(logits)
	g, err := n.b.Build()
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", name, err)
	}
	return g, nil
}

// network is a graph in the making.
type network struct {
	c Config
	b *graph.Builder
}

// tap is a value with its number of channels, which is known even when the builder holds an error.
type tap struct {
	v *graph.Value
	c int
}

// node adds an op that keeps the number of channels.
func (n *network) node(name string, op graph.Op, x tap) tap {
	return tap{n.b.Node(name, op, x.v), x.c}
}

// conv adds a convolution to k channels with a square kernel and the padding that keeps the size at stride 1.
func (n *network) conv(name string, x tap, k, kernel, stride, groups int) tap {
	return n.dilated(name, x, k, kernel, stride, groups, 1)
}

// dilated is conv with a dilation.
func (n *network) dilated(name string, x tap, k, kernel, stride, groups, dilation int) tap {
	w := n.b.Param(name+".weight", graph.F32(k, x.c/groups, kernel, kernel), nil)
	op := graph.Conv2D{Stride: [2]int{stride, stride}, Padding: graph.Pad(kernel / 2 * dilation), Dilation: [2]int{dilation, dilation}, Groups: groups}
	return tap{n.b.Node(name, op, x.v, w), k}
}

// norm adds a batch norm, or a group norm where c says so.
func (n *network) norm(name string, x tap) tap {
	stored, op := []string{".weight", ".bias"}, graph.Op(graph.GroupNorm{Groups: n.c.NormGroups, Epsilon: n.c.Epsilon})
	if n.c.NormGroups == 0 {
		stored, op = append(stored, ".running_mean", ".running_var"), graph.BatchNorm{Epsilon: n.c.Epsilon}
	}
	in := []*graph.Value{x.v}
	for _, p := range stored {
		in = append(in, n.b.Param(name+p, graph.F32(x.c), nil))
	}
	return tap{n.b.Node(name, op, in...), x.c}
}

// normReLU adds a norm and a ReLU.
func (n *network) normReLU(norm, relu string, x tap) tap {
	return n.node(relu, graph.ReLU{}, n.norm(norm, x))
}

// stem adds what stands before the first stage. With pre-activation its last norm and ReLU are those of the first block.
func (n *network) stem(x tap) tap {
	switch n.c.Stem {
	case CIFARStem:
		x = n.conv("conv1", x, n.c.StemWidth, 3, 1, 1)
	case DeepStem: // names of timm, which numbers the steps before bn1
		x = n.normReLU("conv1.1", "conv1.2", n.conv("conv1.0", x, n.c.StemInner[0], 3, 2, 1))
		x = n.normReLU("conv1.4", "conv1.5", n.conv("conv1.3", x, n.c.StemInner[1], 3, 1, 1))
		x = n.conv("conv1.6", x, n.c.StemWidth, 3, 1, 1)
	default:
		x = n.conv("conv1", x, n.c.StemWidth, 7, 2, 1)
	}
	if !n.c.PreActivation {
		x = n.normReLU("bn1", "relu", x)
	}
	if n.c.Stem == CIFARStem {
		return x
	}
	return n.stemPool(x)
}

func (n *network) stemPool(x tap) tap {
	pool := graph.MaxPool{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}, Padding: graph.Pad(1)}
	switch {
	case n.c.StemPool == ConvStemPool:
		return n.normReLU("maxpool.1", "maxpool.2", n.conv("maxpool.0", x, x.c, 3, 2, 1))
	case n.c.StemPool == ZeroPadStemPool:
		x = n.node("maxpool.pad", graph.SpatialPad{Padding: pool.Padding}, x)
		pool.Padding = graph.Padding{}
	case n.c.AntiAlias == AverageAntiAlias:
		return n.antiAlias("maxpool", x, 2)
	case n.c.AntiAlias == BlurAntiAlias:
		pool.Stride = [2]int{1, 1}
		return n.antiAlias("maxpool.1", n.node("maxpool.0", pool, x), 2)
	}
	return n.node("maxpool", pool, x)
}

// antiAlias adds what takes over a stride. The binomial filter of a blur is the mean of 2×2 of the means of 2×2.
func (n *network) antiAlias(name string, x tap, stride int) tap {
	two := graph.AvgPool{Kernel: [2]int{2, 2}, Stride: [2]int{stride, stride}}
	if n.c.AntiAlias == BlurAntiAlias {
		x = n.node(name+".pad", graph.SpatialPad{Padding: graph.Pad(1), Reflect: true}, x)
		x = n.node(name+".mean", graph.AvgPool{Kernel: two.Kernel, Stride: [2]int{1, 1}}, x)
	}
	return n.node(name, two, x)
}

// block adds one residual block of stage s (from 0), the first of it or another; at is the beginning of its names, "layer2.0.".
func (n *network) block(at string, x tap, s, stride int, first bool) tap {
	if n.c.PreActivation {
		return n.preActivated(at, x, s, stride, first)
	}
	y := n.residual(at, x, s, stride)
	if n.c.Squeeze > 0 {
		y = n.squeezeAndExcite(at+"se", y)
	}
	if n.c.EfficientAttention {
		y = n.efficientAttention(at+"se", y)
	}
	shortcut := n.shortcut(at, x, y.c, stride)
	y = tap{n.b.Node(at+"add", graph.Add{}, y.v, shortcut.v), y.c}
	return n.node(fmt.Sprintf("%srelu%d", at, n.c.Block.convs()), graph.ReLU{}, y)
}

// residual adds the residual path of a block, but for channel attention.
func (n *network) residual(at string, x tap, s, stride int) tap {
	inner, out := n.c.innerWidth(s), n.c.outWidth(s)
	changes := stride > 1 || x.c != out
	if n.c.Block == Basic {
		return n.convNorm(at, 2, n.core(at, 1, x, inner, stride, changes), out, 3, 1, 1)
	}
	stride1, width := 1, inner
	if n.c.StrideOn1x1 {
		stride1, stride = stride, 1
	}
	if n.c.Core.Kind == MultiScaleCore {
		width *= n.c.Core.Branches
	}
	y := n.node(at+"relu1", graph.ReLU{}, n.convNorm(at, 1, x, width, 1, stride1, 1))
	return n.convNorm(at, 3, n.core(at, 2, y, inner, stride, changes), out, 1, 1, 1)
}

// convNorm adds convolution i of a block and its norm.
func (n *network) convNorm(at string, i int, x tap, k, kernel, stride, groups int) tap {
	conv, norm := fmt.Sprintf("%sconv%d", at, i), fmt.Sprintf("%sbn%d", at, i)
	if n.c.Core.Kind == SelectiveKernelCore { // names of timm, which has a module for the two
		conv, norm = conv+".conv", conv+".bn"
	}
	return n.norm(norm, n.conv(conv, x, k, kernel, stride, groups))
}

// shortcut brings the input of a block to the shape of its output.
func (n *network) shortcut(at string, x tap, out, stride int) tap {
	if stride == 1 && x.c == out {
		return x
	}
	switch n.c.Shortcut {
	case Projection:
		return n.norm(at+"downsample.1", n.conv(at+"downsample.0", x, out, 1, stride, 1))
	case PoolProjection:
		x = n.halve(at+"downsample.0", x, stride)
		return n.norm(at+"downsample.2", n.conv(at+"downsample.1", x, out, 1, 1, 1))
	}
	if stride > 1 {
		x = n.node(at+"shortcut.subsample", graph.Subsample{Stride: [2]int{stride, stride}}, x)
	}
	if x.c != out {
		before := (out - x.c) / 2
		x = tap{n.b.Node(at+"shortcut.pad", graph.ChannelPad{Before: before, After: out - x.c - before}, x.v), out}
	}
	return x
}

// halve adds the average pool of a pooled shortcut, unless the stride is 1.
func (n *network) halve(name string, x tap, stride int) tap {
	if stride == 1 {
		return x
	}
	two := [2]int{stride, stride}
	return n.node(name, graph.AvgPool{Kernel: two, Stride: two, CeilMode: true}, x)
}

func (n *network) head(x tap) (*graph.Value, error) {
	if k := n.c.PoolKernel; k > 0 {
		x = n.node("avgpool", graph.AvgPool{Kernel: [2]int{k, k}, Stride: [2]int{k, k}}, x)
		if s := x.v.Type.Shape; s.Rank() == 4 && (s.Dim(2) != 1 || s.Dim(3) != 1) { // rank 0 after an earlier error
			in := x.v.Node.Inputs[0].Type.Shape
			return nil, &graph.ShapeError{Node: "avgpool", Op: "avg_pool", Attr: "input 0",
				Want: fmt.Sprintf("%d to %d rows and columns", k, 2*k-1), Got: in.String()}
		}
	} else {
		x = n.node("avgpool", graph.GlobalAvgPool{}, x)
	}
	x = n.node("flatten", graph.Flatten{}, x)
	w := n.b.Param("fc.weight", graph.F32(n.c.Classes, x.c), nil)
	bias := n.b.Param("fc.bias", graph.F32(n.c.Classes), nil)
	return n.b.Node("fc", graph.Linear{Bias: true}, x.v, w, bias), nil
}
