package host

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// maxHandshakeBytes is how long the first line may be; the certificate in it has some 600 bytes.
const maxHandshakeBytes = 16 << 10

// child is a plugin's process. go-plugin drives it through the methods of [runner.Runner], but sees of its output only the
// handshake, after a check: go-plugin itself panics on some lines of a log, stops reading after a long line, and would
// hand our standard input on.
type child struct {
	cmd    *exec.Cmd
	log    *pluginLog
	dir    string // for the plugin's socket
	unlock func() // of dir
	stdout *io.PipeReader
	ready  *io.PipeWriter

	ended chan struct{} // closed when the process has been waited for and its output read

	mu      sync.Mutex
	pid     int
	doomed  bool   // kill was called
	killed  bool   // that was before it ended by itself
	reaped  bool   // the number may be another process's
	exit    string // how it ended
	problem error  // with the handshake
}

var _ runner.Runner = (*child)(nil)

func newChild(cmd *exec.Cmd, log *pluginLog, dir string, unlock func()) *child {
	c := &child{cmd: cmd, log: log, dir: dir, unlock: unlock, ended: make(chan struct{})}
	c.stdout, c.ready = io.Pipe()
	return c
}

// Start starts the process from a thread that lives as long as the process: the kernel kills the process when that
// thread ends, so that it dies with the host even if the host gets no chance to say so.
func (c *child) Start(context.Context) error {
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return err
	}
	c.cmd.Stdin, c.cmd.SysProcAttr = nil, attributes()
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := c.cmd.Start(); err != nil {
			c.finish("it could not be started: " + err.Error())
			started <- err
			return
		}
		c.mu.Lock()
		if c.pid = c.cmd.Process.Pid; c.doomed {
			killGroup(c.pid)
		}
		c.mu.Unlock()
		started <- nil
		var output sync.WaitGroup
		output.Go(func() { c.readOutput(stdout) })
		output.Go(func() { c.log.copy(stderr) })
		exit := c.wait(&output)
		c.finish(exit)
	}()
	return <-started
}

// wait waits for the process and for the rest of its output. Processes that it left behind are killed first: they may hold
// the output open.
func (c *child) wait(output *sync.WaitGroup) string {
	pid := c.cmd.Process.Pid
	if awaitExit(pid) {
		killGroup(pid) // the number is not free before the process is waited for
	}
	c.mu.Lock()
	c.reaped, c.killed = true, c.doomed
	c.mu.Unlock()
	read := make(chan struct{})
	go func() { output.Wait(); close(read) }()
	select {
	case <-read:
	case <-time.After(grace): // someone who has left the group holds it
	}
	err := c.cmd.Wait() // closes our end
	<-read
	if c.cmd.ProcessState == nil {
		return err.Error()
	}
	if ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return fmt.Sprintf("it was ended by signal %d (%v)", ws.Signal(), ws.Signal())
	}
	return fmt.Sprintf("it ended with status %d", c.cmd.ProcessState.ExitCode())
}

func (c *child) finish(exit string) {
	c.mu.Lock()
	c.exit = exit
	c.mu.Unlock()
	_ = c.ready.Close()
	_ = os.RemoveAll(c.dir) // only ours: made for this process, locked by us
	c.unlock()
	close(c.ended)
}

// readOutput passes a good first line on and logs the rest.
func (c *child) readOutput(stdout io.Reader) {
	in := bufio.NewReaderSize(stdout, maxHandshakeBytes)
	line, err := in.ReadSlice('\n')
	if err == nil {
		err = checkHandshake(strings.TrimSpace(string(line)))
	} else if errors.Is(err, io.EOF) && len(line) == 0 {
		err = errNoHandshake
	} else {
		err = fmt.Errorf("%w: %q", errBadHandshake, quote(line))
	}
	if err != nil {
		c.mu.Lock()
		c.problem = err
		c.mu.Unlock()
		c.kill()
		_ = c.ready.Close()
		_, _ = io.Copy(io.Discard, in)
		return
	}
	_, _ = c.ready.Write(line) // fails when go-plugin has given up
	c.log.copy(in)
}

func quote(b []byte) string { return printable(cut(strings.TrimSpace(string(b)), 80)) }

var (
	errNoHandshake  = errors.New("it ended without a handshake")
	errBadHandshake = errors.New("it is no plugin: its first line is no handshake")
)

// checkHandshake checks the line 1|1|unix|/path|grpc|certificate.
func checkHandshake(line string) error {
	f := strings.Split(line, "|")
	if len(f) < 5 || f[0] != "1" {
		return fmt.Errorf("%w: want 1|%d|unix|PATH|grpc|CERTIFICATE, got %q", errBadHandshake, protocolVersions[0], quote([]byte(line)))
	}
	if v, err := strconv.Atoi(f[1]); err != nil || !slices.Contains(protocolVersions, v) {
		return fmt.Errorf("it speaks protocol version %q, want one of %v", quote([]byte(f[1])), protocolVersions)
	}
	switch host, _, err := net.SplitHostPort(f[3]); {
	case f[2] == "unix" && f[3] != "":
	case f[2] == "tcp" && err == nil && net.ParseIP(host).IsLoopback():
	default:
		return fmt.Errorf("handshake: want a unix socket or a TCP address of this machine, got %s %q", quote([]byte(f[2])), quote([]byte(f[3])))
	}
	if f[4] != "grpc" {
		return fmt.Errorf("handshake: want protocol grpc, got %q", quote([]byte(f[4])))
	}
	if len(f) < 6 || len(f[5]) < 50 {
		return errors.New("handshake: want a certificate for mutual TLS, got none")
	}
	if _, err := base64.RawStdEncoding.DecodeString(f[5]); err != nil {
		return fmt.Errorf("handshake: certificate: want base64 without padding: %w", err)
	}
	return nil
}

// The other methods of runner.Runner.

func (c *child) Stdout() io.ReadCloser { return c.stdout }

// Stderr is empty for go-plugin: the log is ours.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

func (c *child) Wait(context.Context) error {
	<-c.ended
	return nil
}

func (c *child) Kill(context.Context) error {
	c.kill()
	return nil
}

// kill ends the process, now or as soon as it is there.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doomed = true
	if !c.reaped {
		killGroup(c.pid)
	}
}

func (c *child) ID() string { return strconv.Itoa(c.processID()) }

func (c *child) processID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

func (c *child) Name() string { return c.cmd.Path }

func (c *child) Diagnose(context.Context) string { return "" }

func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// wasKilled reports whether the process ended because we killed it, and not for what it had said. It may be asked when
// ended is closed.
func (c *child) wasKilled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killed && c.problem == nil
}

// howItEnded is for people, with the process's last words. It may be asked when ended is closed.
func (c *child) howItEnded() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.exit
	if c.problem != nil && !errors.Is(c.problem, errNoHandshake) {
		text = c.problem.Error()
	} else if c.problem != nil {
		text += " before its handshake"
	}
	if words := c.log.words(); words != "" {
		text += fmt.Sprintf("; its last words: %q", words)
	}
	return text
}
