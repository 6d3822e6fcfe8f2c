package resnet

import "github.com/resnet-run/resnet-run/graph"

// squeezeAndExcite weighs the channels by what their means say; at is the name of the gate.
func (n *network) squeezeAndExcite(at string, x tap) tap {
	s := n.node(at+".mean", graph.GlobalAvgPool{}, x)
	s = n.convBias(at+".fc1", s, n.c.squeezed(x.c), 1)
	s = n.node(at+".act", graph.ReLU{}, s)
	s = n.convBias(at+".fc2", s, x.c, 1)
	return tap{n.b.Node(at, graph.Gate{}, x.v, s.v), x.c}
}

// efficientAttention weighs each channel by what its mean and those of its neighbours say; at is the name of the gate. Channels become
// rows, over which a convolution of one column goes.
func (n *network) efficientAttention(at string, x tap) tap {
	k := attentionKernel(x.c)
	s := n.node(at+".mean", graph.GlobalAvgPool{}, x)
	s = tap{n.b.Node(at+".rows", graph.Reshape{To: [3]int{1, x.c, 1}}, s.v), 1}
	w := n.b.Param(at+".conv.weight", graph.F32(1, 1, k, 1), nil)
	op := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Padding{Top: k / 2, Bottom: k / 2}, Dilation: [2]int{1, 1}, Groups: 1}
	s = tap{n.b.Node(at+".conv", op, s.v, w), 1}
	s = tap{n.b.Node(at+".channels", graph.Reshape{To: [3]int{x.c, 1, 1}}, s.v), x.c}
	return tap{n.b.Node(at, graph.Gate{}, x.v, s.v), x.c}
}

// convBias adds a 1×1 convolution to k channels with a bias.
func (n *network) convBias(name string, x tap, k, groups int) tap {
	w := n.b.Param(name+".weight", graph.F32(k, x.c/groups, 1, 1), nil)
	b := n.b.Param(name+".bias", graph.F32(k), nil)
	op := graph.Conv2D{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: groups, Bias: true}
	return tap{n.b.Node(name, op, x.v, w, b), k}
}
