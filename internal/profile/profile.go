package profile

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// Roof is what limits a node. The zero value is for nodes of which it is not known.
type Roof string

// The roofs of Williams, Waterman and Patterson 2009 (Roofline: an insightful visual performance model).
const (
	Compute Roof = "compute" // the arithmetic would take longer than moving each operand and the result once
	Memory  Roof = "memory"
)

// Peaks are the roofs; 0 is a roof that is not known.
type Peaks struct {
	FLOPsPerSecond, BytesPerSecond float64
	// Float32 is the arithmetic roof of nodes that do not multiply float16 by float16, in FLOP/s; 0 where it is FLOPsPerSecond.
	Float32 float64
}

// of are the roofs of a node whose tensors are stored like that.
func (p Peaks) of(how backend.Precision) Peaks {
	if p.Float32 > 0 && (how.Operands != graph.Float16 || how.Parameters != graph.Float16) {
		p.FLOPsPerSecond = p.Float32
	}
	return p
}

// Ridge is the intensity in FLOP a byte at which the roofs meet, 0 when one is not known.
func (p Peaks) Ridge() float64 {
	if !p.known() {
		return 0
	}
	return p.FLOPsPerSecond / p.BytesPerSecond
}

func (p Peaks) known() bool { return p.FLOPsPerSecond > 0 && p.BytesPerSecond > 0 }

// Node is what a node of the graph took. A step of the device that belongs to no node is one too, without cost.
type Node struct {
	Name    string  `json:"name"`             // empty for steps without a node
	Op      string  `json:"op"`               // with its attributes, as the graph's text form has it
	Kind    string  `json:"kind"`             // conv 1x1, conv 3x3, conv, pool, linear, other
	Input   []int   `json:"input"`            // dimensions of the first input
	Output  []int   `json:"output"`           // and of the result
	Kernel  string  `json:"kernel"`           // several, when the batch goes through in parts that differ
	Reason  string  `json:"reason,omitempty"` // why that kernel
	Steps   int     `json:"steps"`
	Seconds float64 `json:"seconds"` // median over the runs
	Share   float64 `json:"share"`   // of the sum of all nodes

	FLOPs          int64   `json:"flops"` // see graph.Cost, as are the bytes
	Bytes          int64   `json:"bytes"` // read and written once each
	FLOPsPerSecond float64 `json:"flops_per_second"`
	BytesPerSecond float64 `json:"bytes_per_second"`
	Intensity      float64 `json:"intensity"` // FLOP a byte
	Roof           Roof    `json:"roof"`
	// RoofShare is the time that the roof allows, as a share of the time that was taken; 0 when it is not known.
	RoofShare float64 `json:"roof_share"`
}

// Step is one step of the device, for a trace.
type Step struct {
	Node, Kernel string
	Seconds      float64 // median over the runs
}

// Profile is where the time of a run goes.
type Profile struct {
	Nodes   []Node  // in the order of their first steps
	Steps   []Step  // in the order of execution
	Seconds float64 // sum over the steps
	Peaks   Peaks
}

// New works out a profile from the times of some runs of g, each the result of a backend.Profiler.
//
// Errors: no runs, or runs of different steps.
func New(g *graph.Graph, runs [][]backend.NodeTime, peaks Peaks) (*Profile, error) {
	return NewMixed(g, runs, peaks, nil)
}

// NewMixed is [New] for an executable that stores tensors of some nodes in a narrower type, as it says by [backend.MixedPrecision]: these
// move fewer bytes.
//
// Errors: as New.
func NewMixed(g *graph.Graph, runs [][]backend.NodeTime, peaks Peaks, stored map[string]backend.Precision) (*Profile, error) {
	if len(runs) == 0 {
		return nil, errors.New("profile: want at least one run, got none")
	}
	p := &Profile{Peaks: peaks}
	nodes, at := map[string]*graph.Node{}, map[string]int{}
	for _, n := range g.Nodes {
		nodes[n.Name] = n
	}
	for i, s := range runs[0] {
		times := make([]float64, len(runs))
		for r, run := range runs {
			if len(run) != len(runs[0]) || run[i].Node != s.Node || run[i].Kernel != s.Kernel {
				return nil, fmt.Errorf("profile: run %d has other steps than run 0", r)
			}
			if t := run[i].Seconds; !(t >= 0) || math.IsInf(t, 0) {
				return nil, fmt.Errorf("profile: run %d, step %d (%s): want a time of at least 0, got %g s", r, i, s.Node, t)
			}
			times[r] = run[i].Seconds
		}
		step := Step{s.Node, s.Kernel, median(times)}
		p.Steps = append(p.Steps, step)
		p.Seconds += step.Seconds
		key := s.Node
		if nodes[key] == nil { // steps of no node are kept apart by what they do
			key += "\x00" + s.Kernel
		}
		j, ok := at[key]
		if !ok {
			j = len(p.Nodes)
			at[key] = j
			p.Nodes = append(p.Nodes, newNode(nodes[s.Node], s, stored))
		}
		n := &p.Nodes[j]
		n.Steps++
		n.Seconds += step.Seconds
		if n.Reason == "" { // the first step may be one of many that have none, such as a change of format
			n.Reason = s.Reason
		}
		if !slices.Contains(strings.Split(n.Kernel, ", "), s.Kernel) {
			n.Kernel += ", " + s.Kernel
		}
	}
	for i := range p.Nodes {
		p.Nodes[i].rate(p.Seconds, peaks.of(stored[p.Nodes[i].Name]))
	}
	return p, nil
}

func newNode(n *graph.Node, s backend.NodeTime, stored map[string]backend.Precision) Node {
	out := Node{Name: s.Node, Kernel: s.Kernel, Reason: s.Reason, Kind: "other"}
	if n == nil {
		return out
	}
	c := n.Cost()
	out.Input, out.Output = n.Inputs[0].Type.Shape.Dims(), n.Output.Type.Shape.Dims()
	out.Op, out.Kind, out.FLOPs, out.Bytes = graph.OpText(n.Op), kind(n), c.FLOPs, c.ReadBytes+c.WriteBytes
	if p, ok := stored[n.Name]; ok && out.Bytes > 0 {
		out.Bytes = movedBytes(n, p)
	}
	return out
}

// movedBytes is what a node reads and writes once each, with its tensors stored as p says.
func movedBytes(n *graph.Node, p backend.Precision) int64 {
	sum := int64(n.Output.Type.Shape.Elems()) * int64(p.Result.SizeBytes())
	for _, v := range n.Inputs {
		typ := p.Operands
		if v.Kind == graph.ParamValue {
			typ = p.Parameters
		}
		sum += int64(v.Type.Shape.Elems()) * int64(typ.SizeBytes())
	}
	return sum
}

// Kinds are the kinds of nodes, in the order of legends.
var Kinds = []string{"conv 1x1", "conv 3x3", "conv", "pool", "linear", "other"}

func kind(n *graph.Node) string {
	switch n.Op.(type) {
	case graph.Conv2D:
		_, _, r, s := n.Inputs[1].Type.Shape.NCHW()
		switch {
		case r == 1 && s == 1:
			return "conv 1x1"
		case r == 3 && s == 3:
			return "conv 3x3"
		}
		return "conv"
	case graph.Linear:
		return "linear"
	case graph.MaxPool, graph.AvgPool, graph.GlobalAvgPool:
		return "pool"
	}
	return "other"
}

func (n *Node) rate(total float64, peaks Peaks) {
	if total > 0 {
		n.Share = n.Seconds / total
	}
	if n.Seconds > 0 {
		n.FLOPsPerSecond, n.BytesPerSecond = float64(n.FLOPs)/n.Seconds, float64(n.Bytes)/n.Seconds
	}
	if n.Bytes > 0 {
		n.Intensity = float64(n.FLOPs) / float64(n.Bytes)
	}
	if !peaks.known() || n.Bytes == 0 {
		return
	}
	arithmetic, moving := float64(n.FLOPs)/peaks.FLOPsPerSecond, float64(n.Bytes)/peaks.BytesPerSecond
	n.Roof = Memory
	if arithmetic > moving {
		n.Roof = Compute
	}
	if n.Seconds > 0 {
		n.RoofShare = max(arithmetic, moving) / n.Seconds
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}
