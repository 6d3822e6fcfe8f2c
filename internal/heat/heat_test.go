package heat

import (
	"bytes"
	"math"
	"testing"

	"github.com/resnet-run/resnet-run/internal/imaging"
)

func TestValuesBetweenPlaces(t *testing.T) {
	m := Map{3, 2, []float32{0, 3, 6, 10, 13, 16}}
	for _, c := range []struct{ u, v, want float64 }{
		{0.5 / 3, 0.25, 0}, {1.5 / 3, 0.25, 3}, {2.5 / 3, 0.75, 16}, // the middles of places
		{1.0 / 3, 0.25, 1.5}, {0.5 / 3, 0.5, 5}, {1.0 / 3, 0.5, 6.5}, // half way
		{0, 0, 0}, {1, 1, 16}, {1, 0, 6}, {0, 0.75, 10}, // the edges
	} {
		if got := m.at(c.u, c.v); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("at %v,%v: got %v, want %v", c.u, c.v, got, c.want)
		}
	}
}

func TestPeak(t *testing.T) {
	for _, c := range []struct {
		m    Map
		u, v float64
	}{
		{Map{4, 2, []float32{0, 1, 2, 1, 5, 1, 7, 7}}, 2.5 / 4, 0.75}, {Map{1, 1, []float32{-3}}, 0.5, 0.5}, {Map{2, 1, []float32{-3, -1}}, 0.75, 0.5},
	} {
		if u, v := c.m.Peak(); u != c.u || v != c.v {
			t.Errorf("%v: got %v,%v, want %v,%v", c.m, u, v, c.u, c.v)
		}
	}
}

func TestMapsThatAreNone(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		w, h   int
		values []float32
		ok     bool
	}{
		{2, 1, []float32{1, 2}, true}, {2, 1, []float32{1}, false}, {0, 0, nil, false}, {-1, -2, []float32{1, 2}, false},
		{2, 1, []float32{1, nan}, false}, {1, 1, []float32{float32(math.Inf(-1))}, false},
	} {
		if _, err := NewMap(c.w, c.h, c.values); (err == nil) != c.ok {
			t.Errorf("%d×%d of %v: got %v", c.w, c.h, c.values, err)
		}
	}
}

// grid is a picture of one grey.
func grid(w, h int) *imaging.RGB {
	return &imaging.RGB{Width: w, Height: h, Pix: bytes.Repeat([]byte{100}, 3*w*h)}
}

// TestDrawPutsTheMapWhereTheNetworkLooks: a picture of which the network sees the middle half, with a map that is hot on its right.
func TestDrawPutsTheMapWhereTheNetworkLooks(t *testing.T) {
	const w, h = 80, 20
	out := Draw(grid(w, h), imaging.Region{Left: 0.25, Top: 0, Right: 0.75, Bottom: 1}, Map{2, 1, []float32{-1, 4}})
	at := func(x int) [3]uint8 { p := out.Pix[out.PixOffset(x, 7):]; return [3]uint8{p[0], p[1], p[2]} }
	if got, want := at(3), uint8(30); got != [3]uint8{want, want, want} || at(77) != got {
		t.Errorf("outside: got %v and %v, want %v, dark", got, at(77), want)
	}
	if got := at(22); got != [3]uint8{100, 100, 100} {
		t.Errorf("what takes from the logit: got %v, want the picture itself", got)
	}
	hot, last := at(58), ramp[len(ramp)-1]
	if want := uint8(100 + (last.r-100)*last.share + 0.5); hot[0] != want || hot[2] >= hot[0] {
		t.Errorf("the greatest value: got %v, want yellow with a red of %d", hot, want)
	}
	for x := 21; x < 59; x++ { // hotter to the right
		if at(x)[0] < at(x - 1)[0] && at(x)[2] < at(x - 1)[2] {
			t.Errorf("column %d: %v after %v", x, at(x), at(x-1))
		}
	}
}

// TestDrawWithoutAnythingHot: a class that nothing speaks for leaves the picture as it is.
func TestDrawWithoutAnythingHot(t *testing.T) {
	for _, values := range [][]float32{{-1, -2}, {0, 0}} {
		out := Draw(grid(6, 4), imaging.Region{Right: 1, Bottom: 1}, Map{2, 1, values})
		for i, v := range out.Pix {
			if want := uint8(100); i%4 != 3 && v != want || i%4 == 3 && v != 255 {
				t.Fatalf("%v: byte %d is %d", values, i, v)
			}
		}
	}
}
