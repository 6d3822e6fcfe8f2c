package compare

import (
	"context"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
)

// A value is off when its drift exceeds that of the exposed run, every node of which is within its bound, by more than
// two right runs can differ: the order of sums changes an error by small factors, not by ten. The floor is for values that the
// exposed run has exactly.
const (
	offFactor = 10
	offFloor  = 0x1p-20 // 16 roundings
)

// off reports whether a value of another run is farther from float64 than the exposed run explains.
func (l *looker) off(name string, got []float32) bool {
	exposed := l.values[name]
	if exposed == nil { // an input that is an output
		return false
	}
	limit := offFactor*drift(exposed, l.want[name]) + offFloor
	return !(drift(got, l.want[name]) <= limit)
}

// bisect finds the first node after which a value is off, in runs that expose no more than a cut. The fault is that of the
// last output when exposing any cut makes it go away.
func (l *looker) bisect(ctx context.Context) (*Fault, int, error) {
	probes := 0
	good, bad := -1, len(l.g.Nodes) // after good nothing is off; at bad something is, or it is the end
	for bad-good > 1 {
		middle := good + (bad-good)/2
		off, err := l.offAfter(ctx, middle)
		if err != nil {
			return nil, probes, err
		}
		if probes++; off {
			bad = middle
		} else {
			good = middle
		}
	}
	if bad == len(l.g.Nodes) {
		last := len(l.g.Nodes) - 1
		return &Fault{Node: last, Hidden: true, Finding: l.findings[last]}, probes, nil
	}
	f, err := l.confirm(ctx, bad)
	return f, probes + 1, err
}

// offAfter reports whether any value that crosses the cut after node k is off.
func (l *looker) offAfter(ctx context.Context, k int) (bool, error) {
	names := cut(l.g, k)
	got, err := l.probe(ctx, names)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(names, func(n string) bool { return l.off(n, got[n]) }), nil
}

// confirm holds a node against its bound in a run that exposes only what it reads and makes.
func (l *looker) confirm(ctx context.Context, k int) (*Fault, error) {
	n := l.g.Nodes[k]
	names := []string{n.Name}
	for _, v := range n.Inputs {
		if v.Kind == graph.NodeValue && !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
	}
	got, err := l.probe(ctx, names)
	if err != nil {
		return nil, err
	}
	f, err := l.judge(ctx, n, got)
	if err != nil {
		return nil, err
	}
	return &Fault{Node: k, Hidden: true, Confirmed: f.Err() != nil, Finding: f, Drift: drift(got[n.Name], l.want[n.Name])}, nil
}

// probe runs the graph with its own outputs and the named values.
func (l *looker) probe(ctx context.Context, names []string) (map[string][]float32, error) {
	var all []string
	for _, v := range l.g.Outputs {
		all = append(all, v.Name)
	}
	for _, n := range names {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	g, err := l.g.WithOutputs(all...)
	if err != nil {
		return nil, err
	}
	got, err := l.run(ctx, g)
	if err != nil {
		return nil, err
	}
	values := map[string][]float32{}
	for i, n := range all {
		values[n] = got[i]
	}
	return values, nil
}

// cut names the values made by nodes up to k that are read after it or are outputs, and node k's own.
func cut(g *graph.Graph, k int) []string {
	made := map[*graph.Value]bool{}
	for _, n := range g.Nodes[:k+1] {
		made[n.Output] = true
	}
	names := []string{g.Nodes[k].Name}
	add := func(v *graph.Value) {
		if made[v] && !slices.Contains(names, v.Name) {
			names = append(names, v.Name)
		}
	}
	for _, n := range g.Nodes[k+1:] {
		for _, v := range n.Inputs {
			add(v)
		}
	}
	for _, v := range g.Outputs {
		add(v)
	}
	return names
}
