package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestInterpolationNames(t *testing.T) {
	for in := Nearest; in <= Lanczos; in++ {
		for _, name := range []string{in.String(), strings.ToUpper(in.String())} {
			if got, err := ParseInterpolation(name); got != in || err != nil {
				t.Errorf("ParseInterpolation(%q) = %v, %v", name, got, err)
			}
		}
	}
	for _, name := range []string{"", "cubic", "Interpolation(0)"} {
		if got, err := ParseInterpolation(name); err == nil || !strings.Contains(err.Error(), "bicubic") {
			t.Errorf("ParseInterpolation(%q) = %v, %v, want an error that lists the names", name, got, err)
		}
	}
	if got := Interpolation(0).String(); got != "Interpolation(0)" {
		t.Errorf("zero value is called %q", got)
	}
}

func validPreprocess() Preprocess {
	return Preprocess{Resize: 8, Crop: 6, Std: [3]float32{1, 1, 1}, Interpolation: Bilinear}
}

func TestValidate(t *testing.T) {
	if err := validPreprocess().Validate(); err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	cases := []struct {
		want   string
		change func(*Preprocess)
	}{
		{"resize is -1", func(p *Preprocess) { p.Resize = -1 }},
		{"resize is 1000000", func(p *Preprocess) { p.Resize = 1e6 }},
		{"crop is -5", func(p *Preprocess) { p.Crop = -5 }},
		{"crop is 1000000", func(p *Preprocess) { p.Crop = 1e6 }},
		{"resize mode is 7", func(p *Preprocess) { p.ResizeMode = 7 }},
		{"interpolation is Interpolation(0)", func(p *Preprocess) { p.Interpolation = 0 }},
		{"interpolation is Interpolation(6)", func(p *Preprocess) { p.Interpolation = Lanczos + 1 }},
		{"mean of channel 2", func(p *Preprocess) { p.Mean[2] = nan }},
		{"std of channel 1 is 0", func(p *Preprocess) { p.Std[1] = 0 }},
		{"std of channel 0 is NaN", func(p *Preprocess) { p.Std[0] = nan }},
		{"std of channel 2 is +Inf", func(p *Preprocess) { p.Std[2] = float32(math.Inf(1)) }},
	}
	for _, c := range cases {
		p := validPreprocess()
		c.change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
		if _, err := p.Pixels(newRGB(3, 3)); err == nil {
			t.Errorf("Pixels accepts what Validate refuses: %s", c.want)
		}
	}
}

func TestOutputSize(t *testing.T) {
	cases := []struct {
		p                  Preprocess
		w, h, wantW, wantH int
	}{
		{Preprocess{}, 5, 9, 5, 9},
		{Preprocess{Crop: 4}, 5, 9, 4, 4},
		{Preprocess{Resize: 256}, 500, 375, 341, 256}, // 341.33 is cut
		{Preprocess{Resize: 256}, 375, 500, 256, 341},
		{Preprocess{Resize: 232}, 640, 427, 347, 232}, // 347.7 is cut too
		{Preprocess{Resize: 10, ResizeMode: ResizeExact}, 500, 375, 10, 10},
	}
	for _, c := range cases {
		p := c.p
		p.Interpolation, p.Std = Bilinear, [3]float32{1, 1, 1}
		if w, h := p.OutputSize(c.w, c.h); w != c.wantW || h != c.wantH {
			t.Errorf("%+v on %dx%d: got %dx%d, want %dx%d", c.p, c.w, c.h, w, h, c.wantW, c.wantH)
		}
		img, err := p.Pixels(newRGB(c.w, c.h))
		if err != nil || img.Width != c.wantW || img.Height != c.wantH {
			t.Errorf("%+v on %dx%d: Pixels gives %v, %v", c.p, c.w, c.h, img, err)
		}
	}
}

func TestPixelsWindowEqualsCropOfTheWhole(t *testing.T) {
	img := decodeTestFile(t, "source_photo.png", DecodeOptions{})
	for _, crop := range []int{1, 2, 33, 60, 63, 64, 90, 95, 120} {
		for in := Nearest; in <= Lanczos; in++ {
			for _, horizontalFirst := range []bool{false, true} {
				p := Preprocess{Resize: 64, Crop: crop, Std: [3]float32{1, 1, 1}, Interpolation: in, HorizontalFirst: horizontalFirst}
				got, err := p.Pixels(img)
				if err != nil {
					t.Fatal(err)
				}
				w, h := p.resized(img.Width, img.Height)
				want := CenterCrop(resizeWindow(img, w, h, window{0, 0, w, h}, in, horizontalFirst), crop, crop)
				if !bytes.Equal(got.Pix, want.Pix) {
					t.Errorf("crop %d %v: the window differs from the crop of the whole", crop, in)
				}
			}
		}
	}
}

func TestCenterCropRoundsHalfToEven(t *testing.T) {
	// One row of pixels whose red is their column.
	row := func(w int) *RGB {
		img := newRGB(w, 1)
		for x := range w {
			img.Pix[3*x] = byte(x + 1)
		}
		return img
	}
	cases := []struct {
		width, crop int
		first       byte // 1 + column, 0 for padding
	}{
		{7, 4, 3},  // 1.5 goes up to 2
		{5, 4, 1},  // 0.5 goes down to 0
		{9, 4, 3},  // 2.5 goes down to 2
		{6, 4, 2},  // 1
		{4, 4, 1},  // nothing to do
		{3, 6, 0},  // padded by 1 and 2
		{5, 12, 0}, // padded by 3 and 4
	}
	for _, c := range cases {
		got := CenterCrop(row(c.width), c.crop, 1)
		if got.Width != c.crop || got.Height != 1 || got.Pix[0] != c.first {
			t.Errorf("width %d, crop %d: %dx%d begins with %d, want %d", c.width, c.crop, got.Width, got.Height, got.Pix[0], c.first)
		}
		if c.width < c.crop {
			if left := (c.crop - c.width) / 2; got.Pix[3*left] != 1 || got.Pix[3*(left+c.width-1)] != byte(c.width) {
				t.Errorf("width %d, crop %d: padded picture is %v", c.width, c.crop, got.Pix)
			}
		}
	}
}

func TestApplyChecksLengths(t *testing.T) {
	p := validPreprocess()
	for _, n := range []int{0, 3*36 - 1, 3*36 + 1} {
		if err := p.Apply(newRGB(10, 9), make([]float32, n)); err == nil || !strings.Contains(err.Error(), "want 3x6x6 = 108") {
			t.Errorf("%d elements: got %v", n, err)
		}
	}
	for _, img := range []*RGB{nil, {}, {Width: 2, Height: 2, Pix: make([]byte, 11)}, {Width: -1, Height: -1, Pix: make([]byte, 3)}} {
		if err := p.Apply(img, make([]float32, 108)); err == nil {
			t.Errorf("picture %+v is accepted", img)
		}
	}
}

func TestApplyLeavesThePictureAlone(t *testing.T) {
	img := decodeTestFile(t, "source_small.png", DecodeOptions{})
	before := bytes.Clone(img.Pix)
	for _, resize := range []int{0, 19, 40} {
		p := Preprocess{Resize: resize, Crop: 19, Std: [3]float32{1, 1, 1}, Interpolation: Bicubic}
		if err := p.Apply(img, make([]float32, 3*19*19)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(img.Pix, before) {
			t.Fatalf("resize %d changed the source", resize)
		}
	}
}

func TestExtremeAspectStaysSmall(t *testing.T) {
	tall := newRGB(1, 60000)
	p := Preprocess{Resize: 256, Crop: 224, Std: [3]float32{1, 1, 1}, Interpolation: Bicubic}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	img, err := p.Pixels(tall) // would be 256 x 15,360,000
	runtime.ReadMemStats(&after)
	if err != nil || img.Width != 224 || img.Height != 224 {
		t.Fatalf("got %v, %v", img, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("took %d bytes", used)
	}
	p.Crop = 0
	if _, err := p.Pixels(tall); !errors.Is(err, ErrTooLarge) {
		t.Errorf("without a crop: got %v, want ErrTooLarge", err)
	}
}

func TestDecodeErrors(t *testing.T) {
	broken := errors.New("broken pipe")
	cases := []struct {
		name string
		r    io.Reader
		opts DecodeOptions
		is   error
		want string
	}{
		{"empty.jpg", strings.NewReader(""), DecodeOptions{}, ErrFormat, "the file is empty"},
		{"note.txt", strings.NewReader("hello, world"), DecodeOptions{}, ErrFormat, "68 65 6c"},
		{"pipe.png", iotest.ErrReader(broken), DecodeOptions{}, broken, "read pipe.png"},
		{"limit.png", strings.NewReader("x"), DecodeOptions{MaxPixels: -1}, nil, "max pixels is -1"},
	}
	for _, c := range cases {
		_, err := Decode(c.r, c.name, c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestResizeRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		w, h int
		in   Interpolation
	}{{0, 4, Bilinear}, {4, -1, Bilinear}, {4, 4, 0}, {4, 4, Lanczos + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Resize to %dx%d with %v did not panic", c.w, c.h, c.in)
				}
			}()
			Resize(newRGB(3, 3), c.w, c.h, c.in)
		}()
	}
}

func TestErrorsNameTheFormatOnce(t *testing.T) {
	for name, format := range map[string]string{"png_type2_8bit.png": "png", "tiff_lab.tif": "tiff", "webp_lossless.webp": "webp", "jpeg_arithmetic.jpg": "jpeg", "gif_plain.gif": "gif"} {
		data := readTestFile(t, name)
		_, err := Decode(bytes.NewReader(data[:len(data)*3/4]), "a", DecodeOptions{})
		if err == nil || !strings.HasPrefix(err.Error(), "decode a: "+format+": ") || strings.Contains(err.Error(), format+": "+format+": ") {
			t.Errorf("%s cut short: got %v", name, err)
		}
	}
}

func TestDecodeIgnoresTheExtension(t *testing.T) {
	data := readTestFile(t, "png_type2_8bit.png")
	img, err := Decode(bytes.NewReader(data), "n01234.JPEG", DecodeOptions{})
	if err != nil || img.Width != 13 {
		t.Errorf("a PNG under a JPEG's name: got %v, %v", img, err)
	}
}

// Every prefix of every file gives an error or a whole picture, never a panic; and a file cut in half gives an error that says so.
func TestTruncatedFiles(t *testing.T) {
	for _, c := range readGolden(t).Decode {
		data := readTestFile(t, c.File)
		if len(data) > 4<<10 {
			continue // its smaller relatives stand for it
		}
		t.Run(c.File, func(t *testing.T) {
			for n := 0; n < len(data); n += 1 + len(data)/200 {
				img, err := Decode(bytes.NewReader(data[:n]), c.File, DecodeOptions{})
				if err == nil && (img.Width != c.Width || img.Height != c.Height) {
					t.Errorf("%d of %d bytes give %dx%d", n, len(data), img.Width, img.Height)
				}
			}
			// Half of a TIFF may lack its directory or its strips, half of an animation its later frames.
			if strings.Contains(c.File, "animated") {
				return
			}
			if _, err := Decode(bytes.NewReader(data[:len(data)/2]), c.File, DecodeOptions{}); err == nil {
				t.Error("half of the file decodes")
			}
		})
	}
}

// A small file that claims to be large is refused before memory is taken.
func TestBombs(t *testing.T) {
	cases := map[string][]byte{
		"png 30000x30000":  pngHeader(30000, 30000),
		"png 9000x9000":    pngHeader(9000, 9000),
		"bmp 30000x30000":  bombBMP(30000, 30000, 0),
		"bmp 9000x9000":    bombBMP(9000, 9000, 0),
		"gif 9000x9000":    bombGIF(9000, 9000),
		"gif 65535x65535":  bombGIF(65535, 65535),
		"jpeg 65500x65500": bombJPEG(t, 65500, 65500),
		"jpeg 9000x9000":   bombJPEG(t, 9000, 9000),
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Decode(bytes.NewReader(data), name, DecodeOptions{})
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("decoded")
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
				t.Errorf("took %d bytes before the error %v", used, err)
			}
		})
	}
}

func pngHeader(w, h uint32) []byte {
	body := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	body = append(binary.BigEndian.AppendUint32(body, h), 8, 2, 0, 0, 0)
	out := append([]byte(pngSignature), 0, 0, 0, 13)
	out = append(out, body...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	// A valid start of compressed pixels, so that only the length can give the file away.
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	z.Write(make([]byte, 1000))
	z.Close()
	out = binary.BigEndian.AppendUint32(out, uint32(packed.Len()))
	chunk := append([]byte("IDAT"), packed.Bytes()...)
	return binary.BigEndian.AppendUint32(append(out, chunk...), crc32.ChecksumIEEE(chunk))
}

func bombBMP(w, h uint32, compression byte) []byte {
	out := append([]byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00"), 40, 0, 0, 0)
	out = binary.LittleEndian.AppendUint32(out, w)
	out = binary.LittleEndian.AppendUint32(out, h)
	out = append(out, 1, 0, 24, 0, compression, 0, 0, 0)
	return append(out, make([]byte, 40)...)
}

func bombGIF(w, h uint16) []byte {
	out := binary.LittleEndian.AppendUint16([]byte("GIF89a"), w)
	out = append(binary.LittleEndian.AppendUint16(out, h), 0, 0, 0, ',', 0, 0, 0, 0)
	out = binary.LittleEndian.AppendUint16(out, w)
	return append(binary.LittleEndian.AppendUint16(out, h), 0, 8, 3, 1, 2, 3, 0)
}

func bombJPEG(t *testing.T, w, h uint16) []byte {
	data := bytes.Clone(readTestFile(t, "jpeg_420_17x9.jpg"))
	at := bytes.Index(data, []byte("\xff\xc0"))
	binary.BigEndian.PutUint16(data[at+5:], h)
	binary.BigEndian.PutUint16(data[at+7:], w)
	return data
}

func TestBMPDamage(t *testing.T) {
	change := func(name string, at int, value ...byte) []byte {
		data := bytes.Clone(readTestFile(t, name))
		copy(data[at:], value)
		return data
	}
	cases := []struct {
		name, want string
		data       []byte
	}{
		{"header of 41 bytes", "header of 41 bytes", change("bmp_24bit.bmp", 14, 41)},
		{"no width", "size 0x7", change("bmp_24bit.bmp", 18, 0)},
		{"negative width", "size -1x7", change("bmp_24bit.bmp", 18, 255, 255, 255, 255)},
		{"5 bits", "5 bits a pixel", change("bmp_24bit.bmp", 28, 5)},
		{"compression 4", "compression 4", change("bmp_24bit.bmp", 30, 4)},
		{"run-length 8 with 24 bits", "compression 1 with 24", change("bmp_24bit.bmp", 30, 1)},
		{"masks with 8 bits", "channel masks with 8", change("bmp_8bit.bmp", 30, 3)},
		{"broken mask", "not one run of bits", change("bmp_16bit_565.bmp", 54, 5)},
		{"palette beyond the file", "truncated", change("bmp_8bit.bmp", 46, 0, 255)},
		{"huge palette", "at most 65536", change("bmp_8bit.bmp", 46, 255, 255, 255, 255)},
		{"pixels beyond the file", "truncated", change("bmp_24bit.bmp", 10, 255, 255, 255)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(bytes.NewReader(c.data), "a.bmp", DecodeOptions{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestBMPRunsThatEndEarlyAreBlack(t *testing.T) {
	data := readTestFile(t, "bmp_rle8.bmp")
	whole := decodeTestFile(t, "bmp_rle8.bmp", DecodeOptions{})
	// The runs follow the palette; the file is bottom up, so an early end leaves palette colour 0 above.
	early := append(bytes.Clone(data[:54+1024]), 4, 9, 0, 1)
	img, err := Decode(bytes.NewReader(early), "early.bmp", DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bottom := img.row(img.Height - 1)
	if !bytes.Equal(bottom[:12], whole.row(img.Height - 1)[:12]) {
		t.Errorf("first run: got % x", bottom[:12])
	}
	zero := []byte{data[56], data[55], data[54]}
	if got := img.row(0)[:3]; !bytes.Equal(got, zero) || !bytes.Equal(bottom[12:15], zero) {
		t.Errorf("skipped pixels are % x, want % x", got, zero)
	}
}

// An even picture compresses a thousandfold, and is no bomb.
func TestEvenPNGDecodes(t *testing.T) {
	for name, img := range map[string]image.Image{
		"gray":    image.NewGray(image.Rect(0, 0, 2000, 1500)),
		"rgba":    image.NewNRGBA(image.Rect(0, 0, 1000, 900)),
		"palette": image.NewPaletted(image.Rect(0, 0, 4000, 3000), color.Palette{color.Black, color.White}),
	} {
		var file bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, img); err != nil {
			t.Fatal(err)
		}
		got, err := Decode(&file, name, DecodeOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got.Width != img.Bounds().Dx() || got.Height != img.Bounds().Dy() {
			t.Errorf("%s: got %dx%d", name, got.Width, got.Height)
		}
	}
}

// TestSeenIsWhereTheCropComesFrom: pixels that tell their place are looked for in what Pixels returns.
func TestSeenIsWhereTheCropComesFrom(t *testing.T) {
	for _, c := range []struct{ w, h, crop int }{{9, 7, 4}, {10, 6, 6}, {5, 5, 5}, {4, 9, 6}, {3, 2, 7}, {8, 5, 1}} {
		img := newRGB(c.w, c.h)
		for i := range c.w * c.h {
			img.Pix[3*i], img.Pix[3*i+1] = byte(1+i%c.w), byte(1+i/c.w) // 0 is padding
		}
		p := Preprocess{Crop: c.crop, Std: [3]float32{1, 1, 1}, Interpolation: Bilinear}
		got, err := p.Pixels(img)
		if err != nil {
			t.Fatal(err)
		}
		seen := p.Seen(c.w, c.h)
		left, top := seen.Left*float64(c.w), seen.Top*float64(c.h)
		if r, b := seen.Right*float64(c.w), seen.Bottom*float64(c.h); math.Abs(r-left-float64(c.crop)) > 1e-9 || math.Abs(b-top-float64(c.crop)) > 1e-9 {
			t.Errorf("%+v: %+v is not as large as the crop", c, seen)
		}
		for y := range c.crop {
			for x := range c.crop {
				red, green := got.Pix[3*(y*c.crop+x)], got.Pix[3*(y*c.crop+x)+1]
				if red == 0 {
					continue
				}
				if wx, wy := int(math.Round(left))+x+1, int(math.Round(top))+y+1; int(red) != wx || int(green) != wy {
					t.Errorf("%+v: pixel %d,%d comes from %d,%d, Seen says %d,%d", c, x, y, red, green, wx, wy)
				}
			}
		}
	}
	whole := Region{0, 0, 1, 1}
	if got := (Preprocess{Resize: 50}).Seen(300, 200); got != whole {
		t.Errorf("without a crop: got %+v", got)
	}
	if got, want := (Preprocess{Resize: 64, Crop: 32}).Seen(200, 100), (Region{0.375, 0.25, 0.625, 0.75}); got != want {
		t.Errorf("after a resize: got %+v, want %+v", got, want)
	}
}

func TestThumbnailKeepsTheProportions(t *testing.T) {
	for _, c := range []struct{ w, h, side, wantW, wantH int }{{300, 200, 30, 30, 20}, {200, 300, 30, 20, 30}, {3, 3, 9, 9, 9}, {1000, 1, 10, 10, 1}, {7, 5, 4, 4, 3}} {
		if got := Thumbnail(newRGB(c.w, c.h), c.side); got.Width != c.wantW || got.Height != c.wantH {
			t.Errorf("%+v: got %d×%d", c, got.Width, got.Height)
		}
	}
}
