package conformance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// Exception is about cases that are known not to pass. The backend brings its own; the suite knows none.
type Exception struct {
	Case   string // name of the case, or a regular expression that matches whole names
	Reason string // for people; it must not be empty
}

// Options choose cases and say what to expect. The zero value runs the quick profile and expects everything to hold.
type Options struct {
	Profile Profile
	Filter  string // see [Select]
	// Limits are cases that are not run, because the device can never pass them or would be harmed.
	Limits []Exception
	// KnownFailures are cases that are run and expected to fail.
	KnownFailures []Exception
	// Strict makes an unexpected pass and an exception that no case of the suite matches a failure, so that the lists shrink.
	Strict bool
	// Timeout is how long a case may take before its context ends; 0 is five minutes. A backend that does not return
	// within as long again is given up: the case has failed, and the next one gets a new device.
	Timeout time.Duration
	// Repeat is how many times in a row each case is run, 0 as 1. It holds when it holds every time. What the reference says
	// of the same numbers is computed once. A run that took all of its time is the last.
	Repeat int
	// After is the name of a case: the run begins with the one that follows it among those chosen. With it a run can go
	// on where a process was ended.
	After string
	// Cases are the caller's own, made by [NewCase]; they run after the suite's, under names that the suite does not have.
	Cases []Case
	// Begin, unless nil, is called with each case before it is run, each time, when its device is open.
	Begin func(*Case)
	// EndWithDevice makes [Execute] return [ErrDeviceGone] after the result of a case that the device did not survive, or
	// that took all of its time, instead of going on: the caller goes on in another process, where nothing is left of it.
	EndWithDevice bool
}

// ErrDeviceGone ends a run with [Options.EndWithDevice]. Every case so far has its result.
var ErrDeviceGone = errors.New("the device is gone")

const defaultTimeout = 5 * time.Minute

// rule is an exception ready to use.
type rule struct {
	Exception
	match *regexp.Regexp
}

func rules(list []Exception) ([]rule, error) {
	out := make([]rule, len(list))
	for i, e := range list {
		if e.Reason == "" {
			return nil, fmt.Errorf("read exception %q: want a reason, got none", e.Case)
		}
		re, err := regexp.Compile("^(?:" + e.Case + ")$")
		if err != nil {
			return nil, fmt.Errorf("read exception %q: %w", e.Case, err)
		}
		out[i] = rule{e, re}
	}
	return out, nil
}

func (r rule) is(name string) bool { return r.Case == name || r.match.MatchString(name) }

func find(list []rule, name string) (rule, bool) {
	for _, r := range list {
		if r.is(name) {
			return r, true
		}
	}
	return rule{}, false
}

// Execute runs the cases that o chooses, one after the other, and hands each result to emit as soon as it is there. It
// opens a device with open, and another one for each case that closes its own or needs a second one, and after each that it does not survive.
//
// Errors: options that make no sense, a device that does not open, the context's error, emit's error, [ErrDeviceGone]. Results that
// failed are no error; see [Summary] and [Verdict].
func Execute(ctx context.Context, open func(context.Context) (backend.Device, error), o Options, emit func(Result) error) (Summary, error) {
	p, err := newPlan(o)
	if err != nil {
		return Summary{}, err
	}
	d := &opener{open: open}
	defer d.close()
	var s Summary
	for i := range p.cases {
		c := &p.cases[i]
		if err := ctx.Err(); err != nil {
			return s, err
		}
		r, err := p.result(ctx, c, d)
		if err != nil {
			return s, err
		}
		if err := ctx.Err(); err != nil {
			return s, err // the case was cut short: it says nothing
		}
		s.Add(r)
		if err := emit(r); err != nil {
			return s, err
		}
		if d.spoilt && o.EndWithDevice {
			d.abandon()
			return s, ErrDeviceGone
		}
	}
	return s, nil
}

// Verdict returns nil when a run with these counts shows conformance: nothing failed, something passed and, when
// strict, nothing passed unexpectedly.
func Verdict(s Summary, strict bool) error {
	switch {
	case s.Failed > 0:
		return fmt.Errorf("%d of %d cases failed", s.Failed, s.Run)
	case strict && s.UnexpectedPasses > 0:
		return fmt.Errorf("%d cases passed that are listed as known failures", s.UnexpectedPasses)
	case s.Passed == 0 && s.ExpectedFailures == 0 && s.UnexpectedPasses == 0:
		return errors.New("no case was run")
	}
	return nil
}

// plan is the options made ready.
type plan struct {
	cases         []Case
	limits, known []rule
	timeout       time.Duration
	repeat        int
	begin         func(*Case)
}

func newPlan(o Options) (*plan, error) {
	all, err := o.all()
	if err != nil {
		return nil, err
	}
	cases, err := Select(all, o.Profile, o.Filter)
	if err != nil {
		return nil, err
	}
	if o.After != "" {
		i := slices.IndexFunc(cases, func(c Case) bool { return c.Name == o.After })
		if i < 0 {
			return nil, fmt.Errorf("select cases: no case %q to go on after", o.After)
		}
		cases = cases[i+1:]
	}
	p := &plan{cases: cases, timeout: o.Timeout, begin: o.Begin, repeat: max(o.Repeat, 1)}
	if p.timeout <= 0 {
		p.timeout = defaultTimeout
	}
	if p.limits, err = rules(o.Limits); err != nil {
		return nil, err
	}
	if p.known, err = rules(o.KnownFailures); err != nil {
		return nil, err
	}
	for _, list := range [][]rule{p.limits, p.known} {
		for _, r := range list {
			if o.Strict && !matchesAny(r, all) {
				return nil, fmt.Errorf("read exception %q: no case of the suite matches", r.Case)
			}
		}
	}
	return p, nil
}

func matchesAny(r rule, cases []Case) bool {
	for _, c := range cases {
		if r.is(c.Name) {
			return true
		}
	}
	return false
}

// result runs a case on a device of d and weighs the outcome against the exceptions.
func (p *plan) result(ctx context.Context, c *Case, d *opener) (Result, error) {
	d.spoilt = false
	r := Result{Case: c}
	if limit, ok := find(p.limits, c.Name); ok {
		p.beginning(c)
		r.Status, r.Reason = Skipped, limit.Reason
		return r, nil
	}
	var m *memo
	if p.repeat > 1 {
		m = newMemo()
	}
	for r.Runs < p.repeat && ctx.Err() == nil && !IsRefusal(r.Err) {
		dev, err := d.device(ctx, c.ClosesDevice)
		if err != nil {
			return r, fmt.Errorf("open device for case %q: %w", c.Name, err)
		}
		p.beginning(c)                   // now: a process that ends while a device is opened is not ended by the case
		shared, open := d.shared, d.open // here: when the watch gives up, d goes on with another
		begin := stopwatch.Now()
		worst, err := watched(ctx, p.timeout, func(ctx context.Context) (*Finding, error) {
			b := &bench{dev: dev, c: c, open: open, memo: m}
			err := b.check(ctx)
			return b.worst, withLoss(ctx, shared, err)
		})
		r.Duration += stopwatch.Since(begin)
		r.add(worst, err, p.repeat)
		if gone(err) != nil {
			d.abandon()
		}
		if d.spoilt = gone(err) != nil || errors.Is(err, context.DeadlineExceeded); d.spoilt {
			break
		}
	}
	if r.Failures > 1 {
		r.Err = fmt.Errorf("%d of %d runs failed, the first: %w", r.Failures, r.Runs, r.Err)
	}
	p.weigh(&r)
	return r, nil
}

// add takes the outcome of one of several runs: the first error stands for all, and the worst numbers are those of that run.
func (r *Result) add(worst *Finding, err error, of int) {
	if r.Runs++; IsRefusal(err) && r.Runs > 1 {
		err = fmt.Errorf("it refuses what it ran before: %w", errors.New(err.Error()))
	}
	if err != nil && !IsRefusal(err) {
		if r.Failures++; of > 1 {
			err = fmt.Errorf("run %d of %d: %w", r.Runs, of, err)
		}
	}
	switch {
	case err != nil && r.Err == nil:
		r.Err, r.Worst = err, worst
	case r.Err == nil && (r.Worst == nil || worst != nil && worst.Fraction > r.Worst.Fraction):
		r.Worst = worst
	}
}

func (p *plan) beginning(c *Case) {
	if p.begin != nil {
		p.begin(c)
	}
}

// weigh makes the status of a case from its error and the known failures.
func (p *plan) weigh(r *Result) {
	known, isKnown := find(p.known, r.Case.Name)
	if isKnown {
		r.Reason = known.Reason
	}
	switch {
	case IsRefusal(r.Err):
		r.Status = Refused
	case r.Err != nil && isKnown:
		r.Status = ExpectedFailure
	case r.Err != nil:
		r.Status = Failed
	case isKnown:
		r.Status = UnexpectedPass
	default:
		r.Status = Passed
	}
}

var errHung = errors.New("hung")

// gone is why the device cannot be used for another case, of the three reasons that there are; nil when it can.
func gone(err error) error {
	for _, why := range []error{errHung, backend.ErrDeviceLost, backend.ErrPluginExited} {
		if errors.Is(err, why) {
			return why
		}
	}
	return nil
}

// withLoss is the outcome err of a case, and that the shared device is gone if it is: a case may keep no more of an error
// than its text, and a process behind a device may end when the case has all that it wants. dev may be nil.
func withLoss(ctx context.Context, dev backend.Device, err error) (with error) {
	defer func() {
		if recover() != nil { // it is the cases that find this out
			with = err
		}
	}()
	if dev == nil || gone(err) != nil {
		return err
	}
	b, lost := dev.NewBuffer(ctx, graph.F32(1))
	if lost == nil {
		_ = b.Close() // what it must do is a case of its own
		return err
	}
	switch why := gone(lost); {
	case why == nil: // no matter of this case
		return err
	case err == nil || IsRefusal(err):
		return fmt.Errorf("the device did not survive the case: %w", lost)
	default:
		return fmt.Errorf("%w (%w)", err, why)
	}
}

// watched is run with a limit on its time.
func watched(ctx context.Context, timeout time.Duration, run func(context.Context) (*Finding, error)) (*Finding, error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type outcome struct {
		worst *Finding
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		worst, err := run(limited)
		done <- outcome{worst, err}
	}()
	patience := time.NewTimer(2 * timeout)
	defer patience.Stop()
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() == nil && errors.Is(o.err, context.DeadlineExceeded) && limited.Err() != nil {
			return o.worst, fmt.Errorf("no result within %v: %w", timeout, o.err)
		}
		return o.worst, o.err
	case <-patience.C:
		return nil, fmt.Errorf("%w: no return within %v, of which its context was cancelled for the half", errHung, 2*timeout)
	}
}

// opener keeps one device open for the cases that share it.
type opener struct {
	open   func(context.Context) (backend.Device, error)
	shared backend.Device
	spoilt bool // by the last case: the device is gone, or may still be busy
}

func (o *opener) device(ctx context.Context, fresh bool) (backend.Device, error) {
	if fresh {
		return o.open(ctx) // the case closes it
	}
	if o.shared == nil {
		d, err := o.open(ctx)
		if err != nil {
			return nil, err
		}
		o.shared = d
	}
	return o.shared, nil
}

// abandon lets a device go that a call may never return from; closing it could hang too.
func (o *opener) abandon() { o.shared = nil }

func (o *opener) close() {
	if o.shared != nil {
		_ = o.shared.Close() // results are in; what its Close must do is a case of its own
	}
}
