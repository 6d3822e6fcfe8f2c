package resnet

import (
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
)

// preActivated adds a residual block in which a norm and a ReLU stand before each convolution. A shortcut that changes the shape begins
// behind the first of them, and every first bottleneck of a stage has such a one.
func (n *network) preActivated(at string, x tap, s, stride int, first bool) tap {
	before := func(i int, x tap) tap {
		return n.normReLU(fmt.Sprintf("%snorm%d", at, i), fmt.Sprintf("%srelu%d", at, i), x)
	}
	inner, out := n.c.innerWidth(s), n.c.outWidth(s)
	pre := before(1, x)
	var y tap
	if n.c.Block == Basic {
		y = n.conv(at+"conv1", pre, inner, 3, stride, 1)
		y = n.conv(at+"conv2", before(2, y), out, 3, 1, 1)
	} else {
		stride1, stride3 := 1, stride
		if n.c.StrideOn1x1 {
			stride1, stride3 = stride, 1
		}
		y = n.conv(at+"conv1", pre, inner, 1, stride1, 1)
		y = n.conv(at+"conv2", before(2, y), inner, 3, stride3, n.c.Groups)
		y = n.conv(at+"conv3", before(3, y), out, 1, 1, 1)
	}
	shortcut := x
	if stride > 1 || x.c != out || first && n.c.Block == Bottleneck {
		shortcut = pre
		if n.c.Shortcut == PoolProjection {
			shortcut, stride = n.halve(at+"downsample.pool", shortcut, stride), 1
		}
		shortcut = n.conv(at+"downsample.conv", shortcut, out, 1, stride, 1)
	}
	return tap{n.b.Node(at+"add", graph.Add{}, y.v, shortcut.v), out}
}
