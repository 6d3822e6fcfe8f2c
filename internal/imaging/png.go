package imaging

import (
	"fmt"
	"image/color"
	"image/png"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// decodePNG relies on the standard library, whose pixels equal Pillow's in every colour type but one: of 16-bit gray it keeps the high
// byte, as Pillow does for 16-bit colour, where Pillow's own convert("RGB") would clip at 255 and make almost any such picture white.
func decodePNG(s *source) (*RGB, error) {
	config, err := png.DecodeConfig(s.reader())
	if err != nil {
		return nil, explainEOF(err)
	}
	if err := s.checkSize(int64(config.Width), int64(config.Height)); err != nil {
		return nil, err
	}
	if err := pngCheckLength(s.data, config.Width, config.Height); err != nil {
		return nil, err
	}
	img, err := png.Decode(s.reader())
	if err != nil {
		return nil, explainEOF(err)
	}
	return fromImage(img)
}

// pngCheckLength refuses a file that is too short for its size however well its pixels compress, before the library takes memory for them.
func pngCheckLength(data []byte, width, height int) error {
	const (
		depthAt, colorTypeAt = 24, 25 // in the file: signature, chunk header, width, height
		maxRatio             = 1032   // of deflate: 258 bytes from 2 bits
	)
	channels := [7]int64{1, 0, 3, 1, 2, 0, 4}
	bits := int64(data[depthAt])
	if colorType := data[colorTypeAt]; colorType < 7 {
		bits *= channels[colorType]
	}
	need := int64(width) * int64(height) / 8 * bits / maxRatio
	if int64(len(data)) < need {
		return fmt.Errorf("the file has %d bytes, %dx%d with %d bits a pixel needs at least %d: it is truncated", len(data), width, height, bits, need)
	}
	return nil
}

// straight returns the 8-bit channels of a palette colour, not premultiplied by its alpha.
func straight(c color.Color) (r, g, b byte) {
	switch c := c.(type) {
	case color.NRGBA:
		return c.R, c.G, c.B
	case color.RGBA:
		return c.R, c.G, c.B
	}
	r16, g16, b16, _ := c.RGBA()
	return byte(r16 >> 8), byte(g16 >> 8), byte(b16 >> 8)
}
