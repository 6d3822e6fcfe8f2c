package profile

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
)

// network has a convolution, one like it, a pool and a linear layer.
func network(t *testing.T) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("net")
	x := b.Input("x", graph.F32(2, 8, 10, 12))
	conv := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1}
	w := b.Param("w", graph.F32(8, 8, 3, 3), nil)
	x = b.Node("a", conv, x, w)
	x = b.Node("b.2", conv, x, w)
	x = b.Node("pool", graph.GlobalAvgPool{}, x)
	x = b.Node("flat", graph.Flatten{}, x)
	b.Output(b.Node("fc", graph.Linear{}, x, b.Param("fw", graph.F32(5, 8), nil)))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// steps are those of a run whose convolutions take a multiple of f, in two parts with a copy between.
func steps(f float64) []backend.NodeTime {
	return []backend.NodeTime{
		{Node: "a", Kernel: "wide", Seconds: 1 * f, Reason: "it is the widest"}, {Node: "b.2", Kernel: "pack", Seconds: 1.5 * f},
		{Kernel: "copy", Seconds: 0.25},
		{Node: "a", Kernel: "narrow", Seconds: 0.5 * f, Reason: "a second"}, {Node: "b.2", Kernel: "wide", Seconds: 0.5 * f, Reason: "as before"}, {Node: "pool", Kernel: "p", Seconds: 0.125}, {Node: "fc", Kernel: "l", Seconds: 0},
	}
}

func TestProfileAddsUp(t *testing.T) {
	g := network(t)
	peaks := Peaks{FLOPsPerSecond: 1e6, BytesPerSecond: 1e5}
	p, err := New(g, [][]backend.NodeTime{steps(1), steps(100), steps(2)}, peaks) // median: twice
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Nodes) != 5 || len(p.Steps) != 7 || p.Seconds != 7+0.25+0.125 {
		t.Fatalf("got %d nodes, %d steps, %g s: %+v", len(p.Nodes), len(p.Steps), p.Seconds, p.Nodes)
	}
	if b := p.Nodes[1]; b.Kernel != "pack, wide" || b.Reason != "as before" {
		t.Errorf("got %+v, want the reason of the step that has one", b)
	}
	a, copied, pool, fc := p.Nodes[0], p.Nodes[2], p.Nodes[3], p.Nodes[4]
	c := g.Nodes[0].Cost()
	if a.Name != "a" || a.Kernel != "wide, narrow" || a.Reason != "it is the widest" || a.Steps != 2 || a.Seconds != 3 || a.Kind != "conv 3x3" || a.FLOPs != c.FLOPs || a.Bytes != c.ReadBytes+c.WriteBytes {
		t.Errorf("got %+v", a)
	}
	for what, pair := range map[string][2]float64{
		"FLOP/s": {a.FLOPsPerSecond, float64(c.FLOPs) / 3}, "B/s": {a.BytesPerSecond, float64(a.Bytes) / 3}, "intensity": {a.Intensity, float64(a.FLOPs) / float64(a.Bytes)},
		"share": {a.Share, 3 / 7.375}, "of the compute roof": {a.RoofShare, float64(a.FLOPs) / 1e6 / 3}, "of the memory roof": {pool.RoofShare, float64(pool.Bytes) / 1e5 / 0.125},
		"ridge": {peaks.Ridge(), 10},
	} {
		if !(math.Abs(pair[0]-pair[1]) <= 1e-12*pair[1]) {
			t.Errorf("%s: got %g, want %g", what, pair[0], pair[1])
		}
	}
	if a.Roof != Compute || pool.Roof != Memory || pool.Kind != "pool" {
		t.Errorf("roofs: %s of a at %g FLOP/B, %s of pool at %g, ridge at 10", a.Roof, a.Intensity, pool.Roof, pool.Intensity)
	}
	if copied.Kernel != "copy" || copied.Name != "" || copied.Roof != "" || copied.FLOPs != 0 {
		t.Errorf("got %+v", copied)
	}
	if fc.Kind != "linear" || fc.FLOPsPerSecond != 0 || fc.RoofShare != 0 {
		t.Errorf("a node that took no time: got %+v", fc)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Error(err)
	}
}

func TestProfileRefusesRunsThatDiffer(t *testing.T) {
	g := network(t)
	other, negative := steps(1), steps(1)
	other[1].Kernel = "else"
	negative[2].Seconds = math.NaN()
	for name, runs := range map[string][][]backend.NodeTime{"none": nil, "other kernel": {steps(1), other}, "fewer": {steps(1), steps(1)[:2]}, "NaN": {steps(1), negative}} {
		if _, err := New(g, runs, Peaks{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p, err := New(g, [][]backend.NodeTime{{}}, Peaks{})
	if err != nil || p.Seconds != 0 {
		t.Errorf("a run of no steps: %v", err)
	}
	if err := WriteSVG(io.Discard, p, Heading{}); err != nil {
		t.Error(err)
	}
}

// TestTraceHasTheFieldsOfItsFormat decodes strictly what the Trace Event Format documents.
func TestTraceHasTheFieldsOfItsFormat(t *testing.T) {
	p, err := New(network(t), [][]backend.NodeTime{steps(1)}, Peaks{FLOPsPerSecond: 1e6, BytesPerSecond: 1e5})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(NewTrace(p, "device", "net", map[string]string{"about": "it"}))
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Name *string        `json:"name"`
			Cat  *string        `json:"cat"`
			Ph   *string        `json:"ph"`
			Ts   *float64       `json:"ts"`
			Dur  *float64       `json:"dur"`
			Pid  *int           `json:"pid"`
			Tid  *int           `json:"tid"`
			Args map[string]any `json:"args"`
		} `json:"traceEvents"`
		DisplayTimeUnit string            `json:"displayTimeUnit"`
		OtherData       map[string]string `json:"otherData"`
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&trace); err != nil {
		t.Fatal(err)
	}
	if trace.DisplayTimeUnit != "ms" || trace.OtherData["about"] != "it" {
		t.Errorf("got %q, %v", trace.DisplayTimeUnit, trace.OtherData)
	}
	count, end := map[string]int{}, 0.0
	for i, e := range trace.TraceEvents {
		if e.Name == nil || e.Ph == nil || e.Ts == nil || e.Pid == nil || e.Tid == nil {
			t.Fatalf("event %d lacks a field: %s", i, text)
		}
		count[*e.Ph]++
		switch *e.Ph {
		case "X":
			if e.Dur == nil || e.Cat == nil || *e.Name == "" || e.Args["kernel"] == nil {
				t.Errorf("event %d lacks a field", i)
			} else if !(math.Abs(*e.Ts-end) < 1e-6) {
				t.Errorf("event %d begins at %g us, the one before ended at %g", i, *e.Ts, end)
			} else {
				end = *e.Ts + *e.Dur
			}
		case "C":
			if _, ok := e.Args["GFLOP/s"].(float64); !ok {
				t.Errorf("counter %d has no number: %v", i, e.Args)
			}
		case "M":
			if *e.Name != "process_name" && *e.Name != "thread_name" || e.Args["name"] == nil {
				t.Errorf("metadata %d: %s %v", i, *e.Name, e.Args)
			}
		default:
			t.Errorf("event %d has the phase %q", i, *e.Ph)
		}
	}
	if count["X"] != 7 || count["C"] != 8 || count["M"] != 2 || !(math.Abs(end-1e6*p.Seconds) < 1e-3) {
		t.Errorf("got %v, the end at %g us", count, end)
	}
}

// picture is what matters of an SVG file.
type picture struct {
	text    []string
	circles [][3]float64
	paths   int
}

func parseSVG(t *testing.T, svg string) picture {
	t.Helper()
	var pic picture
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return pic
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch e := token.(type) {
		case xml.CharData:
			pic.text = append(pic.text, string(e))
		case xml.StartElement:
			if e.Name.Local == "path" {
				pic.paths++
			}
			var c [3]float64
			class := ""
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s: %s is %s", e.Name.Local, a.Name.Local, a.Value)
				}
				switch a.Name.Local {
				case "class":
					class = a.Value
				case "cx":
					_, _ = fmt.Sscan(a.Value, &c[0])
				case "cy":
					_, _ = fmt.Sscan(a.Value, &c[1])
				case "r":
					_, _ = fmt.Sscan(a.Value, &c[2])
				}
			}
			if e.Name.Local == "circle" && class == "dot" {
				pic.circles = append(pic.circles, c)
			}
		}
	}
}

func TestPictureShowsEveryNodeUnderItsRoof(t *testing.T) {
	run := steps(1)
	run[6].Seconds = 1e-3
	p, err := New(network(t), [][]backend.NodeTime{run}, Peaks{FLOPsPerSecond: 1e6, BytesPerSecond: 1e5})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := WriteSVG(&b, p, Heading{Title: "net & <co>", Subtitle: "device", Note: "note"}); err != nil {
		t.Fatal(err)
	}
	pic := parseSVG(t, b.String())
	if len(pic.circles) != 4 || pic.paths != 1 {
		t.Errorf("got %d dots and %d roofs, want the four nodes with FLOPs and one roof", len(pic.circles), pic.paths)
	}
	for _, c := range pic.circles {
		if c[0] < plotLeft || c[0] > plotRight || c[1] < plotTop || c[1] > plotBottom || c[2] < smallDot {
			t.Errorf("a dot outside of the plot: %v", c)
		}
	}
	all := strings.Join(pic.text, "\n")
	for _, want := range []string{"net & <co>", "device", "note", "b.2", "memory 0.0001 GB/s", "arithmetic 0.001 GFLOP/s", "it is the widest", "conv 3x3 64.4 %", "other 5.3 %", "limited by compute"} {
		if want == "conv 3x3 64.4 %" { // what the numbers are is told by the profile
			want = "conv 3x3 " + percent(p.Nodes[0].Share+p.Nodes[1].Share)
		} else if want == "other 5.3 %" {
			want = "other " + percent(p.Nodes[2].Share)
		}
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in the picture: %s", want, all)
		}
	}
	p.Peaks = Peaks{}
	b.Reset()
	if err := WriteSVG(&b, p, Heading{}); err != nil || parseSVG(t, b.String()).paths != 0 {
		t.Errorf("without peaks there must be no roof: %v", err)
	}
}

func TestLayersOfOneShapeAreOneGroup(t *testing.T) {
	conv := func(name string, seconds float64, out int) *Node {
		return &Node{Name: name, Op: "conv", Kernel: "k", Output: []int{1, out}, Seconds: seconds, Share: seconds / 10}
	}
	g := newGroups([]*Node{conv("a", 3, 8), conv("big", 4, 9), conv("b", 2, 8)})
	if len(g) != 2 || g[0].nodes[0].Name != "a" || len(g[0].nodes) != 2 || !(math.Abs(g[0].share-0.5) < 1e-12) || g[1].nodes[0].Name != "big" {
		t.Errorf("got %+v", g)
	}
}

func TestNarrowTensorsMoveFewerBytes(t *testing.T) {
	g := network(t)
	n := g.Nodes[0]
	stored := map[string]backend.Precision{n.Name: {Operands: graph.Float16, Parameters: graph.Float16, Result: graph.Float32}}
	p, err := NewMixed(g, [][]backend.NodeTime{steps(1)}, Peaks{FLOPsPerSecond: 1e6, BytesPerSecond: 1e5}, stored)
	if err != nil {
		t.Fatal(err)
	}
	c := n.Cost()
	if got, want := p.Nodes[0].Bytes, c.ReadBytes/2+c.WriteBytes; got != want {
		t.Errorf("node %q: got %d bytes, want %d", n.Name, got, want)
	}
	whole, err := New(g, [][]backend.NodeTime{steps(1)}, Peaks{FLOPsPerSecond: 1e6, BytesPerSecond: 1e5})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Nodes[1].Bytes, whole.Nodes[1].Bytes; got != want {
		t.Errorf("node %q: got %d bytes, want %d as in float32", p.Nodes[1].Name, got, want)
	}
}

// TestNodesAreHeldToTheRoofOfTheirOperands has one node of two that multiplies float16.
func TestNodesAreHeldToTheRoofOfTheirOperands(t *testing.T) {
	g := network(t)
	half := backend.Precision{Operands: graph.Float16, Parameters: graph.Float16, Result: graph.Float16}
	stored := map[string]backend.Precision{g.Nodes[0].Name: half, g.Nodes[1].Name: {Operands: graph.Float16, Parameters: graph.Float32, Result: graph.Float16}}
	const peak, least = 1e6, 2.5e5
	peaks := Peaks{FLOPsPerSecond: peak, BytesPerSecond: 1e12, Float32: least} // arithmetic limits all
	p, err := NewMixed(g, [][]backend.NodeTime{steps(1)}, peaks, stored)
	if err != nil {
		t.Fatal(err)
	}
	for i, roof := range []float64{peak, least} {
		n := p.Nodes[i]
		if want := float64(n.FLOPs) / roof / n.Seconds; n.Roof != Compute || n.FLOPs == 0 || math.Abs(n.RoofShare-want) > 1e-9*want {
			t.Errorf("node %q: got %g of the roof, want %g", n.Name, n.RoofShare, want)
		}
	}
	draw := func(p *Profile) string {
		var b strings.Builder
		if err := WriteSVG(&b, p, Heading{}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if s := draw(p); !strings.Contains(s, "float32 0.00025 GFLOP/s") {
		t.Error("the roof of float32 is not drawn")
	}
	p.Peaks.Float32 = peak
	if s := draw(p); strings.Contains(s, "float32 ") {
		t.Error("a roof of float32 is drawn that is that of all")
	}
}
