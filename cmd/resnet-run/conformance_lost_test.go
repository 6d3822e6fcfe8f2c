//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/internal/machine"
	"github.com/resnet-run/resnet-run/internal/report"
)

// mortalBackend is the reference with a compiler that max_pool kills, with its process; that add ends as it would a plugin,
// which is started again as often as a plugin is by default; and that makes a process below take memory for avg_pool.
type mortalBackend struct {
	backend.Backend
	deaths atomic.Int32
}

func (*mortalBackend) Name() string { return "mortal" }

// notBack in the environment names a file that is there after a death. It says how many times the device does not open
// then, and after a colon how: "fail", or "die" with the process.
const notBack = "RESNET_RUN_TEST_NOT_BACK"

// afterDeath is what is to be written to the file that notBack names.
const afterDeath = "RESNET_RUN_TEST_AFTER_DEATH"

func (b *mortalBackend) Open(ctx context.Context, id string) (backend.Device, error) {
	text, _ := os.ReadFile(os.Getenv(notBack)) // none before the first death
	number, how, _ := strings.Cut(string(text), ":")
	if n, _ := strconv.Atoi(number); n > 0 {
		if err := os.WriteFile(os.Getenv(notBack), fmt.Appendf(nil, "%d:%s", n-1, how), 0o600); err != nil {
			return nil, err
		}
		if how == "die" {
			os.Exit(9)
		}
		return nil, fmt.Errorf("%w: the driver is not back yet", backend.ErrDeviceLost)
	}
	if n := b.deaths.Load(); n > 3 {
		return nil, fmt.Errorf("%w; it has ended %d times in a row and is not started again", backend.ErrPluginExited, n)
	}
	d, err := b.Backend.Open(ctx, id)
	return &mortalDevice{backendtest.Mortal{Device: d}, b}, err
}

type mortalDevice struct {
	backendtest.Mortal
	b *mortalBackend
}

func (d *mortalDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	switch g.Nodes[0].Op.(type) {
	case graph.MaxPool:
		if path := os.Getenv(notBack); path != "" {
			if err := os.WriteFile(path, []byte(os.Getenv(afterDeath)), 0o600); err != nil {
				return nil, err
			}
		}
		die(3)
	case graph.AvgPool:
		devourBelow()
	case graph.Add:
		d.Die()
		d.b.deaths.Add(1)
	}
	if err := d.Alive(); err != nil {
		return nil, err
	}
	return d.Device.Compile(ctx, g)
}

// devourBelow lets a process below one below this take memory.
func devourBelow() {
	runtime.LockOSThread() // the thread whose end is the other's too
	c := exec.Command("sh", "-c", `"$0"; :`, os.Args[0])
	c.Env = append(os.Environ(), actAsProgram+"=devourer")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Run(); err != nil {
		panic(err)
	}
}

func init() {
	otherPrograms["devourer"] = func() int {
		parent := os.Getppid()
		go devour()
		for os.Getppid() == parent {
			time.Sleep(10 * time.Millisecond)
		}
		return 0
	}
}

func mortal(t *testing.T, args ...string) (report.Conformance, int) {
	t.Helper()
	return inChildren(t, append([]string{"--backend", "mortal"}, args...)...)
}

// wantFailures holds a report to having a result of every case: those of the named op failed with a text, all others passed.
func wantFailures(t *testing.T, c report.Conformance, op, text string) (failed int) {
	t.Helper()
	d := c.Devices[0]
	for _, r := range d.Results {
		if r.Group() == op {
			failed++
		}
		if (r.Group() == op) != (r.Status == conformance.Failed) || !strings.Contains(r.Error, text) && r.Group() == op {
			t.Errorf("got %+v", r)
		}
	}
	if d.Error != "" || d.NotRun != 0 || len(d.Results) != c.Cases || failed == c.Cases {
		t.Errorf("got %d of %d results, %q", len(d.Results), c.Cases, d.Error)
	}
	return failed
}

// TestConformanceGoesOnAfterAnyNumberOfDeaths: they are of cases, so that they end no run and prevent no package.
func TestConformanceGoesOnAfterAnyNumberOfDeaths(t *testing.T) {
	t.Parallel()
	c, code := mortal(t, "--filter", "^max_pool/n(1-c[1-7]|2-c3-h11)-.*/r3-s3-stride2,2-pad1,1,1,1/|^softmax/n3-c33/")
	if n := wantFailures(t, c, "max_pool", "signal: killed"); n < 11 || code != exitNotConformant {
		t.Errorf("got %d deaths, exit code %d", n, code)
	}
}

// TestConformanceGoesOnWithoutThePlugin: it ends in more cases than a process starts it again, of which no other case hears.
func TestConformanceGoesOnWithoutThePlugin(t *testing.T) {
	t.Parallel()
	c, code, text := childrenSay(t, "--backend", "mortal", "--filter", "^(add|relu)/n[12]-c(1-h3-w3|3-h4-w4|16-h7-w9)/(ordinary|integers)$")
	if n := wantFailures(t, c, "add", "plugin exited"); n != 6 || code != exitNotConformant {
		t.Errorf("got %d deaths, exit code %d", n, code)
	}
	if strings.Contains(text, "trying again") { // it is left before the plugin is started too often
		t.Errorf("got %s", text)
	}
	c, code = mortal(t, "--filter", "^(add|relu)/n2-c3-h4-w4/(ordinary|integers)$", "--known", "add/.*=ends the plugin")
	if s := c.Devices[0].Summary; code != exitOK || s.ExpectedFailures != 2 || s.Passed != 2 {
		t.Errorf("known to end it: got exit code %d, %v", code, s)
	}
}

// TestConformanceWaitsForADeviceThatIsNotBack kills the process in a case, after which the device does not open for a time.
func TestConformanceWaitsForADeviceThatIsNotBack(t *testing.T) {
	for _, after := range []string{"1:fail", "2:fail", "2:die"} {
		t.Setenv(notBack, filepath.Join(t.TempDir(), "file"))
		t.Setenv(afterDeath, after)
		c, code := mortal(t, "--filter", "^max_pool/n1-c(1-h1-w1|4-h1-w4)/|^relu/n2-c3-h4-w4/ordinary")
		if n := wantFailures(t, c, "max_pool", "signal: killed"); n != 2 || code != exitNotConformant {
			t.Errorf("%s: got %d deaths, exit code %d", after, n, code)
		}
	}
}

func TestConformanceGivesUpADeviceThatDoesNotComeBack(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a device for some seconds")
	}
	t.Setenv(notBack, filepath.Join(t.TempDir(), "file"))
	t.Setenv(afterDeath, "99:fail")
	c, code := mortal(t, "--filter", "^max_pool/n1-c(1-h1-w1|4-h1-w4)/|^relu/n2-c3-h4-w4/ordinary")
	d := c.Devices[0]
	if code != exitNotConformant || len(d.Results) != 2 || d.NotRun != 1 || !strings.Contains(d.Error, "the driver is not back yet (6 times in a row") || c.Conformant {
		t.Errorf("got exit code %d, %d of %d results, %d not run, %q", code, len(d.Results), c.Cases, d.NotRun, d.Error)
	}
}

// TestConformanceEndsWhatTakesTooMuchMemoryBelow has the memory taken two processes below the one of the case, as a plugin
// with a helper would.
func TestConformanceEndsWhatTakesTooMuchMemoryBelow(t *testing.T) {
	t.Parallel()
	c, code := mortal(t, "--filter", "^avg_pool/n1-c1-h1-|^relu/n2-c3-h4-w4", "--memory", "512MiB", "--timeout", "10s") // so that it ends where nobody watches
	if n := wantFailures(t, c, "avg_pool", "of memory, more than the 512 MiB of --memory, and was killed"); n == 0 || code != exitNotConformant {
		t.Errorf("got %d deaths, exit code %d", n, code)
	}
}

func TestResidentOfCountsWhatIsBelow(t *testing.T) {
	c := exec.CommandContext(t.Context(), "sh", "-c", `sh -c 'sleep 60; :' & sleep 60 & wait`)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(syscall.Kill(-c.Process.Pid, syscall.SIGKILL), c.Wait()); err == nil {
			t.Error("it ended by itself")
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all, err := residentOf(c.Process.Pid)
		family := append([]int{c.Process.Pid}, childrenOf(c.Process.Pid)...)
		for _, child := range family[1:] {
			family = append(family, childrenOf(child)...)
		}
		var want int64
		for _, pid := range family {
			n, oneErr := machine.Resident(pid)
			want, err = want+n, errors.Join(err, oneErr)
		}
		if len(family) == 4 && err == nil && all == want { // once all are asleep
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d bytes, want the %d of %v, %v", all, want, family, err)
		}
	}
	if _, err := residentOf(1 << 30); err == nil {
		t.Error("a process that does not exist: got no error")
	}
}
