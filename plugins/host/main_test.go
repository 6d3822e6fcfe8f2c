//go:build unix

package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/plugins"
)

// asPlugin, as the first argument, makes the test binary one of the programs below.
const asPlugin = "as-plugin"

var programs = map[string]func(){
	"cpu":       func() { plugins.Serve(cpu.New(cpu.Options{})) },
	"reference": func() { plugins.Serve(reference.New()) },
	"host":      actAsHost,
}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asPlugin {
		program := programs[os.Args[2]]
		if program == nil {
			program = func() { bad(os.Args[2]) }
		}
		program()
		return
	}
	os.Exit(m.Run())
}

// brief are limits for tests in which a plugin is to be found out soon, by what it does and not by its health.
var brief = Limits{Start: 2 * time.Minute, Patience: 2 * time.Second, Health: time.Hour, Pause: time.Millisecond}

// patient are limits for tests in which nothing is to be found out, however slow the machine is.
var patient = Limits{Start: 2 * time.Minute, Patience: 2 * time.Minute, Health: 50 * time.Millisecond, Pause: time.Millisecond}

// place is where the plugins and the lock file of a test are.
type place struct {
	dir, lock string
	log       *logBook
}

func newPlace(t testing.TB) *place {
	t.Helper()
	dir := t.TempDir()
	return &place{dir, filepath.Join(dir, "settings", "plugins.lock"), &logBook{}}
}

// options are those of a host at this place. The folder for sockets is short, since their paths must be.
func (w *place) options(t testing.TB, l Limits) Options {
	t.Helper()
	temp, err := os.MkdirTemp("", "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, _ := filepath.Glob(filepath.Join(temp, "*", "*")) // the pattern is right
		if len(left) > 0 {
			t.Errorf("these are left behind: %q", left)
		}
		if err := os.RemoveAll(temp); err != nil {
			t.Error(err)
		}
	})
	return Options{LockPath: w.lock, Limits: l, TempDir: temp, Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: levelTrace}))}
}

// install makes a plugin that is this test binary in some mode.
func (w *place) install(t testing.TB, name, mode string) Plugin {
	t.Helper()
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return w.installManifest(t, Manifest{ManifestVersion: 1, Name: name, Version: "1.0.0", ProtocolVersions: []int{1}, Command: []string{exe, asPlugin, mode}})
}

func (w *place) installManifest(t testing.TB, m Manifest) Plugin {
	t.Helper()
	dir := filepath.Join(w.dir, Prefix+m.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, manifestName), data, 0o644)
	return w.find(t, m.Name)
}

func write(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}

func (w *place) find(t testing.TB, name string) Plugin {
	t.Helper()
	all, err := Find([]string{w.dir})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(p Plugin) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("got plugins %v, want %q among them", all, name)
	}
	return all[i]
}

func (w *place) trust(t testing.TB, p Plugin) {
	t.Helper()
	if _, err := Trust(w.lock, p); err != nil {
		t.Fatal(err)
	}
}

// start is a backend in a mode, trusted. At the end of the test nothing may be left of it.
func start(t testing.TB, mode string, l Limits) (*Backend, *place) {
	t.Helper()
	checkLeaks(t)
	return startBeside(t, mode, l)
}

// checkLeaks checks at the end of the test that no goroutine and no open file has come to those that were there.
func checkLeaks(t testing.TB) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		eventually(t, func() string {
			if n := runtime.NumGoroutine(); n > goroutines {
				return fmt.Sprintf("%d goroutines, %d before:\n%s", n, goroutines, stacks())
			}
			if n := openFiles(t); n > files {
				return fmt.Sprintf("%d open files, %d before", n, files)
			}
			return ""
		})
	})
}

// startBeside is start where other tests run at the same time, so that goroutines and files cannot be counted.
func startBeside(t testing.TB, mode string, l Limits) (*Backend, *place) {
	t.Helper()
	w := newPlace(t)
	name := "bad"
	if programs[mode] != nil {
		name = mode
	}
	p := w.install(t, name, mode)
	w.trust(t, p)
	b := New(p, w.options(t, l))
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if b.now != nil {
			gone(t, b.now)
		}
	})
	return b, w
}

func stacks() string {
	b := make([]byte, 1<<16)
	return string(b[:runtime.Stack(b, true)])
}

// eventually waits until complaint has none. Only what is certain to come may be waited for.
func eventually(t testing.TB, complaint func() string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text := complaint()
		if text == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(text)
		}
	}
}

// gone checks that a process and its group are no more.
func gone(t testing.TB, p *process) {
	t.Helper()
	eventually(t, func() string {
		if pid := p.child.processID(); groupLives(pid) {
			return fmt.Sprintf("process group %d still lives", pid)
		}
		return ""
	})
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

func openDevice(t testing.TB, b *Backend) backend.Device {
	t.Helper()
	d, err := b.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := b.Open(t.Context(), d[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return dev
}

// relu is a graph of one ReLU of n elements.
func relu(t testing.TB, n int) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("relu")
	x := b.Input("x", graph.TensorType{DType: graph.Float32, Shape: shape(t, 1, n)})
	b.Output(b.Node("y", graph.ReLU{}, x))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// logBook keeps what is logged.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBook) has(parts ...string) bool {
	for _, line := range strings.Split(l.String(), "\n") {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			return true
		}
	}
	return false
}
