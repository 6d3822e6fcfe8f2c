package profile

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The picture's measures in user units, which are pixels at its natural size.
const (
	width, height         = 1180, 660
	plotLeft, plotRight   = 76, 760
	plotTop, plotBottom   = 96, 560
	listLeft, listRight   = 796, width - 28
	barTop, barHeight     = 612, 14
	labelled              = 10 // groups that get a number and a place in the list
	smallDot, largestDots = 3.5, 15
)

// style has the colours of the two modes. The hues of the kinds keep their order in both.
const style = `
svg{--back:#ffffff;--ink:#1b1f24;--soft:#5a6470;--line:#d8dde3;--faint:#eef1f4;--roof:#1b1f24;--k0:#2563c9;--k1:#d9730d;--k2:#8a4fd0;--k3:#1f8a5b;--k4:#c2334d;--k5:#7a828c}
@media (prefers-color-scheme:dark){svg{--back:#14181d;--ink:#e8ecf1;--soft:#9aa5b1;--line:#343c46;--faint:#20262d;--roof:#e8ecf1;--k0:#6ea2f7;--k1:#f2a154;--k2:#b994f2;--k3:#5cc596;--k4:#f0808f;--k5:#9aa3ad}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink);font-size:12px}
.back{fill:var(--back)}.title{font-size:18px;font-weight:600}.soft{fill:var(--soft)}.small{font-size:11px}.num{font-variant-numeric:tabular-nums}
.grid{stroke:var(--line);stroke-width:1}.minor{stroke:var(--faint);stroke-width:1}.roof{stroke:var(--roof);stroke-width:2;fill:none}.ridge{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 4}
.dot{fill-opacity:.72;stroke:var(--back);stroke-width:1}.lead{stroke:var(--soft);stroke-width:.8}.tag{font-size:11px;font-weight:600;paint-order:stroke;stroke:var(--back);stroke-width:3px}
`

// Heading is what the picture says of itself.
type Heading struct {
	Title    string // the network and its batch
	Subtitle string // the device, its driver
	Note     string // anything else, one line
}

// WriteSVG draws the roofline of a profile: each node a dot at its intensity and its speed, as large as its share of the time,
// under the device's measured roofs. It follows the reader's light or dark mode, and has the numbers as tooltips.
func WriteSVG(w io.Writer, p *Profile, h Heading) error {
	d := &drawing{p: p}
	d.scale()
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n<title>%s</title>\n<style>%s</style>\n",
		width, height, width, height, escape("Roofline of "+h.Title), style)
	fmt.Fprintf(&d.b, `<rect class="back" width="%d" height="%d"/>`+"\n", width, height)
	d.text(28, 36, "title", h.Title)
	d.text(28, 56, "soft", h.Subtitle)
	d.text(28, 74, "soft small", h.Note)
	d.axes()
	d.roofs()
	d.dots()
	d.list()
	d.bar()
	d.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, d.b.String())
	return err
}

// drawing is a picture in the making.
type drawing struct {
	p          *Profile
	b          strings.Builder
	minX, maxX float64 // logarithms, base 10, of the axes' ends
	minY, maxY float64
	shown      []*Node // those with a place in the plot, the most time first
	groups     []group // of them, the most time first
	placed     []box   // what labels must not cover
}

// group is nodes that do the same with different weights, as the blocks of a stage do.
type group struct {
	nodes []*Node // the most time first
	share float64
}

// newGroups puts together what has the same op, shapes and kernel.
func newGroups(nodes []*Node) []group {
	at := map[string]int{}
	var list []group
	for _, n := range nodes {
		key := fmt.Sprint(n.Op, n.Kernel, n.Input, n.Output, n.FLOPs)
		i, ok := at[key]
		if !ok {
			i = len(list)
			at[key] = i
			list = append(list, group{})
		}
		list[i].nodes = append(list[i].nodes, n)
		list[i].share += n.Share
	}
	slices.SortStableFunc(list, func(a, b group) int { return cmp.Compare(b.share, a.share) })
	return list
}

type box struct{ left, top, right, bottom float64 }

func (a box) overlaps(b box) bool {
	return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

// scale chooses the nodes and the ends of the axes: whole powers of ten below, above and around everything that is drawn.
func (d *drawing) scale() {
	d.minX, d.maxX, d.minY, d.maxY = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	see := func(x, y float64) {
		d.minX, d.maxX = min(d.minX, math.Log10(x)), max(d.maxX, math.Log10(x))
		d.minY, d.maxY = min(d.minY, math.Log10(y)), max(d.maxY, math.Log10(y))
	}
	for i := range d.p.Nodes {
		n := &d.p.Nodes[i]
		if !(n.Intensity > 0 && n.FLOPsPerSecond > 0) {
			continue
		}
		d.shown = append(d.shown, n)
		see(n.Intensity, n.FLOPsPerSecond/1e9)
	}
	slices.SortStableFunc(d.shown, func(a, b *Node) int { return cmp.Compare(b.Seconds, a.Seconds) })
	d.groups = newGroups(d.shown)
	if r := d.p.Peaks.Ridge(); r > 0 {
		see(r, d.p.Peaks.FLOPsPerSecond/1e9)
	}
	if math.IsInf(d.minX, 0) { // nothing to draw
		d.minX, d.maxX, d.minY, d.maxY = 0, 1, 0, 1
	}
	room := func(low, high *float64, share float64) {
		more := max((*high-*low)*share, 0.15)
		*low, *high = *low-more, *high+more
	}
	room(&d.minX, &d.maxX, 0.08)
	room(&d.minY, &d.maxY, 0.08)
}

func (d *drawing) x(v float64) float64 {
	return plotLeft + (math.Log10(v)-d.minX)/(d.maxX-d.minX)*(plotRight-plotLeft)
}

func (d *drawing) y(v float64) float64 {
	return plotBottom - (math.Log10(v)-d.minY)/(d.maxY-d.minY)*(plotBottom-plotTop)
}

func (d *drawing) text(x, y float64, class, s string, attrs ...string) {
	fmt.Fprintf(&d.b, `<text x="%s" y="%s" class="%s"%s>%s</text>`+"\n", px(x), px(y), class, prefixed(attrs), escape(s))
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, px(x1), px(y1), px(x2), px(y2))
}

func prefixed(attrs []string) string {
	if len(attrs) == 0 {
		return ""
	}
	return " " + strings.Join(attrs, " ")
}

func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}

// ticks are the places of an axis from 10^low to 10^high: powers of ten, with 2 and 5 between them where there is room.
func ticks(low, high float64) (major, minor []float64) {
	for e := math.Floor(low); e <= math.Ceil(high); e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, e)
			switch l := math.Log10(v); {
			case l < low || l > high:
			case m == 1 || high-low < 2.2:
				major = append(major, v)
			default:
				minor = append(minor, v)
			}
		}
	}
	return major, minor
}

func (d *drawing) axes() {
	major, minor := ticks(d.minX, d.maxX)
	for _, v := range minor {
		d.line("minor", d.x(v), plotTop, d.x(v), plotBottom)
	}
	for _, v := range major {
		d.line("grid", d.x(v), plotTop, d.x(v), plotBottom)
		d.text(d.x(v), plotBottom+18, "soft num", number(v), `text-anchor="middle"`)
	}
	major, minor = ticks(d.minY, d.maxY)
	for _, v := range minor {
		d.line("minor", plotLeft, d.y(v), plotRight, d.y(v))
	}
	for _, v := range major {
		d.line("grid", plotLeft, d.y(v), plotRight, d.y(v))
		d.text(plotLeft-8, d.y(v)+4, "soft num", number(v), `text-anchor="end"`)
	}
	d.text((plotLeft+plotRight)/2, plotBottom+38, "soft", "intensity, FLOP per byte", `text-anchor="middle"`)
	mid := px((plotTop + plotBottom) / 2)
	d.text(22, (plotTop+plotBottom)/2, "soft", "speed, GFLOP/s", `text-anchor="middle"`, `transform="rotate(-90 22 `+mid+`)"`)
}

// number writes a number with three digits that mean something.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := min(max(2-int(math.Floor(math.Log10(math.Abs(v))+1e-9)), 0), 6)
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// roofs draws the two lines with their values, and that of float32 where it is another.
func (d *drawing) roofs() {
	p := d.p.Peaks
	if !p.known() {
		return
	}
	peak, ridge := p.FLOPsPerSecond/1e9, p.Ridge()
	left := math.Pow(10, d.minX)
	slope := func(x float64) float64 { return x * p.BytesPerSecond / 1e9 }
	if bottom := math.Pow(10, d.minY); slope(left) < bottom { // the line enters through the floor
		left = bottom / slope(1)
	}
	fmt.Fprintf(&d.b, `<path class="roof" d="M%s %sL%s %sL%s %s"/>`+"\n", px(d.x(left)), px(d.y(slope(left))), px(d.x(ridge)), px(d.y(peak)), px(plotRight), px(d.y(peak)))
	d.line("ridge", d.x(ridge), d.y(peak), d.x(ridge), plotBottom)
	d.text(d.x(ridge)-8, plotBottom-8, "soft small", "memory limits", `text-anchor="end"`)
	d.text(d.x(ridge)+8, plotBottom-8, "soft small", "arithmetic limits")
	compute := "arithmetic " + number(peak) + " GFLOP/s"
	d.text(plotRight-6, d.y(peak)-8, "small", compute, `text-anchor="end"`)
	d.placed = append(d.placed, box{plotRight - 6*float64(len(compute)), d.y(peak) - 22, plotRight, d.y(peak) + 3})
	if low := p.Float32 / 1e9; low > 0 && low < peak && low > math.Pow(10, d.minY) {
		d.line("ridge", d.x(low/slope(1)), d.y(low), plotRight, d.y(low))
		text := "float32 " + number(low) + " GFLOP/s"
		d.text(plotRight-6, d.y(low)-8, "soft small", text, `text-anchor="end"`)
		d.placed = append(d.placed, box{plotRight - 6*float64(len(text)), d.y(low) - 22, plotRight, d.y(low) + 3})
	}
	middle := math.Sqrt(left * ridge)
	angle := math.Atan2(d.y(peak)-d.y(slope(left)), d.x(ridge)-d.x(left)) * 180 / math.Pi
	d.text(d.x(middle), d.y(slope(middle))-8, "small", "memory "+number(p.BytesPerSecond/1e9)+" GB/s",
		`text-anchor="middle"`, fmt.Sprintf(`transform="rotate(%s %s %s)"`, px(angle), px(d.x(middle)), px(d.y(slope(middle)))))
}

func colour(kind string) string { return fmt.Sprintf("var(--k%d)", max(slices.Index(Kinds, kind), 0)) }

// radius makes the area of a dot the share of the time.
func radius(share float64) float64 { return max(smallDot, largestDots*math.Sqrt(share/0.12)) }

func (d *drawing) dots() {
	for i := len(d.shown) - 1; i >= 0; i-- { // small ones on top would hide nothing: large first
		n := d.shown[len(d.shown)-1-i]
		fmt.Fprintf(&d.b, `<circle class="dot" cx="%s" cy="%s" r="%s" fill="%s"><title>%s</title></circle>`+"\n",
			px(d.x(n.Intensity)), px(d.y(n.FLOPsPerSecond/1e9)), px(radius(n.Share)), colour(n.Kind), escape(tooltip(n)))
	}
	for i, g := range d.groups[:min(labelled, len(d.groups))] {
		d.tag(strconv.Itoa(i+1), g.nodes[len(g.nodes)/2])
	}
}

func tooltip(n *Node) string {
	s := fmt.Sprintf("%s\n%s\n%s\n%s ms, %s %% of the time\n%s GFLOP/s, %s GB/s, %s FLOP/byte", n.Name, n.Op, n.Kernel,
		number(1e3*n.Seconds), number(100*n.Share), number(n.FLOPsPerSecond/1e9), number(n.BytesPerSecond/1e9), number(n.Intensity))
	if n.Roof != "" {
		s += fmt.Sprintf("\nlimited by %s: %s %% of the roof", n.Roof, number(100*n.RoofShare))
	}
	if n.Reason != "" {
		s += "\n" + n.Reason
	}
	return s
}

// tag writes a number beside a dot, in the first place around it that is free, with a line to the dot when that is away.
func (d *drawing) tag(s string, n *Node) {
	cx, cy, r := d.x(n.Intensity), d.y(n.FLOPsPerSecond/1e9), radius(n.Share)
	half := 3.6 * float64(len(s))
	best, at := box{}, [2]float64{cx, cy}
	found := false
	for _, away := range []float64{0, 10, 22, 36, 52, 70, 90} {
		for _, angle := range []float64{-0.25, 0, 0.25, -0.5, 0.5, 0.75, -0.75, 1} {
			reach := r + 9 + away
			x, y := cx+reach*math.Cos(angle*math.Pi), cy+reach*math.Sin(angle*math.Pi)
			b := box{x - half - 1, y - 7, x + half + 1, y + 7}
			inside := b.left > plotLeft && b.right < plotRight && b.top > plotTop && b.bottom < plotBottom
			if inside && !slices.ContainsFunc(d.placed, b.overlaps) && !d.onDot(b) {
				best, at, found = b, [2]float64{x, y}, true
				break
			}
		}
		if found {
			break
		}
	}
	if !found { // the list tells what the picture has no room for
		return
	}
	d.placed = append(d.placed, best)
	if dist := math.Hypot(at[0]-cx, at[1]-cy); dist > r+14 {
		d.line("lead", cx+(at[0]-cx)*r/dist, cy+(at[1]-cy)*r/dist, at[0]-(at[0]-cx)*7/dist, at[1]-(at[1]-cy)*7/dist)
	}
	d.text(at[0], at[1]+4, "tag num", s, `text-anchor="middle"`)
}

// onDot reports whether a label would cover one of the larger dots.
func (d *drawing) onDot(b box) bool {
	for _, n := range d.shown {
		x, y, r := d.x(n.Intensity), d.y(n.FLOPsPerSecond/1e9), radius(n.Share)
		if b.overlaps(box{x - r, y - r, x + r, y + r}) {
			return true
		}
	}
	return false
}

// list names the nodes that take the most time.
func (d *drawing) list() {
	y := float64(plotTop) - 2
	share, roof := float64(listRight-76), float64(listRight)
	d.text(listLeft, y, "soft small", "most time, by layers of one shape")
	d.text(share, y, "soft small", "of time", `text-anchor="end"`)
	if d.p.Peaks.known() {
		d.text(roof, y, "soft small", "of roof", `text-anchor="end"`)
	}
	for i, g := range d.groups[:min(labelled, len(d.groups))] {
		n := g.nodes[0]
		y = plotTop + 20 + 47*float64(i)
		fmt.Fprintf(&d.b, `<circle cx="%s" cy="%s" r="5" fill="%s"/>`+"\n", px(listLeft+5), px(y-4), colour(n.Kind))
		d.text(listLeft+18, y, "num small soft", strconv.Itoa(i+1))
		name := shorten(n.Name, 26)
		if more := len(g.nodes) - 1; more > 0 {
			name = fmt.Sprintf("%s and %d like it", shorten(n.Name, 18), more)
		}
		d.text(listLeft+36, y, "", name)
		d.text(listLeft+36, y+14, "soft small", fmt.Sprintf("%s, %s → %s", n.Kind, shape(n.Input), shape(n.Output)))
		d.text(listLeft+36, y+27, "soft small", shorten(n.Kernel, 40))
		d.text(share, y, "num", percent(g.share), `text-anchor="end"`)
		if n.Roof != "" {
			d.text(roof, y, "num", percent(g.roofShare()), `text-anchor="end"`)
			d.text(roof, y+14, "soft small", string(n.Roof), `text-anchor="end"`)
		}
	}
}

// roofShare is that of the nodes together, which have the same cost.
func (g group) roofShare() float64 {
	allowed, taken := 0.0, 0.0
	for _, n := range g.nodes {
		allowed, taken = allowed+n.RoofShare*n.Seconds, taken+n.Seconds
	}
	return allowed / taken
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// shape writes dimensions without the batch.
func shape(dims []int) string {
	if len(dims) > 1 {
		dims = dims[1:]
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(dims), " ", "×"), "[]")
}

func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}

// bar shows the time by kind, with the legend.
func (d *drawing) bar() {
	shares := map[string]float64{}
	for _, n := range d.p.Nodes {
		shares[n.Kind] += n.Share
	}
	x, at := float64(28), float64(28)
	const all = width - 56
	for _, k := range Kinds {
		if shares[k] == 0 {
			continue
		}
		fmt.Fprintf(&d.b, `<rect x="%s" y="%d" width="%s" height="%d" fill="%s"><title>%s</title></rect>`+"\n",
			px(x), barTop, px(max(shares[k]*all-1.5, 0.5)), barHeight, colour(k), escape(k+" "+percent(shares[k])))
		x += shares[k] * all
		label := k + " " + percent(shares[k])
		fmt.Fprintf(&d.b, `<circle cx="%s" cy="%d" r="5" fill="%s"/>`+"\n", px(at+5), barTop+barHeight+20, colour(k))
		d.text(at+16, barTop+barHeight+24, "small num", label)
		at += 16 + 7*float64(len(label)) + 18
	}
	d.text(width-28, barTop+barHeight+24, "soft small num", "device time "+number(1e3*d.p.Seconds)+" ms", `text-anchor="end"`)
}
