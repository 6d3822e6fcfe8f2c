package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/internal/compare"
)

// Comparison is one network on two devices, layer by layer.
type Comparison struct {
	Version Version           `json:"version"`
	Model   string            `json:"model"`
	Input   string            `json:"input"`  // the picture, or random:SEED
	Passes  []string          `json:"passes"` // that the graph went through
	Agree   bool              `json:"agree"`  // no node of either leaves its bound
	Verdict string            `json:"verdict"`
	Sides   [2]ComparisonSide `json:"sides"`
	Nodes   []ComparedNode    `json:"nodes"`
}

// ComparisonSide is one of the two devices.
type ComparisonSide struct {
	Target string           `json:"target"` // what chose it
	Device Facts            `json:"device"`
	Fault  *ComparisonFault `json:"fault"` // the first wrong node, null when there is none
	// PlainDrift is the distance of the outputs from float64, relative, in the L2 norm, when nothing else is exposed.
	PlainDrift Number `json:"plain_drift"`
	Parts      int    `json:"parts"`  // runs that were needed to see every value
	Probes     int    `json:"probes"` // runs of the bisection
}

// ComparisonFault is the first wrong node of a side.
type ComparisonFault struct {
	Index     int    `json:"index"`
	Node      string `json:"node"`
	Op        string `json:"op"`
	Hidden    bool   `json:"hidden"`    // it is right when every value is exposed; found by bisection
	Confirmed bool   `json:"confirmed"` // its error leaves its bound in a run that exposes its inputs and itself
	Worst     Worst  `json:"worst"`
	Drift     Number `json:"drift"`
}

// ComparedNode is a node on both sides.
type ComparedNode struct {
	Node  string           `json:"node"`
	Op    string           `json:"op"`
	Shape []int            `json:"shape"`
	Sides [2]ComparedValue `json:"sides"`
	// The two sides against each other: the greatest difference, its place, in ULP, and relative in the L2 norm.
	Max   Number `json:"max_difference"`
	Place []int  `json:"place"`
	ULP   Number `json:"ulp"`
	L2    Number `json:"l2_difference"`
}

// ComparedValue is a node's result on one side.
type ComparedValue struct {
	OK    bool   `json:"ok"` // within its bound
	Worst Worst  `json:"worst"`
	Drift Number `json:"drift"` // relative L2 distance from the float64 run of the network
}

// NewComparison makes a result fit for reports. targets are what chose the two devices.
func NewComparison(r *compare.Result, targets [2]string) Comparison {
	c := Comparison{Agree: true, Nodes: []ComparedNode{}}
	for _, n := range r.Nodes {
		v := ComparedNode{Node: n.Name, Op: n.Op, Shape: n.Shape.Dims(), Max: Number(n.Max), Place: n.Place, ULP: Number(n.ULP), L2: Number(n.L2)}
		for s, side := range n.Sides {
			v.Sides[s] = ComparedValue{side.OK(), newWorst(side.Finding), Number(side.Drift)}
		}
		c.Nodes = append(c.Nodes, v)
	}
	var verdicts []string
	for s, side := range r.Sides {
		c.Sides[s] = ComparisonSide{Target: targets[s], Device: Facts{side.Info}, PlainDrift: Number(side.PlainDrift), Parts: side.Parts, Probes: side.Probes}
		if f := side.Fault; f != nil {
			n := r.Nodes[f.Node]
			c.Agree = false
			c.Sides[s].Fault = &ComparisonFault{f.Node, n.Name, n.Op, f.Hidden, f.Confirmed, newWorst(f.Finding), Number(f.Drift)}
			verdicts = append(verdicts, fmt.Sprintf("%s: %s", targets[s], c.Sides[s].Fault.text(len(r.Nodes))))
		}
	}
	if c.Verdict = strings.Join(verdicts, "; "); c.Agree {
		c.Verdict = fmt.Sprintf("all %d nodes are within their bounds on both", len(r.Nodes))
	}
	return c
}

func (f *ComparisonFault) text(nodes int) string {
	place := fmt.Sprintf("node %q (%s), %d of %d", f.Node, f.Op, f.Index+1, nodes)
	switch {
	case !f.Hidden:
		return fmt.Sprintf("%s, is the first that leaves its bound: error is %s of it at %v, %s ULP, %d of %d elements, %s",
			place, num(f.Worst.Fraction), f.Worst.Place, num(f.Worst.ULP), f.Worst.Failed, f.Worst.Elements, f.Worst.Pattern)
	case f.Confirmed:
		return fmt.Sprintf("%s, is the first that leaves its bound, but only when few values are exposed (found by bisection): error is %s of it at %v, %s ULP, %d of %d elements, %s",
			place, num(f.Worst.Fraction), f.Worst.Place, num(f.Worst.ULP), f.Worst.Failed, f.Worst.Elements, f.Worst.Pattern)
	}
	return place + ", is the first after which values are wrong (found by bisection), but it is within its bound when its own inputs are exposed"
}

// ComparisonFormats are the formats of [WriteComparison].
var ComparisonFormats = []Format{Table, JSON, CSV, HTML, SVG}

// WriteComparison writes the outcome.
func WriteComparison(w io.Writer, f Format, c Comparison) error {
	switch f {
	case JSON:
		return writeJSON(w, c)
	case CSV:
		return writeComparisonCSV(w, c)
	case HTML:
		return writeComparisonHTML(w, c)
	case SVG:
		return writeComparisonSVG(w, c)
	}
	return writeComparisonTable(w, c)
}

func writeComparisonTable(w io.Writer, c Comparison) error {
	rows := [][]string{{"NODE", "OP", "SHAPE", ">A OF BOUND", ">A ULP", ">A DRIFT", ">B OF BOUND", ">B ULP", ">B DRIFT", ">A-B L2", ">A-B MAX", "AT", ""}}
	for i, n := range c.Nodes {
		row := []string{n.Node, n.Op, dims(n.Shape)}
		for _, v := range n.Sides {
			row = append(row, num(v.Worst.Fraction), num(v.Worst.ULP), num(v.Drift))
		}
		rows = append(rows, append(row, num(n.L2), num(n.Max), fmt.Sprint(n.Place), c.mark(i)))
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(`
OF BOUND: the error of the node as a part of its bound, given its own inputs; above 1 is wrong. ULP: that error in units of
the last place. DRIFT: distance from the float64 run of the whole network, relative, L2 norm: what all nodes before add up to.

`)
	fmt.Fprintf(&b, "model     %s\ninput     %s\n", Printable(c.Model), Printable(c.Input))
	for s, side := range c.Sides {
		d := side.Device
		fmt.Fprintf(&b, "%c         %s: %s (%v, %s)\n", 'A'+s, Printable(side.Target), Printable(d.Name), d.Type, Printable(d.Driver))
		fmt.Fprintf(&b, "          outputs of the plain run: drift %s", num(side.PlainDrift))
		if side.Parts > 1 {
			fmt.Fprintf(&b, "; values seen in %d runs", side.Parts)
		}
		if side.Probes > 0 {
			fmt.Fprintf(&b, "; %d runs of the bisection", side.Probes)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "verdict   %s\n", Printable(c.Verdict))
	_, err := io.WriteString(w, b.String())
	return err
}

// mark says of a row whether it is where a side goes wrong first.
func (c Comparison) mark(i int) string {
	var at []string
	for s, side := range c.Sides {
		if f := side.Fault; f != nil && f.Index == i {
			at = append(at, string(rune('A'+s)))
		}
	}
	if at == nil {
		return ""
	}
	return "<- first wrong on " + strings.Join(at, " and ")
}

func writeComparisonCSV(w io.Writer, c Comparison) error {
	rows := [][]string{{"index", "node", "op", "shape", "side", "device", "ok", "fraction", "ulp", "place", "got", "want", "bound", "failed", "elements", "pattern", "drift", "max_difference", "l2_difference", "first_wrong"}}
	float := func(n Number) string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }
	for i, n := range c.Nodes {
		for s, v := range n.Sides {
			f := c.Sides[s].Fault
			rows = append(rows, []string{strconv.Itoa(i), n.Node, n.Op, dims(n.Shape), string(rune('A' + s)), c.Sides[s].Device.Name, strconv.FormatBool(v.OK),
				float(v.Worst.Fraction), float(v.Worst.ULP), dims(v.Worst.Place), float(v.Worst.Got), float(v.Worst.Want), float(v.Worst.Bound),
				strconv.Itoa(v.Worst.Failed), strconv.Itoa(v.Worst.Elements), v.Worst.Pattern, float(v.Drift), float(n.Max), float(n.L2), strconv.FormatBool(f != nil && f.Index == i)})
		}
	}
	return writeCSV(w, rows)
}
