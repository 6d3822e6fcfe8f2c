package imaging

import (
	"bytes"
	"fmt"
	"testing"

	stdjpeg "image/jpeg"
)

// grid makes a picture of the given size by tiling the cat.
func grid(b *testing.B, width, height int) *RGB {
	b.Helper()
	tile := decodeTestFile(b, "source_photo.jpg", DecodeOptions{})
	out := newRGB(width, height)
	for y := range height {
		row, src := out.row(y), tile.row(y%tile.Height)
		for x := 0; x < len(row); x += len(src) {
			copy(row[x:], src)
		}
	}
	return out
}

func BenchmarkResize(b *testing.B) {
	img := grid(b, 4000, 3000)
	for _, in := range []Interpolation{Bilinear, Bicubic} {
		b.Run(fmt.Sprintf("%v/12MP to 341x256", in), func(b *testing.B) {
			for b.Loop() {
				Resize(img, 341, 256, in)
			}
		})
	}
}

func BenchmarkApply(b *testing.B) {
	p := Preprocess{Resize: 256, Crop: 224, Std: [3]float32{1, 1, 1}, Interpolation: Bilinear}
	for _, size := range [][2]int{{500, 375}, {4000, 3000}} {
		img := grid(b, size[0], size[1])
		dst := make([]float32, 3*224*224)
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			for b.Loop() {
				if err := p.Apply(img, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"source_cifar_size.jpg", "source_photo.jpg", "source_photo.png", "webp_lossy_64x40.webp"} {
		data := readTestFile(b, name)
		img := decodeTestFile(b, name, DecodeOptions{})
		b.Run(fmt.Sprintf("%s/%dx%d", name, img.Width, img.Height), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(bytes.NewReader(data), name, DecodeOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(img.Width*img.Height)*float64(b.N)/b.Elapsed().Seconds()/1e6, "MP/s")
		})
	}
	data := readTestFile(b, "source_photo.jpg")
	b.Run("source_photo.jpg with image/jpeg, planes only", func(b *testing.B) {
		for b.Loop() {
			if _, err := stdjpeg.Decode(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
