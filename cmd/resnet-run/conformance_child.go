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
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/machine"
	"github.com/resnet-run/resnet-run/internal/report"
)

// A driver may end the process, hang for ever or take all memory. So the cases run in a child process, which says before
// each case that it begins and after it how it went; when the child ends, falls silent or grows too large, the case that had
// begun has failed, and another child goes on after it. So does another after a case that took the device with it, or its
// plugin, which a child starts again only a few times.

// childLine is what a child says: one of these.
type childLine struct {
	Device *report.Facts      `json:"device,omitempty"`
	Begin  string             `json:"begin,omitempty"`
	Result *report.CaseResult `json:"result,omitempty"`
	End    *childEnd          `json:"end,omitempty"` // the last line
}

// childEnd tells why a child has nothing more to say: all cases are done, or an error.
type childEnd struct {
	Error    string `json:"error,omitempty"`
	Code     int    `json:"code,omitempty"`     // exit code
	Unopened bool   `json:"unopened,omitempty"` // the error is that the device did not open
	Again    bool   `json:"again,omitempty"`    // the last case took the device with it: the rest is for another child
}

// conformanceChild runs the cases and says so, line by line.
func (a *app) conformanceChild(ctx context.Context, f *conformanceFlags, o conformance.Options) error {
	machine.VolunteerFirst()
	if f.memoryBytes > 0 {
		debug.SetMemoryLimit(int64(memoryShare * float64(f.memoryBytes))) // garbage must not look like greed
	}
	out := json.NewEncoder(a.stdout)
	var failed error
	say := func(l childLine) error { failed = errors.Join(failed, out.Encode(l)); return failed }
	o.Begin = func(c *conformance.Case) { _ = say(childLine{Begin: c.Name}) } // the next result tells
	open := a.conformanceOpener(newConformanceTarget(report.JoinTarget(f.backends[0], f.devices[0]), f.threads), func(d backend.DeviceInfo) error {
		return say(childLine{Device: &report.Facts{DeviceInfo: d}})
	})
	end := &childEnd{}
	o.EndWithDevice = true
	_, err := conformance.Execute(ctx, func(ctx context.Context) (backend.Device, error) {
		d, err := open(ctx)
		end.Unopened = err != nil
		return d, err
	}, o, func(r conformance.Result) error {
		v := report.NewCaseResult(r)
		return say(childLine{Result: &v}) // an error when nobody listens any more
	})
	switch {
	case errors.Is(err, conformance.ErrDeviceGone):
		end.Again = true
	case err != nil:
		end.Error, end.Code = err.Error(), exitCode(ctx, failure(exitRun, err))
	}
	return say(childLine{End: end})
}

// conformanceParent starts children until one comes to the end. Each that ends in a case gives that case its result,
// however many do. Those in which no case begins end the run when there are several in a row.
func (a *app) conformanceParent(ctx context.Context, f *conformanceFlags, t *deviceFlags, o conformance.Options, sink conformanceSink) error {
	opened, vain := false, 0
	for {
		// A case has its timeout twice (see conformance.Options), and the process must come up.
		c := &child{sink: sink, silence: 3*f.timeout + 5*time.Second, memory: f.memoryBytes}
		err := c.run(a.self(ctx, f.childArgs(t, o.After)...), a.stderr)
		opened = opened || c.opened
		unopened := c.end != nil && c.end.Unopened && opened // what has been open may be so again: a driver is not back at once
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.refused != nil:
			return c.refused
		case c.end != nil && c.end.Code != 0 && !unopened:
			return failure(c.end.Code, errors.New(c.end.Error))
		case c.end != nil && !c.end.Again && !unopened:
			return nil
		case unopened:
			err = failure(c.end.Code, errors.New(c.end.Error))
		}
		if c.last != "" {
			o.After, vain = c.last, 0
		}
		switch {
		case c.begun != "":
			r, ruleErr := deadResult(c, o, err)
			if err := errors.Join(ruleErr, sink.result(r)); err != nil {
				return err
			}
			o.After, vain = c.begun, 0
		case c.end != nil && c.end.Again: // the case has its result
		case c.last != "" && !unopened: // between two cases: no case is to blame
			a.note("the process that ran the cases ended after %s: %v; going on in another", c.last, err)
		default:
			vain++
			if err := a.pauseBeforeChild(ctx, vain, err); err != nil {
				return err
			}
		}
	}
}

// A device that is not back at once after it was lost has some seconds. The pauses double.
const (
	mostVainChildren = 6
	firstPause       = 200 * time.Millisecond
)

// pauseBeforeChild waits after a number of children in a row in which no case began.
//
// Errors: why the last of them ended, when they are too many; the context's.
func (a *app) pauseBeforeChild(ctx context.Context, vain int, why error) error {
	if vain == mostVainChildren {
		return fmt.Errorf("run cases in another process: %w (%d times in a row before a case was begun)", why, vain)
	}
	pause := firstPause << (vain - 1)
	a.note("no case was begun: %v; trying again in %v", why, pause)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// deadResult is the result of the case whose process ended: a failure, which may be known.
func deadResult(c *child, o conformance.Options, err error) (report.CaseResult, error) {
	r := report.CaseResult{
		Case: c.begun, Class: classOf(c.begun), Status: conformance.Failed, Runs: c.runs, Failures: 1, Seconds: time.Since(c.since).Seconds(),
		Error: "the process that ran it ended: " + err.Error(),
	}
	if o.Repeat > 1 {
		r.Error = fmt.Sprintf("run %d of %d: %s", c.runs, o.Repeat, r.Error)
	}
	match, err := conformance.MatchExceptions(o.KnownFailures)
	if err != nil {
		return r, err
	}
	if known, ok := match(c.begun); ok {
		r.Status, r.Reason = conformance.ExpectedFailure, known.Reason
	}
	return r, nil
}

func classOf(name string) string {
	if cases, err := conformance.Select(conformance.Cases(), conformance.Quick, name); err == nil {
		return cases[0].Class.String()
	}
	return conformance.InvalidClass.String()
}

// childArgs are the arguments of a child: those that choose cases and the device.
func (f *conformanceFlags) childArgs(t *deviceFlags, after string) []string {
	args := []string{"conformance", "--child", "--backend", t.backend, "--device", t.device, "--threads", t.threads, "--profile", f.profile,
		"--filter", f.filter, "--timeout", f.timeout.String(), "--repeat", strconv.Itoa(f.repeat), "--memory", strconv.FormatInt(f.memoryBytes, 10), "--after", after}
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
	memory  int64         // how much memory it may take, 0 = any
	begun   string        // the case that has begun and has no result
	since   time.Time
	runs    int    // of the case that has begun, the one that goes on included
	last    string // the last case that has a result
	opened  bool   // the device was
	refused error  // by the sink
	end     *childEnd
}

// farewell is how long a child has to end after its last word: closing a plugin takes some seconds.
const farewell = 20 * time.Second

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
	var killed atomic.Pointer[error]
	kill := func(why error) {
		killed.CompareAndSwap(nil, &why)
		_ = cmd.Process.Kill() // it may have ended by itself just now
	}
	watchdog := time.AfterFunc(c.silence, func() { kill(errSilent) })
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.watchMemory(cmd.Process.Pid, ended, kill)
	}()
	listenErr := c.listen(out, func(d time.Duration) { watchdog.Reset(d) })
	if c.refused != nil {
		kill(c.refused)
	}
	watchdog.Stop()
	close(ended) // before Wait: afterwards the process's number may be another's
	<-watched
	err = cmd.Wait()
	if why := killed.Load(); why != nil {
		return *why
	}
	if err == nil {
		err = errors.Join(listenErr, errors.New("it ended before its last word"))
	}
	return err
}

// memoryEvery is how often the memory of a child is looked at. One that takes 5 GB a second exceeds its limit by half of
// one before it is seen.
const memoryEvery = 100 * time.Millisecond

// watchMemory kills the process when it takes more than it may, with those below it where the system tells of them: a
// plugin is one.
func (c *child) watchMemory(pid int, ended <-chan struct{}, kill func(error)) {
	if c.memory <= 0 {
		return
	}
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		n, err := residentOf(pid)
		if err != nil {
			return // it has ended, or this system does not tell
		}
		if n > c.memory {
			kill(fmt.Errorf("it took %d MiB of memory, more than the %d MiB of --memory, and was killed", n>>20, c.memory>>20))
			return
		}
	}
}

// listen takes what the child says until it ends or the sink refuses something. It tells alive how long there may be silence.
func (c *child) listen(out io.Reader, alive func(time.Duration)) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24) // a message may name many nodes
	for c.refused == nil && lines.Scan() {
		alive(c.silence)
		var l childLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			continue // drivers print to standard output too
		}
		switch {
		case l.Device != nil:
			c.opened = true
			c.refused = c.sink.device(l.Device.DeviceInfo)
		case l.Begin != "":
			if l.Begin != c.begun { // else it is run once more
				c.begun, c.since, c.runs = l.Begin, time.Now(), 0
			}
			c.runs++
		case l.Result != nil:
			c.begun, c.last = "", l.Result.Case
			c.refused = c.sink.result(*l.Result)
		case l.End != nil:
			c.end = l.End
			alive(min(c.silence, farewell)) // what a case has left behind may keep the process from ending
		}
	}
	return lines.Err()
}
