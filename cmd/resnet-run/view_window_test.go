//go:build viewer && unix

package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/internal/backendtest/drivers"
	"github.com/resnet-run/resnet-run/internal/model/modeltest"
	"github.com/resnet-run/resnet-run/internal/model/pictures"
	"github.com/resnet-run/resnet-run/internal/viewer"
	"github.com/resnet-run/resnet-run/internal/viewer/xvfb"
)

// The screen of these tests, and nine tenths of it: the window.
const (
	screenWidth, screenHeight = 1200, 800
	windowWidth, windowHeight = 1080, 720
)

// oneDriver makes a driver the only one for this process and those that it starts, with a cache of its own.
func oneDriver(t *testing.T, manifest string) {
	t.Helper()
	for _, name := range []string{"VK_DRIVER_FILES", "VK_ICD_FILENAMES"} {
		t.Setenv(name, manifest)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

// validated makes the loader put the validation layer under a program, which knows nothing of it. What the layer says is in the file.
func validated(t *testing.T, cmd *exec.Cmd) (said string) {
	t.Helper()
	dir := t.TempDir()
	said = filepath.Join(dir, "said.txt")
	modeltest.WriteFile(t, filepath.Join(dir, "vk_layer_settings.txt"), []byte(strings.Join([]string{
		"khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
		"khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG",
		"khronos_validation.report_flags = error,warn",
		"khronos_validation.log_filename = " + said,
	}, "\n")))
	cmd.Env = append(cmd.Env, "VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation", "VK_LAYER_SETTINGS_PATH="+dir)
	return said
}

// started is a view that runs.
type started struct {
	*exec.Cmd
	t      *testing.T
	stderr bytes.Buffer
	said   string
}

func start(t *testing.T, args ...string) *started {
	t.Helper()
	s := &started{Cmd: program(t, append([]string{"view", "--backend", "vulkan"}, args...)...), t: t}
	s.said = validated(t, s.Cmd)
	s.Stderr = &s.stderr
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Process.Kill() }) // ended already, unless the test failed
	return s
}

// ends wants the program to end with an exit code, and the validation layer to have said nothing.
func (s *started) ends(code int) {
	s.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) || s.ProcessState.ExitCode() != code {
			s.t.Errorf("got %v, want exit code %d\n%s", err, code, s.stderr.String())
		}
	case <-time.After(20 * time.Second):
		s.t.Fatalf("the program does not end\n%s", s.stderr.String())
	}
	said, err := os.ReadFile(s.said)
	if err != nil {
		s.t.Errorf("the validation layer was not there: %v", err)
	}
	if len(said) > 0 {
		s.t.Errorf("validation: %s", said)
	}
}

// seen draws what the window should show. The time of a run is another each time: its place is blank, here and on the screen.
type seen struct {
	t       *testing.T
	screen  *xvfb.Screen
	viewer  *viewer.Viewer
	painter *viewer.Painter
	look    func(pictures.Picture) viewer.Result
}

// shows waits until the screen shows what the viewer would in a window of the given size.
func (s *seen) shows(what string, width, height int) {
	s.t.Helper()
	want := s.painter.Draw(s.viewer, width, height, 1)
	blank := func(img *image.RGBA) {
		if facts := viewer.NewLayout(width, height, 1).Facts; len(facts) > 0 {
			draw.Draw(img, facts[len(facts)-1], image.NewUniform(color.Black), image.Point{}, draw.Src)
		}
	}
	blank(want)
	got, ok := s.screen.Wait(func(img *image.RGBA) bool {
		blank(img)
		_, differs := xvfb.Differs(img, want)
		return !differs
	})
	if !ok {
		at, _ := xvfb.Differs(got, want)
		s.t.Fatalf("%s: pixel %v is %v on the screen, want %v", what, at, got.RGBAAt(at.X, at.Y), want.RGBAAt(at.X, at.Y))
	}
}

// press presses a key in the window and in the viewer that it is held against.
func (s *seen) press(name string, k viewer.Key) {
	s.t.Helper()
	s.screen.Press(name)
	s.viewer.Press(k)
}

// drop drops a file on the window.
func (s *seen) drop(file string) {
	s.t.Helper()
	s.screen.Drop("resnet-run", file)
	list := pictures.Expand([]string{file}, nil)
	s.viewer.Drop(list)
	n, _, _ := s.viewer.Want()
	s.viewer.Arrived(n, s.look(list[0]))
}

// expect makes the viewer that a program with these pictures should show, with results of the same driver.
func expect(t *testing.T, screen *xvfb.Screen, files ...string) *seen {
	t.Helper()
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, registry: newRegistry(io.Discard, slog.LevelWarn)}
	args := []string{"--backend", "vulkan"}
	list := pictures.Expand(files, nil)
	s := &seen{t: t, screen: screen, painter: viewer.NewPainter()}
	s.look = func(p pictures.Picture) viewer.Result { return look(t, a, p, args...) }
	f := viewFlags(t, a, args...)
	m, err := a.loadModel(t.Context(), f.model)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := a.openDevice(t.Context(), f.device)
	if err != nil {
		t.Fatal(err)
	}
	s.viewer = viewer.New(viewer.About{Model: m.Name, Device: deviceName(dev.Info())}, list)
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	for i, p := range list {
		s.viewer.Arrived(i, s.look(p))
	}
	return s
}

// TestViewShowsPicturesOnAScreen is the whole program on an X server, computing and presenting with one driver: after each key, what is on the
// screen is bit for bit what package viewer draws of the driver's own numbers.
func TestViewShowsPicturesOnAScreen(t *testing.T) {
	manifests := drivers.Manifests()
	if len(manifests) == 0 {
		t.Skip("no Vulkan test driver is installed")
	}
	t.Chdir("../..")
	bad := filepath.Join(t.TempDir(), "bad.jpg")
	modeltest.WriteFile(t, bad, []byte("\xff\xd8\xff and nothing more"))
	moose, err := os.ReadFile("photos/moose.jpg")
	if err != nil {
		t.Fatal(err)
	}
	dropped := modeltest.WriteFile(t, filepath.Join(t.TempDir(), "- élan, 100%41 #1?.jpg"), moose)
	for _, m := range manifests {
		t.Run(filepath.Base(m), func(t *testing.T) {
			oneDriver(t, m)
			screen := xvfb.Start(t, screenWidth, screenHeight)
			files := []string{"photos/cat.jpg", bad, "photos/moose.jpg"}
			s := expect(t, screen, files...)
			p := start(t, files...)
			s.shows("the first picture", windowWidth, windowHeight)
			s.press("Right", viewer.KeyNext)
			s.shows("a picture that cannot be read", windowWidth, windowHeight)
			s.press("space", viewer.KeyNext)
			s.shows("the third picture", windowWidth, windowHeight)
			s.press("Down", viewer.KeyDown)
			s.shows("the second class", windowWidth, windowHeight)
			s.press("h", viewer.KeyHeat)
			s.shows("no heat map", windowWidth, windowHeight)
			s.press("Right", viewer.KeyNext)
			s.press("h", viewer.KeyHeat)
			s.shows("the first picture again", windowWidth, windowHeight)
			s.drop(dropped)
			s.shows("a picture that was dropped", windowWidth, windowHeight)
			screen.Resize("resnet-run", 640, 500)
			s.shows("a smaller window", 640, 500)
			s.press("q", viewer.KeyClose)
			p.ends(exitInput)
			if !strings.Contains(p.stderr.String(), "bad.jpg") {
				t.Errorf("stderr does not name the bad picture: %s", p.stderr.String())
			}

			s = expect(t, screen, "photos/moose.jpg")
			p = start(t, "photos/moose.jpg")
			s.shows("the moose", windowWidth, windowHeight)
			s.press("Escape", viewer.KeyClose)
			p.ends(exitOK)

			p = start(t, "photos/moose.jpg")
			s.shows("the moose", windowWidth, windowHeight)
			if err := p.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			p.ends(exitInterrupted)
		})
	}
}

// TestViewWithoutADisplay ends with a reason, before the model is loaded.
func TestViewWithoutADisplay(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "view", "-m", "nosuch.safetensors", "photos")
	c.Env = append(os.Environ(), actAsProgram+"=1", "DISPLAY=", "WAYLAND_DISPLAY=")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitRun || !strings.Contains(string(out), "DISPLAY is not set") {
		t.Errorf("got %v, %s, want exit code %d and the reason", err, out, exitRun)
	}
}
