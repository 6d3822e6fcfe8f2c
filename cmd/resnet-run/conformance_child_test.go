//go:build linux

package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
)

// deadlyBackend is the reference with a compiler that does not survive some graphs: softmax of 3 rows ends the process,
// of 8 stops it for ever, of 1 takes all memory.
type deadlyBackend struct{ backend.Backend }

func (deadlyBackend) Name() string { return "deadly" }

func (b deadlyBackend) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := b.Backend.Open(ctx, id)
	return deadlyDevice{d}, err
}

type deadlyDevice struct{ backend.Device }

func (d deadlyDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if g.Nodes[0].Op == (graph.Softmax{}) {
		die(g.Inputs[0].Type.Shape.Dim(0))
	}
	return d.Device.Compile(ctx, g)
}

func die(rows int) {
	self := syscall.Getpid()
	switch rows {
	case 3:
		_ = syscall.Kill(self, syscall.SIGKILL)
		time.Sleep(time.Hour)
	case 8:
		_ = syscall.Kill(self, syscall.SIGSTOP) // no goroutine of it can do anything any more, a watchdog least of all
		time.Sleep(time.Hour)
	case 1:
		limit := syscall.Rlimit{Cur: 1 << 30, Max: 1 << 30}
		_ = syscall.Setrlimit(syscall.RLIMIT_AS, &limit)
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<28+len(all)))
		}
	}
}

func init() {
	otherPrograms["deadly"] = func() int { return deadlyProgram(nil).run(context.Background(), os.Args[1:]) }
}

// deadlyProgram is the program with the deadly backend only.
func deadlyProgram(self func(context.Context, ...string) *exec.Cmd) *app {
	r := &backend.Registry{}
	if err := r.Register(deadlyBackend{reference.New()}); err != nil {
		panic(err)
	}
	return &app{stdin: strings.NewReader(""), stdout: os.Stdout, stderr: os.Stderr, getenv: func(string) string { return "" }, registry: r, self: self}
}

func TestConformanceSurvivesADriverThatDoesNot(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a process has been silent for long enough")
	}
	var out, errs strings.Builder
	a := deadlyProgram(func(ctx context.Context, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, os.Args[0], args...)
		c.Env = append(os.Environ(), actAsProgram+"=deadly")
		return c
	})
	a.stdout, a.stderr = &out, io.MultiWriter(&errs)
	code := a.run(t.Context(), []string{"conformance", "--backend", "deadly", "--filter", "^softmax/n([013]-c10/|8-c10/ordinary)", "--timeout", "500ms", "--format", "json"})
	var report struct {
		Device  struct{ Name, Type string }
		Summary struct{ Run, Passed, Failed int }
		Results []struct{ Case, Class, Status, Error string }
	}
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%v: %s, %s", err, out.String(), errs.String())
	}
	if code != exitNotConformant || report.Device.Name != "float64 reference" || report.Device.Type != "CPU" || report.Summary.Run != 7 || report.Summary.Failed != 5 {
		t.Errorf("got exit code %d, %+v", code, report)
	}
	want := map[string]string{
		"n0-c10": "",
		"n1-c10": "exit status 2",
		"n3-c10": "signal: killed",
		"n8-c10": "said nothing for so long",
	}
	for _, r := range report.Results {
		w := want[strings.Split(r.Case, "/")[1]]
		if (r.Status == "passed") != (w == "") || !strings.Contains(r.Error, w) || !strings.HasPrefix(r.Class, "class A") && !strings.HasPrefix(r.Class, "exact") {
			t.Errorf("got %+v, want %q", r, w)
		}
	}
}

func TestConformanceGivesUpOnAProgramThatAlwaysDies(t *testing.T) {
	var errs strings.Builder
	a := deadlyProgram(func(ctx context.Context, _ ...string) *exec.Cmd {
		return exec.CommandContext(ctx, os.Args[0], "-test.run", "^$", "-no-such-flag")
	})
	a.stdout, a.stderr = io.Discard, &errs
	if code := a.run(t.Context(), []string{"conformance", "--backend", "deadly"}); code != exitRun || !strings.Contains(errs.String(), "run cases in another process: exit status 2") {
		t.Errorf("got exit code %d, %s", code, errs.String())
	}
}
