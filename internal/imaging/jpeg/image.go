package jpeg

import "fmt"

// Image is a decoded picture.
type Image struct {
	Width, Height int
	// Pix holds the pixels row by row without padding, 3 bytes (R, G, B) each. Gray is repeated over the three; CMYK is converted as
	// Pillow does, taking the stored values as inverted ink, after Adobe's custom.
	Pix []byte
}

// Header is what the frame header says, known before any pixel is decoded.
type Header struct {
	Width, Height int
	Components    int
	IsProgressive bool
}

// FormatError says that the file breaks the JPEG format or ends too early.
type FormatError string

func (e FormatError) Error() string { return string(e) }

// UnsupportedError names a feature of JPEG that this package does not decode.
type UnsupportedError string

func (e UnsupportedError) Error() string { return "unsupported: " + string(e) }

func formatErrorf(format string, args ...any) error {
	return FormatError(fmt.Sprintf(format, args...))
}

func unsupportedErrorf(format string, args ...any) error {
	return UnsupportedError(fmt.Sprintf(format, args...))
}
