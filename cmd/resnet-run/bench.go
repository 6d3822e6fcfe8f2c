package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/bench"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// benchFlags are the flags of the command.
type benchFlags struct {
	device           *deviceFlags
	model            *modelFlags
	on               []string
	batches          []int
	precisions       []string
	opts             bench.Options
	noPeak           bool
	starts           int
	format, baseline string
	tolerance        float64
	turns            bool
	probe            bool
	probePictures    int
	defaultModel     string
}

func (a *app) benchCommand() *cobra.Command {
	f := benchFlags{defaultModel: cmp.Or(a.getenv("RESNET_RUN_MODEL"), model.DefaultName)}
	cmd := &cobra.Command{
		Use:   "bench [MODEL...]",
		Short: "Measure speed, and verify every answer in the same run",
		Long: `Measure how fast networks run: every MODEL with every batch on every device. MODEL is as for --model of classify; an architecture
without --weights gets random:1.

The answer of every run is verified against a float64 reference computed first (some seconds for a large network). A wrong
answer has no time: its row says WRONG and how wrong it is, and the exit code is 6.

A sample is one run, from the call to the moment its results can be read, with the inputs on the device before; --transfers counts
moving inputs and outputs too. With --in-flight several runs are under way at once, and a sample is the time that one of them adds:
what counts for throughput, where a single run tells the latency. Speeds come from the median. Cold and warm starts are timed in processes of their own with
a cache folder of their own, for the first batch. --baseline compares with the JSON of an earlier run, and a case
that is slower by more than --tolerance and the noise of both runs gives exit code 7.

` + exitCodesHelp,
		Example: `  resnet-run bench resnet18 resnet50 --batch 1,8
  resnet-run bench resnet50 --on vulkan:0 --on cpu --format markdown
  resnet-run bench resnet50 --format json > before.json
  resnet-run bench resnet50 --baseline before.json`,
		Args: usageArgs(cobra.ArbitraryArgs),
	}
	s := cmd.Flags()
	f.device = a.addDeviceFlags(s)
	a.addTuneFlag(s, f.device)
	f.model = a.addModelFlags(s, false)
	s.StringArrayVar(&f.on, "on", nil, "measure on `BACKEND[:DEVICE]`, and so on for each time it is given; all is every device but the reference")
	s.IntSliceVarP(&f.batches, "batch", "b", []int{1}, "batches of `N,...` pictures")
	s.StringSliceVar(&f.precisions, "precision", []string{bench.F32}, "`PRECISION,...` in which activations and weights are stored: f32, or on Vulkan devices f16 and f16a, which also multiplies in float16")
	s.DurationVar(&f.opts.Warmup, "warmup", 300*time.Millisecond, "`TIME` that runs are repeated for before the first that counts")
	s.DurationVarP(&f.opts.Duration, "duration", "d", 3*time.Second, "`TIME` that samples are taken for; at least "+fmt.Sprint(bench.MinRuns)+" samples")
	s.IntVarP(&f.opts.Runs, "runs", "n", 0, "take exactly `N` samples instead")
	s.BoolVar(&f.opts.Transfers, "transfers", false, "count writing the inputs and reading the outputs")
	s.IntVar(&f.opts.InFlight, "in-flight", 1, "`N` runs at once, each with buffers of its own: a sample is what one of them adds")
	s.BoolVar(&f.noPeak, "no-peak", false, "do not measure the device's peak")
	s.IntVar(&f.starts, "starts", 1, "time `N` cold and warm starts of the first batch and take the median; 0: none")
	s.StringVar(&f.baseline, "baseline", "", "compare with the JSON `FILE` of an earlier run")
	s.Float64Var(&f.tolerance, "tolerance", 3, "`PERCENT` below which nothing is a regression")
	s.BoolVar(&f.turns, "turns", false, "take samples as standard input asks for them; see docs/bench.md")
	s.BoolVar(&f.probe, "probe", false, "time one start for another process")
	s.IntVar(&f.probePictures, "probe-pictures", 1, "pictures of --probe")
	for _, hidden := range []string{"probe", "probe-pictures"} {
		if err := s.MarkHidden(hidden); err != nil {
			panic("resnet-run: bug: " + err.Error())
		}
	}
	addFormat(cmd, &f.format, report.BenchFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			args = []string{f.defaultModel}
		}
		return a.bench(cmd.Context(), &f, args)
	})
	return cmd
}

// maxInFlight is far more runs than any device needs to have something to do.
const maxInFlight = 64

// check finds what is wrong with the flags before anything slow is done.
func (f *benchFlags) check(models []string) (report.Format, *bench.Baseline, error) {
	format, err := report.ParseFormat(f.format, report.BenchFormats...)
	if err != nil {
		return format, nil, err
	}
	for _, b := range f.batches {
		if b < 1 {
			return format, nil, fmt.Errorf("--batch: want at least 1, got %d", b)
		}
	}
	for _, p := range f.precisions {
		if _, err := inPrecision(auto, p); err != nil {
			return format, nil, err
		}
	}
	if f.opts.Runs < 0 || f.opts.Runs > bench.MaxRuns {
		return format, nil, fmt.Errorf("--runs: want 0 to %d, got %d", bench.MaxRuns, f.opts.Runs)
	}
	if f.opts.InFlight < 1 || f.opts.InFlight > maxInFlight {
		return format, nil, fmt.Errorf("--in-flight: want 1 to %d, got %d", maxInFlight, f.opts.InFlight)
	}
	if f.opts.Duration < 0 || f.opts.Warmup < 0 || f.starts < 0 || !(f.tolerance >= 0) {
		return format, nil, errors.New("--duration, --warmup, --starts and --tolerance: want at least 0")
	}
	if len(models) > 1 && f.model.opts.Weights != "" && !strings.HasPrefix(f.model.opts.Weights, "random:") {
		return format, nil, fmt.Errorf("--weights %s: want one model with a weights file, got %d", f.model.opts.Weights, len(models))
	}
	if _, err := f.device.tuning(); err != nil {
		return format, nil, err
	}
	if f.turns && (len(models) > 1 || len(f.batches) > 1 || len(f.on) > 1 || len(f.precisions) > 1 || f.opts.InFlight > 1) {
		return format, nil, errors.New("--turns: want one model, one batch, one device, one precision and one run at once")
	}
	if f.turns && (f.baseline != "" || format != report.Table) {
		return format, nil, errors.New("--turns: want neither --baseline nor --format, since whoever asks for the samples has them")
	}
	if err := f.twice(models); err != nil {
		return format, nil, err
	}
	if given := changed(f.model.set, "backend", "device"); len(f.on) > 0 && len(given) > 0 {
		return format, nil, fmt.Errorf("--on names the devices: want it without %s", strings.Join(given, " and "))
	}
	if f.baseline == "" {
		return format, nil, nil
	}
	b, err := bench.ReadBaseline(f.baseline)
	return format, b, err
}

// twice finds what would measure a case twice, between which no reader of the report could tell.
func (f *benchFlags) twice(models []string) error {
	for _, list := range []struct {
		flag  string
		names []string
	}{{"MODEL", models}, {"--batch", strings.Fields(strings.Trim(fmt.Sprint(f.batches), "[]"))}, {"--precision", f.precisions}, {"--on", f.on}} {
		for i, name := range list.names {
			if slices.Contains(list.names[:i], name) {
				return fmt.Errorf("%s: want each once, got %s twice", list.flag, name)
			}
		}
	}
	return nil
}

func (a *app) bench(ctx context.Context, f *benchFlags, models []string) error {
	format, baseline, err := f.check(models)
	if err != nil {
		return failure(exitUsage, err)
	}
	targets, err := a.benchTargets(ctx, f)
	if err != nil {
		return err
	}
	suite := bench.Suite{
		Targets: targets, Batches: f.batches, Tolerance: bench.Float32, Options: f.opts, NoPeak: f.noPeak,
		Note: a.note, Done: a.benchDone,
	}
	for _, name := range models {
		m, err := a.benchModel(ctx, f, name)
		if err != nil {
			return err
		}
		suite.Networks = append(suite.Networks, bench.Network{Name: m.Name, Graph: func(n int) (*graph.Graph, error) { return m.Graph(n) }})
	}
	switch {
	case f.probe:
		return a.benchProbe(ctx, f, targets[0], suite.Networks[0])
	case f.turns:
		return a.benchTurns(ctx, f, targets[0], suite.Networks[0])
	}
	if a.self != nil {
		suite.Starts, suite.TempDir, suite.Start = f.starts, benchCacheDir, a.benchStarter(f, models)
	}
	r, failed := suite.Run(ctx)
	if failed != nil && len(r.Results) == 0 {
		return noDevice(failed)
	}
	compared := 0
	if baseline != nil {
		compared = baseline.Against(r, f.tolerance/100)
		for _, doubt := range baseline.Doubts(r) {
			a.note("%s", doubt)
		}
	}
	out := bufio.NewWriter(a.stdout)
	if err := errors.Join(report.WriteBench(out, format, r), out.Flush()); err != nil {
		return err
	}
	if failed != nil { // the results before it were worth having
		return noDevice(failed)
	}
	if err := benchFailure(ctx, r); err != nil || baseline == nil || compared > 0 {
		return err
	}
	return failure(exitUsage, fmt.Errorf("--baseline %s: want a case that was measured now, got none: nothing was compared", f.baseline))
}

// benchFailure gives the outcome its exit code.
func benchFailure(ctx context.Context, r *bench.Report) error {
	err := r.Err()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, bench.ErrWrong):
		return failure(exitNotConformant, err)
	case errors.Is(err, bench.ErrSlower):
		return failure(exitSlower, err)
	}
	return err
}

func noDevice(err error) error {
	if errors.Is(err, backend.ErrNoDevice) {
		return failure(exitNoDevice, err)
	}
	return err
}

func (a *app) benchDone(r *bench.Result) {
	switch {
	case r.Status == bench.OK:
		a.detail("%v: %.4g ms", r.Case, 1e3*r.Timing.Seconds.Median)
	default:
		a.note("%v: %s: %s", r.Case, r.Status, report.Printable(r.Error))
	}
}

// benchModel loads a model; an architecture without weights gets random ones.
func (a *app) benchModel(ctx context.Context, f *benchFlags, name string) (*model.Model, error) {
	flags := *f.model
	flags.model = name
	if isArchitecture(name) && flags.opts.Weights == "" {
		flags.opts.Weights = "random:1"
	}
	return a.loadModel(ctx, &flags)
}

// benchTargets are the devices of --on, else the one of --backend and --device.
func (a *app) benchTargets(ctx context.Context, f *benchFlags) ([]bench.Target, error) {
	var list []bench.Target
	precisions := f.precisions
	if !f.model.set.Changed("precision") {
		precisions = []string{""} // as the names say
	}
	add := func(backendName, device string, precisions []string) {
		for _, p := range precisions {
			flags := &deviceFlags{backend: backendName, device: device, threads: f.device.threads, precision: p, tune: f.device.tune}
			list = append(list, bench.Target{Open: func(ctx context.Context) (backend.Device, error) { return a.openDevice(ctx, flags) }})
		}
	}
	if len(f.on) == 0 {
		add(f.device.backend, f.device.device, precisions)
		return list, nil
	}
	for _, on := range f.on {
		if on != "all" {
			name, _, _ := strings.Cut(on, ":")
			b, err := a.registry.Backend(name)
			switch {
			case err != nil && name != auto:
				return nil, failure(exitUsage, fmt.Errorf("--on %s: %w", on, err))
			case name == auto, strings.Contains(name, "@"):
				add(on, "", precisions)
			default:
				add(on, "", a.precisionsOf(b, precisions))
			}
			continue
		}
		for _, name := range a.registry.Names() {
			b, err := a.registry.Backend(name)
			if err != nil || name == "reference" {
				continue
			}
			devices, err := b.Devices(ctx)
			if err != nil {
				a.note("backend %s has no device: %v", name, err)
			}
			for _, d := range devices {
				add(name, d.ID, a.precisionsOf(b, precisions))
			}
		}
	}
	if len(list) == 0 {
		return nil, failure(exitNoDevice, fmt.Errorf("--on %s: %w", strings.Join(f.on, ", "), backend.ErrNoDevice))
	}
	return list, nil
}

// precisionsOf are those of a list that a backend has; the others are told.
func (a *app) precisionsOf(b backend.Backend, list []string) []string {
	var has []string
	for _, p := range list {
		v, varies := b.(backend.Variants)
		if p != "" && p != bench.F32 {
			err := errors.New("it has no variants")
			if varies {
				_, err = v.Variant(p)
			}
			if err != nil {
				a.note("backend %s is left out with --precision %s: %v", b.Name(), p, err)
				continue
			}
		}
		has = append(has, p)
	}
	return has
}

// benchCacheDir makes a folder for the caches of drivers and backends.
func benchCacheDir() (string, func(), error) {
	dir, err := os.MkdirTemp("", "resnet-run-bench")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// changed are the flags of a set that were given, as arguments, of those that names lists.
func changed(set *pflag.FlagSet, names ...string) []string {
	var args []string
	for _, name := range names {
		if fl := set.Lookup(name); fl != nil && fl.Changed {
			args = append(args, "--"+name+"="+fl.Value.String())
		}
	}
	return args
}
