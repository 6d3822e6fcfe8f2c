//go:build unix

package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/plugins/internal/shm"
)

// fault is something that goes wrong with a plugin, and what the user then reads.
type fault struct {
	name   string
	mode   string
	limits Limits
	do     func(t *testing.T, b *Backend) error
	want   string // a line of the table in docs/plugins.md
	kind   error
}

// faults is the table in docs/plugins.md. The plugin's name is bad in all of them.
var faults = []fault{
	{"killed in mid-run", "waits", patient, killInRun, `plugin "bad": plugin exited: it was ended by signal 9 (killed)`, backend.ErrPluginExited},
	{"panic", "panics", patient, runIt, `plugin "bad": plugin exited: it ended with status 2; its last words: "panic: assertion failed: the accelerator is on fire"`, backend.ErrPluginExited},
	{"exit in a run", "exits", patient, runIt, `plugin "bad": plugin exited: it ended with status 7`, backend.ErrPluginExited},
	{"hang in a run", "hangs", brief, runWithDeadline, `plugin "bad": plugin exited: it was ended by the host: it did not answer within 2s: the end of a Run that was given up`, backend.ErrPluginExited},
	{"stopped process", "stops", Limits{Patience: 4 * time.Second, Health: 50 * time.Millisecond}, runIt, `plugin "bad": plugin exited: it was ended by the host: it did not answer within 4s: health check`, backend.ErrPluginExited},
	{"hang in another call", "hangs-in-supports", brief, supportsIt, `plugin "bad": plugin exited: it was ended by the host: it did not answer within 2s: Supports`, backend.ErrPluginExited},
	{"hang in the list of devices", "hangs-in-list", brief, listIt, `plugin "bad": plugin exited: it was ended by the host: it did not answer within 2s: ListDevices`, backend.ErrPluginExited},
	{"hang in compile", "hangs-in-compile", brief, compileWithDeadline, `plugin "bad": plugin exited: it was ended by the host: it did not answer within 2s: the end of Compile that was given up`, backend.ErrPluginExited},
	{"memory", "eats", Limits{Memory: 256 << 20}, runIt, `plugin "bad": plugin exited: it was ended by the host: it used N MiB of memory, more than the 256 MiB that RESNET_RUN_PLUGIN_MEMORY allows`, backend.ErrPluginExited},
	{"garbage instead of TLS", "garbage", patient, listIt, `plugin "bad": plugin exited: it was ended by the host: describe: connection error: desc = "transport: authentication handshake failed: tls: first record does not look like a TLS handshake"`, backend.ErrPluginExited},
	{"garbage in a message", "garbage-message", patient, listIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: it sent *backendv1.ListDevicesResponse that cannot be decoded: REASON`, backend.ErrPluginExited},
	{"message that is too large", "huge-message", patient, listIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: it sent a message of more than 4194304 bytes`, backend.ErrPluginExited},
	{"wrong shapes", "wrong-signature", patient, compileIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: Compile: inputs: want [{x float32[1,4]}], got [{y float32[1,8]}]`, backend.ErrPluginExited},
	{"too few bytes", "short-read", patient, readIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: ReadBuffer: want 16 bytes, got 15`, backend.ErrPluginExited},
	{"too many bytes", "long-read", patient, readIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: ReadBuffer: got a chunk of 17 bytes where 16 are missing`, backend.ErrPluginExited},
	{"a tensor of another size in an answer", "short-answer", patient, readIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: ExecuteResponse: want a tensor of 16 bytes, got one of 15 bytes`, backend.ErrPluginExited},
	{"a tensor too many in an answer", "long-answer", patient, readIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: ExecuteResponse: want no further tensor, got one of 1 bytes`, backend.ErrPluginExited},
	{"two devices of one id", "twin-devices", patient, listIt, `plugin "bad": plugin exited: it was ended by the host: it broke the protocol: list of devices: device 1: the id "0" is that of another`, backend.ErrPluginExited},
	{"other name than the manifest's", "wrong-name", patient, listIt, `plugin "bad": plugin exited: it was ended by the host: describe: want the name "bad" of the manifest, got "vulkan"`, backend.ErrPluginExited},
	{"end of the session", "leaves-session", patient, waitForEnd, `plugin "bad": plugin exited: it was ended by the host: it ended the session without ending itself`, backend.ErrPluginExited},
	{"wrong protocol version", "wrong-version", patient, listIt, `plugin "bad": plugin exited: it speaks protocol version "7", want one of [1]`, backend.ErrPluginExited},
	{"a program that is no plugin", "not-a-plugin", patient, listIt, `plugin "bad": plugin exited: it is no plugin: its first line is no handshake: want 1|1|unix|PATH|grpc|CERTIFICATE, got "hello, world"`, backend.ErrPluginExited},
	{"a program that ends at once", "silent-end", patient, listIt, `plugin "bad": plugin exited: it ended with status 0 before its handshake`, backend.ErrPluginExited},
	{"a plugin that cannot start", "dies", patient, listIt, `plugin "bad": plugin exited: it ended with status 3 before its handshake; its last words: "no licence for this accelerator"`, backend.ErrPluginExited},
	{"no handshake", "sleeps", Limits{Start: time.Second}, listIt, `plugin "bad": plugin exited: it did not get ready within 1s`, backend.ErrPluginExited},
	{"a line without end", "long-line", patient, listIt, `plugin "bad": plugin exited: it is no plugin: its first line is no handshake: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."`, backend.ErrPluginExited},
	{"no mutual TLS", "no-certificate", patient, listIt, `plugin "bad": plugin exited: handshake: want a certificate for mutual TLS, got none`, backend.ErrPluginExited},
	{"a certificate that is none", "bad-certificate", patient, listIt, `plugin "bad": plugin exited: error parsing server cert: x509: malformed certificate`, backend.ErrPluginExited},
	{"nobody at the address", "nobody-listens", patient, listIt, `plugin "bad": plugin exited: it was ended by the host: describe: connection error: desc = "transport: Error while dialing: dial unix /PATH/none: connect: no such file or directory"`, backend.ErrPluginExited},
	{"address of another machine", "abroad", patient, listIt, `plugin "bad": plugin exited: handshake: want a unix socket or a TCP address of this machine, got tcp "192.0.2.1:80"`, backend.ErrPluginExited},
	{"no device", "no-device", patient, listIt, `no device: no accelerator in any slot: plug one in`, backend.ErrNoDevice},
	{"lost device", "is-lost", patient, runIt, `fan: device lost`, backend.ErrDeviceLost},
}

// waiting are the faults that take their time to be found: they are tested side by side.
func (f *fault) waiting() bool {
	return f.limits != patient || f.mode == "leaves-session"
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		if !f.waiting() {
			t.Run(f.name, func(t *testing.T) { f.test(t, start) })
		}
	}
}

func TestFaultsThatTakeTime(t *testing.T) {
	checkLeaks(t)
	for _, f := range faults {
		if f.waiting() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				f.test(t, startBeside)
			})
		}
	}
}

func (f *fault) test(t *testing.T, start func(testing.TB, string, Limits) (*Backend, *place)) {
	b, w := start(t, f.mode, f.limits)
	err := f.do(t, b)
	if err == nil || !errors.Is(err, f.kind) {
		t.Fatalf("got error %v, want one that is %v, log:\n%s", err, f.kind, w.log)
	}
	if got := maskFault(err.Error()); !strings.HasSuffix(got, f.want) {
		t.Errorf("got\n%s\nwant\n%s", got, f.want)
	}
}

// TestTheFaultTableIsInThePage: docs/plugins.md has every message.
func TestTheFaultTableIsInThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	messages := []string{byHandMessage, untrustedMessage, changedMessage, checksumMessage, restartMessage, chunksMessage, moreChunksMessage}
	for _, f := range faults {
		messages = append(messages, f.want)
		if strings.Count(f.want, "`") > 0 {
			t.Errorf("%s: the message cannot stand in a table", f.name)
		}
	}
	for _, m := range messages {
		if !strings.Contains(string(page), "`"+strings.ReplaceAll(m, "|", `\|`)+"`") {
			t.Errorf("docs/plugins.md lacks\n`%s`", m)
		}
	}
}

// variable are the parts of messages that differ between runs and machines.
var variable = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`it used \d+ MiB`), "it used N MiB"},
	{regexp.MustCompile(`cannot be decoded: .*`), "cannot be decoded: REASON"},
	{regexp.MustCompile(`[0-9a-f]{64}`), "SHA256"},
	{regexp.MustCompile(`/[^ :"]+/(manifest\.json|tool|none|[a-z]+\.test)`), "/PATH/$1"},
}

func maskFault(s string) string {
	for _, v := range variable {
		s = v.pattern.ReplaceAllString(s, v.mask)
	}
	return s
}

// What is done for the faults.

func listIt(t *testing.T, b *Backend) error {
	_, err := b.Devices(t.Context())
	return err
}

func supportsIt(t *testing.T, b *Backend) error {
	return openDevice(t, b).Supports(relu(t, 4).Nodes[0])
}

func compileIt(t *testing.T, b *Backend) error {
	_, err := openDevice(t, b).Compile(t.Context(), relu(t, 4))
	return err
}

// compileWithDeadline returns what the device says after its plugin has not kept the deadline.
func compileWithDeadline(t *testing.T, b *Backend) error {
	dev := openDevice(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := dev.Compile(ctx, relu(t, 4)); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("compile: %w", err)
	}
	<-b.now.ended
	return dev.Supports(relu(t, 4).Nodes[0])
}

func readIt(t *testing.T, b *Backend) error {
	x := newBuffer(t, openDevice(t, b), relu(t, 4).Inputs[0].Type)
	return x.Read(t.Context(), make([]byte, 16))
}

// prepared compiles and returns a function that runs.
func prepared(t *testing.T, b *Backend) func(context.Context) error {
	t.Helper()
	dev, g := openDevice(t, b), relu(t, 4)
	e, err := dev.Compile(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, e) })
	x, y := newBuffer(t, dev, g.Inputs[0].Type), newBuffer(t, dev, g.Inputs[0].Type)
	return func(ctx context.Context) error {
		return e.Run(ctx, []backend.Buffer{x}, []backend.Buffer{y})
	}
}

func runIt(t *testing.T, b *Backend) error { return prepared(t, b)(t.Context()) }

// runWithDeadline checks that the run keeps its deadline, and returns what the next one says.
func runWithDeadline(t *testing.T, b *Backend) error {
	run := prepared(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the run that hangs: %w", err)
	}
	<-b.now.ended
	return run(t.Context())
}

func killInRun(t *testing.T, b *Backend) error {
	run := prepared(t, b)
	result := make(chan error)
	go func() { result <- run(t.Context()) }()
	if err := syscall.Kill(b.now.child.processID(), syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	return <-result
}

func waitForEnd(t *testing.T, b *Backend) error {
	dev := openDevice(t, b)
	<-b.now.ended
	return dev.Supports(relu(t, 4).Nodes[0])
}

const byHandMessage = `for resnet-run: a plugin, which resnet-run starts and not its user.`

// TestStartedByHand: a plugin says what it is.
func TestStartedByHand(t *testing.T) {
	var stderr strings.Builder
	c := exec.CommandContext(t.Context(), os.Args[0], asPlugin, "cpu")
	c.Stderr = &stderr
	var exit *exec.ExitError
	if err := c.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("got %v, want exit status 1", err)
	}
	if !strings.Contains(stderr.String(), byHandMessage) {
		t.Errorf("got %q", stderr.String())
	}
}

// TestHostKilled: the plugin ends with its host, and the next host removes what a plugin could have left.
func TestHostKilled(t *testing.T) {
	w := newPlace(t)
	w.trust(t, w.install(t, "cpu", "cpu"))
	o := w.options(t, patient)
	host := exec.CommandContext(t.Context(), os.Args[0], asPlugin, "host", w.dir, o.TempDir)
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := host.StdinPipe(); err != nil { // never written to
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, err2 := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || err2 != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	if !groupLives(pid) {
		t.Fatalf("the plugin %d does not live", pid)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait() // killed
	eventually(t, func() string {
		if groupLives(pid) {
			return "the plugin outlives its host"
		}
		return ""
	})
	dirs, _ := filepath.Glob(filepath.Join(o.TempDir, "*", "plugin-dir*")) // the pattern is right
	for _, d := range dirs {
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(d, old, old); err != nil {
			t.Fatal(err)
		}
	}
	b := New(w.find(t, "cpu"), o) // its folder is checked to be empty when the test ends
	defer closeIt(t, b)
	openDevice(t, b)
}

const restartMessage = `plugin "bad": plugin exited: it ended with status 7; it has ended 3 times in a row and is not started again`

// TestRestarts: a plugin that died is started again, but not for ever; a device that was lost stays lost.
func TestRestarts(t *testing.T) {
	l := patient
	l.Restarts = 2
	b, _ := start(t, "exits", l)
	var first backend.Device
	for i := range 3 {
		dev := openDevice(t, b)
		if first == nil {
			first = dev
		}
		if err := prepared(t, b)(t.Context()); !errors.Is(err, backend.ErrPluginExited) {
			t.Fatalf("run %d: got %v", i, err)
		}
		if err := first.Supports(relu(t, 4).Nodes[0]); !errors.Is(err, backend.ErrPluginExited) {
			t.Errorf("run %d: the first device: got %v", i, err)
		}
	}
	_, err := b.Devices(t.Context())
	if !errors.Is(err, backend.ErrPluginExited) || err.Error() != restartMessage {
		t.Errorf("got\n%v\nwant\n%s", err, restartMessage)
	}
}

// TestPauseBeforeARestartCanBeCancelled: nobody waits longer than he wants to.
func TestPauseBeforeARestartCanBeCancelled(t *testing.T) {
	l := patient
	l.Pause = time.Hour
	b, _ := start(t, "exits", l)
	if err := runIt(t, b); !errors.Is(err, backend.ErrPluginExited) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Devices(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

const (
	chunksMessage     = `no shared memory: tensors go in chunks`
	moreChunksMessage = `no more shared memory: some tensors go in chunks`
)

// TestFullSharedMemory: tensors go in chunks when no way to share memory is left, with an error from each. TestFullFileSystem has a real one.
func TestFullSharedMemory(t *testing.T) {
	b, w := start(t, "cpu", patient)
	dev := openDevice(t, b)
	full := func(int) (*shm.Region, error) { return nil, fmt.Errorf("reserve memory: %w", syscall.ENOSPC) }
	b.now.regions.makers = []maker{{"memfd", full}, {"/dev/shm", full}}
	runReLU(t, dev, 1<<18)
	if !w.log.has("level=INFO", chunksMessage, "no space left on device") {
		t.Errorf("got log\n%s", w.log)
	}
}

// TestSharedFiles: where a memfd cannot be had, a file is, and nothing is left of it.
func TestSharedFiles(t *testing.T) {
	b, w := start(t, "cpu", patient)
	dev := openDevice(t, b)
	dir := t.TempDir()
	none := func(int) (*shm.Region, error) { return nil, shm.ErrUnavailable }
	b.now.regions.makers = []maker{{"memfd", none}, {dir, func(n int) (*shm.Region, error) { return shm.CreateFile(dir, n) }}}
	runReLU(t, dev, 1<<18)
	if b.now.regions.count == 0 {
		t.Errorf("no region was made, log:\n%s", w.log)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

// TestCancelledRunLeavesThePluginUsable: a plugin that heeds the context lives on.
func TestCancelledRunLeavesThePluginUsable(t *testing.T) {
	b, w := start(t, "waits", patient)
	run := prepared(t, b)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if err := run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	b.now.probes.Wait()
	if err := b.now.alive(); err != nil {
		t.Errorf("%v, log:\n%s", err, w.log)
	}
}
