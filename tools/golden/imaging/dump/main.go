// Command dump decodes pictures with internal/imaging and writes their bytes for measure.py to compare. It reads one path a line from
// standard input and writes frames to standard output: width, height, number of bytes (little-endian int32), then the RGB bytes; a
// picture that fails has width 0, and its bytes are the error's text. With -stdlib JPEG goes through the standard library instead.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"image"
	_ "image/jpeg"
	"log"
	"os"

	"github.com/resnet-run/resnet-run/internal/imaging"
)

func main() {
	useStdlib := flag.Bool("stdlib", false, "decode with image/jpeg")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		img, err := decode(lines.Text(), *useStdlib)
		if err != nil {
			img = &imaging.RGB{Pix: []byte(err.Error())}
		}
		header := []int32{int32(img.Width), int32(img.Height), int32(len(img.Pix))}
		if err := binary.Write(out, binary.LittleEndian, header); err != nil {
			log.Fatal(err)
		}
		out.Write(img.Pix)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

func decode(path string, useStdlib bool) (*imaging.RGB, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !useStdlib {
		return imaging.Decode(bytes.NewReader(data), path, imaging.DecodeOptions{IgnoreOrientation: true})
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	b := m.Bounds()
	img := &imaging.RGB{Width: b.Dx(), Height: b.Dy(), Pix: make([]byte, 0, 3*b.Dx()*b.Dy())}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, b, _ := m.At(x, y).RGBA()
			img.Pix = append(img.Pix, byte(r>>8), byte(g>>8), byte(b>>8))
		}
	}
	return img, nil
}
