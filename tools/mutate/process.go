package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// job and line are those of the worker.
type job struct {
	Options    options  `json:"options"`
	Validation bool     `json:"validation"`
	Seconds    int      `json:"seconds"`
	Cases      []string `json:"cases"`
}

type line struct {
	Device string `json:"device"`
	Begin  string `json:"begin"`
	Case   string `json:"case"`
	Status string `json:"status"`
	Error  string `json:"error"`
	End    bool   `json:"end"`
}

// Time limits. The slowest case of the original takes two seconds on a busy machine.
const (
	caseSeconds = 60                // a case's context ends then
	patience    = 90                // the same for a case that is run once more alone, since the machine may have been busy
	silence     = 150 * time.Second // a worker that says nothing for so long is killed
)

// death is how a stage ended for a mutant.
type death struct {
	outcome outcome // survived when every case held
	where   string  // the case, or the package of unit tests
	detail  string
}

// runStage runs the cases of a stage in a worker until one does not hold.
func (r *runner) runStage(ctx context.Context, b *built, s stage) (death, error) {
	if len(s.GoTests) > 0 {
		return r.runGoTests(ctx, b, s)
	}
	input, err := json.Marshal(job{Options: s.Options, Validation: true, Seconds: s.seconds(), Cases: s.Cases})
	if err != nil {
		return death{}, err
	}
	cmd := exec.CommandContext(ctx, b.worker)
	cmd.Env = append(os.Environ(), "VK_DRIVER_FILES="+r.drivers[s.Driver], "VK_ICD_FILENAMES="+r.drivers[s.Driver], spvEnv+"="+b.spv)
	if s.InBounds {
		cmd.Env = append(cmd.Env, "VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT")
	}
	cmd.Stdin = bytes.NewReader(input)
	stderr := &lastBytes{most: 4000}
	cmd.Stderr = stderr
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return death{}, err
	}
	if err := cmd.Start(); err != nil {
		return death{}, err
	}
	var silent atomic.Bool
	watchdog := time.AfterFunc(silence, func() {
		silent.Store(true)
		_ = cmd.Process.Kill() // it may have ended by itself just now
	})
	d, begun, ended := r.listen(out, func() { watchdog.Reset(silence) }, s.Driver)
	watchdog.Stop()
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return death{}, ctx.Err()
	case d.outcome != "":
		return d, nil
	case silent.Load():
		return death{hang, begun, fmt.Sprintf("no word for %v", silence)}, nil
	case !ended:
		return death{crash, begun, fmt.Sprintf("%v: %s", err, crashLine(stderr.String()))}, nil
	}
	return death{outcome: survived}, nil
}

// seconds is the time limit of a case.
func (s stage) seconds() int {
	if s.Alone {
		return patience
	}
	return caseSeconds
}

// listen reads what the worker says: how it died, the case that had begun, and whether it came to its last line.
func (r *runner) listen(out io.Reader, alive func(), driver string) (d death, begun string, ended bool) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		alive()
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // drivers print too
		}
		switch {
		case l.Device != "":
			r.noteDevice(driver, l.Device)
		case l.Begin != "":
			begun = l.Begin
		case l.End:
			ended = true
		case l.Status != "" && l.Status != "passed" && d.outcome == "":
			o := map[string]outcome{"failed": numbers, "refused": refused, "hung": hang, "message": validation}[l.Status]
			d = death{o, l.Case, l.Error}
		}
	}
	return d, begun, ended
}

// crashLine is the line of a dying process that says most.
func crashLine(stderr string) string {
	for _, l := range strings.Split(stderr, "\n") {
		for _, word := range []string{"fatal error", "panic:", "SIG", "worker:", "out of memory", "LLVM ERROR"} {
			if strings.Contains(l, word) {
				return strings.TrimSpace(l)
			}
		}
	}
	return strings.TrimSpace(tail(stderr, 200))
}

// lastBytes keeps the beginning and forgets what is too much.
type lastBytes struct {
	bytes.Buffer
	most int
}

func (l *lastBytes) Write(p []byte) (int, error) {
	if room := l.most - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// runGoTests runs unit tests with the mutant in place.
func (r *runner) runGoTests(ctx context.Context, b *built, s stage) (death, error) {
	for _, pkg := range s.GoTests {
		_, err := r.builder.command(ctx, "go", "test", "-p", "1", "-overlay", b.overlay, "-count=1", "-timeout", "120s", pkg)
		if ctx.Err() != nil {
			return death{}, ctx.Err()
		}
		if err != nil {
			return death{unitTests, pkg, failedTest(err.Error())}, nil
		}
	}
	return death{outcome: survived}, nil
}

func failedTest(text string) string {
	for _, l := range strings.Split(text, "\n") {
		if strings.Contains(l, "--- FAIL") || strings.HasPrefix(l, "panic:") {
			return strings.TrimSpace(l)
		}
	}
	return tail(text, 200)
}
