// Package xvfb gives tests an X server that draws into memory (Debian: xvfb), with keys to press (xdotool) and a picture of its screen.
package xvfb

import (
	"bufio"
	"bytes"
	_ "embed" // drop.c
	"encoding/binary"
	"fmt"
	"image"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Screen is the screen of an X server.
type Screen struct {
	t       testing.TB
	display string
	file    string // where the server keeps what is on the screen, as xwd writes it
}

// Start starts an X server for the time of a test, and makes it the process's display. Where there is none to start the test is skipped, or fails
// if RESNET_RUN_REQUIRE_VIEWER is set.
func Start(t testing.TB, width, height int) *Screen {
	t.Helper()
	for _, program := range []string{"Xvfb", "xdotool"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("RESNET_RUN_REQUIRE_VIEWER") != "" {
				t.Fatalf("%v: run scripts/setup test-viewer", err)
			}
			t.Skipf("%v: run scripts/setup test-viewer", err)
		}
	}
	dir := t.TempDir()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close() //nolint:errcheck // only read from
	// The server takes a number that is free, and tells it when it is ready.
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", fmt.Sprintf("%dx%dx24", width, height), "-fbdir", dir, "-nolisten", "tcp", "-noreset")
	cmd.ExtraFiles = []*os.File{write}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close() // the server has it
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it removes its lock and its socket
		defer time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
		_ = cmd.Wait() // interrupted
	})
	_ = read.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("Xvfb does not start: %v\n%s", err, said.String())
	}
	s := &Screen{t: t, display: ":" + strings.TrimSpace(line), file: filepath.Join(dir, "Xvfb_screen0")}
	t.Setenv("DISPLAY", s.display)
	t.Setenv("WAYLAND_DISPLAY", "")
	return s
}

// do runs xdotool.
func (s *Screen) do(args ...string) string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), "xdotool", args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("xdotool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Press presses keys by their X names, such as Right or q. They go to the window under the pointer.
func (s *Screen) Press(keys ...string) {
	s.t.Helper()
	s.do(append([]string{"mousemove", "20", "20", "key", "--delay", "20"}, keys...)...)
}

// Resize changes the size of the window with a title, as a user who drags its edge.
func (s *Screen) Resize(title string, width, height int) {
	s.t.Helper()
	s.do("windowsize", s.window(title), fmt.Sprint(width), fmt.Sprint(height))
}

func (s *Screen) window(title string) string {
	s.t.Helper()
	return s.do("search", "--sync", "--onlyvisible", "--name", "^"+title+"$")
}

//go:embed testdata/drop.c
var dropSource []byte

// Drop drops files on the window with a title. It needs a C compiler and the development files of X11, as GLFW does.
func (s *Screen) Drop(title string, files ...string) {
	s.t.Helper()
	dir := s.t.TempDir()
	program := filepath.Join(dir, "drop")
	compile := exec.CommandContext(s.t.Context(), "cc", "-x", "c", "-o", program, "-", "-lX11")
	compile.Stdin = bytes.NewReader(dropSource)
	if out, err := compile.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	var uris string
	for _, f := range files {
		uris += (&url.URL{Scheme: "file", Path: f}).String() + "\r\n"
	}
	if out, err := exec.CommandContext(s.t.Context(), program, s.window(title), uris).CombinedOutput(); err != nil {
		s.t.Fatalf("drop %q: %v\n%s", files, err, out)
	}
}

// Image is what is on the screen now.
func (s *Screen) Image() *image.RGBA {
	s.t.Helper()
	data, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	img, err := decode(data)
	if err != nil {
		s.t.Fatal(err)
	}
	return img
}

// decode reads a picture in the format of xwd (X11/XWDFile.h), with 32 bits a pixel: the only one that Xvfb writes for a depth of 24.
func decode(data []byte) (*image.RGBA, error) {
	const words = 25
	if len(data) < 4*words {
		return nil, fmt.Errorf("read screen: want a header of %d bytes, got %d", 4*words, len(data))
	}
	var h [words]int
	for i := range h {
		h[i] = int(binary.BigEndian.Uint32(data[4*i:]))
	}
	headerBytes, version, width, height, msbFirst, bits, rowBytes, colours := h[0], h[1], h[4], h[5], h[7], h[11], h[12], h[19]
	if version != 7 || bits != 32 || msbFirst != 0 || h[14] != 0xff0000 || h[15] != 0xff00 || h[16] != 0xff {
		return nil, fmt.Errorf("read screen: want version 7 with pixels of 32 bits, blue first, got header %x", h)
	}
	pixels := headerBytes + 12*colours
	if len(data) < pixels+height*rowBytes || rowBytes < 4*width {
		return nil, fmt.Errorf("read screen: want %d rows of %d bytes after %d, got %d bytes", height, rowBytes, pixels, len(data))
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		row := data[pixels+y*rowBytes:]
		for x := range width {
			copy(img.Pix[img.PixOffset(x, y):], []byte{row[4*x+2], row[4*x+1], row[4*x], 255})
		}
	}
	return img, nil
}

// Wait waits until the screen has something, and returns what it had last and whether it was so within 20 seconds.
func (s *Screen) Wait(has func(*image.RGBA) bool) (*image.RGBA, bool) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		img := s.Image()
		if has(img) {
			return img, true
		}
		if time.Now().After(deadline) {
			return img, false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Differs returns the first pixel of want that the screen, from the left and the top on, has not; false when it has all.
func Differs(screen, want *image.RGBA) (at image.Point, differs bool) {
	for y := range want.Rect.Dy() {
		for x := range want.Rect.Dx() {
			if screen.RGBAAt(x, y) != want.RGBAAt(want.Rect.Min.X+x, want.Rect.Min.Y+y) {
				return image.Pt(x, y), true
			}
		}
	}
	return image.Point{}, false
}
