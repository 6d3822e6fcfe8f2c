package resnet

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// core adds what stands in the place of convolution i of a block, its norm and the ReLU behind it; width is the channels that it gives, or
// those of one part of them for a multi-scale core; changes tells that the block has another shape than its input.
func (n *network) core(at string, i int, x tap, width, stride int, changes bool) tap {
	name, relu := fmt.Sprintf("%sconv%d", at, i), fmt.Sprintf("%srelu%d", at, i)
	switch n.c.Core.Kind {
	case SplitAttentionCore:
		return n.splitAttention(at, name, x, width, stride)
	case SelectiveKernelCore:
		return n.selectiveKernel(name, x, width, stride)
	case MultiScaleCore:
		return n.multiScale(at, x, width, stride, changes)
	}
	if n.c.AntiAlias == NoAntiAlias || stride == 1 {
		return n.node(relu, graph.ReLU{}, n.convNorm(at, i, x, width, 3, stride, n.c.Groups))
	}
	x = n.node(relu, graph.ReLU{}, n.convNorm(at, i, x, width, 3, 1, n.c.Groups))
	return n.antiAlias(at+"aa", x, stride)
}

// splitAttention adds a grouped convolution to Branches times the width, and the sum of the branches weighed by what the means of
// their sum say.
func (n *network) splitAttention(at, name string, x tap, width, stride int) tap {
	k, groups := n.c.Core, n.c.Groups
	pool := graph.AvgPool{Kernel: [2]int{3, 3}, Stride: [2]int{stride, stride}, Padding: graph.Pad(1), CountIncludePad: true}
	if k.PoolFirst && stride > 1 {
		x = n.node(at+"avd_first", pool, x)
	}
	x = n.normReLU(name+".bn0", name+".act0", n.conv(name+".conv", x, width*k.Branches, 3, 1, groups*k.Branches))
	s := n.meanOfBranches(name, x, k.Branches)
	s = n.convBias(name+".fc1", s, n.c.scored(width), groups)
	s = n.normReLU(name+".bn1", name+".act1", s)
	s = n.convBias(name+".fc2", s, width*k.Branches, groups)
	var op graph.Op = graph.SplitAttention{Radix: k.Branches, Groups: groups}
	if k.Branches == 1 {
		op = graph.Gate{}
	}
	x = tap{n.b.Node(name, op, x.v, s.v), width}
	if !k.PoolFirst && stride > 1 {
		x = n.node(at+"avd_last", pool, x)
	}
	return x
}

// selectiveKernel adds two convolutions of other dilations, and their sum weighed likewise.
func (n *network) selectiveKernel(name string, x tap, width, stride int) tap {
	k := n.c.Core
	var paths []*graph.Value
	for p := range k.Branches {
		path, in := fmt.Sprintf("%s.paths.%d", name, p), x
		if k.SplitInput {
			in = n.part(fmt.Sprintf("%s.part%d", name, p), x, p, k.Branches)
		}
		in = n.dilated(path+".conv", in, width, 3, stride, n.c.Groups, p+1)
		paths = append(paths, n.normReLU(path+".bn", path+".act", in).v)
	}
	all := tap{n.b.Node(name+".paths", graph.Concat{}, paths...), width * k.Branches}
	s := n.meanOfBranches(name, all, k.Branches)
	s = n.normReLU(name+".attn.bn", name+".attn.act", n.conv(name+".attn.fc_reduce", s, n.c.scored(width), 1, 1, 1))
	s = n.conv(name+".attn.fc_select", s, all.c, 1, 1, 1)
	return tap{n.b.Node(name, graph.SplitAttention{Radix: k.Branches, Groups: 1}, all.v, s.v), width}
}

// meanOfBranches adds the mean of each channel of the sum of the branches, which is the sum of their means.
func (n *network) meanOfBranches(name string, x tap, branches int) tap {
	mean := n.node(name+".mean", graph.GlobalAvgPool{}, x)
	sum := mean
	for i := range branches {
		part := n.part(fmt.Sprintf("%s.mean%d", name, i), mean, i, branches)
		if i == 0 {
			sum = part
			continue
		}
		sum = tap{n.b.Node(fmt.Sprintf("%s.sum%d", name, i), graph.Add{}, sum.v, part.v), part.c}
	}
	return sum
}

// multiScale adds convolutions for all parts of the channels but the last, each of which sees what the one before it made, too, unless the
// block changes the shape: then the last part goes through an average pool.
func (n *network) multiScale(at string, x tap, width, stride int, changes bool) tap {
	last := n.c.Core.Branches - 1
	var parts []*graph.Value
	var y tap
	for i := range last {
		in := n.part(fmt.Sprintf("%spart%d", at, i), x, i, last+1)
		conv := fmt.Sprintf("%sconvs.%d", at, i)
		if i > 0 && !changes {
			in = tap{n.b.Node(conv+".add", graph.Add{}, y.v, in.v), width}
		}
		in = n.conv(conv, in, width, 3, stride, n.c.Groups)
		y = n.normReLU(fmt.Sprintf("%sbns.%d", at, i), conv+".relu", in)
		parts = append(parts, y.v)
	}
	rest := n.part(fmt.Sprintf("%spart%d", at, last), x, last, last+1)
	if changes {
		rest = n.node(at+"pool", graph.AvgPool{Kernel: [2]int{3, 3}, Stride: [2]int{stride, stride}, Padding: graph.Pad(1), CountIncludePad: true}, rest)
	}
	return tap{n.b.Node(at+"parts", graph.Concat{}, append(parts, rest.v)...), x.c}
}

// part is one of the parts, of the same number of channels, that x is made of; x itself when it is the only one.
func (n *network) part(name string, x tap, i, parts int) tap {
	if parts == 1 {
		return x
	}
	c := x.c / parts
	return tap{n.b.Node(name, graph.ChannelSlice{Begin: i * c, End: (i + 1) * c}, x.v), c}
}
