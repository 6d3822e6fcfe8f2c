package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/internal/machine"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// conformanceFlags are the flags of the command.
type conformanceFlags struct {
	set               *pflag.FlagSet
	backends, devices []string
	threads           string
	precision         string
	profile           string
	filter            string
	format, out       string
	resume, archive   string
	limits, known     []string
	strict, list      bool
	timeout           time.Duration
	repeat            int
	memory            string
	memoryBytes       int64 // of a child; 0 = no limit
	child             bool
	after             string
}

func (a *app) conformanceCommand() *cobra.Command {
	var f conformanceFlags
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Prove that a device's numbers are right",
		Long: `Run the conformance suite on devices: every op over awkward shapes and numbers, each result held against a bound that
comes from arithmetic; blocks and whole networks; replay, concurrent and cancelled runs; and hostile use.

The quick profile takes under a minute on a software driver, full several minutes; long has more random shapes and
replays. --filter takes a regular expression, or the name of one case as a report prints it.

The cases run in a process of their own: one that a driver ends, hangs or fills with memory fails that case, and the rest go on. An
interrupted run reports the results so far; with --out they are on disk all the time, and --resume goes on from there.
--repeat looks for what goes wrong now and then, and costs little: kernels and the reference's answers are there after a case's first run.

--package writes an archive to hand on: results, device, driver, versions, exceptions, a statement and checksums.
'resnet-run conformance verify' checks one.

` + exitCodesHelp,
		Example: `  resnet-run conformance --backend vulkan
  resnet-run conformance --backend all --out report
  resnet-run conformance --backend vulkan:0 --backend vulkan:1 --backend cpu --format html > report.html
  resnet-run conformance --profile full --out report --package submission.zip
  resnet-run conformance --resume report
  resnet-run conformance --filter softmax/n3-c33/ordinary --repeat 100
  resnet-run conformance --list --filter ^contract`,
		Args: usageArgs(cobra.NoArgs),
	}
	a.addConformanceFlags(cmd, &f)
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error { return a.conformance(cmd.Context(), &f) })
	cmd.AddCommand(a.conformanceVerifyCommand())
	return cmd
}

func (a *app) addConformanceFlags(cmd *cobra.Command, f *conformanceFlags) {
	s := cmd.Flags()
	f.set = s
	s.StringArrayVar(&f.backends, "backend", []string{cmp.Or(a.getenv("RESNET_RUN_BACKEND"), auto)}, "`NAME[:DEVICE]` of a backend: auto, all, "+strings.Join(a.registry.Names(), ", ")+"; may be given again")
	s.StringArrayVar(&f.devices, "device", []string{a.getenv("RESNET_RUN_DEVICE")}, "`DEVICE` by index, part of its name, or UUID, see 'resnet-run devices'; may be given again")
	addPrecision(s, &f.precision)
	s.StringVar(&f.threads, "threads", cmp.Or(a.getenv("RESNET_RUN_THREADS"), "0"), "`N` threads at most on the CPU; 0 is as many as there are processors, or as the quota of a container allows")
	s.StringVar(&f.profile, "profile", conformance.Quick.String(), "how much to run: `quick|full|long`")
	s.StringVar(&f.filter, "filter", "", "run the cases that this `EXPRESSION` matches, or the one of this name")
	s.BoolVar(&f.list, "list", false, "list the cases, run none")
	s.BoolVar(&f.strict, "strict", false, "cases that pass although --known says otherwise are failures")
	s.StringArrayVar(&f.known, "known", nil, "`CASE=REASON`: a case that is expected to fail; the name or an expression for the whole of it")
	s.StringArrayVar(&f.limits, "limit", nil, "`CASE=REASON`: a case that is not run, since the device can never pass it")
	s.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long a case may take")
	s.IntVar(&f.repeat, "repeat", 1, "run each case `N` times in a row; it passes when it does each time")
	s.StringVar(&f.memory, "memory", "auto", "`SIZE` that the process of a case may take, and on Linux those below it, for example 4GiB; 0 = any; auto = three quarters of what is free (Linux and Windows)")
	s.StringVar(&f.out, "out", "", "write the report in every format to the folder `DIR` too, beginning while the cases run")
	s.StringVar(&f.resume, "resume", "", "go on where the report in the folder or JSON `FILE` ends: same program, device and choice of cases")
	s.StringVar(&f.archive, "package", "", "write everything that proves the outcome to the archive `FILE` (zip)")
	s.BoolVar(&f.child, "child", false, "run the cases for another process, which reads one JSON object a line")
	s.StringVar(&f.after, "after", "", "begin with the case after `CASE`")
	for _, hidden := range []string{"child", "after"} {
		if err := s.MarkHidden(hidden); err != nil {
			panic("resnet-run: bug: " + err.Error())
		}
	}
	addFormat(cmd, &f.format, report.ConformanceFormats)
}

// options reads the flags; what is wrong with them is wrong usage.
func (f *conformanceFlags) options() (o conformance.Options, format report.Format, cases []conformance.Case, err error) {
	formats := report.ConformanceFormats
	if f.list {
		formats = report.CaseFormats
	}
	if format, err = report.ParseFormat(f.format, formats...); err != nil {
		return o, format, nil, err
	}
	o.Filter, o.Strict, o.Timeout, o.After = f.filter, f.strict, f.timeout, f.after
	if o.Profile, err = conformance.ParseProfile(f.profile); err != nil {
		return o, format, nil, fmt.Errorf("--profile: %w", err)
	}
	if f.timeout <= 0 {
		return o, format, nil, fmt.Errorf("--timeout: want a time above 0, got %v", f.timeout)
	}
	if f.repeat < 1 || f.repeat > mostRepeats {
		return o, format, nil, fmt.Errorf("--repeat: want 1 to %d, got %d", mostRepeats, f.repeat)
	}
	o.Repeat = f.repeat
	if f.archive != "" && f.filter != "" {
		return o, format, nil, fmt.Errorf("--package: want a whole profile, got --filter %.80q too", f.filter)
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
	return o, format, cases, f.memoryLimit()
}

const mostRepeats = 1_000_000

// memoryShare of the free memory is what auto gives a child: the rest is for this process, and for others.
const memoryShare = 0.75

func (f *conformanceFlags) memoryLimit() error {
	if f.memory != auto {
		n, err := machine.ParseSize(f.memory)
		if err != nil {
			return fmt.Errorf("--memory: %w", err)
		}
		f.memoryBytes = n
		return nil
	}
	if n, err := machine.Available(); err == nil { // elsewhere there is no limit, as the help says
		f.memoryBytes = int64(memoryShare * float64(n))
	}
	return nil
}

// exceptions reads CASE=REASON. The expression is tried here, so that a wrong one is wrong usage.
func exceptions(flag string, list []string) ([]conformance.Exception, error) {
	var out []conformance.Exception
	for _, text := range list {
		name, reason, ok := strings.Cut(text, "=")
		if !ok || name == "" || reason == "" {
			return nil, fmt.Errorf("%s: want CASE=REASON, got %.80q", flag, text)
		}
		out = append(out, conformance.Exception{Case: name, Reason: reason})
	}
	if _, err := conformance.MatchExceptions(out); err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return out, nil
}

func (a *app) conformance(ctx context.Context, f *conformanceFlags) error {
	var earlier *report.Conformance
	if f.resume != "" {
		var err error
		if earlier, err = f.takeUp(); err != nil {
			return failure(exitUsage, err)
		}
	}
	if !f.set.Changed("precision") {
		f.precision = "" // as the names say
	}
	o, format, cases, err := f.options()
	if err != nil {
		return failure(exitUsage, err)
	}
	if given := changed(f.set, "backend", "device", "precision"); f.list && len(given) > 0 {
		return failure(exitUsage, fmt.Errorf("--list runs nothing: want it without %s", strings.Join(given, " and ")))
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
	r := &conformanceRun{app: a, f: f, o: o, cases: cases}
	if earlier != nil {
		r.c = *earlier
		err = r.checkEarlier()
	} else {
		err = r.begin(ctx)
	}
	if err != nil {
		return err
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	return r.report(ctx, format)
}

// report writes what the run has found out.
func (r *conformanceRun) report(ctx context.Context, format report.Format) error {
	errs := []error{writeConformanceTo(r.app.stdout, format, r.c)}
	if r.f.out != "" {
		errs = append(errs, writeConformanceFiles(r.f.out, r.c))
	}
	if r.f.archive != "" {
		errs = append(errs, r.pack(r.f.archive))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !r.c.Conformant {
		return failure(exitNotConformant, errors.New("not conformant: "+r.c.Verdict))
	}
	return nil
}
