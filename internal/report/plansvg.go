package report

import (
	"fmt"
	"html"
	"strings"

	"github.com/resnet-run/resnet-run/backend/schedule"
)

// The sizes of the picture, in pixels.
const (
	svgWidth  = 960
	svgLabel  = 150 // column of the devices' names
	svgLane   = 46  // height of a device's row
	svgBar    = 26
	svgHead   = 54
	svgMargin = 10
)

// svgColours are for devices, in turn; they can be told apart without seeing red and green.
var svgColours = []string{"#4477aa", "#ee6677", "#ccbb44", "#228833", "#66ccee", "#aa3377"}

// interval is one thing on the time axis.
type interval struct {
	device     int
	from, to   int64 // ns
	isTransfer bool
	title      string
}

// planSVG draws who works when, for the first chunk of each route: a row a device, a block a part, as wide as its estimate, with the
// transfers before and after it.
func planSVG(p *schedule.Plan) string {
	bars, links, end := timeline(p)
	scale := float64(svgWidth-svgLabel-2*svgMargin) / float64(max(end, 1))
	x := func(ns int64) float64 { return svgLabel + svgMargin + float64(float64(ns)*scale) } // rounded twice, so that all machines draw alike
	y := func(device int) int { return svgHead + device*svgLane }
	height := svgHead + len(p.Devices)*svgLane + svgMargin
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n", svgWidth, height)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", svgWidth, height)
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"22\" font-size=\"15\">%s, batch %d, split by %v: %s a run by estimate</text>\n", svgMargin, html.EscapeString(p.Graph), p.Batch, p.Split, duration(p.Nanos))
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"42\" fill=\"#555555\">one chunk: 0 to %s; pale blocks are copies to and from the host</text>\n", svgMargin, duration(end))
	for d, device := range p.Devices {
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\">%s</text>\n", svgMargin, y(d)+svgBar/2+5, html.EscapeString(device.Name))
		fmt.Fprintf(&b, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"#dddddd\"/>\n", svgMargin, y(d)+svgLane-8, svgWidth-svgMargin, y(d)+svgLane-8)
	}
	for _, l := range links {
		fmt.Fprintf(&b, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#999999\" stroke-width=\"0.8\"/>\n", x(l.at), y(l.from)+svgBar/2, x(l.at), y(l.to)+svgBar/2)
	}
	for _, r := range bars {
		opacity := 1.0
		if r.isTransfer {
			opacity = 0.35
		}
		fmt.Fprintf(&b, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\" opacity=\"%.2f\"><title>%s</title></rect>\n",
			x(r.from), y(r.device), max(0.6, float64(r.to-r.from)*scale), svgBar, svgColours[r.device%len(svgColours)], opacity, html.EscapeString(r.title))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// link is where the work goes from one device to another.
type link struct {
	at       int64
	from, to int
}

// timeline lays the first chunk of each route out in time, each route by itself.
func timeline(p *schedule.Plan) (bars []interval, links []link, end int64) {
	number := map[string]int{}
	for i, d := range p.Devices {
		number[d.Name] = i
	}
	for _, r := range p.Routes {
		var now int64
		for i, part := range r.Parts {
			d := number[part.Device]
			add := func(ns int64, isTransfer bool, title string) {
				bars = append(bars, interval{d, now, now + ns, isTransfer, title})
				now += ns
			}
			if i > 0 {
				links = append(links, link{now, number[r.Parts[i-1].Device], d})
			}
			for _, t := range part.In {
				add(t.Nanos, true, fmt.Sprintf("%s from the host: %s, %s", t.Value, bytes(t.Bytes), duration(t.Nanos)))
			}
			add(part.Nanos, false, fmt.Sprintf("%s: %d nodes, %s to %s, %s", part.Device, len(part.Nodes), part.Nodes[0], part.Nodes[len(part.Nodes)-1], duration(part.Nanos)))
			for _, t := range part.Out {
				add(t.Nanos, true, fmt.Sprintf("%s to the host: %s, %s", t.Value, bytes(t.Bytes), duration(t.Nanos)))
			}
		}
		end = max(end, now)
	}
	return bars, links, end
}
