package schedule

import (
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// Split says what is divided among the devices. The zero value is Auto.
type Split uint8

// The ways to split.
const (
	Auto    Split = iota // the batch when several chosen devices support every node, else the graph
	ByGraph              // the graph: each device has parts of it
	ByBatch              // the batch: each chosen device has its own samples
)

var splitNames = []string{"auto", "graph", "batch"}

// String returns "auto", "graph" or "batch".
func (s Split) String() string {
	if int(s) < len(splitNames) {
		return splitNames[s]
	}
	return fmt.Sprintf("split(%d)", uint8(s))
}

// MarshalText writes the String form.
func (s Split) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Split) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSplit(string(text))
	return err
}

// ParseSplit is the inverse of [Split.String].
func ParseSplit(text string) (Split, error) {
	for i, n := range splitNames {
		if n == text {
			return Split(i), nil
		}
	}
	return Auto, fmt.Errorf("read split: want auto, graph or batch, got %.40q", text)
}

// batchOf returns the batch of a graph that computes every sample alone: all inputs have the same first dimension, and so
// has every value, and no op mixes what lies along it. 0 when that is not so, or when there is no sample.
//
// The ops of package graph that have a batch keep it first and treat samples alike, so it is enough that a node's
// activations are batched and that parameters stand only where they mean the same for every sample: weights, bias, statistics.
func batchOf(g *graph.Graph) int {
	n := 0
	for i, v := range g.Inputs {
		if v.Type.Shape.Rank() < 2 || v.Type.Shape.Dim(0) < 1 || i > 0 && v.Type.Shape.Dim(0) != n {
			return 0
		}
		n = v.Type.Shape.Dim(0)
	}
	for _, node := range g.Nodes {
		for i, v := range node.Inputs {
			if (v.Kind == graph.ParamValue) != sharedInput(node.Op, i) {
				return 0
			}
		}
		if s := node.Output.Type.Shape; s.Rank() < 2 || s.Dim(0) != n {
			return 0
		}
	}
	return n
}

// sharedInput tells whether input i of an op is the same for all samples.
func sharedInput(op graph.Op, i int) bool {
	switch op := op.(type) {
	case graph.Conv2D:
		return i > 0 && !(op.Add && i == 2+btoi(op.Bias))
	case graph.Linear, graph.BatchNorm:
		return i > 0
	}
	return false
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shares divides n samples by speed so that the last to be done is done as early as can be: no other division into whole
// samples has a smaller max(shares[i]/speeds[i]). Of equals the first member has the sample. A speed that is not above 0 gets nothing;
// at least one must be.
func shares(n int, speeds []float64) []int {
	out := make([]int, len(speeds))
	sum := 0.0
	for _, s := range speeds {
		if s > 0 {
			sum += s
		}
	}
	left := n
	for i, s := range speeds {
		if s > 0 {
			// In the best division none has less than this; one sample less, for the rounding of the sum.
			out[i] = max(0, int(math.Floor(float64(n)*(s/sum)))-1)
			left -= out[i]
		}
	}
	for ; left > 0; left-- {
		best, soonest := -1, math.Inf(1)
		for i, s := range speeds {
			if s > 0 {
				if t := float64(out[i]+1) / s; best < 0 || t < soonest {
					best, soonest = i, t
				}
			}
		}
		out[best]++
	}
	return out
}

// mostChunks is into how many chunks a share is cut for a route over several members. More of them hide the transfers
// better, and each computes less well.
const mostChunks = 4

// chunkOf is the size of the chunks: equal ones, since each size would have to be compiled.
func chunkOf(share int) int {
	for n := min(mostChunks, share); n > 1; n-- {
		if share%n == 0 {
			return share / n
		}
	}
	return share
}
