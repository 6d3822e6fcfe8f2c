package viewer

import (
	"image"
	"image/color"
	"image/draw"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// style is a size and a weight of text.
type style struct {
	size float64 // in pixels
	bold bool
}

// faces draw text. They are no globals: a face must not be used by two goroutines.
type faces struct {
	regular, bold *opentype.Font
	made          map[style]font.Face
}

func newFaces() *faces {
	parse := func(ttf []byte) *opentype.Font {
		f, err := opentype.Parse(ttf)
		if err != nil {
			panic("viewer: bug: font: " + err.Error())
		}
		return f
	}
	return &faces{regular: parse(goregular.TTF), bold: parse(gobold.TTF), made: map[style]font.Face{}}
}

// maxFaces bounds the faces that are kept: a window that goes from one screen to another needs several sets.
const maxFaces = 64

func (f *faces) face(s style) font.Face {
	if face := f.made[s]; face != nil {
		return face
	}
	if len(f.made) >= maxFaces {
		clear(f.made)
	}
	from := f.regular
	if s.bold {
		from = f.bold
	}
	face, err := opentype.NewFace(from, &opentype.FaceOptions{Size: s.size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		panic("viewer: bug: face: " + err.Error())
	}
	f.made[s] = face
	return face
}

// maxText bounds the bytes of a text that are looked at: none as long fits a line.
const maxText = 2048

// printable is the beginning of a text with what is no letter, sign or plain space written as an escape: names of files may have anything in them.
func printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) { // not within a letter
			s = s[:len(s)-1]
		}
		s = s[:max(len(s)-1, 0)] + "…"
	}
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// cut shortens a text with an ellipsis until it is at most width pixels wide; nothing is left where that does not fit either.
func (f *faces) cut(s style, text string, width int) string {
	face := f.face(s)
	most := fixed.I(width)
	if font.MeasureString(face, text) <= most {
		return text
	}
	const ellipsis = "…"
	most -= font.MeasureString(face, ellipsis)
	if most < 0 {
		return ""
	}
	end := 0
	var wide fixed.Int26_6
	previous := rune(-1)
	for i, r := range text {
		if previous >= 0 {
			wide += face.Kern(previous, r)
		}
		advance, _ := face.GlyphAdvance(r)
		if wide += advance; wide > most {
			break
		}
		end, previous = i+utf8.RuneLen(r), r
	}
	return strings.TrimRight(text[:end], " ") + ellipsis
}

// wrap breaks a text into lines of at most width pixels, at spaces where it can. The last line is cut when there are more than most.
func (f *faces) wrap(s style, text string, width, most int) []string {
	if most < 1 {
		return nil
	}
	var lines []string
	line := ""
	fits := func(t string) bool { return font.MeasureString(f.face(s), t).Ceil() <= width }
	for word := range strings.FieldsSeq(text) {
		if joined := strings.TrimLeft(line+" "+word, " "); fits(joined) {
			line = joined
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for line = word; !fits(line); {
			short := f.cut(s, line, width)
			n := len(strings.TrimSuffix(short, "…"))
			if n == 0 || len(lines) > most { // not one letter fits, or nobody sees it
				line = short
				break
			}
			lines, line = append(lines, line[:n]), line[n:]
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	if len(lines) > most {
		lines[most-1] = f.cut(s, lines[most-1]+" "+lines[most], width)
		lines = lines[:most]
	}
	return lines
}

// align is where in its rectangle a line of text lies.
type align int

const (
	left align = iota
	middle
	right
)

// text draws one line, cut to the rectangle's width, in the middle of its height. It returns how wide it is.
func (f *faces) text(dst *image.RGBA, in image.Rectangle, s style, c color.Color, a align, text string) int {
	in = in.Intersect(dst.Rect)
	text = f.cut(s, printable(text), in.Dx())
	if in.Empty() || text == "" {
		return 0
	}
	face := f.face(s)
	wide := font.MeasureString(face, text).Ceil()
	m := face.Metrics()
	x := in.Min.X
	switch a {
	case middle:
		x += (in.Dx() - wide) / 2
	case right:
		x = in.Max.X - wide
	}
	y := in.Min.Y + (in.Dy()-(m.Ascent+m.Descent).Ceil())/2 + m.Ascent.Ceil()
	d := font.Drawer{Dst: dst.SubImage(in).(draw.Image), Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
	return wide
}
