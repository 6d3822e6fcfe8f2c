package vulkan

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/plan"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/graph"
)

// A display driver resets a GPU whose work does not end: Windows after 2 s (TdrDelay), others sooner. The commands of a plan
// are therefore recorded in pieces that are short on the slowest GPU, and as many pieces make one submission as
// fit into the bound by the time that earlier runs took. Small networks are one piece, and so one submission, from the start. A dispatch that
// would take longer than a watchdog waits, there, is several of parts of its workgroups.

// defaultBound is how long a submission to a GPU should take at most.
const defaultBound = 500 * time.Millisecond

// slowest is the operations a second that the slowest GPU of interest does, bytes counted as bytesCost operations each.
const (
	slowest   = 20e9
	bytesCost = 4
)

// longest is how many times the bound a dispatch may take on the slowest GPU: with the usual bound the 2 s of Windows.
const longest = 4

// mostPieces is how many a dispatch is divided into at most.
const mostPieces = 256

// submissionBound is the bound for a device; 0 is none.
func submissionBound(o Options, software bool) time.Duration {
	switch {
	case o.MaxSubmission != 0:
		return max(o.MaxSubmission, 0)
	case software:
		return 0 // nobody's watchdog
	}
	return defaultBound
}

// pieceCost is the cost of a piece that takes the bound on the slowest GPU.
func pieceCost(bound time.Duration) float64 {
	if bound == 0 {
		return math.Inf(1)
	}
	return slowest * bound.Seconds()
}

// cut divides the commands of a plan into pieces whose cost is at most limit, or which have a single command that
// is not a barrier. A barrier stays with the command before it. Dispatches that cost too much by themselves are divided in the plan.
func cut(p *plan.Plan, limit float64, g *graph.Graph) [][]plan.Command {
	if len(p.Commands) == 0 {
		return nil
	}
	steps := map[string]float64{} // of a node
	for _, s := range p.Steps {
		if !plan.ChangesFormat(s.Variant) {
			steps[s.Node]++
		}
	}
	costs := make(map[string]float64, len(g.Nodes)) // of a step of a node for a part of the batch
	for _, n := range g.Nodes {
		c := n.Cost()
		cost := float64(c.FLOPs) + bytesCost*float64(c.ReadBytes+c.WriteBytes)
		costs[n.Name] = cost * float64(p.Chunk) / float64(max(p.Batch, 1)) / max(steps[n.Name], 1)
	}
	dispatch := func(s *plan.Step) float64 {
		if !plan.ChangesFormat(s.Variant) {
			return costs[s.Node]
		}
		cost := 0.0
		for _, r := range s.Bindings {
			cost += bytesCost * float64(r.Size)
		}
		return cost
	}
	var pieces [][]plan.Command
	var piece []plan.Command
	sum := 0.0
	add := func(c plan.Command, cost float64) {
		if sum > 0 && sum+cost > limit {
			pieces, piece, sum = append(pieces, piece), nil, 0
		}
		piece, sum = append(piece, c), sum+cost
	}
	for _, c := range p.Commands {
		switch c := c.(type) {
		case plan.Dispatch:
			cost := dispatch(c.Step)
			if cost <= longest*limit {
				add(c, cost)
				continue
			}
			for _, part := range c.Divide(p, int(min(math.Ceil(cost/(longest*limit)), mostPieces))) {
				add(part, cost*share(part))
			}
		case plan.Copy:
			add(c, bytesCost*2*float64(c.Src.Size))
		case plan.Barrier:
			piece = append(piece, c)
		}
	}
	return append(pieces, piece)
}

// share is the part of its step that a dispatch is.
func share(d plan.Dispatch) float64 {
	part := 1.0
	if d.Part == nil {
		return part
	}
	for i, n := range d.Part.Groups {
		part *= float64(n) / float64(max(d.Step.Groups[i], 1))
	}
	return part
}

// pace is how long pieces take, as runs have shown.
type pace struct{ piece atomic.Int64 } // nanoseconds, 0 while not known

// group is how many pieces make a submission that keeps to the bound. Pieces differ, and so does what else the device has to do,
// which is why half of the bound is aimed at.
func (p *pace) group(bound time.Duration) int {
	piece := p.piece.Load()
	if piece == 0 {
		return 1
	}
	return int(min(max(int64(bound)/(2*piece), 1), int64(vk.SubmitsWithoutAllocation)))
}

// measured takes note of a run of n pieces. Slower is believed at once, faster in steps: the first run of a driver that compiles
// at first use says little of the next.
func (p *pace) measured(took time.Duration, n int) {
	piece := max(int64(took)/int64(n), 1)
	if old := p.piece.Load(); old > piece {
		piece = old - (old-piece+3)/4
	}
	p.piece.Store(piece)
}
