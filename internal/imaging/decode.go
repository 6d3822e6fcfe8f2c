package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/resnet-run/resnet-run/internal/imaging/jpeg"
)

// Limits of Decode.
const (
	// DefaultMaxPixels is the largest picture that Decode reads when DecodeOptions.MaxPixels is 0: 89,478,485 pixels, which is 256 MiB of
	// RGB and the size from which Pillow warns of a decompression bomb.
	DefaultMaxPixels = 1 << 30 / 4 / 3
	// maxFileBytes bounds what Decode reads into memory.
	maxFileBytes = 512 << 20
)

var (
	// ErrFormat is wrapped by Decode's error when the content is none of the formats it knows.
	ErrFormat = errors.New("unknown picture format")
	// ErrTooLarge is wrapped by Decode's error when a picture or its file is larger than the limit.
	ErrTooLarge = errors.New("picture too large")
)

// DecodeOptions are the choices of Decode; the zero value is right for showing and classifying photographs.
type DecodeOptions struct {
	// IgnoreOrientation leaves the pixels as stored, as Pillow's open and torchvision's loader do, which do not apply the EXIF
	// orientation. (TIFF is the exception: Pillow applies the orientation there, and so does Decode with this set.)
	IgnoreOrientation bool
	// MaxPixels is the largest Width*Height to decode; 0 means DefaultMaxPixels. A header that claims more is refused before memory is
	// taken for it.
	MaxPixels int64
}

// source is a file in memory with what the format readers need to know.
type source struct {
	data      []byte
	maxPixels int64
}

// reader reads the whole file, for the library decoders.
func (s *source) reader() *bytes.Reader { return bytes.NewReader(s.data) }

// checkSize refuses empty pictures and those above the limit. Readers call it before they allocate.
func (s *source) checkSize(width, height int64) error {
	if width <= 0 || height <= 0 {
		return fmt.Errorf("header gives the size %dx%d", width, height)
	}
	if width > s.maxPixels/height {
		return fmt.Errorf("%w: header gives %dx%d, the limit is %d pixels", ErrTooLarge, width, height, s.maxPixels)
	}
	return nil
}

// format is one kind of file.
type format struct {
	name        string
	isFormat    func(data []byte) bool
	decode      func(s *source) (*RGB, error)
	orientation func(data []byte) Orientation // nil: the format has none
	// isOrientedByPillow marks the format whose orientation Pillow applies while loading.
	isOrientedByPillow bool
}

// formats are tried in this order; their signatures exclude each other.
var formats = []format{
	{name: "jpeg", isFormat: hasPrefix("\xff\xd8\xff"), decode: decodeJPEG, orientation: jpegOrientation},
	{name: "png", isFormat: hasPrefix(pngSignature), decode: decodePNG, orientation: pngOrientation},
	{name: "gif", isFormat: hasPrefix("GIF87a", "GIF89a"), decode: decodeGIF},
	{name: "bmp", isFormat: hasPrefix("BM"), decode: decodeBMP},
	{name: "webp", isFormat: isWebP, decode: decodeWebP, orientation: webpOrientation},
	{name: "tiff", isFormat: hasPrefix("II*\x00", "MM\x00*"), decode: decodeTIFF, orientation: exifOrientation, isOrientedByPillow: true},
}

func hasPrefix(prefixes ...string) func([]byte) bool {
	return func(data []byte) bool {
		for _, p := range prefixes {
			if len(data) >= len(p) && string(data[:len(p)]) == p {
				return true
			}
		}
		return false
	}
}

// Decode reads one picture: JPEG, PNG, GIF (first frame), BMP, WebP (first frame) or TIFF (first page), told apart by content. The
// result is what Pillow's Image.open(f).convert("RGB") gives: alpha is dropped, not composited; see README.md for the exact relation.
// EXIF orientation is applied unless opts says otherwise. Errors name the file (name, used for nothing else), its format, and what was
// wrong; they wrap ErrFormat or ErrTooLarge where these apply.
func Decode(r io.Reader, name string, opts DecodeOptions) (*RGB, error) {
	if opts.MaxPixels < 0 {
		return nil, fmt.Errorf("decode %s: max pixels is %d, want 0 or more", name, opts.MaxPixels)
	}
	s := &source{maxPixels: opts.MaxPixels}
	if s.maxPixels == 0 {
		s.maxPixels = DefaultMaxPixels
	}
	var err error
	if s.data, err = io.ReadAll(io.LimitReader(r, maxFileBytes+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(s.data) > maxFileBytes {
		return nil, fmt.Errorf("read %s: %w: the file has more than %d bytes", name, ErrTooLarge, maxFileBytes)
	}
	for i := range formats {
		f := &formats[i]
		if !f.isFormat(s.data) {
			continue
		}
		img, err := f.decode(s)
		if err != nil {
			if strings.HasPrefix(err.Error(), f.name+": ") { // the libraries say it themselves
				return nil, fmt.Errorf("decode %s: %w", name, err)
			}
			return nil, fmt.Errorf("decode %s: %s: %w", name, f.name, err)
		}
		if f.orientation != nil && (f.isOrientedByPillow || !opts.IgnoreOrientation) {
			img = f.orientation(s.data).apply(img)
		}
		return img, nil
	}
	return nil, fmt.Errorf("decode %s: %w: %s", name, ErrFormat, describeUnknown(s.data))
}

// describeUnknown says what an unknown file looks like, for the error.
func describeUnknown(data []byte) string {
	if len(data) == 0 {
		return "the file is empty"
	}
	return fmt.Sprintf("it begins with % x; known are JPEG, PNG, GIF, BMP, WebP and TIFF", data[:min(len(data), 8)])
}

// decodeJPEG reads every JPEG through our own decoder, whose result equals libjpeg-turbo's.
func decodeJPEG(s *source) (*RGB, error) {
	header, err := jpeg.ReadHeader(s.data)
	if err != nil {
		return nil, err
	}
	if err := s.checkSize(int64(header.Width), int64(header.Height)); err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(s.data, s.maxPixels)
	if err != nil {
		return nil, err
	}
	return &RGB{Width: img.Width, Height: img.Height, Pix: img.Pix}, nil
}
