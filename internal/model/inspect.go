package model

import (
	"maps"
	"slices"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
)

// Layer is one node of a network with what it costs.
type Layer struct {
	Name        string `json:"name"`
	Op          string `json:"op"` // with its attributes, as in the text form
	Output      []int  `json:"output"`
	Params      int64  `json:"params"`
	MACs        int64  `json:"macs"`
	FLOPs       int64  `json:"flops"`
	ParamBytes  int64  `json:"param_bytes"`
	OutputBytes int64  `json:"output_bytes"` // 0 for a view, which moves nothing
}

// MemoryBytes is the memory of the layer's parameters and result.
func (l Layer) MemoryBytes() int64 { return l.ParamBytes + l.OutputBytes }

// Totals are the sums over all layers.
type Totals struct {
	Layers      int   `json:"layers"`
	Params      int64 `json:"params"` // each counted once; statistics of batch norms are not counted, as is usual
	MACs        int64 `json:"macs"`
	FLOPs       int64 `json:"flops"`
	ParamBytes  int64 `json:"param_bytes"`
	OutputBytes int64 `json:"output_bytes"`
	// PeakBytes is the most memory that inputs and results take at one time when each is let go after its last reader.
	PeakBytes int64 `json:"peak_activation_bytes"`
}

// MemoryBytes is the memory of all parameters and results, none let go.
func (t Totals) MemoryBytes() int64 { return t.ParamBytes + t.OutputBytes }

// Layers lists the nodes of a graph with their costs.
func Layers(g *graph.Graph) ([]Layer, Totals) {
	total := g.Cost()
	t := Totals{Layers: len(g.Nodes), MACs: total.MACs, FLOPs: total.FLOPs, ParamBytes: total.ParamBytes, PeakBytes: peakBytes(g)}
	layers := make([]Layer, len(g.Nodes))
	all := map[*graph.Value]bool{}
	for i, n := range g.Nodes {
		c := n.Cost()
		for _, v := range statistics(n) {
			all[v] = true
		}
		layers[i] = Layer{
			Name: n.Name, Op: graph.OpText(n.Op), Output: n.Output.Type.Shape.Dims(),
			Params: c.Params - elems(statistics(n)), MACs: c.MACs, FLOPs: c.FLOPs, ParamBytes: c.ParamBytes, OutputBytes: c.WriteBytes,
		}
		t.OutputBytes += c.WriteBytes
	}
	t.Params = total.Params - elems(slices.Collect(maps.Keys(all)))
	return layers, t
}

// statistics are running means and variances, which training does not learn and published counts of parameters leave out.
func statistics(n *graph.Node) []*graph.Value {
	if _, ok := n.Op.(graph.BatchNorm); !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.Inputs[3:]), func(v *graph.Value) bool { return v.Kind != graph.ParamValue })
}

func elems(list []*graph.Value) int64 {
	var sum int64
	for _, v := range list {
		sum += int64(v.Type.Shape.Elems())
	}
	return sum
}

// peakBytes follows the lives of inputs and results through the nodes. A view's result is its input.
func peakBytes(g *graph.Graph) int64 {
	storage := map[*graph.Value]*graph.Value{}
	readers := map[*graph.Value]int{}
	for _, v := range g.Inputs {
		storage[v] = v
	}
	for _, n := range g.Nodes {
		storage[n.Output] = n.Output
		if graph.IsView(n.Op) {
			storage[n.Output] = storage[n.Inputs[0]]
		}
		for _, v := range n.Inputs {
			readers[storage[v]]++
		}
	}
	for _, v := range g.Outputs {
		readers[storage[v]]++ // is never let go
	}
	var live, peak int64
	for _, v := range g.Inputs {
		live += int64(v.Type.SizeBytes())
	}
	peak = live
	for _, n := range g.Nodes {
		if storage[n.Output] == n.Output {
			live += int64(n.Output.Type.SizeBytes())
			peak = max(peak, live)
		}
		for _, v := range n.Inputs {
			s := storage[v]
			if readers[s]--; s != nil && readers[s] == 0 {
				live -= int64(s.Type.SizeBytes())
			}
		}
	}
	return peak
}

// View says how a network is to be looked at.
type View struct {
	Batch         int
	Height, Width int // 0 = the model's
	AfterPasses   bool
}

// Inspected is a network as a View shows it.
type Inspected struct {
	Graph  *graph.Graph
	Passes []string // that were run, in order
	Layers []Layer
	Totals Totals
}

// Inspect builds the network for a view and lists its layers.
func (m *Model) Inspect(v View) (*Inspected, error) {
	if v.Height == 0 {
		v.Height, v.Width = m.Side, m.Side
	}
	g, err := m.GraphOf(v.Batch, v.Height, v.Width)
	if err != nil {
		return nil, err
	}
	in := &Inspected{Graph: g, Passes: []string{}}
	if v.AfterPasses {
		if in.Graph, err = pass.Run(g, pass.Default()); err != nil {
			return nil, err
		}
		for _, p := range pass.Default() {
			in.Passes = append(in.Passes, p.Name)
		}
	}
	in.Layers, in.Totals = Layers(in.Graph)
	return in, nil
}
