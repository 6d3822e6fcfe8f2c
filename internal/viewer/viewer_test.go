package viewer

import (
	"errors"
	"fmt"
	"testing"

	"github.com/resnet-run/resnet-run/internal/heat"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
)

func list(names ...string) (all []pictures.Picture) {
	for _, n := range names {
		all = append(all, pictures.Picture{Name: n})
	}
	return all
}

// solid is a picture of one colour.
func solid(width, height int, r, g, b uint8) *imaging.RGB {
	img := &imaging.RGB{Width: width, Height: height}
	for range width * height {
		img.Pix = append(img.Pix, r, g, b)
	}
	return img
}

// found is a result with so many classes, each half as probable as the one before; the map of class i is hot in place i of four in a row.
func found(picture *imaging.RGB, classes int) Result {
	r := Result{Picture: picture, Width: 10 * picture.Width, Height: 10 * picture.Height, Seen: imaging.Region{Right: 1, Bottom: 1}}
	p := 0.5
	for i := range classes {
		m := heat.Map{Width: 4, Height: 1, Values: make([]float32, 4)}
		m.Values[i%4] = 8
		r.Classes = append(r.Classes, Class{Label: fmt.Sprintf("class %d", i), Probability: p, Logit: float32(9 - i), Map: m})
		p /= 2
	}
	return r
}

// press presses keys, and wants what is shown to have changed or not.
func press(t *testing.T, v *Viewer, change bool, keys ...Key) {
	t.Helper()
	v.TakeChange()
	for _, k := range keys {
		v.Press(k)
	}
	if got := v.TakeChange(); got != change {
		t.Errorf("keys %v: changed %v, want %v", keys, got, change)
	}
}

func TestKeysStepThroughPictures(t *testing.T) {
	v := New(About{}, list("a", "b", "c"))
	if !v.TakeChange() || v.TakeChange() {
		t.Error("want one change at the beginning")
	}
	for _, c := range []struct {
		key  Key
		want int
	}{{KeyNext, 1}, {KeyNext, 2}, {KeyNext, 0}, {KeyPrevious, 2}, {KeyPrevious, 1}} {
		press(t, v, true, c.key)
		if v.at != c.want {
			t.Errorf("after key %d: picture %d, want %d", c.key, v.at, c.want)
		}
	}
	press(t, v, false, 0)
	if v.Closed() {
		t.Error("closed")
	}
	press(t, v, false, KeyClose)
	if !v.Closed() {
		t.Error("not closed")
	}
	one := New(About{}, list("a"))
	press(t, one, false, KeyNext, KeyPrevious)
}

func TestKeysSelectClasses(t *testing.T) {
	v := New(About{}, list("a", "b"))
	press(t, v, false, KeyUp, KeyDown) // nothing is known yet
	v.Arrived(0, found(solid(2, 2, 0, 0, 0), 3))
	press(t, v, false, KeyUp)
	press(t, v, true, KeyDown, KeyDown)
	if press(t, v, false, KeyDown); v.class != 2 {
		t.Errorf("class %d, want 2", v.class)
	}
	if press(t, v, true, KeyUp); v.class != 1 {
		t.Errorf("class %d, want 1", v.class)
	}
	if press(t, v, true, KeyNext, KeyPrevious); v.class != 0 {
		t.Errorf("class %d of a picture that comes back, want its best", v.class)
	}
	if press(t, v, true, KeyHeat); v.heat {
		t.Error("the heat map is still on")
	}
	v.Arrived(1, found(solid(2, 2, 0, 0, 0), 9))
	if n := len(v.list[1].result.Classes); n != ClassCount {
		t.Errorf("%d classes are kept, want %d", n, ClassCount)
	}
}

func TestOnePictureIsLookedAtAtATime(t *testing.T) {
	v := New(About{}, list("a", "b", "c"))
	n, p, ok := v.Want()
	if !ok || n != 0 || p.Name != "a" {
		t.Fatalf("got %d, %q, %v, want the first", n, p.Name, ok)
	}
	v.Press(KeyNext)
	v.Press(KeyNext)
	if n, _, ok := v.Want(); ok {
		t.Errorf("want none while one is looked at, got %d", n)
	}
	v.TakeChange()
	v.Arrived(0, found(solid(2, 2, 0, 0, 0), 1))
	if v.TakeChange() {
		t.Error("the result of a picture that is not shown changes the window")
	}
	if n, _, ok := v.Want(); !ok || n != 2 {
		t.Errorf("got %d, %v, want the one that is shown, 2", n, ok)
	}
	v.Arrived(2, Result{Err: errors.New("damaged")})
	if !v.TakeChange() {
		t.Error("the result of the picture that is shown changes nothing")
	}
	if n, _, ok := v.Want(); ok {
		t.Errorf("picture %d is wanted again, which failed and is shown", n)
	}
	v.Press(KeyNext) // the first: known
	if n, _, ok := v.Want(); ok {
		t.Errorf("picture %d is wanted again", n)
	}
}

// TestFewResultsAreKept goes through many pictures forth and back: never are more than keptCount kept, the last among them.
func TestFewResultsAreKept(t *testing.T) {
	var names []string
	for i := range 3 * keptCount {
		names = append(names, fmt.Sprint(i))
	}
	v := New(About{}, list(names...))
	looked := 0
	step := func(k Key) {
		if n, _, ok := v.Want(); ok {
			looked++
			v.Arrived(n, found(solid(2, 2, 0, 0, 0), 1))
		}
		if v.result() == nil {
			t.Fatalf("picture %d is forgotten while it is shown", v.at)
		}
		kept := 0
		for _, e := range v.list {
			if e.result != nil {
				kept++
			}
		}
		if kept > keptCount || kept != len(v.recent) {
			t.Fatalf("%d results are kept and %d noted, want at most %d", kept, len(v.recent), keptCount)
		}
		v.Press(k)
	}
	for range names {
		step(KeyNext)
	}
	if looked != len(names) {
		t.Errorf("looked %d times at %d pictures", looked, len(names))
	}
	v.Press(KeyPrevious)
	for range keptCount { // the last keptCount are still known
		step(KeyPrevious)
	}
	if looked != len(names) {
		t.Errorf("looked again at %d pictures that were kept", looked-len(names))
	}
	step(KeyPrevious)
	if looked != len(names)+1 {
		t.Errorf("looked %d times, want the forgotten one again", looked-len(names))
	}
}

// TestShownResultOutlivesOthers: what arrives late for another picture does not push out the one that is shown.
func TestShownResultOutlivesOthers(t *testing.T) {
	v := New(About{}, list(make([]string, 2*keptCount)...))
	v.Arrived(0, found(solid(2, 2, 0, 0, 0), 1))
	for i := range 2*keptCount - 1 {
		v.Arrived(i+1, found(solid(2, 2, 0, 0, 0), 1))
	}
	if v.result() == nil {
		t.Error("the result of the picture that is shown is forgotten")
	}
}

func TestDrop(t *testing.T) {
	v := New(About{}, nil)
	press(t, v, false, KeyNext, KeyPrevious, KeyUp, KeyDown)
	if _, _, ok := v.Want(); ok {
		t.Error("a picture is wanted of none")
	}
	v.TakeChange()
	v.Drop(nil)
	if v.TakeChange() {
		t.Error("nothing was dropped, and something changed")
	}
	v.Drop(list("x"))
	if !v.TakeChange() || v.at != 0 || len(v.list) != 1 {
		t.Errorf("picture %d of %d", v.at, len(v.list))
	}
	v.Drop(list("y", "z"))
	if n, p, ok := v.Want(); !v.TakeChange() || !ok || n != 1 || p.Name != "y" || len(v.list) != 3 {
		t.Errorf("want the first of those that were dropped, got %d, %q, %v of %d", n, p.Name, ok, len(v.list))
	}
}
