package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// conformanceFlags are the flags of the command.
type conformanceFlags struct {
	device        *deviceFlags
	profile       string
	filter        string
	format, out   string
	limits, known []string
	strict, list  bool
	timeout       time.Duration
	child         bool
	after         string
}

func (a *app) conformanceCommand() *cobra.Command {
	var f conformanceFlags
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Prove that a device's numbers are right",
		Long: `Run the conformance suite on a device: every op over awkward shapes and numbers, each result held against a bound that
comes from arithmetic; blocks and whole networks; replay, concurrent and cancelled runs; and hostile use.

The quick profile takes under a minute on a software driver, full several minutes; long has more random shapes and
replays. --filter takes a regular expression, or the name of one case as a report prints it. An interrupted run reports the
results so far.

` + exitCodesHelp,
		Example: `  resnet-run conformance --backend vulkan
  resnet-run conformance --profile full --format junit > conformance.xml
  resnet-run conformance --filter softmax/n3-c33/ordinary
  resnet-run conformance --list --filter ^contract`,
		Args: usageArgs(cobra.NoArgs),
	}
	s := cmd.Flags()
	f.device = a.addDeviceFlags(s)
	s.StringVar(&f.profile, "profile", conformance.Quick.String(), "how much to run: `quick|full|long`")
	s.StringVar(&f.filter, "filter", "", "run the cases that this `EXPRESSION` matches, or the one of this name")
	s.BoolVar(&f.list, "list", false, "list the cases, run none")
	s.BoolVar(&f.strict, "strict", false, "cases that pass although --known says otherwise are failures")
	s.StringArrayVar(&f.known, "known", nil, "`CASE=REASON`: a case that is expected to fail; the name or an expression for the whole of it")
	s.StringArrayVar(&f.limits, "limit", nil, "`CASE=REASON`: a case that is not run, since the device can never pass it")
	s.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long a case may take")
	s.StringVar(&f.out, "out", "", "write the report in every format to the folder `DIR` too")
	s.BoolVar(&f.child, "child", false, "run the cases for another process, which reads one JSON object a line")
	s.StringVar(&f.after, "after", "", "begin with the case after `CASE`")
	for _, hidden := range []string{"child", "after"} {
		if err := s.MarkHidden(hidden); err != nil {
			panic("resnet-run: bug: " + err.Error())
		}
	}
	addFormat(cmd, &f.format, report.ConformanceFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error { return a.conformance(cmd.Context(), &f) })
	return cmd
}

// options reads the flags; what is wrong with them is wrong usage.
func (f *conformanceFlags) options() (o conformance.Options, format report.Format, cases []conformance.Case, err error) {
	if format, err = report.ParseFormat(f.format, report.ConformanceFormats...); err != nil {
		return o, format, nil, err
	}
	o.Filter, o.Strict, o.Timeout, o.After = f.filter, f.strict, f.timeout, f.after
	if o.Profile, err = conformance.ParseProfile(f.profile); err != nil {
		return o, format, nil, fmt.Errorf("--profile: %w", err)
	}
	if f.timeout <= 0 {
		return o, format, nil, fmt.Errorf("--timeout: want a time above 0, got %v", f.timeout)
	}
	if o.Limits, err = exceptions("--limit", f.limits); err != nil {
		return o, format, nil, err
	}
	if o.KnownFailures, err = exceptions("--known", f.known); err != nil {
		return o, format, nil, err
	}
	if cases, err = conformance.Select(conformance.Cases(), o.Profile, o.Filter); err != nil {
		return o, format, nil, fmt.Errorf("--filter: %w", err)
	}
	return o, format, cases, nil
}

func exceptions(flag string, list []string) ([]conformance.Exception, error) {
	var out []conformance.Exception
	for _, text := range list {
		name, reason, ok := strings.Cut(text, "=")
		if !ok || name == "" || reason == "" {
			return nil, fmt.Errorf("%s: want CASE=REASON, got %.80q", flag, text)
		}
		out = append(out, conformance.Exception{Case: name, Reason: reason})
	}
	return out, nil
}

func (a *app) conformance(ctx context.Context, f *conformanceFlags) error {
	o, format, cases, err := f.options()
	if err != nil {
		return failure(exitUsage, err)
	}
	if f.list {
		return report.WriteCases(a.stdout, format, cases)
	}
	if f.child {
		return a.conformanceChild(ctx, f, o)
	}
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o777); err != nil {
			return fmt.Errorf("make folder for the report: %w", err)
		}
	}
	c := report.Conformance{Version: buildVersion(), Profile: o.Profile.String(), Filter: o.Filter, Strict: o.Strict, Started: time.Now()}
	bar := a.conformanceBar(len(cases))
	err = a.conformanceRun(ctx, f, o, conformanceSink{
		device: func(d backend.DeviceInfo) {
			c.Device = d
			c.Rerun = fmt.Sprintf("resnet-run conformance --backend %s --device %s --filter", d.Backend, d.ID)
		},
		result: func(r report.CaseResult) {
			c.Add(r)
			if r.Status == conformance.Failed {
				bar.above(func() { a.note("failed: %s", r.Case) })
			}
			bar.add()
		},
	})
	bar.finish()
	interrupted := ctx.Err() != nil
	if len(c.Results) == 0 {
		return err
	}
	c.Finish(time.Since(c.Started), interrupted)
	if err != nil && !interrupted { // the results so far are worth having
		c.Conformant, c.Verdict = false, err.Error()
	}
	if err := errors.Join(a.writeConformance(f.out, format, c), ignoreIf(interrupted, err)); err != nil {
		return err
	}
	if !c.Conformant {
		return failure(exitNotConformant, errors.New("not conformant: "+c.Verdict))
	}
	return nil
}

// conformanceSink takes what a run finds out.
type conformanceSink struct {
	device func(backend.DeviceInfo)
	result func(report.CaseResult)
}

// conformanceRun runs the cases in child processes where the program can start itself, else in this one.
func (a *app) conformanceRun(ctx context.Context, f *conformanceFlags, o conformance.Options, sink conformanceSink) error {
	if a.self != nil {
		return a.conformanceParent(ctx, f, sink)
	}
	_, err := conformance.Execute(ctx, a.conformanceOpener(f, sink.device), o, func(r conformance.Result) error {
		sink.result(report.NewCaseResult(r))
		return nil
	})
	return err
}

// conformanceOpener opens the device and tells what it is, the first time.
func (a *app) conformanceOpener(f *conformanceFlags, tell func(backend.DeviceInfo)) func(context.Context) (backend.Device, error) {
	told := false
	return func(ctx context.Context) (backend.Device, error) {
		dev, err := a.openDevice(ctx, f.device)
		if err == nil && !told {
			told = true
			tell(dev.Info())
		}
		return dev, err
	}
}

// ignoreIf is err, or nil when it is no news.
func ignoreIf(known bool, err error) error {
	if known {
		return nil
	}
	return err
}

// conformanceFiles are the files of --out.
var conformanceFiles = []struct {
	name   string
	format report.Format
}{{"conformance.txt", report.Table}, {"conformance.json", report.JSON}, {"conformance.xml", report.JUnit}}

func (a *app) writeConformance(dir string, format report.Format, c report.Conformance) error {
	write := func(w io.Writer, f report.Format) error {
		b := bufio.NewWriter(w)
		return errors.Join(report.WriteConformance(b, f, c), b.Flush())
	}
	errs := []error{write(a.stdout, format)}
	if dir != "" {
		for _, to := range conformanceFiles {
			file, err := os.Create(filepath.Join(dir, to.name))
			if err != nil {
				errs = append(errs, fmt.Errorf("write report: %w", err))
				continue
			}
			errs = append(errs, write(file, to.format), file.Close())
		}
	}
	return errors.Join(errs...)
}

// conformanceBar shows how far the suite is, on a terminal.
func (a *app) conformanceBar(total int) *progress {
	if total < progressFrom || !isTerminal(a.stderr) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetDescription("conformance"),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionUseANSICodes(true),
	)}
}
