package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/resnet-run/resnet-run/backend/schedule"
)

// PlanFormats are the formats of [WritePlan].
var PlanFormats = []Format{Table, JSON, DOT, SVG}

// WritePlan writes which device runs which part of a network.
func WritePlan(w io.Writer, f Format, p *schedule.Plan) error {
	switch f {
	case JSON:
		return writeJSON(w, p)
	case DOT:
		_, err := io.WriteString(w, planDOT(p))
		return err
	case SVG:
		_, err := io.WriteString(w, planSVG(p))
		return err
	}
	return writePlanTable(w, p)
}

func writePlanTable(w io.Writer, p *schedule.Plan) error {
	rows := [][]string{{"SAMPLES", ">PART", "DEVICE", ">NODES", "FIRST", "LAST", ">GFLOP", ">IN", ">OUT", ">TIME"}}
	for _, r := range p.Routes {
		for i, part := range r.Parts {
			rows = append(rows, []string{
				samples(r), fmt.Sprint(i + 1), part.Device, fmt.Sprint(len(part.Nodes)), part.Nodes[0], part.Nodes[len(part.Nodes)-1],
				giga(part.FLOPs), bytes(schedule.Bytes(part.In)), bytes(schedule.Bytes(part.Out)), duration(part.Nanos),
			})
		}
	}
	if err := writeTable(w, rows); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\ngraph     %s, batch %d, split by %v\n", Printable(p.Graph), p.Batch, p.Split)
	fmt.Fprintf(&b, "estimate  %s a run, copies included; %s\n", duration(p.Nanos), claim(p))
	for _, d := range p.Devices {
		role := "chosen"
		if !d.Chosen {
			role = "fallback"
		}
		fmt.Fprintf(&b, "device    %s, %s: %s", Printable(d.Name), role, Printable(d.Device))
		if d.Refused > 0 {
			fmt.Fprintf(&b, "; does not support %d nodes", d.Refused)
		}
		b.WriteString("\n")
	}
	for _, list := range []struct {
		name  string
		nodes []string
	}{{"fallback", p.Fallback}, {"unused", p.Unused}} {
		if len(list.nodes) > 0 {
			fmt.Fprintf(&b, "%-9s %s\n", list.name, Printable(strings.Join(list.nodes, " ")))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// samples tells the share of a route, and its chunks where there are several.
func samples(r schedule.Route) string {
	s := fmt.Sprintf("%d-%d", r.First, r.First+r.Batch-1)
	if r.Batch == 1 {
		s = fmt.Sprint(r.First)
	}
	if r.Chunk < r.Batch {
		s += fmt.Sprintf(", by %d", r.Chunk)
	}
	return s
}

func claim(p *schedule.Plan) string {
	var s []string
	if p.Optimal {
		s = append(s, "no allowed placement is estimated faster")
	} else {
		s = append(s, "a faster placement may exist")
	}
	if p.Split == schedule.ByBatch && p.Measured {
		s = append(s, "shares by measured speed")
	} else if p.Split == schedule.ByBatch {
		s = append(s, "shares by estimate, until speeds are measured")
	}
	return strings.Join(s, "; ")
}

// duration writes nanoseconds with three digits.
func duration(ns int64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if v := float64(ns) / u.size; v >= 1 {
			return fmt.Sprintf("%.3g %s", v, u.name)
		}
	}
	return fmt.Sprintf("%d ns", ns)
}

// planDOT draws the parts for Graphviz: a box a part, in a frame for each device, and an edge for each tensor that moves.
func planDOT(p *schedule.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  node [shape=box, fontname=\"sans-serif\"];\n", p.Graph)
	for d, device := range p.Devices {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%q;\n", d, device.Name)
		for r, route := range p.Routes {
			for i, part := range route.Parts {
				if part.Device == device.Name {
					fmt.Fprintf(&b, "    p%d_%d [label=\"%d nodes\\n%s … %s\\n%s\"];\n", r, i, len(part.Nodes), part.Nodes[0], part.Nodes[len(part.Nodes)-1], duration(part.Nanos))
				}
			}
		}
		b.WriteString("  }\n")
	}
	for r, route := range p.Routes {
		maker := makers(route)
		for i, part := range route.Parts {
			if i > 0 {
				fmt.Fprintf(&b, "  p%d_%d -> p%d_%d [style=dotted];\n", r, i-1, r, i)
			}
			for _, t := range part.In {
				from, ok := maker[t.Value]
				source := fmt.Sprintf("p%d_%d", r, from)
				if !ok {
					source = fmt.Sprintf("%q", t.Value)
				}
				fmt.Fprintf(&b, "  %s -> p%d_%d [label=\"%s\\n%s\"];\n", source, r, i, t.Value, bytes(t.Bytes))
			}
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// makers tells which part of a route makes a value that goes to the host.
func makers(r schedule.Route) map[string]int {
	m := map[string]int{}
	for i, p := range r.Parts {
		for _, t := range p.Out {
			m[t.Value] = i
		}
	}
	return m
}
