// Package heat draws on a picture where in it a network found a class: a class map (see graph/head) in colours, over the picture in grey.
package heat

import (
	"fmt"
	"image"
	"math"

	"github.com/resnet-run/resnet-run/internal/imaging"
)

// Map is the map of a class: what each place of the part of a picture that the network sees adds to the class's logit, which is the mean.
type Map struct {
	Width, Height int
	Values        []float32 // rows from the top
}

// NewMap checks the numbers of a map.
//
// Errors: another number of values than places, or one that is not finite.
func NewMap(width, height int, values []float32) (Map, error) {
	if width < 1 || height < 1 || len(values) != width*height {
		return Map{}, fmt.Errorf("read class map: want %d×%d values, got %d", height, width, len(values))
	}
	for i, v := range values {
		if v-v != 0 {
			return Map{}, fmt.Errorf("read class map: want finite numbers, got %v in row %d, column %d", v, i/width, i%width)
		}
	}
	return Map{width, height, values}, nil
}

// at is the value at a point in parts of the map's width and height, between places linearly; at the edges it is that of the outermost places.
func (m Map) at(u, v float64) float64 {
	x, x1, fx := between(u, m.Width)
	y, y1, fy := between(v, m.Height)
	row := func(y int) float64 {
		return float64(m.Values[y*m.Width+x])*(1-fx) + float64(m.Values[y*m.Width+x1])*fx
	}
	return row(y)*(1-fy) + row(y1)*fy
}

// between finds the two of n places about a point, each with its value in its middle, and how far it is on the way to the second.
func between(u float64, n int) (first, second int, part float64) {
	at := min(max(u*float64(n)-0.5, 0), float64(n-1))
	first = int(at)
	return first, min(first+1, n-1), at - float64(first)
}

// Peak is the place of the greatest value, in parts of the map's width and height: the middle of the place. Of equal ones it is the first.
func (m Map) Peak() (u, v float64) {
	best := 0
	for i, x := range m.Values {
		if x > m.Values[best] {
			best = i
		}
	}
	return (float64(best%m.Width) + 0.5) / float64(m.Width), (float64(best/m.Width) + 0.5) / float64(m.Height)
}

// ramp are the colours from nothing to the greatest value, with their share in what is drawn.
var ramp = []struct{ r, g, b, share float64 }{
	{30, 30, 110, 0}, {70, 20, 160, 0.35}, {190, 30, 110, 0.5}, {250, 110, 30, 0.62}, {255, 235, 90, 0.75},
}

func colour(t float64) (r, g, b, share float64) {
	at := t * float64(len(ramp)-1)
	i := min(int(at), len(ramp)-2)
	f, lo, hi := at-float64(i), ramp[i], ramp[i+1]
	mix := func(a, b float64) float64 { return a*(1-f) + b*f }
	return mix(lo.r, hi.r), mix(lo.g, hi.g), mix(lo.b, hi.b), mix(lo.share, hi.share)
}

const (
	// grey is how much of a pixel's colour gives way to its brightness, so that colours are those of the map.
	grey = 0.75
	// dim is the brightness of what the network does not see.
	dim = 0.3
)

// Draw returns the picture with the map over the part that the network sees. Yellow is the greatest value; what adds nothing to the logit, or takes
// from it, has no colour; what the network does not see is dark.
func Draw(img *imaging.RGB, seen imaging.Region, m Map) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, img.Width, img.Height))
	top := 0.0
	for _, v := range m.Values {
		top = math.Max(top, float64(v))
	}
	for y := range img.Height {
		v := ((float64(y)+0.5)/float64(img.Height) - seen.Top) / (seen.Bottom - seen.Top)
		for x := range img.Width {
			u := ((float64(x)+0.5)/float64(img.Width) - seen.Left) / (seen.Right - seen.Left)
			i := 3 * (y*img.Width + x)
			r, g, b := float64(img.Pix[i]), float64(img.Pix[i+1]), float64(img.Pix[i+2])
			luma := 0.299*r + 0.587*g + 0.114*b // ITU-R BT.601
			r, g, b = r+(luma-r)*grey, g+(luma-g)*grey, b+(luma-b)*grey
			switch {
			case u < 0 || u > 1 || v < 0 || v > 1:
				r, g, b = r*dim, g*dim, b*dim
			case top > 0:
				hr, hg, hb, share := colour(min(max(m.at(u, v)/top, 0), 1))
				r, g, b = r+(hr-r)*share, g+(hg-g)*share, b+(hb-b)*share
			}
			o := out.Pix[out.PixOffset(x, y):]
			o[0], o[1], o[2], o[3] = uint8(r+0.5), uint8(g+0.5), uint8(b+0.5), 255
		}
	}
	return out
}
