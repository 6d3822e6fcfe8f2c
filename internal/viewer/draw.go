package viewer

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"path/filepath"
	"time"

	"github.com/resnet-run/resnet-run/internal/heat"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
)

// The colours. Text on either background has a contrast of at least 4.5 (WCAG 2, level AA); a test computes it.
var (
	background = color.RGBA{0x12, 0x13, 0x18, 0xff}
	panel      = color.RGBA{0x1b, 0x1d, 0x24, 0xff}
	chosen     = color.RGBA{0x29, 0x2c, 0x37, 0xff} // behind the selected class
	track      = color.RGBA{0x33, 0x37, 0x44, 0xff} // of a bar
	bar        = color.RGBA{0x7d, 0x84, 0x99, 0xff}
	accent     = color.RGBA{0xff, 0xa0, 0x3c, 0xff} // of the selected class: one of the map's own colours
	bright     = color.RGBA{0xee, 0xf0, 0xf5, 0xff}
	muted      = color.RGBA{0x9c, 0xa3, 0xb4, 0xff}
	wrong      = color.RGBA{0xff, 0x84, 0x7c, 0xff}
)

// Painter draws frames. It is for one goroutine.
type Painter struct {
	*faces
	// The picture as it was scaled last: most frames differ in something else.
	of     *Result
	scaled *imaging.RGB
}

// NewPainter makes a painter.
func NewPainter() *Painter { return &Painter{faces: newFaces()} }

// frame is a frame that is being drawn.
type frame struct {
	*Painter
	*Viewer
	Layout
	dst  *image.RGBA
	unit float64
}

// px is a measure of a plain screen in pixels.
func (f *frame) px(n float64) int { return int(math.Round(n * f.unit)) }

func (f *frame) style(size float64, bold bool) style { return style{size * f.unit, bold} }

func (f *frame) rect(r image.Rectangle, c color.Color) {
	draw.Draw(f.dst, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// box is a rectangle that is empty, and not turned over, where its ends are in the wrong order.
func box(x0, y0, x1, y1 int) image.Rectangle {
	return image.Rectangle{Min: image.Pt(x0, y0), Max: image.Pt(x1, y1)}
}

// Draw draws what the viewer shows as a frame of the given size in pixels.
func (p *Painter) Draw(v *Viewer, width, height int, scale float64) *image.RGBA {
	f := &frame{Painter: p, Viewer: v, Layout: NewLayout(width, height, scale), unit: unit(scale)}
	f.dst = image.NewRGBA(f.Frame)
	f.rect(f.Frame, background)
	f.rect(f.Panel, panel)
	f.drawPicture()
	f.drawTitle()
	f.drawClasses()
	f.drawLegend()
	f.drawFacts()
	f.drawKeys()
	return f.dst
}

// drawPicture draws the picture with its map, or says why there is none.
func (f *frame) drawPicture() {
	r := f.result()
	switch {
	case len(f.list) == 0:
		f.say("Drop pictures here", bright, "")
	case r == nil:
		f.say("looking…", muted, "")
	case r.Err != nil || r.Picture == nil:
		text := "no picture"
		if r.Err != nil {
			text = r.Err.Error()
		}
		f.say("This picture cannot be shown", wrong, text)
	default:
		to := fit(r.Picture.Width, r.Picture.Height, f.Picture)
		if to.Empty() {
			return
		}
		if f.of != r || f.scaled.Width != to.Dx() || f.scaled.Height != to.Dy() {
			f.of, f.scaled = r, imaging.Resize(r.Picture, to.Dx(), to.Dy(), imaging.Bicubic)
		}
		img := f.scaled.RGBA
		if m, ok := f.shownMap(); ok {
			img = func() *image.RGBA { return heat.Draw(f.scaled, r.Seen, m) }
		}
		draw.Draw(f.dst, to, img(), image.Point{}, draw.Src)
	}
}

// shownMap is the map over the picture; false when there is none.
func (f *frame) shownMap() (heat.Map, bool) {
	r := f.result()
	if !f.heat || r == nil || f.class >= len(r.Classes) || len(r.Classes[f.class].Map.Values) == 0 {
		return heat.Map{}, false
	}
	return r.Classes[f.class].Map, true
}

// say writes a heading in the place of the picture, and a text under it.
func (f *frame) say(heading string, c color.Color, text string) {
	small := f.style(14, false)
	line := f.px(20)
	in := f.Picture
	room := in.Dy()/max(line, 1) - 2
	lines := f.wrap(small, printable(text), in.Dx(), min(room, 8))
	head := f.px(34)
	y := in.Min.Y + max((in.Dy()-head-len(lines)*line)/2, 0)
	f.text(f.dst, box(in.Min.X, y, in.Max.X, y+head).Intersect(in), f.style(20, true), c, middle, heading)
	for i, l := range lines {
		top := y + head + i*line
		f.text(f.dst, box(in.Min.X, top, in.Max.X, top+line).Intersect(in), small, muted, middle, l)
	}
}

func (f *frame) drawTitle() {
	if len(f.list) == 0 {
		f.text(f.dst, f.Title, f.style(20, true), bright, left, "resnet-run")
		f.text(f.dst, f.Size, f.style(13, false), muted, left, "no pictures")
		return
	}
	name := f.list[f.at].Name
	if name == pictures.Stdin {
		name = "standard input"
	}
	f.text(f.dst, f.Title, f.style(20, true), bright, left, filepath.Base(name))
	text := fmt.Sprintf("%d of %d", f.at+1, len(f.list))
	if r := f.result(); r != nil && r.Err == nil {
		text += fmt.Sprintf("  ·  %d × %d pixels", r.Width, r.Height)
	}
	f.text(f.dst, f.Size, f.style(13, false), muted, left, text)
}

// drawClasses draws a row a class: label and probability, the bar, and the logit.
func (f *frame) drawClasses() {
	r := f.result()
	if r == nil {
		return
	}
	for i, row := range f.Classes {
		if i >= len(r.Classes) {
			return
		}
		c, selected := r.Classes[i], i == f.class
		fill := bar
		if selected {
			fill = accent
			f.rect(row, chosen)
			f.rect(box(row.Min.X, row.Min.Y, row.Min.X+f.px(3), row.Max.Y), accent)
		}
		in := box(row.Min.X+f.px(12), row.Min.Y+f.px(5), row.Max.X-f.px(10), row.Max.Y-f.px(4))
		words := box(in.Min.X, in.Min.Y, in.Max.X, in.Min.Y+f.px(20))
		wide := f.text(f.dst, words, f.style(15, selected), bright, right, fmt.Sprintf("%.2f %%", 100*c.Probability))
		words.Max.X -= wide + f.px(10)
		f.text(f.dst, words, f.style(15, selected), bright, left, c.Label)

		under := box(in.Min.X, words.Max.Y, in.Max.X, in.Max.Y)
		f.text(f.dst, under, f.style(12, false), muted, right, fmt.Sprintf("logit %.3f", c.Logit))
		length := under.Dx() - f.px(96) // what is left beside the logits, in all rows alike
		y := (under.Min.Y + under.Max.Y - f.px(6)) / 2
		whole := box(under.Min.X, y, under.Min.X+length, y+f.px(6))
		if length < f.px(20) {
			continue
		}
		f.rect(whole, track)
		// NaN and what else is no part of one has no bar.
		if part := c.Probability; part > 0 && part <= 1 {
			f.rect(box(whole.Min.X, whole.Min.Y, whole.Min.X+int(math.Round(part*float64(length))), whole.Max.Y), fill)
		}
	}
}

// drawLegend says what the colours mean.
func (f *frame) drawLegend() {
	r := f.result()
	if f.Legend.Empty() || r == nil || f.class >= len(r.Classes) {
		return
	}
	in := f.Legend
	words := box(in.Min.X, in.Min.Y, in.Max.X, in.Min.Y+f.px(18))
	if _, ok := f.shownMap(); !ok {
		text := "Heat map off"
		if f.heat {
			text = "This network has no heat maps"
		}
		f.text(f.dst, words, f.style(13, false), muted, left, text)
		return
	}
	f.text(f.dst, words, f.style(13, false), muted, left, "What each place adds to "+r.Classes[f.class].Label)
	ramp := box(in.Min.X, words.Max.Y+f.px(2), in.Max.X, words.Max.Y+f.px(10))
	draw.Draw(f.dst, ramp, f.ramp(ramp.Dx(), ramp.Dy()), image.Point{}, draw.Src)
	ends := box(in.Min.X, ramp.Max.Y+f.px(2), in.Max.X, in.Max.Y)
	wide := f.text(f.dst, ends, f.style(11, false), muted, left, "nothing")
	ends.Min.X += wide + f.px(8)
	f.text(f.dst, ends, f.style(11, false), muted, right, "most")
}

// ramp are the map's colours from nothing to the greatest value, on the grey of a picture.
func (f *frame) ramp(width, height int) *image.RGBA {
	grey := &imaging.RGB{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
	for i := range grey.Pix {
		grey.Pix[i] = 0x70
	}
	m := heat.Map{Width: width, Height: 1, Values: make([]float32, width)}
	for i := range m.Values {
		m.Values[i] = float32(i)
	}
	return heat.Draw(grey, imaging.Region{Right: 1, Bottom: 1}, m)
}

func (f *frame) drawFacts() {
	took := "–"
	if r := f.result(); r != nil && r.Err == nil {
		took = duration(r.Took)
	}
	facts := [factCount][2]string{{"Model", f.about.Model}, {"Device", f.about.Device}, {"Time of the run", took}}
	for i, row := range f.Facts {
		half := box(row.Min.X, row.Min.Y, row.Max.X, row.Min.Y+f.px(15))
		f.text(f.dst, half, f.style(11, false), muted, left, facts[i][0])
		half = box(row.Min.X, half.Max.Y, row.Max.X, half.Max.Y+f.px(19))
		f.text(f.dst, half, f.style(14, false), bright, left, facts[i][1])
	}
}

func (f *frame) drawKeys() {
	line := f.Keys.Dy() / 2
	for i, text := range []string{"← →  picture      ↑ ↓  class", "h  heat map      q  close"} {
		y := f.Keys.Min.Y + i*line
		f.text(f.dst, box(f.Keys.Min.X, y, f.Keys.Max.X, y+line), f.style(12, false), muted, left, text)
	}
}

// duration writes a time with three digits.
func duration(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case ms < 0.9995:
		return fmt.Sprintf("%.0f µs", 1000*ms)
	case ms < 9.995:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 99.95:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
}
