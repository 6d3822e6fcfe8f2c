package vulkan

import (
	"fmt"
	"strings"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
)

// awkwardNodes are small nodes of each operation but convolutions that kernels get wrong: rows unlike columns, tails of channels and of elements, several
// pictures and groups, windows beyond the edges. Drivers take long to compile a pipeline, so there are few sets of specialization constants.
var awkwardNodes = sync.OnceValue(func() map[string][]*graph.Node {
	all := map[string][]*graph.Node{}
	for _, lines := range []string{
		"input %x : float32[3,70]; param @w : float32[67,70]; param @b : float32[67]; %y = linear(%x, @w, @b) bias=true",
		"input %x : float32[2,5]; param @w : float32[3,5]; %y = linear(%x, @w)",
		"input %x : float32[3,70]; %y = softmax(%x)",
		"input %x : float32[2,3,5,1]; %y = softmax(%x)",
		"input %x : float32[2,6,9,11]; %y = max_pool(%x) kernel=3,2 stride=2,1 padding=1,0,1,1",
		"input %x : float32[2,6,9,11]; %y = avg_pool(%x) kernel=3,2 stride=2,1 padding=1,0,1,1",
		"input %x : float32[2,6,9,11]; %y = avg_pool(%x) kernel=3,2 stride=2,1 padding=1,0,1,1 count_include_pad=true",
		"input %x : float32[3,6,9,11]; %y = global_avg_pool(%x)",
		"input %x : float32[2,37,1,1]; %y = global_avg_pool(%x)",
		"input %x : float32[2,5,7,9]; %y = relu(%x)",
		"input %x : float32[2,5,7,9]; input %z : float32[2,5,7,9]; %y = add(%x, %z)",
		"input %x : float32[2,6,5,7]; param @w : float32[6]; param @b : float32[6]; param @m : float32[6]; param @v : float32[6]; %y = batch_norm(%x, @w, @b, @m, @v) epsilon=1e-05",
		"input %x : float32[2,6,5,7]; param @w : float32[6]; param @b : float32[6]; %y = group_norm(%x, @w, @b) groups=3 epsilon=1e-05",
		"input %x : float32[2,8,5,7]; param @w : float32[8]; param @b : float32[8]; %y = group_norm(%x, @w, @b) groups=2 epsilon=1e-05 act=relu",
		"input %x : float32[2,6,5,7]; input %s : float32[2,6,1,1]; %y = gate(%x, %s)",
		"input %x : float32[2,6,5,7]; input %s : float32[2,6,1,1]; input %z : float32[2,6,5,7]; %y = gate(%x, %s, %z) add=true act=relu",
		"input %x : float32[2,16,5,7]; input %s : float32[2,16,1,1]; %y = split_attention(%x, %s) radix=2 groups=1",
		"input %x : float32[2,18,5,7]; input %s : float32[2,18,1,1]; input %z : float32[2,6,5,7]; %y = split_attention(%x, %s, %z) radix=3 groups=2 add=true act=relu",
		"input %x : float32[2,5,5,7]; input %z : float32[2,8,5,7]; %y = concat(%x, %z)",
		"input %x : float32[2,13,5,7]; %y = channel_slice(%x) begin=3 end=9",
		"input %x : float32[2,6,5,7]; %y = channel_pad(%x) before=3 after=2",
		"input %x : float32[2,5,5,7]; %y = spatial_pad(%x) padding=1,3,0,2",
		"input %x : float32[2,5,5,7]; %y = spatial_pad(%x) padding=1,3,0,2 reflect=true",
		"input %x : float32[2,5,5,7]; %y = subsample(%x) stride=2,3",
	} {
		g, err := graph.Parse(strings.NewReader("graph awkward\n" + strings.ReplaceAll(lines, "; ", "\n") + "\noutput %y\n"))
		if err != nil {
			panic(fmt.Sprintf("vulkan: bug: %s: %v", lines, err))
		}
		n := g.Nodes[0]
		all[n.Op.Name()] = append(all[n.Op.Name()], n)
	}
	return all
})

// smallNodes are the awkward ones of an operation that a candidate takes.
func (d *device) smallNodes(op graph.Op, candidate string) (list []*graph.Node, err error) {
	offered := func(all []*graph.Node) {
		for _, n := range all {
			if d.offers(n, candidate) {
				list = append(list, n)
			}
		}
	}
	if _, ok := op.(graph.Conv2D); !ok {
		offered(awkwardNodes()[op.Name()])
		return list, nil
	}
	for _, table := range [][]awkwardConv{awkward, awkwardDepthwise} {
		all, err := convNodes(table)
		if err != nil {
			return nil, err
		}
		if offered(all); len(list) > 0 {
			break
		}
	}
	return list, nil
}

func convNodes(table []awkwardConv) (list []*graph.Node, err error) {
	for _, c := range table {
		n, err := convNode(c.op, c.x, c.w)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}
