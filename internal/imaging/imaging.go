// Package imaging reads picture files and prepares them for a network, to the same bytes as Pillow and torchvision: see Decode for the
// formats, Preprocess for the transform, and README.md for how near each comes, with measurements.
package imaging

import "image"

// RGB is a picture of 8 bits a channel, row-major, 3 bytes (R, G, B) a pixel, without padding: len(Pix) is 3*Width*Height.
type RGB struct {
	Width, Height int
	Pix           []byte
}

// newRGB allocates a black picture.
func newRGB(width, height int) *RGB {
	return &RGB{Width: width, Height: height, Pix: make([]byte, 3*width*height)}
}

// row returns the bytes of row y.
func (img *RGB) row(y int) []byte {
	n := 3 * img.Width
	return img.Pix[y*n : (y+1)*n : (y+1)*n]
}

// RGBA returns the picture in the form of the standard library, opaque.
func (img *RGB) RGBA() *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, img.Width, img.Height))
	for i := range img.Width * img.Height {
		copy(out.Pix[4*i:], img.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}
