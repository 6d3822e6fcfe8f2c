package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/resnet"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model"
)

// Inspection describes a network layer by layer.
type Inspection struct {
	Model        string            `json:"model"`
	Architecture string            `json:"architecture"`
	Config       *resnet.Config    `json:"config,omitempty"` // none for a network of an ONNX file
	Weights      string            `json:"weights"`          // empty for an architecture alone
	Metadata     map[string]string `json:"metadata,omitempty"`
	Passes       []string          `json:"passes"` // that were run on it, in order
	Input        []int             `json:"input"`
	Preprocess   Preprocess        `json:"preprocess"`
	Labels       []string          `json:"labels"`
	LabelsFrom   string            `json:"labels_from"`
	Layers       []model.Layer     `json:"layers"`
	Totals       model.Totals      `json:"totals"`

	Graph *graph.Graph `json:"-"`
}

// NewInspection describes a model as it was looked at.
func NewInspection(m *model.Model, in *model.Inspected) Inspection {
	var config *resnet.Config
	if c, ok := m.Config(); ok {
		config = &c
	}
	return Inspection{
		Model: m.Name, Architecture: m.Architecture(), Config: config, Weights: m.Weights, Metadata: m.Metadata,
		Passes: in.Passes, Input: in.Graph.Inputs[0].Type.Shape.Dims(), Preprocess: NewPreprocess(m.Preprocess, m.PreprocessFrom),
		Labels: m.Labels, LabelsFrom: m.LabelsFrom, Layers: in.Layers, Totals: in.Totals, Graph: in.Graph,
	}
}

// Preprocess is the way from a picture to the network's input.
type Preprocess struct {
	Resize        int        `json:"resize"`
	ResizeMode    string     `json:"resize_mode"` // "shorter" side or "exact" square
	Crop          int        `json:"crop"`
	Mean          [3]float32 `json:"mean"`
	Std           [3]float32 `json:"std"`
	Interpolation string     `json:"interpolation"`
	From          string     `json:"from"` // what decided it
}

// NewPreprocess describes a transform.
func NewPreprocess(p imaging.Preprocess, from string) Preprocess {
	mode := "shorter"
	if p.ResizeMode == imaging.ResizeExact {
		mode = "exact"
	}
	return Preprocess{p.Resize, mode, p.Crop, p.Mean, p.Std, p.Interpolation.String(), from}
}

// String tells the transform in a line.
func (p Preprocess) String() string {
	return fmt.Sprintf("resize %d (%s, %s), crop %d, mean %v, std %v; from %s", p.Resize, p.ResizeMode, p.Interpolation, p.Crop, p.Mean, p.Std, p.From)
}

// InspectionFormats are the formats of [WriteInspection].
var InspectionFormats = []Format{Table, JSON, CSV, DOT, Text}

// WriteInspection writes the network.
func WriteInspection(w io.Writer, f Format, in Inspection) error {
	switch f {
	case JSON:
		return writeJSON(w, in)
	case CSV:
		return writeCSV(w, layersCSV(in))
	case Text:
		_, err := io.WriteString(w, in.Graph.Text())
		return err
	case DOT:
		_, err := io.WriteString(w, dot(in.Graph))
		return err
	}
	return writeInspectionTable(w, in)
}

func layersCSV(in Inspection) [][]string {
	rows := [][]string{{"layer", "op", "output", "params", "macs", "flops", "param_bytes", "output_bytes"}}
	row := func(name, op, output string, counts ...int64) {
		cells := []string{name, op, output}
		for _, n := range counts {
			cells = append(cells, strconv.FormatInt(n, 10))
		}
		rows = append(rows, cells)
	}
	for _, l := range in.Layers {
		row(l.Name, l.Op, dims(l.Output), l.Params, l.MACs, l.FLOPs, l.ParamBytes, l.OutputBytes)
	}
	t := in.Totals
	row("(total)", "", "", t.Params, t.MACs, t.FLOPs, t.ParamBytes, t.OutputBytes)
	return rows
}

func writeInspectionTable(w io.Writer, in Inspection) error {
	rows := [][]string{{"LAYER", "OP", "OUTPUT", ">PARAMETERS", ">MACS", ">MEMORY"}}
	for _, l := range in.Layers {
		rows = append(rows, []string{l.Name, l.Op, dims(l.Output), grouped(l.Params), grouped(l.MACs), bytes(l.MemoryBytes())})
	}
	t := in.Totals
	rows = append(rows, []string{"total", fmt.Sprintf("%d layers", t.Layers), "", grouped(t.Params), grouped(t.MACs), bytes(t.MemoryBytes())})
	if err := writeTable(w, rows); err != nil {
		return err
	}
	weights := in.Weights
	if weights == "" {
		weights = "none"
	}
	_, err := fmt.Fprintf(w, `
model        %s
architecture %s
weights      %s
input        %s
compute      %s MACs, %s other operations
memory       %s of parameters, %s of activations at the peak
preprocess   %s
labels       %d; from %s
`, Printable(in.Model), in.Architecture, Printable(weights), dims(in.Input), grouped(t.MACs), grouped(t.FLOPs-2*t.MACs),
		bytes(t.ParamBytes), bytes(t.PeakBytes), in.Preprocess, len(in.Labels), Printable(in.LabelsFrom))
	return err
}

// dot draws the graph for Graphviz: a box a node, an edge an activation with its shape.
func dot(g *graph.Graph) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  node [shape=box, fontname=\"sans-serif\"];\n", g.Name)
	for _, v := range g.Inputs {
		fmt.Fprintf(&b, "  %q [shape=ellipse];\n", v.Name)
	}
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "  %q [label=\"%s\\n%s\"];\n", n.Name, n.Name, graph.OpText(n.Op))
		for _, v := range n.Inputs {
			if v.Kind != graph.ParamValue {
				fmt.Fprintf(&b, "  %q -> %q [label=%q];\n", v.Name, n.Name, v.Type.Shape)
			}
		}
	}
	for i, v := range g.Outputs {
		end := fmt.Sprintf("output %d", i) // a space, so that no value has this name
		fmt.Fprintf(&b, "  %q [shape=ellipse];\n  %q -> %q [label=%q];\n", end, v.Name, end, v.Type.Shape)
	}
	b.WriteString("}\n")
	return b.String()
}
