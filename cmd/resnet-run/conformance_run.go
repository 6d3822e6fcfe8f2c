package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/resnet-run/resnet-run/internal/stopwatch"
)

// conformanceRun is the suite on one device after the other.
type conformanceRun struct {
	*app
	f     *conformanceFlags
	o     conformance.Options
	cases []conformance.Case
	c     report.Conformance
	bar   *progress
	saved time.Time // when the results were last written to --out
}

// begin starts a new report.
func (r *conformanceRun) begin(ctx context.Context) error {
	targets, missing, err := r.app.conformanceTargets(ctx, r.f)
	if err != nil {
		return err
	}
	r.c = report.Conformance{
		Version: buildVersion(), Program: programDigest(), Profile: r.o.Profile.String(), Filter: r.o.Filter, Strict: r.o.Strict, Timeout: r.f.timeout.String(), Repeat: r.f.repeat,
		Known: reported(r.o.KnownFailures), Limits: reported(r.o.Limits), Cases: len(r.cases), Started: time.Now(), Missing: missing,
	}
	for _, t := range targets {
		r.c.Devices = append(r.c.Devices, &report.DeviceConformance{Target: report.JoinTarget(t.backend, t.device)})
	}
	return nil
}

func reported(list []conformance.Exception) []report.Exception {
	var out []report.Exception
	for _, e := range list {
		out = append(out, report.Exception(e))
	}
	return out
}

// run runs what the report lacks.
//
// Errors: one that leaves nothing to report, or that makes the report unfit to go on with. Others are part of it.
func (r *conformanceRun) run(ctx context.Context) error {
	left, done := 0, 0
	for _, d := range r.c.Devices {
		left += r.c.Cases - len(d.Results)
	}
	r.bar = r.app.conformanceBar(left)
	defer r.bar.finish()
	for _, d := range r.c.Devices {
		err := r.device(ctx, d)
		done += len(d.Results)
		if errors.Is(err, errOtherDevice) {
			return failure(exitNoDevice, err)
		}
		if ctx.Err() != nil {
			if done == 0 {
				return err
			}
			break
		}
		if err == nil {
			continue
		}
		if len(r.c.Devices) == 1 && done == 0 {
			return err // there is nothing to report
		}
		d.Error = err.Error() // the results so far are worth having
		r.bar.above(func() { r.app.note("%s: %v", d.Name(), err) })
	}
	r.c.Finish(ctx.Err() != nil)
	return nil
}

// device runs the rest of the cases on one device.
func (r *conformanceRun) device(ctx context.Context, d *report.DeviceConformance) error {
	if len(d.Results) == r.c.Cases {
		return nil
	}
	d.Error = ""
	t := newConformanceTarget(d.Target, r.f.threads)
	o := r.o
	if n := len(d.Results); n > 0 {
		o.After = d.Results[n-1].Case
	}
	begun, before := stopwatch.Now(), d.Seconds
	sink := conformanceSink{
		device: func(info backend.DeviceInfo) error {
			if d.Device.Backend != "" {
				return sameDevice(d.Device.DeviceInfo, info)
			}
			if t.backend == auto { // the next process takes the same one, whatever auto finds
				t.backend = info.Backend
			}
			d.Open(t.backend, info)
			_, t.device = report.SplitTarget(d.Target)
			r.bar.describe("conformance, " + report.Printable(info.Name))
			return nil
		},
		result: func(v report.CaseResult) error {
			d.Add(v)
			d.Seconds = before + stopwatch.Since(begun).Seconds()
			if v.Status == conformance.Failed {
				r.bar.above(func() { r.app.note("failed: %s", v.Case) })
			}
			r.bar.add()
			if err := r.save(); err != nil { // the run is worth more; the report at its end tells again
				r.bar.above(func() { r.app.note("%v", err) })
			}
			return nil
		},
	}
	err := r.app.runCases(ctx, r.f, t, o, sink)
	d.Seconds = before + stopwatch.Since(begun).Seconds()
	return err
}

// saveEvery is how much work is lost when the machine goes down.
const saveEvery = 10 * time.Second

// save writes the results so far to --out now and then, so that --resume can go on after anything.
func (r *conformanceRun) save() error {
	if r.f.out == "" || time.Since(r.saved) < saveEvery {
		return nil
	}
	first := r.saved.IsZero()
	r.saved = time.Now()
	if first {
		return nil // a short run needs none
	}
	r.c.Finish(true)
	return writeConformanceFile(r.f.out, conformanceJSON, r.c)
}

// conformanceSink takes what a run finds out; an error ends it.
type conformanceSink struct {
	device func(backend.DeviceInfo) error
	result func(report.CaseResult) error
}

// runCases runs the cases in child processes where the program can start itself, else in this one.
func (a *app) runCases(ctx context.Context, f *conformanceFlags, t *deviceFlags, o conformance.Options, sink conformanceSink) error {
	if a.self != nil {
		return a.conformanceParent(ctx, f, t, o, sink)
	}
	_, err := conformance.Execute(ctx, a.conformanceOpener(t, sink.device), o, func(r conformance.Result) error {
		return sink.result(report.NewCaseResult(r))
	})
	return err
}

// conformanceOpener opens the device and tells what it is, the first time.
func (a *app) conformanceOpener(t *deviceFlags, tell func(backend.DeviceInfo) error) func(context.Context) (backend.Device, error) {
	told := false
	return func(ctx context.Context) (backend.Device, error) {
		dev, err := a.openDevice(ctx, t)
		if err == nil && !told {
			told = true
			if err := tell(dev.Info()); err != nil {
				return nil, errors.Join(err, dev.Close())
			}
		}
		return dev, err
	}
}

// conformanceFiles are the files of --out.
var conformanceFiles = []struct {
	name   string
	format report.Format
}{{"conformance.txt", report.Table}, {conformanceJSON, report.JSON}, {"conformance.xml", report.JUnit}, {"conformance.html", report.HTML}}

// conformanceJSON is the file that --resume reads.
const conformanceJSON = "conformance.json"

func writeConformanceTo(w io.Writer, format report.Format, c report.Conformance) error {
	b := bufio.NewWriter(w)
	return errors.Join(report.WriteConformance(b, format, c), b.Flush())
}

func writeConformanceFiles(dir string, c report.Conformance) error {
	var errs []error
	for _, to := range conformanceFiles {
		errs = append(errs, writeConformanceFile(dir, to.name, c))
	}
	return errors.Join(errs...)
}

// writeConformanceFile writes one of conformanceFiles, whole or not at all.
func writeConformanceFile(dir, name string, c report.Conformance) error {
	for _, to := range conformanceFiles {
		if to.name == name {
			if err := writeWhole(filepath.Join(dir, name), func(w io.Writer) error { return writeConformanceTo(w, to.format, c) }); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("write report: no file %q", name)
}

// writeWhole writes a file beside its place and moves it there when it is complete.
func writeWhole(path string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// conformanceBar shows how far the suite is and how long it will take, on a terminal.
func (a *app) conformanceBar(total int) *progress {
	if total < progressFrom || !isTerminal(a.stderr) {
		return &progress{}
	}
	return newTimedBar(a.stderr, "conformance", total)
}

// describe changes the words before the bar.
func (p *progress) describe(text string) {
	if p.bar != nil {
		p.bar.Describe(text)
	}
}
