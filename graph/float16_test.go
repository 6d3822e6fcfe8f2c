package graph

import (
	"math"
	"testing"
)

func TestEveryFloat16ComesBack(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		v := Float16FromBits(h)
		nan := h&0x7c00 == 0x7c00 && h&0x3ff != 0
		if nan != math.IsNaN(float64(v)) {
			t.Fatalf("%#04x: got %g", h, v)
		}
		if got := Float16Bits(v); got != h && !(nan && math.IsNaN(float64(Float16FromBits(got)))) {
			t.Fatalf("%#04x: came back as %#04x", h, got)
		}
	}
}

func TestFloat16RoundsToTheNearest(t *testing.T) {
	for i := range 0x7bff { // between every two neighbours
		a, b := float64(Float16FromBits(uint16(i))), float64(Float16FromBits(uint16(i+1)))
		middle := float32((a + b) / 2)
		even := uint16(i) + uint16(i)&1
		for _, c := range []struct {
			v    float32
			want uint16
		}{
			{middle, even}, {math.Nextafter32(middle, 0), uint16(i)}, {math.Nextafter32(middle, 1e6), uint16(i + 1)},
			{-middle, even | 0x8000},
		} {
			if got := Float16Bits(c.v); got != c.want {
				t.Fatalf("%g: got %#04x, want %#04x", c.v, got, c.want)
			}
		}
	}
	for _, c := range []struct {
		v    float32
		want uint16
	}{
		{65519.996, 0x7bff}, {65520, 0x7c00}, {-1e30, 0xfc00}, {float32(math.Inf(1)), 0x7c00}, {0x1p-25, 0}, {math.Nextafter32(0x1p-25, 1), 1},
		{float32(math.Copysign(0, -1)), 0x8000}, {1, 0x3c00},
	} {
		if got := Float16Bits(c.v); got != c.want {
			t.Errorf("%g: got %#04x, want %#04x", c.v, got, c.want)
		}
	}
}
