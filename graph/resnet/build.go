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
			x = n.block(fmt.Sprintf("layer%d.%d.", s+1, i), x, s, stride)
		}
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
	w := n.b.Param(name+".weight", graph.F32(k, x.c/groups, kernel, kernel), nil)
	op := graph.Conv2D{Stride: [2]int{stride, stride}, Padding: graph.Pad(kernel / 2), Dilation: [2]int{1, 1}, Groups: groups}
	return tap{n.b.Node(name, op, x.v, w), k}
}

func (n *network) batchNorm(name string, x tap) tap {
	in := []*graph.Value{x.v}
	for _, p := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		in = append(in, n.b.Param(name+p, graph.F32(x.c), nil))
	}
	return tap{n.b.Node(name, graph.BatchNorm{Epsilon: n.c.Epsilon}, in...), x.c}
}

func (n *network) stem(x tap) tap {
	if n.c.Stem == CIFARStem {
		x = n.conv("conv1", x, n.c.StemWidth, 3, 1, 1)
		return n.node("relu", graph.ReLU{}, n.batchNorm("bn1", x))
	}
	if n.c.Stem == DeepStem { // names of timm, which numbers the steps before bn1
		x = n.batchNorm("conv1.1", n.conv("conv1.0", x, n.c.StemInner[0], 3, 2, 1))
		x = n.node("conv1.2", graph.ReLU{}, x)
		x = n.batchNorm("conv1.4", n.conv("conv1.3", x, n.c.StemInner[1], 3, 1, 1))
		x = n.node("conv1.5", graph.ReLU{}, x)
		x = n.conv("conv1.6", x, n.c.StemWidth, 3, 1, 1)
	} else {
		x = n.conv("conv1", x, n.c.StemWidth, 7, 2, 1)
	}
	x = n.node("relu", graph.ReLU{}, n.batchNorm("bn1", x))
	return n.node("maxpool", graph.MaxPool{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}, Padding: graph.Pad(1)}, x)
}

// block adds one residual block of stage s (from 0); at is the beginning of its names, "layer2.0.".
func (n *network) block(at string, x tap, s, stride int) tap {
	inner, out := n.c.innerWidth(s), n.c.outWidth(s)
	var y tap
	if n.c.Block == Basic {
		y = n.convBN(at, 1, x, inner, 3, stride, 1)
		y = n.node(at+"relu1", graph.ReLU{}, y)
		y = n.convBN(at, 2, y, out, 3, 1, 1)
	} else {
		stride1, stride3 := 1, stride
		if n.c.StrideOn1x1 {
			stride1, stride3 = stride, 1
		}
		y = n.convBN(at, 1, x, inner, 1, stride1, 1)
		y = n.node(at+"relu1", graph.ReLU{}, y)
		y = n.convBN(at, 2, y, inner, 3, stride3, n.c.Groups)
		y = n.node(at+"relu2", graph.ReLU{}, y)
		y = n.convBN(at, 3, y, out, 1, 1, 1)
	}
	if n.c.Squeeze > 0 {
		y = n.squeezeAndExcite(at+"se", y)
	}
	shortcut := n.shortcut(at, x, out, stride)
	y = tap{n.b.Node(at+"add", graph.Add{}, y.v, shortcut.v), out}
	return n.node(fmt.Sprintf("%srelu%d", at, n.c.Block.convs()), graph.ReLU{}, y)
}

// squeezeAndExcite weighs the channels by what their means say; at is the name of the gate.
func (n *network) squeezeAndExcite(at string, x tap) tap {
	s := n.node(at+".mean", graph.GlobalAvgPool{}, x)
	s = n.convBias(at+".fc1", s, n.c.squeezed(x.c))
	s = n.node(at+".act", graph.ReLU{}, s)
	s = n.convBias(at+".fc2", s, x.c)
	return tap{n.b.Node(at, graph.Gate{}, x.v, s.v), x.c}
}

// convBias adds a 1×1 convolution to k channels with a bias.
func (n *network) convBias(name string, x tap, k int) tap {
	w := n.b.Param(name+".weight", graph.F32(k, x.c, 1, 1), nil)
	b := n.b.Param(name+".bias", graph.F32(k), nil)
	op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1, Bias: true}
	return tap{n.b.Node(name, op, x.v, w, b), k}
}

func (n *network) convBN(at string, i int, x tap, k, kernel, stride, groups int) tap {
	x = n.conv(fmt.Sprintf("%sconv%d", at, i), x, k, kernel, stride, groups)
	return n.batchNorm(fmt.Sprintf("%sbn%d", at, i), x)
}

// shortcut brings the input of a block to the shape of its output.
func (n *network) shortcut(at string, x tap, out, stride int) tap {
	if stride == 1 && x.c == out {
		return x
	}
	switch n.c.Shortcut {
	case Projection:
		return n.batchNorm(at+"downsample.1", n.conv(at+"downsample.0", x, out, 1, stride, 1))
	case PoolProjection:
		if stride > 1 {
			two := [2]int{stride, stride}
			x = n.node(at+"downsample.0", graph.AvgPool{Kernel: two, Stride: two, CeilMode: true}, x)
		}
		return n.batchNorm(at+"downsample.2", n.conv(at+"downsample.1", x, out, 1, 1, 1))
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
