package viewer

import (
	"context"
	"image"
	"path/filepath"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/internal/model/pictures"
)

// Window is where frames go and events come from. All methods but Wake are called from the goroutine of Run.
type Window interface {
	// Size is how large a frame is to be, in pixels, 0 while the window is minimised, and how many pixels make one of a plain screen.
	Size() (width, height int, scale float64)
	// Show shows a frame. It tells whether it could; if not, it is asked again.
	Show(frame *image.RGBA) (shown bool, err error)
	// Wait returns what happened in the window, after it happened, after Wake, or when a time that is not 0 is over.
	Wait(atMost time.Duration) ([]Event, error)
	// Wake ends the Wait that is under way, or the next. It may be called from any goroutine, and after the window is closed.
	Wake()
}

// Event is something that happened in a window.
type Event struct {
	Key     Key      // a key was pressed
	Files   []string // files were dropped
	Closed  bool     // the window is to be closed
	Damaged bool     // what it shows may be lost
}

// Look runs a picture through the network. An error about the picture belongs to the result; one of its own ends Run.
type Look func(context.Context, pictures.Picture) (Result, error)

// retry is when a frame that could not be shown is tried again.
const retry = 50 * time.Millisecond

// Run shows the viewer in a window until it is closed, and returns nil, or until ctx is done or something fails. No look is under way when it
// returns.
func Run(ctx context.Context, w Window, v *Viewer, look Look) error {
	ctx, cancel := context.WithCancel(ctx)
	l := &loop{window: w, viewer: v, look: look, painter: NewPainter()}
	defer l.work.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, w.Wake)()
	for !v.Closed() {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.begin(ctx)
		again, err := l.draw()
		if err != nil {
			return err
		}
		events, err := w.Wait(again)
		if err != nil {
			return err
		}
		for _, e := range events {
			l.handle(e)
		}
		if err := l.receive(); err != nil {
			return err
		}
	}
	return nil
}

type loop struct {
	window  Window
	viewer  *Viewer
	look    Look
	painter *Painter

	frame         *image.RGBA // the last one
	width, height int         // of the window then
	scale         float64
	dirty         bool // the frame is to be shown

	work sync.WaitGroup
	mu   sync.Mutex
	done []func() error // what goroutines have brought, for the loop
}

// begin looks at the picture that is shown, in a goroutine.
func (l *loop) begin(ctx context.Context) {
	n, p, ok := l.viewer.Want()
	if !ok {
		return
	}
	l.work.Go(func() {
		r, err := l.look(ctx, p)
		l.bring(func() error {
			l.viewer.Arrived(n, r)
			return err
		})
	})
}

// bring hands something to the loop.
func (l *loop) bring(f func() error) {
	l.mu.Lock()
	l.done = append(l.done, f)
	l.mu.Unlock()
	l.window.Wake()
}

func (l *loop) receive() error {
	l.mu.Lock()
	done := l.done
	l.done = nil
	l.mu.Unlock()
	for _, f := range done {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) handle(e Event) {
	l.dirty = l.dirty || e.Damaged
	l.viewer.Press(e.Key)
	if e.Closed {
		l.viewer.Press(KeyClose)
	}
	if len(e.Files) == 0 {
		return
	}
	go func() { // a folder may be large, or on a slow disk: nothing waits for it
		paths := make([]string, len(e.Files))
		for i, f := range e.Files {
			paths[i] = f
			if abs, err := filepath.Abs(f); err == nil { // no name that means something else, as "-" would
				paths[i] = abs
			}
		}
		list := pictures.Expand(paths, nil)
		l.bring(func() error {
			l.viewer.Drop(list)
			return nil
		})
	}()
}

// draw shows a frame if there is something new to show, and returns when to try again, 0 for not before something happens.
func (l *loop) draw() (again time.Duration, err error) {
	width, height, scale := l.window.Size()
	if l.viewer.TakeChange() || width != l.width || height != l.height || scale != l.scale {
		l.frame, l.dirty = nil, true
	}
	l.width, l.height, l.scale = width, height, scale
	if !l.dirty || width < 1 || height < 1 {
		return 0, nil
	}
	if l.frame == nil {
		l.frame = l.painter.Draw(l.viewer, width, height, scale)
	}
	shown, err := l.window.Show(l.frame)
	if err != nil {
		return 0, err
	}
	if l.dirty = !shown; l.dirty {
		return retry, nil
	}
	return 0, nil
}
