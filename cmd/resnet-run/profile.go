package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/bench"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/profile"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) profileCommand() *cobra.Command {
	var f benchFlags
	var batch, runCount int
	cmd := &cobra.Command{
		Use:   "profile [MODEL]",
		Short: "Show where the time of a run goes, node by node, and what limits it",
		Long: `Show where the time of a run goes: the device's own time of each node, the arithmetic and the memory traffic it achieved,
whether the device's measured arithmetic or its measured memory limits it, and which kernel ran and why. Nodes are timed one
by one, so their sum may exceed the time of a run. Below the table stand kernels that lie partly in memory for want of registers,
where the driver tells; json has all that it says of each kernel.

MODEL is as for --model of classify; an architecture without --weights gets random:1. Every answer is verified as in bench.
--format trace opens in https://ui.perfetto.dev; svg is a roofline.

` + exitCodesHelp,
		Example: `  resnet-run profile resnet50 --backend vulkan
  resnet-run profile resnet50 --batch 8 --format svg > roofline.svg`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
	}
	s := cmd.Flags()
	f.device = a.addDeviceFlags(s)
	a.addTuneFlag(s, f.device)
	addAutoPrecision(s, &f.device.precision)
	f.model = a.addModelFlags(s, false)
	s.IntVarP(&batch, "batch", "b", 1, "batch of `N` pictures")
	s.IntVarP(&runCount, "runs", "n", 7, "take the median of `N` runs")
	s.BoolVar(&f.noPeak, "no-peak", false, "do not measure the device's peak")
	addFormat(cmd, &f.format, report.ProfileFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		format, err := report.ParseFormat(f.format, report.ProfileFormats...)
		if err == nil && (batch < 1 || runCount < 1 || runCount > bench.MaxRuns) {
			err = fmt.Errorf("--batch and --runs: want at least 1 and at most %d runs, got %d and %d", bench.MaxRuns, batch, runCount)
		}
		if err != nil {
			return failure(exitUsage, err)
		}
		name := cmp.Or(a.getenv("RESNET_RUN_MODEL"), model.DefaultName)
		if len(args) > 0 {
			name = args[0]
		}
		return a.profile(cmd.Context(), &f, name, batch, runCount, format)
	})
	return cmd
}

func (a *app) profile(ctx context.Context, f *benchFlags, name string, batch, runCount int, format report.Format) (err error) {
	m, err := a.benchModel(ctx, f, name)
	if err != nil {
		return err
	}
	n := bench.Network{Name: m.Name, Graph: func(n int) (*graph.Graph, error) { return m.Graph(n) }}
	answers, err := bench.NewAnswers(ctx, n, min(batch, 2))
	if err != nil {
		return err
	}
	dev, err := a.openDevice(ctx, f.device)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bench.Close(ctx, dev)) }()
	p := &report.Profile{Environment: bench.ReadEnvironment(), Device: bench.Device{DeviceInfo: dev.Info()}, Network: m.Name, Batch: batch, Precision: bench.PrecisionOf(dev.Info()), Runs: runCount}
	if !f.noPeak {
		p.Device = bench.MeasurePeak(ctx, dev)
	}
	shown := format == report.Table || format == report.JSON // what the compiler says, which the other formats leave out
	if err := a.profileRuns(ctx, dev, n, answers, p, shown); err != nil {
		if errors.Is(err, bench.ErrWrong) {
			return failure(exitNotConformant, err)
		}
		return err
	}
	out := bufio.NewWriter(a.stdout)
	return errors.Join(report.WriteProfile(out, format, p), out.Flush())
}

// profileRuns compiles the network and fills the profile, with what the compiler says of the kernels where that is wanted: it may compile them again.
func (a *app) profileRuns(ctx context.Context, dev backend.Device, n bench.Network, answers *bench.Answers, p *report.Profile, kernels bool) (err error) {
	ready, err := bench.Prepare(ctx, dev, n, answers, p.Batch, bench.Float32)
	if ready != nil {
		defer func() { err = errors.Join(err, bench.Close(ctx, ready)) }()
	}
	if err != nil {
		return err
	}
	samples, err := ready.Measure(ctx, bench.Options{Runs: p.Runs})
	if err != nil {
		return err
	}
	p.RunSeconds = bench.Median(samples)
	var times [][]backend.NodeTime
	for range p.Runs {
		t, err := ready.Profile(ctx)
		if err != nil {
			return err
		}
		times = append(times, t)
	}
	var peaks profile.Peaks
	if d := p.Device.Peak; d != nil {
		peaks = profile.Peaks{FLOPsPerSecond: p.Device.PeakIn(p.Precision), BytesPerSecond: d.BytesPerSecond, Float32: p.Device.PeakIn(bench.F32)}
	}
	if p.Profile, err = profile.NewMixed(ready.Graph, times, peaks, ready.Precisions()); err != nil {
		return err
	}
	p.Nodes, p.DeviceTime, p.Verification = p.Profile.Nodes, p.Profile.Seconds, ready.Verification
	if kernels {
		p.Kernels, err = ready.Kernels(ctx)
	}
	return err
}
