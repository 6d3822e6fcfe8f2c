//go:build linux

package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/report"
)

// deadlyBackend is the reference with a compiler that does not survive some graphs: softmax of 3 rows ends the process,
// of 8 stops it for ever, of 1 takes all memory that the system gives, relu of one image takes all that nobody refuses.
type deadlyBackend struct{ backend.Backend }

func (deadlyBackend) Name() string { return "deadly" }

func (b deadlyBackend) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := b.Backend.Open(ctx, id)
	return deadlyDevice{d}, err
}

type deadlyDevice struct{ backend.Device }

func (d deadlyDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	switch rows := g.Inputs[0].Type.Shape.Dim(0); {
	case g.Nodes[0].Op == (graph.Softmax{}):
		die(rows)
	case g.Nodes[0].Op == (graph.ReLU{}) && rows == 1:
		devour()
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

// devour takes memory until a watchdog ends the process. It stops before the machine is in danger and stays silent then,
// so that a watchdog of another kind, which tells another reason, ends it.
func devour() {
	const piece, most = 16 << 20, 1 << 30
	var all [][]byte
	for taken := 0; taken < most; taken += piece {
		p := make([]byte, piece)
		for i := 0; i < piece; i += 512 {
			p[i] = 1
		}
		all = append(all, p)
		time.Sleep(2 * time.Millisecond) // no more than 8 GB a second
	}
	time.Sleep(time.Hour)
	runtime.KeepAlive(all)
}

func init() {
	otherPrograms["deadly"] = func() int { return deadlyProgram(nil).run(context.Background(), os.Args[1:]) }
}

// deadlyProgram is the program with the deadly and the mortal backend, and the cpu backend for lists of two.
func deadlyProgram(self func(context.Context, ...string) *exec.Cmd) *app {
	r := &backend.Registry{}
	for _, b := range []backend.Backend{deadlyBackend{reference.New()}, &mortalBackend{Backend: reference.New()}, cpu.New(cpu.Options{Threads: 1})} {
		if err := r.Register(b); err != nil {
			panic(err)
		}
	}
	return &app{stdin: strings.NewReader(""), stdout: os.Stdout, stderr: os.Stderr, getenv: func(string) string { return "" }, registry: r, self: self}
}

// deadly runs the command on the deadly backend in child processes, with its report as JSON.
func deadly(t *testing.T, args ...string) (report.Conformance, int) {
	t.Helper()
	return inChildren(t, append([]string{"--backend", "deadly"}, args...)...)
}

func inChildren(t *testing.T, args ...string) (report.Conformance, int) {
	t.Helper()
	c, code, _ := childrenSay(t, args...)
	return c, code
}

// childrenSay is inChildren with what was told on standard error.
func childrenSay(t *testing.T, args ...string) (report.Conformance, int, string) {
	t.Helper()
	var out strings.Builder
	var errs lockedText
	a := deadlyProgram(func(ctx context.Context, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, os.Args[0], args...)
		c.Env = append(os.Environ(), actAsProgram+"=deadly")
		return c
	})
	a.stdout, a.stderr = &out, &errs
	code := a.run(t.Context(), append([]string{"conformance", "--format", "json"}, args...))
	c, err := report.ReadConformance(strings.NewReader(out.String()))
	if err != nil || len(c.Devices) != 1 {
		t.Fatalf("%v: %s, %s", err, out.String(), errs.String())
	}
	return c, code, errs.String()
}

// A list is one device in a child as well, also in the second, which the first one's death asks for.
func TestConformanceOfAListInChildren(t *testing.T) {
	t.Parallel()
	c, code := inChildren(t, "--backend", "deadly,cpu", "--filter", "^(contract/info|softmax/n1-c10/|global_avg_pool/n2)")
	d := c.Devices[0]
	if code != exitNotConformant || d.Target != "deadly,cpu" || d.Rerun != "resnet-run conformance --backend deadly,cpu --filter" || d.Summary.Failed != 2 || d.Summary.Run < 6 || c.Interrupted {
		t.Errorf("got exit code %d, target %q, %+v", code, d.Target, d.Summary)
	}
}

func TestConformanceSurvivesADriverThatDoesNot(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a process has been silent for long enough")
	}
	t.Parallel() // it waits more than it works
	c, code := deadly(t, "--filter", "^softmax/n([013]-c10/|8-c10/ordinary)", "--timeout", "1s")
	d := c.Devices[0]
	if code != exitNotConformant || d.Device.Name != "float64 reference" || d.Device.Type != backend.CPU || d.Target != "deadly:cpu" || d.Summary.Run != 7 || d.Summary.Failed != 5 || c.Interrupted {
		t.Errorf("got exit code %d, %+v", code, d)
	}
	want := map[string]string{
		"n0-c10": "",
		"n1-c10": "exit status 2",
		"n3-c10": "signal: killed",
		"n8-c10": "said nothing for so long",
	}
	for _, r := range d.Results {
		w := want[strings.Split(r.Case, "/")[1]]
		if (r.Status == conformance.Passed) != (w == "") || !strings.Contains(r.Error, w) || !strings.HasPrefix(r.Class, "class A") && !strings.HasPrefix(r.Class, "exact") {
			t.Errorf("got %+v, want %q", r, w)
		}
	}
}

// TestConformanceKnowsCasesThatEndTheirProcess: an exception covers what kills, hangs or devours as it covers a wrong number.
func TestConformanceKnowsCasesThatEndTheirProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a process has been silent for long enough")
	}
	t.Parallel() // it waits more than it works
	c, code := deadly(t, "--filter", "^softmax/n([01]-c10/ordinary|3-c10/|8-c10/ordinary)", "--timeout", "1s",
		"--known", "softmax/n3-c10/.*=ends the process", "--known", "softmax/n8-c10/ordinary=never returns", "--limit", "softmax/n1-.*=takes all memory")
	d := c.Devices[0]
	want := map[string]struct {
		status        conformance.Status
		reason, error string
	}{
		"n0": {conformance.Passed, "", ""},
		"n1": {conformance.Skipped, "takes all memory", ""},
		"n3": {conformance.ExpectedFailure, "ends the process", "signal: killed"},
		"n8": {conformance.ExpectedFailure, "never returns", "said nothing for so long"},
	}
	for _, r := range d.Results {
		w := want[r.Case[len("softmax/"):][:2]]
		if r.Status != w.status || r.Reason != w.reason || !strings.Contains(r.Error, w.error) || (r.Error == "") != (w.error == "") {
			t.Errorf("got %+v, want %+v", r, w)
		}
	}
	if code != exitOK || len(d.Results) != 5 || !c.Conformant || d.Summary.ExpectedFailures != 3 {
		t.Errorf("got exit code %d, %+v", code, d)
	}
}

// TestConformanceEndsWhatTakesTooMuchMemory has a case that takes memory in peaceful steps, which the system would allow.
func TestConformanceEndsWhatTakesTooMuchMemory(t *testing.T) {
	c, code := deadly(t, "--filter", "^relu/(n1-c1-h3-w3|n2-c3-h4-w4)/", "--memory", "512MiB")
	d, devoured := c.Devices[0], 0
	for _, r := range d.Results {
		greedy := strings.HasPrefix(r.Case, "relu/n1-")
		if greedy {
			devoured++
		}
		if greedy != (r.Status == conformance.Failed) || greedy != strings.Contains(r.Error, "of memory, more than the 512 MiB of --memory, and was killed") {
			t.Errorf("got %+v", r)
		}
	}
	if code != exitNotConformant || devoured == 0 || devoured == len(d.Results) || d.Summary.Failed != devoured || len(d.Results) != c.Cases {
		t.Errorf("got exit code %d, %d of %d failed", code, devoured, len(d.Results))
	}
}

func TestConformanceGivesUpOnAProgramThatAlwaysDies(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for some seconds whether it goes better")
	}
	t.Parallel() // it waits more than it works
	var errs strings.Builder
	a := deadlyProgram(func(ctx context.Context, _ ...string) *exec.Cmd {
		return exec.CommandContext(ctx, os.Args[0], "-test.run", "^$", "-no-such-flag")
	})
	a.stdout, a.stderr = io.Discard, &errs
	if code := a.run(t.Context(), []string{"conformance", "--backend", "deadly"}); code != exitRun || !strings.Contains(errs.String(), "run cases in another process: exit status 2") {
		t.Errorf("got exit code %d, %s", code, errs.String())
	}
}

// TestConformanceRepeatsInTheChild: a case that ends its process the first time, and one that runs three times in the next.
func TestConformanceRepeatsInTheChild(t *testing.T) {
	c, code := deadly(t, "--filter", "^(softmax/n3-c10|add/n1-c1-h3-w3)/ordinary$", "--repeat", "3")
	d := c.Devices[0]
	if code != exitNotConformant || c.Repeat != 3 || d.Summary.Failed != 1 || d.Summary.Passed != 1 {
		t.Fatalf("got exit code %d, repeat %d, %v: %+v", code, c.Repeat, d.Summary, d.Results)
	}
	for _, r := range d.Results {
		died := r.Status == conformance.Failed
		if want := [2]int{3, 0}; !died && [2]int{r.Runs, r.Failures} != want || died && (r.Runs != 1 || r.Failures != 1 || !strings.Contains(r.Error, "run 1 of 3: the process that ran it ended")) {
			t.Errorf("got %d runs, %d failures: %+v", r.Runs, r.Failures, r)
		}
	}
	for format, want := range map[report.Format]string{report.Table: "runs      4, of which 1 failed", report.HTML: "each 3 times (4 runs, of which 1 failed)", report.JUnit: `name="failed_runs" value="1"`} {
		var text strings.Builder
		if err := report.WriteConformance(&text, format, c); err != nil || !strings.Contains(text.String(), want) {
			t.Errorf("format %v: got %v, want %q in %s", format, err, want, &text)
		}
	}
	f := &conformanceFlags{repeat: 3}
	if args := strings.Join(f.childArgs(&deviceFlags{}, ""), " "); !strings.Contains(args, "--repeat 3") {
		t.Errorf("the child is told %s", args)
	}
}
