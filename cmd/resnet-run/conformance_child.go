package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/report"
)

// A driver may end the process, hang for ever or take all memory. So the cases run in a child process, which says before
// each case that it begins and after it how it went; when the child ends or falls silent, the case that had begun has failed,
// and another child goes on after it.

// childLine is what a child says: one of these.
type childLine struct {
	Device *childDevice       `json:"device,omitempty"`
	Begin  string             `json:"begin,omitempty"`
	Result *report.CaseResult `json:"result,omitempty"`
	End    *childEnd          `json:"end,omitempty"` // the last line
}

// childDevice is backend.DeviceInfo with the type as a number, which can be read again.
type childDevice struct {
	backend.DeviceInfo
	Type uint8 `json:"type"`
}

// childEnd tells why a child has nothing more to say: all cases are done, or an error.
type childEnd struct {
	Error string `json:"error,omitempty"`
	Code  int    `json:"code,omitempty"` // exit code
}

// conformanceChild runs the cases and says so, line by line.
func (a *app) conformanceChild(ctx context.Context, f *conformanceFlags, o conformance.Options) error {
	out := json.NewEncoder(a.stdout)
	var failed error
	say := func(l childLine) { failed = errors.Join(failed, out.Encode(l)) }
	o.Begin = func(c *conformance.Case) { say(childLine{Begin: c.Name}) }
	open := a.conformanceOpener(f, func(d backend.DeviceInfo) { say(childLine{Device: &childDevice{d, uint8(d.Type)}}) })
	_, err := conformance.Execute(ctx, open, o, func(r conformance.Result) error {
		v := report.NewCaseResult(r)
		say(childLine{Result: &v})
		return failed // nobody listens any more
	})
	end := &childEnd{}
	if err != nil {
		end.Error, end.Code = err.Error(), exitCode(ctx, failure(exitRun, err))
	}
	say(childLine{End: end})
	return failed
}

// mostDeaths is how many children may end one after the other without a result between: then it is not the cases.
const mostDeaths = 10

// conformanceParent starts children until one comes to the end.
func (a *app) conformanceParent(ctx context.Context, f *conformanceFlags, sink conformanceSink) error {
	after, deaths := f.after, 0
	for {
		// A case has its timeout twice (see conformance.Options), and the process must come up.
		c := &child{sink: sink, silence: 3*f.timeout + 5*time.Second}
		err := c.run(a.self(ctx, f.childArgs(after)...), a.stderr)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.end != nil && c.end.Code != 0:
			return failure(c.end.Code, errors.New(c.end.Error))
		case c.end != nil:
			return nil
		case c.begun == "":
			return fmt.Errorf("run cases in another process: %w", err)
		}
		sink.result(report.CaseResult{
			Case: c.begun, Class: classOf(c.begun), Status: conformance.Failed, Seconds: time.Since(c.since).Seconds(), Error: "the process that ran it ended: " + err.Error(),
		})
		after = c.begun
		if deaths++; c.results > 0 {
			deaths = 1
		}
		if deaths == mostDeaths {
			return fmt.Errorf("run cases in another process: it ended %d times in a row without a result: %w", deaths, err)
		}
	}
}

func classOf(name string) string {
	if cases, err := conformance.Select(conformance.Cases(), conformance.Quick, name); err == nil {
		return cases[0].Class.String()
	}
	return conformance.InvalidClass.String()
}

// childArgs are the arguments of a child: those that choose cases and the device.
func (f *conformanceFlags) childArgs(after string) []string {
	args := []string{"conformance", "--child", "--backend", f.device.backend, "--device", f.device.device, "--profile", f.profile,
		"--filter", f.filter, "--timeout", f.timeout.String(), "--after", after}
	if f.strict {
		args = append(args, "--strict")
	}
	for _, e := range f.known {
		args = append(args, "--known", e)
	}
	for _, e := range f.limits {
		args = append(args, "--limit", e)
	}
	return args
}

// child is a running child process and what it has said.
type child struct {
	sink    conformanceSink
	silence time.Duration // how long it may say nothing
	begun   string        // the case that has begun and has no result
	since   time.Time
	results int
	end     *childEnd
}

var errSilent = errors.New("it said nothing for so long that it was killed")

// run starts the process and listens until it ends. The error tells how it ended, never nil unless c.end is set.
func (c *child) run(cmd *exec.Cmd, stderr io.Writer) error {
	cmd.Stderr = stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = grace
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var silent atomic.Bool
	watchdog := time.AfterFunc(c.silence, func() {
		silent.Store(true)
		_ = cmd.Process.Kill() // it may have ended by itself just now
	})
	listenErr := c.listen(out, func() { watchdog.Reset(c.silence) })
	watchdog.Stop()
	err = cmd.Wait()
	if silent.Load() {
		return errSilent
	}
	if err == nil {
		err = errors.Join(listenErr, errors.New("it ended before its last word"))
	}
	return err
}

func (c *child) listen(out io.Reader, alive func()) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24) // a message may name many nodes
	for lines.Scan() {
		alive()
		var l childLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			continue // drivers print to standard output too
		}
		switch {
		case l.Device != nil:
			d := l.Device.DeviceInfo
			d.Type = backend.DeviceType(l.Device.Type)
			c.sink.device(d)
		case l.Begin != "":
			c.begun, c.since = l.Begin, time.Now()
		case l.Result != nil:
			c.begun = ""
			c.results++
			c.sink.result(*l.Result)
		case l.End != nil:
			c.end = l.End
		}
	}
	return lines.Err()
}
