package cpu

import (
	"github.com/resnet-run/resnet-run/graph"
)

// place is where a value lies in the arena, and how. Tensors of rank 4 are NHWC (the graph's are NCHW) with a halo of
// zeros around each picture, as wide as the paddings of the convolutions that read the value: they then need not
// look where a picture ends. Tensors of other ranks are rows: n of c elements, with h = w = 1 and no halo.
type place struct {
	n, h, w, c               int
	top, left, bottom, right int // the halo, in rows and columns
	offset                   int // of the first element, halo included
}

func placeOf(t graph.TensorType) *place {
	s := t.Shape
	if s.Rank() == 4 {
		n, c, h, w := s.NCHW()
		return &place{n: n, h: h, w: w, c: c}
	}
	p := &place{n: 1, h: 1, w: 1, c: 1}
	for i, d := range s.Dims() {
		if i == s.Rank()-1 {
			p.c = d
			break
		}
		p.n *= d
	}
	return p
}

func (p *place) lineElems() int  { return (p.left + p.w + p.right) * p.c }
func (p *place) imageElems() int { return (p.top + p.h + p.bottom) * p.lineElems() }

// elems is the number of elements in the arena. It is a float64 so that no padding, however large, overflows it.
func (p *place) elems() float64 {
	return float64(p.n) * float64(p.top+p.h+p.bottom) * float64(p.left+p.w+p.right) * float64(p.c)
}

func (p *place) hasHalo() bool { return p.top > 0 || p.left > 0 || p.bottom > 0 || p.right > 0 }

// isRowMajor reports whether the elements of a picture lie side by side in the graph's order.
func (p *place) isRowMajor() bool {
	return p.h == 1 && p.w == 1 || p.c == 1 && (p.h == 1 || p.left+p.right == 0)
}

// at is the offset of a pixel's first channel. Rows and columns count from the picture's first, not the halo's.
func (p *place) at(n, h, w int) int {
	return p.offset + n*p.imageElems() + (h+p.top)*p.lineElems() + (w+p.left)*p.c
}

// line is row h of picture n, without the halo.
func (p *place) line(arena []float32, n, h int) []float32 { return arena[p.at(n, h, 0):][:p.w*p.c] }

// pixel is the channels of one pixel.
func (p *place) pixel(arena []float32, n, h, w int) []float32 { return arena[p.at(n, h, w):][:p.c] }

// clearHalo zeroes the halo of picture n.
func (p *place) clearHalo(arena []float32, n int) {
	image := arena[p.offset+n*p.imageElems():][:p.imageElems()]
	line := p.lineElems()
	clear(image[:p.top*line])
	clear(image[(p.top+p.h)*line:])
	for h := range p.h {
		row := image[(p.top+h)*line:][:line]
		clear(row[:p.left*p.c])
		clear(row[(p.left+p.w)*p.c:])
	}
}

// widen makes the halo as wide as a convolution needs: as far as its windows reach, which may be less than its padding.
func (p *place) widen(x *graph.Value, op graph.Conv2D, w, y graph.Shape) {
	_, _, h, wd := x.Type.Shape.NCHW()
	_, _, r, s := w.NCHW()
	_, _, ph, q := y.NCHW()
	p.top, p.left = max(p.top, op.Padding.Top), max(p.left, op.Padding.Left)
	p.bottom = max(p.bottom, (ph-1)*op.Stride[0]+(r-1)*op.Dilation[0]-op.Padding.Top-(h-1))
	p.right = max(p.right, (q-1)*op.Stride[1]+(s-1)*op.Dilation[1]-op.Padding.Left-(wd-1))
}
