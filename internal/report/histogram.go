package report

import (
	"fmt"
	"math"
	"strings"
)

// histogram counts the cases of a device by their error as a part of its bound.
type histogram struct {
	Device        string
	Bars          []bar
	Width, Height float64
	Axis          float64 // the line on which the bars stand
	most          int
}

// bar is one range, drawn at X from Y down.
type bar struct {
	Label, Title    string
	N               int
	Class           string
	X, Y, W, H, Mid float64
	TextY, LabelY   float64
}

// The geometry of a chart, in units of its view box.
const (
	chartWidth, chartHeight = 420.0, 180.0
	chartTop, chartBottom   = 18.0, 24.0
	barGap                  = 3.0
)

// histogramEdges are the upper ends of the ranges, about half a power of ten apart, after the range of exactly 0.
var histogramEdges = []float64{1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1}

// newHistogram counts. The first range is an error of 0, the last more than the bound.
func newHistogram(d *DeviceConformance) histogram {
	h := histogram{Device: d.Name(), Width: chartWidth, Height: chartHeight, Axis: chartHeight - chartBottom + 0.5}
	h.Bars = append(h.Bars, bar{Label: "0", Title: "no error at all", Class: "zero"})
	from := 0.0
	for _, to := range histogramEdges {
		h.Bars = append(h.Bars, bar{Label: edgeLabel(to), Title: fmt.Sprintf("error from %s to %s of its bound", num(from), num(to)), Class: "in"})
		from = to
	}
	h.Bars = append(h.Bars, bar{Label: ">1", Title: "error beyond its bound", Class: "out"})
	for _, r := range d.Results {
		if r.Worst != nil {
			h.Bars[binOf(float64(r.Worst.Fraction))].N++
		}
	}
	for i := range h.Bars {
		h.most = max(h.most, h.Bars[i].N)
	}
	return h
}

func edgeLabel(x float64) string {
	if x < 0.01 {
		return strings.Replace(fmt.Sprintf("%.0e", x), "e-0", "e-", 1)
	}
	return num(x)
}

// binOf is the place of a fraction among the bars; NaN is beyond every bound.
func binOf(f float64) int {
	if f == 0 {
		return 0
	}
	for i, to := range histogramEdges {
		if f <= to {
			return i + 1
		}
	}
	return len(histogramEdges) + 1
}

// scale places the bars of all charts by one measure, so that they can be compared.
func scale(all []histogram) {
	most := 1
	for _, h := range all {
		most = max(most, h.most)
	}
	for _, h := range all {
		w := (chartWidth - barGap*float64(len(h.Bars)-1)) / float64(len(h.Bars))
		for i := range h.Bars {
			b := &h.Bars[i]
			b.W, b.X = round1(w), round1(float64(i)*(w+barGap))
			b.H = round1((chartHeight - chartTop - chartBottom) * float64(b.N) / float64(most))
			if b.N > 0 {
				b.H = math.Max(b.H, 2) // one case in thousands is to be seen
			}
			b.Y = round1(chartHeight - chartBottom - b.H)
			b.Mid, b.TextY, b.LabelY = round1(b.X+w/2), b.Y-5, chartHeight-8
		}
	}
}

func round1(x float64) float64 { return math.Round(10*x) / 10 }
