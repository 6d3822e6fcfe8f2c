package jpeg

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const noLimit = 1 << 26

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The byte-for-byte comparison with libjpeg-turbo is in the parent package's golden test; here are the parts and the damage.

func TestInverseDCTNearsTheExactTransform(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var block [blockSize]int32
		for range 1 + rng.IntN(20) {
			block[rng.IntN(blockSize)] = int32(rng.IntN(801) - 400)
		}
		want := exactInverse(&block)
		scratch := block
		var got [blockSize]byte
		inverseDCT(&scratch, got[:], 8)
		for i := range got {
			if d := math.Abs(float64(got[i]) - want[i]); !(d <= 0.55) { // half a level of rounding, and a little for the fixed point
				t.Fatalf("sample %d of %v: got %d, exact %v", i, block, got[i], want[i])
			}
		}
	}
}

// exactInverse is the definition (T.81 A.3.3) in float64, with level shift and clamping.
func exactInverse(block *[blockSize]int32) (out [blockSize]float64) {
	scale := func(k int) float64 {
		if k == 0 {
			return math.Sqrt2 / 4
		}
		return 0.5
	}
	for y := range 8 {
		for x := range 8 {
			sum := 0.0
			for v := range 8 {
				for u := range 8 {
					sum += scale(u) * scale(v) * float64(block[8*v+u]) *
						math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) * math.Cos(float64(2*y+1)*float64(v)*math.Pi/16)
				}
			}
			out[8*y+x] = min(max(sum+128, 0), 255)
		}
	}
	return out
}

func TestInverseFlatEqualsInverseDCT(t *testing.T) {
	for dc := int32(-3000); dc <= 3000; dc++ {
		var a, b [blockSize]byte
		inverseFlat(dc, a[:], 8)
		inverseDCT(&[blockSize]int32{dc}, b[:], 8)
		if a != b {
			t.Fatalf("dc %d: flat gives %d, the transform %d", dc, a[0], b[0])
		}
	}
}

func TestPrefixesAreTruncated(t *testing.T) {
	for _, name := range []string{"jpeg_420_17x9.jpg", "jpeg_444_progressive_17x9.jpg", "jpeg_restart.jpg", "jpeg_cmyk.jpg", "jpeg_gray_progressive.jpg"} {
		t.Run(name, func(t *testing.T) {
			data := readFile(t, name)
			whole, err := Decode(data, noLimit)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(whole.Pix)
			isSequential := !strings.Contains(name, "progressive")
			for n := range data {
				img, err := Decode(data[:n], noLimit)
				if err == nil {
					if !isSequential || n < len(data)-4 || sha256.Sum256(img.Pix) != sum {
						t.Fatalf("the first %d of %d bytes decode", n, len(data))
					}
					continue
				}
				var format FormatError
				if !errors.As(err, &format) {
					t.Fatalf("the first %d of %d bytes: got %T %v, want a FormatError", n, len(data), err, err)
				}
			}
		})
	}
}

// mutate returns the file with the byte at an offset from the first occurrence of a marker replaced.
func mutate(t *testing.T, data []byte, marker string, offset int, value byte) []byte {
	t.Helper()
	at := bytes.Index(data, []byte(marker))
	if at < 0 {
		t.Fatalf("no marker % x", marker)
	}
	out := bytes.Clone(data)
	out[at+offset] = value
	return out
}

func TestDamageIsNamed(t *testing.T) {
	plain := readFile(t, "jpeg_420_17x9.jpg")
	progressive := readFile(t, "jpeg_420_progressive_17x9.jpg")
	const sof0, sof2, sos, dqt, dht = "\xff\xc0", "\xff\xc2", "\xff\xda", "\xff\xdb", "\xff\xc4"
	cases := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "start-of-image"},
		{"only a start", []byte("\xff\xd8"), "before the frame header"},
		{"start and end", []byte("\xff\xd8\xff\xd9"), "without a frame header"},
		{"two starts", []byte("\xff\xd8\xff\xd8"), "second start-of-image"},
		{"12 bits", mutate(t, plain, sof0, 4, 12), "unsupported: 12-bit"},
		{"no height", mutate(t, mutate(t, plain, sof0, 5, 0), sof0, 6, 0), "size 17x0"},
		{"no width", mutate(t, mutate(t, plain, sof0, 7, 0), sof0, 8, 0), "size 0x9"},
		{"two components", mutate(t, plain, sof0, 9, 2), "unsupported: 2 components"},
		{"sampling factor 0", mutate(t, plain, sof0, 11, 0x20), "sampling factors 2x0"},
		{"sampling factor 5", mutate(t, plain, sof0, 11, 0x52), "sampling factors 5x2"},
		{"sampling 3 to 2", mutate(t, mutate(t, plain, sof0, 11, 0x32), sof0, 14, 0x21), "does not divide"},
		{"quantisation table 4", mutate(t, plain, sof0, 12, 4), "quantisation table 4"},
		{"quantisation table 3 missing", mutate(t, plain, sof0, 12, 3), "was not defined"},
		{"same ids", mutate(t, plain, sof0, 13, 1), "share the id 1"},
		{"lossless", mutate(t, plain, sof0, 1, 0xC3), "unsupported: lossless"},
		{"hierarchical", mutate(t, plain, sof0, 1, 0xC5), "unsupported: hierarchical sequential"},
		{"arithmetic progressive", mutate(t, plain, sof0, 1, 0xCA), "unsupported: progressive JPEG with arithmetic"},
		{"scan of unknown component", mutate(t, plain, sos, 5, 9), "component id 9"},
		{"scan of one component twice", mutate(t, plain, sos, 7, 1), "id 1 twice"},
		{"scan of 0 components", mutate(t, plain, sos, 4, 0), "header of scan 1"},
		{"scan with Huffman table 4", mutate(t, plain, sos, 6, 0x40), "Huffman tables 4"},
		{"scan with missing Huffman table", mutate(t, plain, sos, 6, 0x33), "was not defined"},
		{"quantisation table of precision 2", mutate(t, plain, dqt, 4, 0x20), "precision 2"},
		{"Huffman table of class 2", mutate(t, plain, dht, 4, 0x20), "class 2"},
		{"Huffman table with 3 codes of 1 bit", mutate(t, plain, dht, 5, 3), "Huffman table"},
		{"huge picture", mutate(t, mutate(t, plain, sof0, 5, 0x20), sof0, 7, 0x20), "the limit is"},
		{"large picture in a short file", mutate(t, plain, sof0, 5, 4), "cannot hold"},
		{"progressive: bad band", mutate(t, progressive, sos, 11, 70), "scan 1 asks for"},
		{"progressive: bad bits", mutate(t, progressive, sos, 13, 0x53), "scan 1 asks for"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(c.data, noLimit)
			if err == nil {
				t.Fatalf("decoded, want an error with %q", c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %q, want one with %q", err, c.want)
			}
		})
	}
}

func TestTooManyScans(t *testing.T) {
	data := readFile(t, "jpeg_420_progressive_17x9.jpg")
	first := bytes.Index(data, []byte("\xff\xda"))
	// A refinement scan of DC: one bit for each block, over and over.
	scan := append([]byte("\xff\xda\x00\x08\x01\x01\x00\x00\x00\x10"), bytes.Repeat([]byte{0}, 8)...)
	long := append(bytes.Clone(data[:len(data)-2]), bytes.Repeat(scan, maxScans)...)
	long = append(long, 0xFF, 0xD9)
	if first < 0 {
		t.Fatal("no scan")
	}
	if _, err := Decode(long, noLimit); err == nil || !strings.Contains(err.Error(), "scans") {
		t.Errorf("got error %v, want one about the number of scans", err)
	}
}

func TestReadHeader(t *testing.T) {
	got, err := ReadHeader(readFile(t, "jpeg_cmyk_progressive.jpg"))
	if want := (Header{Width: 37, Height: 29, Components: 4, IsProgressive: true}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("..", "testdata", "jpeg_*.jpg"))
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		header, headerErr := ReadHeader(data)
		img, err := Decode(data, 1<<16)
		if err != nil {
			return
		}
		if headerErr != nil || img.Width != header.Width || img.Height != header.Height || len(img.Pix) != 3*img.Width*img.Height {
			t.Errorf("header %+v, %v; picture %dx%d with %d bytes", header, headerErr, img.Width, img.Height, len(img.Pix))
		}
	})
}
