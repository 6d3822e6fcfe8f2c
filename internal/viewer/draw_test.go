package viewer

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/image/font"
)

// parts are the rectangles of a layout by name.
func (l *Layout) parts() map[string]image.Rectangle {
	m := map[string]image.Rectangle{"picture": l.Picture, "title": l.Title, "size": l.Size, "legend": l.Legend, "keys": l.Keys}
	for i, r := range l.Classes {
		m[fmt.Sprintf("class %d", i)] = r
	}
	for i, r := range l.Facts {
		m[fmt.Sprintf("fact %d", i)] = r
	}
	return m
}

func TestPartsDoNotOverlap(t *testing.T) {
	for _, scale := range []float64{0.5, 1, 1.5, 2.25, 4, 0, math.NaN(), 1e9} {
		for _, w := range []int{0, 1, 2, 3, 10, 33, 100, 299, 301, 500, 639, 640, 900, 1280, 4000} {
			for _, h := range []int{0, 1, 2, 3, 10, 33, 100, 159, 160, 250, 419, 420, 600, 800, 3000} {
				l := NewLayout(w, h, scale)
				parts := l.parts()
				for name, r := range parts {
					if r.Empty() {
						continue
					}
					if !r.In(l.Frame) {
						t.Errorf("%d×%d, scale %v: %s at %v is not within the frame", w, h, scale, name, r)
					}
					if name != "picture" && !r.In(l.Panel) {
						t.Errorf("%d×%d, scale %v: %s at %v is not within the panel %v", w, h, scale, name, r, l.Panel)
					}
					for other, o := range parts {
						if other != name && r.Overlaps(o) {
							t.Errorf("%d×%d, scale %v: %s at %v overlaps %s at %v", w, h, scale, name, r, other, o)
						}
					}
				}
				if w > 0 && h > 0 && l.Picture.Empty() {
					t.Errorf("%d×%d, scale %v: no place for a picture", w, h, scale)
				}
			}
		}
	}
}

func TestLargeWindowsHaveAllParts(t *testing.T) {
	for _, c := range []struct {
		w, h  int
		scale float64
	}{{1180, 740, 1}, {2360, 1480, 2}, {640, 700, 1}} {
		l := NewLayout(c.w, c.h, c.scale)
		if len(l.Classes) != ClassCount || len(l.Facts) != factCount || l.Title.Empty() || l.Legend.Empty() || l.Keys.Empty() || l.Picture.Max.X > l.Panel.Min.X {
			t.Errorf("%+v: got %+v", c, l)
		}
	}
	if l := NewLayout(400, 800, 1); l.Picture.Max.Y > l.Panel.Min.Y || len(l.Classes) != ClassCount {
		t.Errorf("a tall window: want the panel below with all classes, got %+v", l)
	}
	if l := NewLayout(300, 200, 1); !l.Panel.Empty() {
		t.Errorf("a small window: want the picture alone, got %+v", l)
	}
}

func TestFit(t *testing.T) {
	in := image.Rect(10, 20, 110, 70) // 100×50
	for _, c := range []struct {
		w, h int
		want image.Rectangle
	}{
		{200, 100, in}, {1, 1, image.Rect(35, 20, 85, 70)}, {400, 100, image.Rect(10, 32, 110, 57)},
		{100000, 1, image.Rect(10, 44, 110, 45)}, {1, 100000, image.Rect(59, 20, 60, 70)}, {0, 5, image.Rectangle{}},
	} {
		if got := fit(c.w, c.h, in); got != c.want {
			t.Errorf("%d×%d: got %v, want %v", c.w, c.h, got, c.want)
		}
	}
	if got := fit(5, 5, image.Rectangle{}); !got.Empty() {
		t.Errorf("into nothing: got %v", got)
	}
}

// hostile are names and labels that nobody should have.
var hostile = []string{
	"", ".", "/", "\x00", "\xff\xfe.jpg", "a\nb\tc.jpg", "\x1b[31mred.png", "\u202egpj.exe", "e\u0301\u0301\u0301.jpg", "日本語の写真.jpg", "🐱.png",
	strings.Repeat("wide ", 1000) + ".jpg", strings.Repeat("W", 1<<20), strings.Repeat("é", 3000), "\u200b\ufeff", "%s%n%d", strings.Repeat("\x01", 5000),
}

// states are viewers in every state, with a hostile text wherever there is one.
func states(text string) map[string]*Viewer {
	about := About{Model: text, Device: text}
	all := map[string]*Viewer{"empty": New(about, nil), "looking": New(about, list(text))}
	arrived := func(name string, r Result) {
		v := New(about, list(text, "other"))
		v.Arrived(0, r)
		all[name] = v
	}
	seen := found(solid(30, 20, 200, 60, 20), ClassCount)
	for i := range seen.Classes {
		seen.Classes[i].Label = text
	}
	seen.Took = 17 * time.Millisecond
	arrived("seen", seen)
	arrived("failed", Result{Err: errors.New("decode " + text + ": unexpected end")})
	arrived("one class", found(solid(1, 4000, 1, 2, 3), 1))
	arrived("no class", found(solid(4000, 1, 1, 2, 3), 0))
	odd := found(solid(3, 3, 9, 9, 9), 3)
	odd.Classes[0].Probability, odd.Classes[1].Probability, odd.Classes[2].Probability = math.NaN(), math.Inf(1), -1
	odd.Classes[0].Map.Values = nil
	arrived("odd numbers", odd)
	arrived("no picture", Result{})
	return all
}

// TestNothingIsDrawnBesideItsPlace draws every state at many sizes with hostile texts, and looks at each pixel outside of the parts.
func TestNothingIsDrawnBesideItsPlace(t *testing.T) {
	sizes := []struct {
		w, h  int
		scale float64
	}{{1, 1, 1}, {2, 1, 1}, {1, 3, 4}, {5, 5, 1}, {40, 30, 1}, {300, 200, 1}, {1, 900, 1}, {900, 1, 1}, {30, 500, 1}, {641, 161, 1}, {420, 500, 2}, {1180, 740, 1}, {700, 700, 0.5}}
	p := NewPainter()
	for i, text := range hostile {
		for name, v := range states(text) {
			for j, s := range sizes {
				if i > 0 && j != i%len(sizes) && s.w*s.h > 10000 && name != "seen" { // all sizes are drawn with one text, all texts at some sizes
					continue
				}
				img := p.Draw(v, s.w, s.h, s.scale)
				if img.Rect != image.Rect(0, 0, s.w, s.h) {
					t.Fatalf("%s at %d×%d: a frame of %v", name, s.w, s.h, img.Rect)
				}
				l := NewLayout(s.w, s.h, s.scale)
				parts := l.parts()
				var at []image.Rectangle
				for _, r := range parts {
					at = append(at, r)
				}
				for y := range s.h {
					for x := range s.w {
						c := img.RGBAAt(x, y)
						pt := image.Pt(x, y)
						want := background
						if pt.In(l.Panel) {
							want = panel
						}
						if c.A != 255 {
							t.Fatalf("%s at %d×%d: pixel %v is not opaque", name, s.w, s.h, pt)
						}
						if c != want && !slices.ContainsFunc(at, pt.In) {
							t.Fatalf("%s with %.20q at %d×%d: pixel %v outside of all parts is %v", name, text, s.w, s.h, pt, c)
						}
					}
				}
			}
		}
	}
}

// differs reports whether a part has other colours than one.
func differs(img *image.RGBA, r image.Rectangle, from color.RGBA) bool {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if img.RGBAAt(x, y) != from {
				return true
			}
		}
	}
	return false
}

// count counts the pixels of a colour.
func count(img *image.RGBA, r image.Rectangle, c color.RGBA) (n int) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if img.RGBAAt(x, y) == c {
				n++
			}
		}
	}
	return n
}

// TestPartsAreDrawn looks for something in every part, in each state.
func TestPartsAreDrawn(t *testing.T) {
	p, l := NewPainter(), NewLayout(1180, 740, 1)
	for name, v := range states("cat.jpg") {
		img := p.Draw(v, 1180, 740, 1)
		for part, r := range l.parts() {
			from := panel
			want := true
			switch {
			case part == "picture":
				from = background
			case strings.HasPrefix(part, "class"), part == "legend":
				want = name == "seen"
				if name == "odd numbers" || name == "one class" {
					continue
				}
			}
			if got := differs(img, r, from); got != want {
				t.Errorf("%s: something is drawn as %s: %v, want %v", name, part, got, want)
			}
		}
	}
}

// TestPictureIsShownWithItsMap: without the map the picture has its colours, with it the hot place is yellow and the others are grey.
func TestPictureIsShownWithItsMap(t *testing.T) {
	v := New(About{}, list("a"))
	v.Arrived(0, found(solid(200, 100, 200, 20, 20), 5))
	p, l := NewPainter(), NewLayout(1180, 740, 1)
	to := fit(200, 100, l.Picture)
	place := func(i int) image.Point { return image.Pt(to.Min.X+(2*i+1)*to.Dx()/8, to.Min.Y+to.Dy()/2) }
	hot := func(img *image.RGBA, i int) bool {
		c := img.RGBAAt(place(i).X, place(i).Y)
		return c.R > 180 && c.G > 150 && c.B < 120
	}
	for class := range 4 {
		img := p.Draw(v, 1180, 740, 1)
		for i := range 4 {
			if got := hot(img, i); got != (i == class) {
				t.Errorf("class %d: place %d is hot: %v, colour %v", class, i, got, img.RGBAAt(place(i).X, place(i).Y))
			}
		}
		for i, row := range l.Classes {
			if got := count(img, row, accent) > 0; got != (i == class) {
				t.Errorf("class %d: row %d is marked: %v", class, i, got)
			}
		}
		v.Press(KeyDown)
	}
	with := p.Draw(v, 1180, 740, 1)
	v.Press(KeyHeat)
	img := p.Draw(v, 1180, 740, 1)
	for i := range 4 {
		if got, want := img.RGBAAt(place(i).X, place(i).Y), (color.RGBA{200, 20, 20, 255}); got != want {
			t.Errorf("place %d without the map: got %v, want %v", i, got, want)
		}
	}
	if !slices.Equal(part(with, l.Title), part(img, l.Title)) || slices.Equal(part(with, l.Legend), part(img, l.Legend)) {
		t.Error("want the legend to differ with the map, and the title not")
	}
	for _, pt := range []image.Point{to.Min.Sub(image.Pt(1, 1)), to.Max} { // the ratio of its sides is kept
		if got := img.RGBAAt(pt.X, pt.Y); got != background {
			t.Errorf("pixel %v beside the picture is %v", pt, got)
		}
	}
}

func part(img *image.RGBA, r image.Rectangle) (pix []byte) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		pix = append(pix, img.Pix[img.PixOffset(r.Min.X, y):img.PixOffset(r.Max.X, y)]...)
	}
	return pix
}

// TestBarsAreAsLongAsProbabilities measures them.
func TestBarsAreAsLongAsProbabilities(t *testing.T) {
	v := New(About{}, list("a"))
	r := found(solid(2, 2, 0, 0, 0), 5)
	v.Arrived(0, r)
	p, l := NewPainter(), NewLayout(1180, 740, 1)
	img := p.Draw(v, 1180, 740, 1)
	for i, row := range l.Classes {
		fill := bar
		if i == 0 {
			fill = accent
			row.Min.X += 3 // the mark of the selected class
		}
		full, rest := 0, 0
		for y := row.Min.Y; y < row.Max.Y; y++ { // the longest line of each colour
			line := image.Rect(row.Min.X, y, row.Max.X, y+1)
			full, rest = max(full, count(img, line, fill)), max(rest, count(img, line, track))
		}
		if got := float64(full) / float64(full+rest); rest < 50 || math.Abs(got-r.Classes[i].Probability) > 0.005 {
			t.Errorf("class %d: a bar of %d of %d pixels, want %v of them", i, full, full+rest, r.Classes[i].Probability)
		}
	}
}

// TestOtherPictureIsNotTheLastOne: what the painter keeps of a picture belongs to its result and size.
func TestOtherPictureIsNotTheLastOne(t *testing.T) {
	v := New(About{}, list("a", "b"))
	p, fresh := NewPainter(), NewPainter()
	for _, c := range []uint8{50, 90} {
		v.Arrived(v.at, found(solid(8, 8, c, c, 0), 2))
		for _, w := range []int{700, 701, 700} {
			if got, want := p.Draw(v, w, 400, 1), fresh.Draw(v, w, 400, 1); !slices.Equal(got.Pix, want.Pix) {
				t.Errorf("colour %d, width %d: a used painter draws something else", c, w)
			}
			fresh = NewPainter()
		}
		v.Press(KeyNext)
	}
}

func TestTextsFit(t *testing.T) {
	f := newFaces()
	s := style{15, false}
	for _, text := range append([]string{"a picture of a cat.jpg", "one two three four five six seven"}, hostile...) {
		shown := printable(text)
		if !utf8.ValidString(shown) || strings.ContainsAny(shown, "\n\x1b\x00\u202e") || len(shown) > 4*maxText+8 {
			t.Errorf("%.20q is shown as %.40q of %d bytes", text, shown, len(shown))
		}
		for _, width := range []int{0, 1, 7, 20, 55, 120, 600} {
			cut := f.cut(s, shown, width)
			if w := font.MeasureString(f.face(s), cut).Ceil(); w > width {
				t.Errorf("%.20q cut to %d pixels has %d", text, width, w)
			}
			if head, ok := strings.CutSuffix(cut, "…"); cut != "" && cut != shown && (!ok || !strings.HasPrefix(shown, head)) {
				t.Errorf("%.20q cut to %d pixels is %.40q", text, width, cut)
			}
			lines := f.wrap(s, shown, width, 3)
			if len(lines) > 3 {
				t.Errorf("%.20q: %d lines, want at most 3", text, len(lines))
			}
			for _, l := range lines {
				if w := font.MeasureString(f.face(s), l).Ceil(); w > width {
					t.Errorf("%.20q: line %.40q has %d pixels, want at most %d", text, l, w, width)
				}
			}
		}
	}
	if got := f.cut(s, "cat", 100); got != "cat" {
		t.Errorf("got %q, want all of it", got)
	}
	if got := strings.Join(f.wrap(s, "one two three four five six seven", 90, 9), "|"); strings.Count(got, "|") < 2 || strings.ReplaceAll(got, "|", " ") != "one two three four five six seven" {
		t.Errorf("wrapped as %q", got)
	}
	if got := f.wrap(s, "one two three", 90, 0); len(got) != 0 {
		t.Errorf("no line: got %q", got)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 µs", 412 * time.Microsecond: "412 µs", 1234567: "1.23 ms", 12345678: "12.3 ms", 123456789: "123 ms", 1234567890: "1.23 s", 12345678900: "12.3 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d ns: got %q, want %q", d, got, want)
		}
	}
}

// TestContrast computes the contrast of text as WCAG 2 does.
func TestContrast(t *testing.T) {
	luminance := func(c color.RGBA) float64 {
		lin := func(v uint8) float64 {
			x := float64(v) / 255
			if x <= 0.04045 {
				return x / 12.92
			}
			return math.Pow((x+0.055)/1.055, 2.4)
		}
		return 0.2126*lin(c.R) + 0.7152*lin(c.G) + 0.0722*lin(c.B)
	}
	for _, text := range []color.RGBA{bright, muted, wrong} {
		for _, behind := range []color.RGBA{background, panel, chosen} {
			if got := (luminance(text) + 0.05) / (luminance(behind) + 0.05); got < 4.5 {
				t.Errorf("%v on %v: contrast %.2f, want at least 4.5", text, behind, got)
			}
		}
	}
}
