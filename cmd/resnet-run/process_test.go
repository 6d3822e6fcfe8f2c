//go:build unix

package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// actAsProgram in the environment makes the test binary the program itself.
const actAsProgram = "RESNET_RUN_TEST_ACT_AS_PROGRAM"

// otherPrograms are what actAsProgram may name instead, with their exit codes.
var otherPrograms = map[string]func() int{}

func TestMain(m *testing.M) {
	if name := os.Getenv(actAsProgram); name != "" {
		if other := otherPrograms[name]; other != nil {
			os.Exit(other())
		}
		main()
		return
	}
	os.Exit(m.Run())
}

// program prepares a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), actAsProgram+"=1", "RESNET_RUN_BACKEND=reference")
	return c
}

func TestSignalEndsTheProcess(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			world(t)
			c := program(t, "classify", "-v", "-m", "colour.safetensors", "-f", "ndjson", "-b", "1", "pictures/red.png", "-")
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close() //nolint:errcheck // never written to: the program waits for it
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			c.Stderr = &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || !strings.Contains(line, `"label":"red"`) {
				t.Errorf("got %q, %v, want the first result before the second is there", line, err)
			}
			start := time.Now()
			if err := c.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
				t.Errorf("got %v, want exit code %d", err, exitInterrupted)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("the end took %v", d)
			}
			if !strings.Contains(stderr.String(), "interrupted") {
				t.Errorf("got stderr %q", stderr.String())
			}
		})
	}
}
