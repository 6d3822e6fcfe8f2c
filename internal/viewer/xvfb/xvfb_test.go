package xvfb

import (
	"encoding/binary"
	"image"
	"image/color"
	"os"
	"strings"
	"testing"
)

// TestScreenIsBlackAtFirst reads what a server has really written.
func TestScreenIsBlackAtFirst(t *testing.T) {
	s := Start(t, 123, 45)
	img := s.Image()
	if img.Rect != image.Rect(0, 0, 123, 45) || os.Getenv("DISPLAY") != s.display {
		t.Fatalf("a screen of %v on display %q", img.Rect, os.Getenv("DISPLAY"))
	}
	black := image.NewRGBA(img.Rect)
	for i := range black.Pix {
		black.Pix[i] = 255 * byte(i%4/3)
	}
	if at, differs := Differs(img, black); differs {
		t.Errorf("pixel %v is %v", at, img.RGBAAt(at.X, at.Y))
	}
	black.SetRGBA(120, 40, color.RGBA{1, 0, 0, 255})
	if at, differs := Differs(img, black); !differs || at != image.Pt(120, 40) {
		t.Errorf("a pixel that is not black: got %v, %v", at, differs)
	}
}

func TestDecode(t *testing.T) {
	header := []uint32{104, 7, 2, 24, 2, 1, 0, 0, 32, 0, 32, 32, 12, 4, 0xff0000, 0xff00, 0xff, 8, 256, 1, 0, 0, 0, 0, 0, 0}
	file := func(change func(h []uint32)) (data []byte) {
		h := append([]uint32(nil), header...)
		change(h)
		for _, v := range h {
			data = binary.BigEndian.AppendUint32(data, v)
		}
		data = append(data, make([]byte, 12)...) // one colour
		return append(data, 3, 2, 1, 0, 6, 5, 4, 0, 9, 9, 9, 9)
	}
	img, err := decode(file(func([]uint32) {}))
	if err != nil || img.RGBAAt(0, 0) != (color.RGBA{1, 2, 3, 255}) || img.RGBAAt(1, 0) != (color.RGBA{4, 5, 6, 255}) {
		t.Errorf("got %+v, %v", img, err)
	}
	for name, change := range map[string]func([]uint32){
		"another version": func(h []uint32) { h[1] = 6 }, "16 bits": func(h []uint32) { h[11] = 16 }, "another order": func(h []uint32) { h[7] = 1 },
		"red first": func(h []uint32) { h[14] = 0xff }, "too many rows": func(h []uint32) { h[5] = 2 }, "rows too short": func(h []uint32) { h[4] = 4 },
	} {
		if _, err := decode(file(change)); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := decode([]byte("short")); err == nil {
		t.Error("no header: no error")
	}
}
