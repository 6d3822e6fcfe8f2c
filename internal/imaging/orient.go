package imaging

// Orientation is the value of EXIF tag 274: where the stored row 0 and column 0 lie in the upright picture. The values 2 to 8 ask for a
// change; 1 and everything else for none.
type Orientation int

// apply returns the upright picture: img itself when nothing changes.
func (o Orientation) apply(img *RGB) *RGB {
	// The stored pixel (x, y) lands at ax*x + ay*y + offset, counted in pixels of the result.
	w, h := img.Width, img.Height
	var ax, ay, offset int
	switch o {
	case 2: // mirrored left to right
		ax, ay, offset = -1, w, w-1
	case 3: // turned by 180 degrees
		ax, ay, offset = -1, -w, w*h-1
	case 4: // mirrored top to bottom
		ax, ay, offset = 1, -w, w*(h-1)
	case 5: // mirrored over the main diagonal
		ax, ay, offset = h, 1, 0
	case 6: // to be turned clockwise by 90 degrees
		ax, ay, offset = h, -1, h-1
	case 7: // mirrored over the other diagonal
		ax, ay, offset = -h, -1, w*h-1
	case 8: // to be turned anticlockwise by 90 degrees
		ax, ay, offset = -h, 1, h*(w-1)
	default:
		return img
	}
	out := newRGB(w, h)
	if o >= 5 {
		out.Width, out.Height = h, w
	}
	for y := range h {
		src := img.row(y)
		at := offset + ay*y
		for x := range w {
			copy(out.Pix[3*at:3*at+3], src[3*x:3*x+3])
			at += ax
		}
	}
	return out
}
