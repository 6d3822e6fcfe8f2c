package imaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden is testdata/golden.json: what Pillow and torchvision make of the pictures beside it.
type golden struct {
	Decode []struct {
		File, SHA256, Note string
		Width, Height      int
	}
	Bad         []struct{ File, Error string }
	Orientation []struct {
		File, SHA256  string
		Width, Height int
		IgnoredWidth  int    `json:"ignored_width"`
		IgnoredHeight int    `json:"ignored_height"`
		IgnoredSHA256 string `json:"ignored_sha256"`
	}
	Resize []struct {
		File, SHA256, Interpolation string
		Width, Height               int
	}
	Presets []struct {
		File, Interpolation string
		Resize, Crop        int
		Mean, Std           [3]float32
		PixelsSHA256        string `json:"pixels_sha256"`
		HorizontalFirst     string `json:"horizontal_first_sha256"`
		ValuesSHA256        string `json:"values_sha256"`
		First               [3]float64
	}
	// Shared are sums over files beside the repository, which not everyone has. An archive has a number of pictures that are summed together.
	Shared []struct {
		File, SHA256         string
		Width, Height, Count int
	}
}

func readGolden(t testing.TB) *golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	// Guards against a file that lost its cases: the lists only grow.
	if len(g.Decode) < 210 || len(g.Bad) < 10 || len(g.Orientation) < 35 || len(g.Resize) < 180 || len(g.Presets) < 54 {
		t.Fatalf("golden.json has %d, %d, %d, %d, %d cases, some are missing", len(g.Decode), len(g.Bad), len(g.Orientation), len(g.Resize), len(g.Presets))
	}
	return &g
}

func readTestFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decodeTestFile(t testing.TB, name string, opts DecodeOptions) *RGB {
	t.Helper()
	img, err := Decode(bytes.NewReader(readTestFile(t, name)), name, opts)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func checkPixels(t *testing.T, img *RGB, width, height int, sum string) {
	t.Helper()
	if img.Width != width || img.Height != height || len(img.Pix) != 3*width*height {
		t.Fatalf("got %dx%d with %d bytes, want %dx%d", img.Width, img.Height, len(img.Pix), width, height)
	}
	if got := hashBytes(img.Pix); got != sum {
		t.Errorf("pixels differ from Pillow's: got sha256 %s, want %s; first bytes % x", got, sum, img.Pix[:min(12, len(img.Pix))])
	}
}

func hashBytes(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestDecodeEqualsPillow(t *testing.T) {
	for _, c := range readGolden(t).Decode {
		t.Run(c.File, func(t *testing.T) {
			checkPixels(t, decodeTestFile(t, c.File, DecodeOptions{}), c.Width, c.Height, c.SHA256)
		})
	}
}

func TestDecodeRefusesBadFiles(t *testing.T) {
	for _, c := range readGolden(t).Bad {
		t.Run(c.File, func(t *testing.T) {
			img, err := Decode(bytes.NewReader(readTestFile(t, c.File)), c.File, DecodeOptions{})
			if err == nil {
				t.Fatalf("decoded to %dx%d, want an error with %q", img.Width, img.Height, c.Error)
			}
			if !strings.Contains(err.Error(), c.Error) || !strings.Contains(err.Error(), c.File) {
				t.Errorf("error %q does not name the file and %q", err, c.Error)
			}
		})
	}
}

func TestOrientationEqualsPillow(t *testing.T) {
	for _, c := range readGolden(t).Orientation {
		t.Run(c.File, func(t *testing.T) {
			checkPixels(t, decodeTestFile(t, c.File, DecodeOptions{}), c.Width, c.Height, c.SHA256)
			ignored := decodeTestFile(t, c.File, DecodeOptions{IgnoreOrientation: true})
			checkPixels(t, ignored, c.IgnoredWidth, c.IgnoredHeight, c.IgnoredSHA256)
		})
	}
}

func TestResizeEqualsPillow(t *testing.T) {
	for _, c := range readGolden(t).Resize {
		t.Run(c.File+"/"+c.Interpolation, func(t *testing.T) {
			in, err := ParseInterpolation(c.Interpolation)
			if err != nil {
				t.Fatal(err)
			}
			img := decodeTestFile(t, c.File, DecodeOptions{})
			checkPixels(t, Resize(img, c.Width, c.Height, in), c.Width, c.Height, c.SHA256)
		})
	}
}

func TestPreprocessEqualsTorchvision(t *testing.T) {
	for _, c := range readGolden(t).Presets {
		t.Run(c.File, func(t *testing.T) {
			in, err := ParseInterpolation(c.Interpolation)
			if err != nil {
				t.Fatal(err)
			}
			p := Preprocess{Resize: c.Resize, Crop: c.Crop, Mean: c.Mean, Std: c.Std, Interpolation: in}
			img := decodeTestFile(t, c.File, DecodeOptions{})
			pixels, err := p.Pixels(img)
			if err != nil {
				t.Fatal(err)
			}
			checkPixels(t, pixels, c.Crop, c.Crop, c.PixelsSHA256)
			older := p
			older.HorizontalFirst = true
			if pixels, err = older.Pixels(img); err != nil {
				t.Fatal(err)
			}
			checkPixels(t, pixels, c.Crop, c.Crop, c.HorizontalFirst)
			values := make([]float32, 3*c.Crop*c.Crop)
			if err := p.Apply(img, values); err != nil {
				t.Fatal(err)
			}
			raw := make([]byte, 0, 4*len(values))
			for _, v := range values {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
			}
			if got := hashBytes(raw); got != c.ValuesSHA256 {
				t.Errorf("resize %d crop %d %s: values differ from torchvision's: got %v..., want %v...", c.Resize, c.Crop, c.Interpolation, values[:3], c.First)
			}
		})
	}
}

func TestOrderOfPassesShows(t *testing.T) {
	differ := 0
	for _, c := range readGolden(t).Presets {
		if c.HorizontalFirst != c.PixelsSHA256 {
			differ++
		}
	}
	if differ == 0 {
		t.Error("no preset case tells the two orders of passes apart")
	}
}

// The pictures are not part of the repository: the test runs where the project's data folder lies beside it.
func TestSharedPicturesEqualPillow(t *testing.T) {
	root := filepath.Join("..", "..", "..", "shared", "data")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no shared pictures: %v", err)
	}
	cases := readGolden(t).Shared
	if len(cases) < 12 {
		t.Fatalf("golden.json has sums of %d shared files, some are missing", len(cases))
	}
	for _, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			f, err := os.Open(filepath.Join(root, filepath.FromSlash(c.File)))
			if err != nil {
				t.Skipf("no such shared file: %v", err)
			}
			defer f.Close()
			if c.Count > 0 {
				checkArchive(t, f, c.Count, c.SHA256)
				return
			}
			img, err := Decode(f, c.File, DecodeOptions{IgnoreOrientation: true})
			if err != nil {
				t.Fatal(err)
			}
			checkPixels(t, img, c.Width, c.Height, c.SHA256)
		})
	}
}

// checkArchive sums the pixels of the first JPEG files of a tar.gz.
func checkArchive(t *testing.T, r io.Reader, count int, sum string) {
	t.Helper()
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	files, total := tar.NewReader(unzipped), sha256.New()
	for done := 0; done < count; {
		h, err := files.Next()
		if err != nil {
			t.Fatalf("after %d of %d pictures: %v", done, count, err)
		}
		if h.Typeflag != tar.TypeReg || !strings.HasSuffix(h.Name, ".jpg") {
			continue
		}
		img, err := Decode(files, h.Name, DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		total.Write(img.Pix)
		done++
	}
	if got := hex.EncodeToString(total.Sum(nil)); got != sum {
		t.Errorf("the first %d pictures differ from Pillow's: got sha256 %s, want %s", count, got, sum)
	}
}

func TestEveryTestFileIsUsed(t *testing.T) {
	g := readGolden(t)
	used := map[string]bool{"golden.json": true, "README.md": true}
	for _, c := range g.Decode {
		used[c.File] = true
	}
	for _, c := range g.Bad {
		used[c.File] = true
	}
	for _, c := range g.Orientation {
		used[c.File] = true
	}
	for _, c := range g.Resize {
		used[c.File] = true
	}
	for _, c := range g.Presets {
		used[c.File] = true
	}
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() && !used[e.Name()] {
			t.Errorf("testdata/%s belongs to no case", e.Name())
		}
	}
}

func TestDecodeTooLarge(t *testing.T) {
	for _, c := range readGolden(t).Decode {
		if c.Width*c.Height < 2 {
			continue
		}
		t.Run(c.File, func(t *testing.T) {
			data := readTestFile(t, c.File)
			_, err := Decode(bytes.NewReader(data), c.File, DecodeOptions{MaxPixels: int64(c.Width*c.Height) - 1})
			if !errors.Is(err, ErrTooLarge) {
				t.Errorf("got error %v, want ErrTooLarge", err)
			}
			if _, err := Decode(bytes.NewReader(data), c.File, DecodeOptions{MaxPixels: int64(c.Width * c.Height)}); err != nil {
				t.Errorf("at the limit: %v", err)
			}
		})
	}
}
