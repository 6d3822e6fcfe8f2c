package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph/head"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/viewer"
	"github.com/spf13/cobra"
)

// keyboard is a window without a screen, whose user presses the next key when the picture is there.
type keyboard struct {
	t      *testing.T
	keys   []viewer.Key
	frames []*image.RGBA
	woken  chan struct{}
}

func (k *keyboard) Size() (int, int, float64) { return 900, 700, 1 }

func (k *keyboard) Show(f *image.RGBA) (bool, error) {
	k.frames = append(k.frames, f)
	return true, nil
}

func (k *keyboard) Wait(time.Duration) ([]viewer.Event, error) {
	select {
	case <-k.woken:
		return nil, nil
	case <-time.After(300 * time.Millisecond): // nothing more comes by itself
	}
	if len(k.keys) == 0 {
		return []viewer.Event{{Closed: true}}, nil
	}
	key := k.keys[0]
	k.keys = k.keys[1:]
	return []viewer.Event{{Key: key}}, nil
}

func (k *keyboard) Wake() {
	select {
	case k.woken <- struct{}{}:
	default:
	}
}

// newApp is a program with the reference backend alone.
func newApp(t *testing.T, stdin io.Reader) (a *app, stderr *bytes.Buffer) {
	t.Helper()
	r := &backend.Registry{}
	if err := r.Register(reference.New()); err != nil {
		t.Fatal(err)
	}
	stderr = &bytes.Buffer{}
	return &app{stdin: stdin, stdout: io.Discard, stderr: stderr, getenv: func(string) string { return "" }, registry: r}, stderr
}

// viewFlags are those of view with the given arguments.
func viewFlags(t *testing.T, a *app, args ...string) *runFlags {
	t.Helper()
	cmd, run := &cobra.Command{}, &runFlags{batch: 1}
	a.addPictureFlags(cmd, run)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return run
}

// TestViewGoesOnAfterABadPicture: what cannot be read is told once, and the exit code says so at the end.
func TestViewGoesOnAfterABadPicture(t *testing.T) {
	world(t)
	a, stderr := newApp(t, nil)
	w := &keyboard{t: t, woken: make(chan struct{}, 1), keys: []viewer.Key{viewer.KeyNext, viewer.KeyNext, viewer.KeyPrevious, viewer.KeyDown, viewer.KeyHeat}}
	err := a.viewIn(t.Context(), w, []string{"pictures/red.png", "bad.jpg", "pictures/blue.png"}, viewFlags(t, a, "-m", "colour.safetensors"))
	var code *exitError
	if !errors.As(err, &code) || code.code != exitInput || !strings.Contains(err.Error(), "1 of 3 pictures failed") {
		t.Errorf("got %v, want exit code %d: 1 of 3 failed", err, exitInput)
	}
	if n := strings.Count(stderr.String(), "bad.jpg"); n != 1 {
		t.Errorf("bad.jpg is told of %d times, want once: %s", n, stderr)
	}
	if len(w.frames) < 6 {
		t.Errorf("%d frames were shown", len(w.frames))
	}
	if err := a.viewIn(t.Context(), &keyboard{t: t, woken: make(chan struct{}, 1)}, nil, viewFlags(t, a, "-m", "colour.safetensors")); err != nil {
		t.Errorf("without pictures: %v", err)
	}
}

// TestViewSaysWhatIsWrong with the model or the device, before anything is shown.
func TestViewSaysWhatIsWrong(t *testing.T) {
	world(t)
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"-m", "nosuch.safetensors"}, exitModel}, {[]string{"-m", "colour.safetensors", "--device", "nosuch"}, exitNoDevice},
		{[]string{"-m", "colour.safetensors", "--mean", "nan"}, exitUsage},
	} {
		a, _ := newApp(t, nil)
		w := &keyboard{t: t, woken: make(chan struct{}, 1)}
		err := a.viewIn(t.Context(), w, []string{"pictures"}, viewFlags(t, a, c.args...))
		if err == nil || exitCode(t.Context(), err) != c.code || len(w.frames) > 0 {
			t.Errorf("%v: got %v with %d frames, want exit code %d", c.args, err, len(w.frames), c.code)
		}
	}
}

func TestViewIsInterrupted(t *testing.T) {
	world(t)
	a, _ := newApp(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := a.viewIn(ctx, &keyboard{t: t, woken: make(chan struct{}, 1)}, []string{"pictures"}, viewFlags(t, a, "-m", "colour.safetensors"))
	if exitCode(ctx, err) != exitInterrupted {
		t.Errorf("got %v, want exit code %d", err, exitInterrupted)
	}
}

// look runs one picture.
func look(t *testing.T, a *app, p pictures.Picture, args ...string) viewer.Result {
	t.Helper()
	f := viewFlags(t, a, args...)
	m, err := a.loadModel(t.Context(), f.model)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.openWith(t.Context(), f, "", m, head.ClassMaps, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	r, err := newLooker(a, s).look(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestViewSeesWhatExplainSees: the best classes, with maps whose means are their logits; and pictures are kept as they are unless they are large.
func TestViewSeesWhatExplainSees(t *testing.T) {
	world(t)
	modeltest.WriteFile(t, "halves.png", halves(t, 8, 8))
	modeltest.WriteFile(t, "large.png", halves(t, 3*viewer.KeptSide, 30))
	a, _ := newApp(t, nil)
	r := look(t, a, pictures.Expand([]string{"halves.png"}, nil)[0], "-m", "colour.safetensors")
	if r.Err != nil || r.Picture.Width != 8 || r.Picture.Height != 8 || r.Width != 8 || r.Took <= 0 || len(r.Classes) != 3 {
		t.Fatalf("got %+v", r)
	}
	for i, c := range r.Classes {
		mean := 0.0
		for _, v := range c.Map.Values {
			mean += float64(v) / float64(len(c.Map.Values))
		}
		if len(c.Map.Values) != 64 || math.Abs(mean-float64(c.Logit)) > 1e-5 {
			t.Errorf("class %s: %d values with a mean of %v, want 64 with %v", c.Label, len(c.Map.Values), mean, c.Logit)
		}
		if i > 0 && c.Logit > r.Classes[i-1].Logit {
			t.Errorf("class %s is behind a worse one", c.Label)
		}
		u, _ := c.Map.Peak()
		if want, ok := map[string]bool{"red": true, "green": false}[c.Label]; ok && (u < 0.5) != want {
			t.Errorf("%s is found at %v of the width", c.Label, u)
		}
	}
	r = look(t, a, pictures.Expand([]string{"large.png"}, nil)[0], "-m", "colour.safetensors")
	if r.Err != nil || r.Picture.Width != viewer.KeptSide || r.Width != 3*viewer.KeptSide {
		t.Errorf("a picture of %d×%d is kept with a width of %d, want %d (%v)", r.Width, r.Height, r.Picture.Width, viewer.KeptSide, r.Err)
	}
	if r := look(t, a, pictures.Expand([]string{"pictures/red.png"}, nil)[0], "-m", "overflow.safetensors"); r.Err == nil || !strings.Contains(r.Err.Error(), "finite") {
		t.Errorf("logits that are not finite: got %v", r.Err)
	}
}

// TestViewWithoutMaps: a network that ends in another way is shown without, and said so.
func TestViewWithoutMaps(t *testing.T) {
	world(t)
	file := modeltest.WriteONNXWithoutMean(t, ".")
	a, stderr := newApp(t, nil)
	w := &keyboard{t: t, woken: make(chan struct{}, 1)}
	if err := a.viewIn(t.Context(), w, []string{"pictures/red.png"}, viewFlags(t, a, "-m", file)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stderr.String(), "without heat maps") || len(w.frames) != 2 {
		t.Errorf("%d frames, stderr %q", len(w.frames), stderr)
	}
}

// TestStandardInputIsViewedTwice: it can be read once, and its result may be forgotten.
func TestStandardInputIsViewedTwice(t *testing.T) {
	world(t)
	data, err := os.ReadFile("pictures/red.png")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := newApp(t, bytes.NewReader(data))
	p := readOnce(pictures.Expand([]string{pictures.Stdin}, a.stdin))[0]
	for range 2 {
		if r := look(t, a, p, "-m", "colour.safetensors"); r.Err != nil || r.Classes[0].Label != "red" {
			t.Errorf("got %+v", r)
		}
	}
}
