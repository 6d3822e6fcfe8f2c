package conformance

import (
	"fmt"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
)

// ranks are shapes of every rank, extents of one and of none among them.
var ranks = [][]int{
	{}, {1}, {0}, {5}, {257}, {1, 1}, {0, 7}, {7, 0}, {3, 65}, {2, 0, 3}, {3, 1, 17}, {5, 0, 0, 2}, {2, 3, 1, 4, 33}, {0, 3, 1, 4, 33},
	{1, 1, 1, 1, 1, 1}, {2, 1, 3, 2, 5, 17}, {2, 3, 0, 2, 1, 4},
}

func rankName(dims []int) string {
	if len(dims) == 0 {
		return "scalar"
	}
	return "shape" + strings.Trim(strings.ReplaceAll(fmt.Sprint(dims), " ", "x"), "[]")
}

// rankCases has the ops that take any rank.
func (t *table) rankCases() {
	const reason = "every rank, with extents of one and of none"
	for _, dims := range ranks {
		x := graph.F32(dims...)
		t.both(Quick, reason, graph.ReLU{}, rankName(dims), x)
		t.both(Quick, reason, graph.Add{}, rankName(dims), x, port{name: "b", typ: x, input: true})
		for _, op := range []graph.Op{graph.Flatten{}, graph.Softmax{}} {
			if fits(op, x) {
				t.both(Quick, reason, op, rankName(dims), x)
			}
		}
	}
}

// weightCases has parameters that are no ordinary numbers.
func (t *table) weightCases() {
	const reason = "weights that need care"
	for _, v := range specialWeights {
		for i, win := range []window{square(1, 1, 0), square(3, 1, 0), square(3, 1, 1), square(3, 2, 1), windows[5]} {
			for _, groups := range []int{1, 6} {
				c := convolution{n: 2, c: 6, h: 7, w: 9, k: 18, groups: groups, win: win, bias: true, add: i%2 == 1, relu: i > 2}
				t.convCase(quickIf(i < 3), reason, v, c)
			}
		}
		t.op(Quick, reason, v, graph.Linear{Bias: true}, "n3-c65-k17/bias", graph.F32(3, 65), port{name: "weight", typ: graph.F32(17, 65)}, port{name: "bias", typ: graph.F32(17)})
		if v == WeightInfinity {
			continue // batch_norm computed as written and with its constants folded differs there
		}
		c := graph.F32(5)
		t.op(Quick, reason, v, graph.BatchNorm{Epsilon: 1e-5}, "n2-c5-h7-w9/eps1e-5", graph.F32(2, 5, 7, 9),
			port{name: "weight", typ: c}, port{name: "bias", typ: c}, port{name: "mean", typ: c}, port{name: "variance", typ: c})
	}
}

// poolChannels has pools of many channels and of every batch, and windows of 1 to 11.
func (t *table) poolChannels() {
	for i, c := range channels {
		e := extents[(5*i+11)%len(extents)]
		t.pool(quickIf(i%4 == 1), "channel counts off and on the edges of tiles", alternate(i), poolings[i%len(poolings)], graph.F32([]int{1, 2, 3, 7, 8}[i%5], c, e[0], e[1]))
	}
	for i, n := range []int{1, 2, 3, 7, 8, 32} {
		t.pool(quickIf(n == 7), "batches", alternate(i), poolings[i%3], graph.F32(n, 5, 9, 7))
	}
	for r := 1; r <= 11; r++ {
		s := 1 + r*3%11
		p := pooling{[2]int{r, s}, [2]int{1 + r%3, 1 + s%4}, graph.Padding{Top: r / 2, Left: s / 3, Bottom: r / 3, Right: s / 2}, r%2 == 0}
		t.pool(quickIf(r == 8 || r == 11), "windows of 1 to 11", alternate(r), p, graph.F32(2, 3, 13, 17))
	}
}
