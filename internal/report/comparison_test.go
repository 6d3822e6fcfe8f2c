package report

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/compare"
)

// comparison has n nodes; node at, unless negative, is wrong on B.
func comparison(n, at int, hidden, confirmed bool) Comparison {
	r := &compare.Result{}
	for i := range n {
		v := compare.Node{Name: fmt.Sprintf("layer%d", i), Op: "conv2d", Shape: graph.NewShape(1, 2, 3, 4), Max: 1e-6, L2: 1e-7, ULP: 3, Place: []int{0, 1, 2, 3}}
		for s := range v.Sides {
			v.Sides[s] = compare.Value{Finding: conformance.Finding{Node: v.Name, Op: v.Op, Elements: 24, Place: []int{0, 1, 2, 3}, Fraction: float64(i%3) / 10, ULP: 1.5}, Drift: math.Pow(2, float64(i)) * 1e-8}
		}
		r.Nodes = append(r.Nodes, v)
	}
	for s := range r.Sides {
		r.Sides[s].Info = backend.DeviceInfo{Backend: "b", Name: "Device " + evil, Type: backend.CPU}
		r.Sides[s].Parts = 1 + s
	}
	if at >= 0 {
		f := conformance.Finding{Node: r.Nodes[at].Name, Op: "conv2d", Elements: 24, Failed: 5, Place: []int{0, 0, 1, 1}, Fraction: math.Inf(1), ULP: math.Inf(1), Got: math.NaN(), Pattern: "every 4th channel"}
		if !hidden {
			r.Nodes[at].Sides[1].Finding = f
		}
		r.Sides[1].Fault = &compare.Fault{Node: at, Hidden: hidden, Confirmed: confirmed, Finding: f, Drift: 0.5}
		r.Sides[1].Probes = 4
	}
	c := NewComparison(r, [2]string{"b:0", "b:" + evil})
	c.Model, c.Input = "model "+evil, "input "+evil
	return c
}

func writeC(t *testing.T, f Format, c Comparison) string {
	t.Helper()
	var b strings.Builder
	if err := WriteComparison(&b, f, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestComparisonVerdicts(t *testing.T) {
	for want, c := range map[string]Comparison{
		"all 5 nodes are within their bounds on both":                                          comparison(5, -1, false, false),
		`node "layer3" (conv2d), 4 of 5, is the first that leaves its bound: error is ∞ of it`: comparison(5, 3, false, true),
		"only when few values are exposed (found by bisection): error is ∞":                    comparison(5, 3, true, true),
		"is the first after which values are wrong (found by bisection)":                       comparison(5, 3, true, false),
	} {
		if !strings.Contains(c.Verdict, want) || c.Agree != strings.HasPrefix(want, "all") {
			t.Errorf("got %q, want %q", c.Verdict, want)
		}
		table := writeC(t, Table, c)
		if !strings.Contains(table, "verdict   ") || strings.Contains(table, "first wrong on B") == c.Agree || strings.Contains(table, "4 runs of the bisection") == c.Agree || !strings.Contains(table, "values seen in 2 runs") {
			t.Errorf("got table\n%s", table)
		}
	}
}

func TestComparisonPageIsSafeAndMarksTheFault(t *testing.T) {
	for _, c := range []Comparison{comparison(60, 33, false, true), comparison(60, 33, true, true), comparison(1, 0, false, true), comparison(3, -1, false, false)} {
		got := writeC(t, HTML, c)
		selfContained(t, got)
		if strings.Contains(got, "<script") || strings.Contains(got, "<img") || strings.Count(got, "first wrong on B") < 2*(len(c.Nodes)%2+1)/2 && !c.Agree || strings.Contains(got, "first wrong on") == c.Agree {
			t.Errorf("got %s", got)
		}
		if n := strings.Count(got, `class="sa"`); n != 2*len(c.Nodes) {
			t.Errorf("%d points for %d nodes", n, len(c.Nodes))
		}
		svg := writeC(t, SVG, c)
		if strings.Contains(svg, "<script") || !strings.HasPrefix(svg, "<svg xmlns=") || !strings.HasSuffix(strings.TrimSpace(svg), "</svg>") {
			t.Errorf("got %s", svg)
		}
	}
}

func TestChartsStayInTheirFrame(t *testing.T) {
	values := []float64{0, 1e-300, 1e-12, 0.5, 1, 1e30, math.Inf(1), math.NaN()}
	c := comparison(len(values), -1, false, false)
	for i, v := range values {
		c.Nodes[i].Sides[0].Worst.Fraction, c.Nodes[i].Sides[1].Drift = Number(v), Number(v)
	}
	for _, h := range charts(c) {
		for _, p := range append(append([]point{}, h.A...), h.B...) {
			if !(p.Y >= h.Top && p.Y <= h.Bottom && p.X >= h.Left && p.X <= h.Right) {
				t.Errorf("%s: %+v is out of the frame", h.ID, p)
			}
		}
		for _, g := range h.Grid {
			if !(g.At >= h.Top-0.1 && g.At <= h.Bottom) || g.Label == "" {
				t.Errorf("%s: line %+v", h.ID, g)
			}
		}
		if len(h.Grid) > 10 || len(h.Grid) < 3 {
			t.Errorf("%s: %d lines", h.ID, len(h.Grid))
		}
	}
	if h := charts(c)[0]; !(h.LimitY > h.Top && h.LimitY < h.Bottom) || h.A[0].Y != h.Bottom || h.A[6].Y != h.Top || h.A[7].Y != h.Top {
		t.Errorf("got limit %v, points %v", h.LimitY, h.A)
	}
}

func TestErrorsOfTheWriterComeBackFromReports(t *testing.T) {
	for _, f := range ComparisonFormats {
		if err := WriteComparison(&full{100}, f, comparison(3, 1, false, true)); !errors.Is(err, errFull) {
			t.Errorf("comparison, %s: got %v", f, err)
		}
	}
	for _, f := range ConformanceFormats {
		if err := WriteConformance(&full{100}, f, sample()); !errors.Is(err, errFull) {
			t.Errorf("conformance, %s: got %v", f, err)
		}
	}
	for _, f := range VerificationFormats {
		if err := WriteVerification(&full{10}, f, Verification{}); !errors.Is(err, errFull) {
			t.Errorf("verification, %s: got %v", f, err)
		}
	}
}
