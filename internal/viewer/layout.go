package viewer

import (
	"image"
	"math"
)

// Layout says where the parts of a frame lie. Parts do not overlap, and lie within the frame; what there is no room for is empty, the least important
// first.
type Layout struct {
	Frame   image.Rectangle
	Picture image.Rectangle // where a picture may lie
	Panel   image.Rectangle // what tells about it, at the right or below
	Title   image.Rectangle
	Size    image.Rectangle
	Classes []image.Rectangle // best first, at most ClassCount
	Legend  image.Rectangle   // of the heat map
	Facts   []image.Rectangle // model, device and time, in this order
	Keys    image.Rectangle
}

// Measures in pixels of a plain screen.
const (
	wideFrom   = 640 // width from which the panel is at the right
	lowFrom    = 160 // height from which there is room for it
	tallFrom   = 420 // height from which it is below the picture in a narrow window
	margin     = 24
	titleRow   = 30
	sizeRow    = 20
	classRow   = 46
	legendRow  = 46
	factRow    = 40
	keysRow    = 40
	sectionGap = 18
)

// maxScale bounds what a system may say about its screen.
const maxScale = 4

// unit is how many pixels make one of a plain screen.
func unit(scale float64) float64 {
	if !(scale >= 0.5) {
		return 1
	}
	return math.Min(scale, maxScale)
}

// factCount is the number of facts: model, device, time.
const factCount = 3

// NewLayout lays out a frame.
func NewLayout(width, height int, scale float64) Layout {
	scale = unit(scale)
	px := func(n int) int { return int(math.Round(float64(n) * scale)) }
	l := Layout{Frame: image.Rect(0, 0, max(width, 0), max(height, 0))}
	w, h := l.Frame.Dx(), l.Frame.Dy()
	switch {
	case w >= px(wideFrom) && h >= px(lowFrom):
		panel := min(max(w*36/100, px(300)), px(420))
		l.Picture, l.Panel = image.Rect(0, 0, w-panel, h).Inset(px(margin)), image.Rect(w-panel, 0, w, h)
	case h >= px(tallFrom):
		panel := min(max(h*48/100, px(200)), px(430))
		l.Picture, l.Panel = image.Rect(0, 0, w, h-panel).Inset(min(px(margin/2), w/20)), image.Rect(0, h-panel, w, h)
	default:
		l.Picture = l.Frame.Inset(min(px(margin/3), min(w, h)/10))
	}
	l.fill(px)
	return l
}

// fill places the parts of the panel.
func (l *Layout) fill(px func(int) int) {
	in := l.Panel.Inset(min(px(margin), l.Panel.Dx()/12))
	left := in.Dy()
	take := func(n int) bool {
		if in.Empty() || left < px(n) {
			return false
		}
		left -= px(n)
		return true
	}
	// In the order of importance.
	titled := take(titleRow + sizeRow)
	classes, facts := 0, 0
	if titled && take(sectionGap) {
		for classes < ClassCount && take(classRow) {
			classes++
		}
	}
	if classes == ClassCount && take(sectionGap) {
		for facts < factCount && take(factRow) {
			facts++
		}
	}
	legend := facts == factCount && take(sectionGap+legendRow)
	keys := legend && take(sectionGap+keysRow)

	y := in.Min.Y
	row := func(n int) image.Rectangle {
		r := image.Rect(in.Min.X, y, in.Max.X, y+px(n))
		y = r.Max.Y
		return r
	}
	if titled {
		l.Title, l.Size = row(titleRow), row(sizeRow)
		y += px(sectionGap)
	}
	for range classes {
		l.Classes = append(l.Classes, row(classRow))
	}
	if legend {
		y += px(sectionGap)
		l.Legend = row(legendRow)
	}
	y += px(sectionGap)
	for range facts {
		l.Facts = append(l.Facts, row(factRow))
	}
	if keys {
		l.Keys = image.Rect(in.Min.X, in.Max.Y-px(keysRow), in.Max.X, in.Max.Y)
	}
}

// fit is the largest rectangle of an aspect ratio in the middle of another, at least a pixel wide and high unless that is empty.
func fit(width, height int, in image.Rectangle) image.Rectangle {
	if in.Empty() || width < 1 || height < 1 {
		return image.Rectangle{}
	}
	w, h := in.Dx(), int(math.Round(float64(in.Dx())*float64(height)/float64(width)))
	if h > in.Dy() {
		w, h = int(math.Round(float64(in.Dy())*float64(width)/float64(height))), in.Dy()
	}
	w, h = min(max(w, 1), in.Dx()), min(max(h, 1), in.Dy())
	x, y := in.Min.X+(in.Dx()-w)/2, in.Min.Y+(in.Dy()-h)/2
	return image.Rect(x, y, x+w, y+h)
}
