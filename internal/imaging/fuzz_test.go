package imaging

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func addSeeds(f *testing.F, patterns ...string) {
	f.Helper()
	for _, p := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", p))
		if err != nil || len(names) == 0 {
			f.Fatalf("no seeds like %s: %v", p, err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if len(data) < 8<<10 {
				f.Add(data)
			}
		}
	}
}

// FuzzDecode: whatever the bytes, Decode returns a consistent picture within the limit, or an error that names the file.
func FuzzDecode(f *testing.F) {
	addSeeds(f, "png_*", "bmp_*", "gif_*", "webp_*", "tiff_*", "jpeg_*", "exif_*")
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		img, err := Decode(bytes.NewReader(data), "a.picture", DecodeOptions{MaxPixels: limit})
		if err != nil {
			if img != nil || !bytes.Contains([]byte(err.Error()), []byte("a.picture")) {
				t.Errorf("picture %v with error %v", img, err)
			}
			return
		}
		if img.Width < 1 || img.Height < 1 || img.Width*img.Height > limit || len(img.Pix) != 3*img.Width*img.Height {
			t.Errorf("%dx%d with %d bytes", img.Width, img.Height, len(img.Pix))
		}
	})
}

// FuzzOrientation: metadata never panics, and an orientation it gives can be applied and undone.
func FuzzOrientation(f *testing.F) {
	addSeeds(f, "exif_*")
	f.Fuzz(func(t *testing.T, data []byte) {
		img := &RGB{Width: 3, Height: 2, Pix: []byte("abcdefghijklmnopqr")}
		undo := map[Orientation]Orientation{6: 8, 8: 6}
		for _, find := range []func([]byte) Orientation{exifOrientation, jpegOrientation, pngOrientation, webpOrientation} {
			o := find(data)
			back, ok := undo[o]
			if !ok {
				back = o // the others undo themselves
			}
			if got := back.apply(o.apply(img)); got.Width != img.Width || !bytes.Equal(got.Pix, img.Pix) {
				t.Errorf("orientation %d and back: got %dx%d %q", o, got.Width, got.Height, got.Pix)
			}
		}
	})
}
