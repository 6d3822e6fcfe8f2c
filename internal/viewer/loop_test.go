package viewer

import (
	"context"
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/internal/model/pictures"
)

// script is a window whose user does one thing after the other, each when the one before has been drawn.
type script struct {
	t             *testing.T
	width, height int
	steps         []func() []Event
	frames        []*image.RGBA
	refuse        int // how often Show shows nothing
	err           error
	waits         []time.Duration
	woken         chan struct{}
}

func newScript(t *testing.T, steps ...func() []Event) *script {
	return &script{t: t, width: 300, height: 200, steps: steps, woken: make(chan struct{}, 1)}
}

func (s *script) Size() (int, int, float64) { return s.width, s.height, 1 }

func (s *script) Show(f *image.RGBA) (bool, error) {
	if s.refuse > 0 {
		s.refuse--
		return false, nil
	}
	s.frames = append(s.frames, f)
	return true, s.err
}

func (s *script) Wait(atMost time.Duration) ([]Event, error) {
	s.waits = append(s.waits, atMost)
	if atMost > 0 {
		return nil, nil
	}
	if len(s.steps) == 0 {
		return []Event{{Closed: true}}, nil
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	return step(), nil
}

func (s *script) Wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// key presses a key.
func key(k Key) func() []Event { return func() []Event { return []Event{{Key: k}} } }

// waken is a step that waits for the loop to be woken.
func (s *script) waken() []Event {
	select {
	case <-s.woken:
	case <-time.After(10 * time.Second):
		s.t.Error("nobody woke the loop")
	}
	return nil
}

// until is a step that comes again, each time the loop was woken, until something is so.
func (s *script) until(so func() bool) func() []Event {
	deadline := time.Now().Add(10 * time.Second)
	var step func() []Event
	step = func() []Event {
		switch {
		case so():
		case time.Now().After(deadline):
			s.t.Error("it is not so after 10 s")
		default:
			select {
			case <-s.woken:
			case <-time.After(50 * time.Millisecond):
			}
			s.steps = append([]func() []Event{step}, s.steps...)
		}
		return nil
	}
	return step
}

// shows is a step that wants the given number of frames so far.
func (s *script) shows(want int) func() []Event {
	return func() []Event {
		s.t.Helper()
		if len(s.frames) != want {
			s.t.Errorf("%d frames were shown, want %d", len(s.frames), want)
		}
		return nil
	}
}

func sees(context.Context, pictures.Picture) (Result, error) {
	return found(solid(20, 10, 200, 0, 0), 3), nil
}

// TestFramesAreDrawnWhenSomethingChanges counts frames.
func TestFramesAreDrawnWhenSomethingChanges(t *testing.T) {
	s := newScript(t)
	v := New(About{}, list("a", "b"))
	s.steps = []func() []Event{
		s.shows(1), s.waken, s.shows(2), // looking, and then the result
		func() []Event { return nil }, s.shows(2),
		key(KeyUp), s.shows(2), // there is no better class
		key(KeyDown), s.shows(3),
		func() []Event { s.width++; return nil }, s.shows(4),
		func() []Event { return []Event{{Damaged: true}} }, s.shows(5),
		func() []Event { s.width = 0; return []Event{{Key: KeyHeat}} }, s.shows(5), // minimised
		func() []Event { s.width = 300; return nil }, s.shows(6),
		key(KeyNext), s.shows(7), s.waken, s.shows(8),
		key(KeyPrevious), s.shows(9), // known: no other look
	}
	if err := Run(t.Context(), s, v, sees); err != nil {
		t.Fatal(err)
	}
	if s.frames[3] != s.frames[4] {
		t.Error("a damaged window was drawn anew, want the same frame")
	}
	if got := s.frames[3].Rect.Dx(); got != 301 {
		t.Errorf("a frame of width %d, want 301", got)
	}
	for _, w := range s.waits {
		if w != 0 {
			t.Errorf("waited %v: want to be woken alone", w)
		}
	}
}

// TestWindowIsThereWhileAPictureIsLookedAt: keys work, and frames are drawn, while a look takes its time.
func TestWindowIsThereWhileAPictureIsLookedAt(t *testing.T) {
	release := make(chan struct{})
	s := newScript(t)
	v := New(About{}, list("a", "b"))
	s.steps = []func() []Event{
		s.shows(1), key(KeyNext), s.shows(2), key(KeyPrevious), s.shows(3),
		func() []Event { close(release); return nil }, s.waken, s.shows(4),
	}
	looks := 0
	err := Run(t.Context(), s, v, func(ctx context.Context, p pictures.Picture) (Result, error) {
		looks++
		<-release
		return sees(ctx, p)
	})
	if err != nil || looks != 1 {
		t.Errorf("%d looks, %v", looks, err)
	}
}

func TestFrameThatCannotBeShownIsTriedAgain(t *testing.T) {
	s := newScript(t)
	s.refuse = 2
	s.steps = []func() []Event{s.shows(1)}
	if err := Run(t.Context(), s, New(About{}, nil), sees); err != nil {
		t.Fatal(err)
	}
	if s.waits[0] != retry || s.waits[1] != retry || s.waits[2] != 0 {
		t.Errorf("waits of %v, want two of %v and then none", s.waits, retry)
	}
}

func TestRunEnds(t *testing.T) {
	broken := errors.New("broken")
	t.Run("when the window is closed, and the look with it", func(t *testing.T) {
		s := newScript(t)
		ended := false
		err := Run(t.Context(), s, New(About{}, list("a")), func(ctx context.Context, _ pictures.Picture) (Result, error) {
			<-ctx.Done()
			ended = true
			return Result{}, ctx.Err()
		})
		if err != nil || !ended {
			t.Errorf("got %v, the look has ended: %v", err, ended)
		}
	})
	t.Run("when the context is done", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newScript(t)
		s.steps = []func() []Event{func() []Event { cancel(); return nil }, s.waken, s.waken}
		if err := Run(ctx, s, New(About{}, nil), sees); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
	t.Run("when the device fails", func(t *testing.T) {
		s := newScript(t)
		s.steps = []func() []Event{s.waken}
		err := Run(t.Context(), s, New(About{}, list("a")), func(context.Context, pictures.Picture) (Result, error) { return Result{}, broken })
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
	t.Run("when the window fails", func(t *testing.T) {
		s := newScript(t)
		s.err = broken
		if err := Run(t.Context(), s, New(About{}, nil), sees); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
}

// TestDroppedFiles: what is dropped is a file by that name whatever it is called, or a folder.
func TestDroppedFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"-", "folder/b.png", "folder/a.png"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	s := newScript(t)
	v := New(About{}, list("first"))
	s.steps = []func() []Event{
		func() []Event { return []Event{{Files: []string{"-", "folder", "gone"}}} }, s.until(func() bool { return len(v.list) == 5 && v.result() != nil }),
	}
	if err := Run(t.Context(), s, v, sees); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range v.list {
		got = append(got, filepath.Base(e.Name))
	}
	want := []string{"first", "-", "a.png", "b.png", "gone"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if v.at != 1 || v.list[1].Open == nil || v.list[4].Err == nil {
		t.Errorf("picture %d is shown, want the first that was dropped; the last: %v", v.at, v.list[4].Err)
	}
}
