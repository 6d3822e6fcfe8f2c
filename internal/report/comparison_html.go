package report

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

// comparisonPage is what the template shows.
type comparisonPage struct {
	Comparison
	State  state
	Charts []chart
}

// chart is a picture of numbers by layer on a logarithmic scale.
type chart struct {
	ID, Title, Note string
	W, H            float64
	Left, Right     float64
	Top, Bottom     float64
	Grid            []tick
	Ticks           []tick
	LimitY          float64 // of the bound; 0 when there is none
	A, B            []point
	LineA, LineB    template.HTMLAttr
	First           []firstMark
	NameA, NameB    string
}

type tick struct {
	At    float64
	Label string
}

type point struct {
	X, Y  float64
	Title string
	Out   bool
}

type firstMark struct {
	X, LabelX, LabelY float64
	Anchor, Text      string
}

func writeComparisonHTML(w io.Writer, c Comparison) error {
	p := comparisonPage{Comparison: c, State: state{"good", "✓", ""}, Charts: charts(c)}
	if !c.Agree {
		p.State = state{"bad", "✗", ""}
	}
	if err := pages.ExecuteTemplate(w, "comparison.html", p); err != nil {
		return fmt.Errorf("write HTML comparison: %w", err)
	}
	return nil
}

// writeComparisonSVG writes the first chart.
func writeComparisonSVG(w io.Writer, c Comparison) error {
	if err := pages.ExecuteTemplate(w, "picture", charts(c)[0]); err != nil {
		return fmt.Errorf("write SVG: %w", err)
	}
	return nil
}

func charts(c Comparison) []chart {
	fraction := newChart(c, "bound", "Error by layer, as a part of its bound",
		"Each node is judged for the inputs that its own device gave it, so an error stands where it is made. Above the dashed line a node is wrong.", true,
		func(v ComparedValue) Number { return v.Worst.Fraction })
	drift := newChart(c, "drift", "Drift by layer",
		"Distance from the float64 run of the whole network, relative, in the L2 norm: what all layers before have added up to.", false,
		func(v ComparedValue) Number { return v.Drift })
	return []chart{fraction, drift}
}

// span is the range of a logarithmic axis in powers of ten.
type span struct{ lo, hi float64 }

// place is where a value lies between 0 (the top) and 1 (the bottom); zero and what is below the range lie at the bottom,
// infinity and NaN at the top.
func (s span) place(v float64) float64 {
	switch {
	case v == 0:
		return 1
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0
	}
	return math.Max(0, math.Min(1, (s.hi-math.Log10(v))/(s.hi-s.lo)))
}

// The powers of ten that charts show at most: what is beyond lies at the edge, and its title has the number.
const lowestPower, highestPower = -9, 6

// spanOf is a range that has all values and at least three powers of ten; the lowest is for zeros.
func spanOf(values []float64) span {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			e := math.Max(lowestPower, math.Min(highestPower, math.Log10(v)))
			lo, hi = math.Min(lo, e), math.Max(hi, e)
		}
	}
	if lo > hi {
		lo, hi = -3, 0
	}
	lo = math.Floor(lo)
	return span{lo - 1, math.Max(math.Ceil(hi), lo+3)}
}

func newChart(c Comparison, id, title, note string, bounded bool, of func(ComparedValue) Number) chart {
	h := chart{ID: id, Title: title, Note: note, W: 1100, H: 320, Left: 64, Right: 1088, Top: 38, Bottom: 288, NameA: c.Sides[0].Target, NameB: c.Sides[1].Target}
	var values []float64
	for _, n := range c.Nodes {
		for _, v := range n.Sides {
			values = append(values, float64(of(v)))
		}
	}
	if bounded {
		values = append(values, 1, 10)
	}
	s := spanOf(values)
	y := func(v float64) float64 { return round1(h.Top + (h.Bottom-h.Top)*s.place(v)) }
	x := func(i int) float64 {
		return round1(h.Left + (h.Right-h.Left)*(float64(i)+0.5)/float64(max(1, len(c.Nodes))))
	}
	h.axes(s, y, x, len(c.Nodes))
	if bounded {
		h.LimitY = y(1)
	}
	lines := [2]*strings.Builder{{}, {}}
	for i, n := range c.Nodes {
		for side, v := range n.Sides {
			f := float64(of(v))
			p := point{x(i), y(f), fmt.Sprintf("%d %s (%s), %c: %s", i+1, n.Node, n.Op, 'A'+side, num(f)), bounded && !v.OK}
			if side == 0 {
				h.A = append(h.A, p)
			} else {
				h.B = append(h.B, p)
			}
			fmt.Fprintf(lines[side], "%g,%g ", p.X, p.Y)
		}
	}
	if !bounded { // numbers only
		h.LineA, h.LineB = template.HTMLAttr(`points="`+lines[0].String()+`"`), template.HTMLAttr(`points="`+lines[1].String()+`"`)
	}
	for side := range c.Sides {
		if f := c.Sides[side].Fault; f != nil {
			m := firstMark{X: x(f.Index), Anchor: "start", Text: fmt.Sprintf("%c: %s", 'A'+side, f.Node), LabelX: x(f.Index) + 8, LabelY: 14 + 15*float64(side)}
			if m.X > h.W*0.7 {
				m.Anchor, m.LabelX = "end", m.X-8
			}
			h.First = append(h.First, m)
		}
	}
	return h
}

// axes makes at most eight lines across and some twenty numbers below.
func (h *chart) axes(s span, y func(float64) float64, x func(int) float64, nodes int) {
	step := math.Max(1, math.Ceil((s.hi-s.lo)/8))
	for e := s.hi; e > s.lo; e -= step {
		h.Grid = append(h.Grid, tick{y(math.Pow(10, e)), powerLabel(int(e))})
	}
	h.Grid = append(h.Grid, tick{h.Bottom, "0"})
	every := max(1, (nodes+19)/20)
	for i := 0; i < nodes; i += every {
		h.Ticks = append(h.Ticks, tick{x(i), fmt.Sprint(i + 1)})
	}
}

func powerLabel(e int) string {
	if e >= -2 && e <= 2 {
		return num(math.Pow(10, float64(e)))
	}
	return fmt.Sprintf("1e%d", e)
}

// Box is the view box.
func (h chart) Box() string { return fmt.Sprintf("0 0 %g %g", h.W, h.H) }

// PictureBox is the view box with room for a heading.
func (h chart) PictureBox() string { return fmt.Sprintf("0 -44 %g %g", h.W, h.H+44) }

// TickY is where the numbers of the layers stand.
func (h chart) TickY() float64 { return h.Bottom + 18 }

// Mark says of a row whether a side goes wrong there first.
func (p comparisonPage) Mark(i int) string { return strings.TrimPrefix(p.mark(i), "<- ") }

// Bad tells that the node is out of its bound on a side.
func (n ComparedNode) Bad() bool { return !n.Sides[0].OK || !n.Sides[1].OK }

// Dims is the shape for people.
func (n ComparedNode) Dims() string { return dims(n.Shape) }
