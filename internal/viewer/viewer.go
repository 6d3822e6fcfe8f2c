// Package viewer is what the command "view" shows and does, without the window: which picture is shown and which class's map is over it
// ([Viewer]), where everything lies ([Layout]), how a frame is drawn ([Painter]), and the loop that joins them with a [Window] and with what
// looks at pictures ([Run]). Package viewer/window has the window; here is no cgo, and a test needs no screen.
//
// Frames are drawn anew when something changed, and only then. The pictures that were seen last are kept, a bounded number of them, each scaled down
// to a bounded size; one that comes back later is looked at again.
package viewer

import (
	"slices"
	"time"

	"github.com/resnet-run/resnet-run/internal/heat"
	"github.com/resnet-run/resnet-run/internal/imaging"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
)

const (
	// ClassCount is how many classes are shown of a picture.
	ClassCount = 5
	// KeptSide is the longer side, in pixels, that a picture is to be scaled down to before it is kept: 8 MB at most.
	KeptSide = 1600
	// keptCount is how many results are kept.
	keptCount = 12
)

// Key is a key with a meaning.
type Key int

// The keys. The zero value has no meaning.
const (
	KeyNext     Key = iota + 1 // the next picture
	KeyPrevious                // the picture before
	KeyUp                      // the class above, a better one
	KeyDown                    // the class below
	KeyHeat                    // the heat map, on or off
	KeyClose
)

// Class is one of the best classes of a picture.
type Class struct {
	Label       string
	Probability float64 // 0 to 1
	Logit       float32
	Map         heat.Map // without values where the network has none
}

// Result is what became of a picture.
type Result struct {
	Picture       *imaging.RGB // at most KeptSide on a side; nil on an error
	Width, Height int          // of the picture as it is in the file
	Seen          imaging.Region
	Classes       []Class       // best first, at most ClassCount
	Took          time.Duration // the run on the device, with writing and reading
	Err           error
}

// About is what is the same for all pictures.
type About struct{ Model, Device string }

// Viewer is what is shown. Its methods are for one goroutine.
type Viewer struct {
	about   About
	list    []entry
	at      int // in list
	class   int // in the classes of the result
	heat    bool
	closed  bool
	changed bool
	looking bool
	recent  []int // in list, those whose results are kept, the last shown last
}

// entry is a picture with what is known of it.
type entry struct {
	pictures.Picture
	result *Result // nil while it is not known, or not any more
}

// New begins with the first picture of a list, which may be empty.
func New(about About, list []pictures.Picture) *Viewer {
	v := &Viewer{about: about, heat: true, changed: true}
	v.add(list)
	return v
}

func (v *Viewer) add(list []pictures.Picture) {
	for _, p := range list {
		v.list = append(v.list, entry{Picture: p})
	}
}

// Drop adds pictures at the end and shows the first of them.
func (v *Viewer) Drop(list []pictures.Picture) {
	if len(list) == 0 {
		return
	}
	first := len(v.list)
	v.add(list)
	v.show(first)
	v.changed = true
}

// Press does what a key means.
func (v *Viewer) Press(k Key) {
	switch k {
	case KeyNext:
		v.show(v.at + 1)
	case KeyPrevious:
		v.show(v.at - 1)
	case KeyUp:
		v.choose(v.class - 1)
	case KeyDown:
		v.choose(v.class + 1)
	case KeyHeat:
		v.heat, v.changed = !v.heat, true
	case KeyClose:
		v.closed = true
	}
}

// show goes to a picture; after the last comes the first.
func (v *Viewer) show(n int) {
	if len(v.list) == 0 {
		return
	}
	n = (n + len(v.list)) % len(v.list)
	if n != v.at || v.class != 0 {
		v.changed = true
	}
	v.at, v.class = n, 0
	v.touch(n)
}

func (v *Viewer) choose(class int) {
	r := v.result()
	if r == nil || class < 0 || class >= len(r.Classes) {
		return
	}
	v.class, v.changed = class, true
}

// touch makes a kept result the last to be forgotten.
func (v *Viewer) touch(n int) {
	if i := slices.Index(v.recent, n); i >= 0 {
		v.recent = append(slices.Delete(v.recent, i, i+1), n)
	}
}

// result is that of the picture that is shown; nil while there is none.
func (v *Viewer) result() *Result {
	if len(v.list) == 0 {
		return nil
	}
	return v.list[v.at].result
}

// Closed tells whether the window is to be closed.
func (v *Viewer) Closed() bool { return v.closed }

// Want tells which picture is to be looked at now: the one that is shown, unless its result is there or another one is being looked at. Its
// number goes to Arrived, once, before Want gives another one.
func (v *Viewer) Want() (n int, p pictures.Picture, ok bool) {
	if v.looking || len(v.list) == 0 || v.list[v.at].result != nil {
		return 0, pictures.Picture{}, false
	}
	v.looking = true
	return v.at, v.list[v.at].Picture, true
}

// Arrived takes the result of a picture.
func (v *Viewer) Arrived(n int, r Result) {
	v.looking = false
	r.Classes = r.Classes[:min(len(r.Classes), ClassCount)]
	v.list[n].result = &r
	v.recent = append(v.recent, n)
	v.touch(v.at)
	if len(v.recent) > keptCount {
		v.list[v.recent[0]].result = nil
		v.recent = v.recent[1:]
	}
	if n == v.at {
		v.changed = true
	}
}

// TakeChange tells whether what is shown has changed since the last call.
func (v *Viewer) TakeChange() bool {
	changed := v.changed
	v.changed = false
	return changed
}
