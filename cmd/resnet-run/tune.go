package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/schedule"
	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// tuneHelp is the usage of --tune.
const tuneHelp = "choose Vulkan kernels by measurement: `off|cached|quick|full`; cached uses what 'resnet-run tune' or an earlier run measured"

// addTuneFlag adds --tune to a command that runs networks.
func (a *app) addTuneFlag(f *pflag.FlagSet, d *deviceFlags) {
	f.StringVar(&d.tune, "tune", cmp.Or(a.getenv("RESNET_RUN_TUNE"), vulkan.TuneCached.String()), tuneHelp)
}

// tuning reads --tune; commands without the flag do as it does by default.
func (d *deviceFlags) tuning() (t vulkan.Tuning, err error) {
	if t.Mode, err = vulkan.ParseTuneMode(cmp.Or(d.tune, vulkan.TuneCached.String())); err != nil {
		err = failure(exitUsage, fmt.Errorf("--tune: %w", err))
	}
	return t, err
}

// tuned tells a device how to choose kernels, if it has a choice.
func (a *app) tuned(dev backend.Device, t vulkan.Tuning) {
	tuner, ok := dev.(vulkan.Tuner)
	if !ok {
		return
	}
	name := dev.Info().Name
	var mu sync.Mutex // graphs may be compiled side by side
	var bar *progress
	t.On = func(e vulkan.TuneEvent) {
		mu.Lock()
		defer mu.Unlock()
		if !e.Cached && !e.Skipped {
			if bar == nil {
				bar = a.tuneBar(e.Total)
			}
			bar.above(func() {
				a.detail("tune: %s: %d of %d: %s: %s", name, e.Done, e.Total, e.Shape, e.Measured[e.Chosen].Kernel)
			})
			bar.set(int64(e.Done))
		}
		if bar != nil && e.Done == e.Total {
			bar.finish()
			bar = nil
		}
	}
	tuner.SetTuning(t)
}

func (a *app) tuneCommand() *cobra.Command {
	var device *deviceFlags
	var models *modelFlags
	var batches []int
	var quick bool
	var budget time.Duration
	var format string
	cmd := &cobra.Command{
		Use:   "tune [MODEL...]",
		Short: "Measure which kernels are fastest on a Vulkan device, ahead of time",
		Long: `Measure which kernels are fastest on a Vulkan device, for the layers of networks, and keep the outcome for later runs of all
commands. A kernel takes part when it has proved itself on the device; the rule's own choice stays where no other is
faster beyond the noise of the measurement. What was measured before is not measured again.

MODEL is as for --model of classify; an architecture without --weights gets random:1. Each batch has layers of its own. Without
--backend and --device the first Vulkan device is tuned.

` + exitCodesHelp,
		Example: `  resnet-run tune resnet50-0676ba61.pth
  resnet-run tune resnet18 resnet50 --batch 1,8 --device nvidia
  resnet-run tune resnet50 --quick --format json`,
		Args: usageArgs(cobra.ArbitraryArgs),
	}
	f := cmd.Flags()
	device = a.addDeviceFlags(f)
	addAutoPrecision(f, &device.precision)
	models = a.addModelFlags(f, false)
	f.IntSliceVarP(&batches, "batch", "b", []int{1}, "batches of `N,...` pictures")
	f.BoolVar(&quick, "quick", false, "a few kernels of each layer, as --tune=quick does")
	f.DurationVar(&budget, "budget", 0, "`TIME` for each network and batch; 0: 5m, with --quick 3s")
	addFormat(cmd, &format, report.TuningFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		format, err := report.ParseFormat(format, report.TuningFormats...)
		for _, b := range batches {
			if err == nil && b < 1 {
				err = fmt.Errorf("--batch: want at least 1, got %d", b)
			}
		}
		if err == nil && budget < 0 {
			err = fmt.Errorf("--budget: want 0 or more, got %v", budget)
		}
		if err != nil {
			return failure(exitUsage, err)
		}
		if len(args) == 0 {
			args = []string{cmp.Or(a.getenv("RESNET_RUN_MODEL"), model.DefaultName)}
		}
		if device.backend == auto {
			device.backend = vulkan.Name
		}
		t := vulkan.Tuning{Mode: vulkan.TuneFull, Budget: budget}
		if quick {
			t.Mode = vulkan.TuneQuick
		}
		return a.tune(cmd.Context(), device, &benchFlags{model: models}, args, batches, t, format)
	})
	return cmd
}

// tune measures every model with every batch on every device, and writes what was chosen, also when it is interrupted.
func (a *app) tune(ctx context.Context, f *deviceFlags, mf *benchFlags, names []string, batches []int, t vulkan.Tuning, format report.Format) (err error) {
	o, _, err := a.chosen(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeMembers(o.Devices)) }()
	var all report.Tuning
	failed := a.tuneAll(ctx, o.Devices, mf, names, batches, t, &all)
	if failed != nil && len(all.Rows) == 0 {
		return failed
	}
	out := bufio.NewWriter(a.stdout)
	if err := errors.Join(report.WriteTuning(out, format, all), out.Flush()); err != nil {
		return err
	}
	a.note("%s", all.Summary())
	return failed
}

func (a *app) tuneAll(ctx context.Context, devices []schedule.Member, mf *benchFlags, names []string, batches []int, t vulkan.Tuning, all *report.Tuning) error {
	for _, name := range names {
		m, err := a.benchModel(ctx, mf, name)
		if err != nil {
			return err
		}
		for _, member := range devices {
			for _, batch := range batches {
				if err := a.tuneOne(ctx, member, m, batch, t, all); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// tuneOne compiles a network with tuning on, and collects what it says.
func (a *app) tuneOne(ctx context.Context, member schedule.Member, m *model.Model, batch int, t vulkan.Tuning, all *report.Tuning) error {
	info := member.Device.Info()
	tuner, ok := member.Device.(vulkan.Tuner)
	if !ok {
		return failure(exitUsage, fmt.Errorf("backend %s has one kernel for each operation: want a device of backend %s", info.Backend, vulkan.Name))
	}
	g, err := m.Graph(batch)
	if err == nil {
		g, err = pass.Run(g, pass.Default())
	}
	if err != nil {
		return failure(exitModel, err)
	}
	var bar *progress
	t.On = func(e vulkan.TuneEvent) {
		if bar == nil {
			bar = a.tuneBar(e.Total)
		}
		row := report.TuningRow{Device: info.Name, Model: m.Name, Batch: batch, Shape: strings.ReplaceAll(e.Shape, "float32", ""), Nodes: e.Nodes, State: "measured"}
		switch {
		case e.Cached:
			row.State = "cached"
		case e.Skipped:
			row.State = "skipped"
		}
		for _, k := range e.Measured {
			row.Times = append(row.Times, report.TuningTime(k))
		}
		if len(row.Times) > 0 {
			row.Rule, row.Chosen = row.Times[0].Kernel, row.Times[e.Chosen].Kernel
		}
		all.Rows = append(all.Rows, row)
		bar.above(func() {
			if row.State == "measured" {
				a.detail("%s, batch %d: %d of %d: %s: %s", m.Name, batch, e.Done, e.Total, row.Shape, row.Chosen)
			}
		})
		bar.add()
	}
	tuner.SetTuning(t)
	e, err := member.Device.Compile(ctx, g)
	if bar != nil {
		bar.finish()
	}
	if err != nil {
		return err
	}
	return e.Close()
}

// tuneBar shows on a terminal how far the measurements of a network are: each may take seconds.
func (a *app) tuneBar(total int) *progress {
	if !isTerminal(a.stderr) {
		return &progress{}
	}
	return newTimedBar(a.stderr, "measuring kernels", total)
}

// addKernels adds to the properties of Vulkan devices, for people, what is known of the kernels there.
func (a *app) addKernels(ctx context.Context, found *report.Devices) error {
	b, err := a.registry.Backend(vulkan.Name)
	recorder, ok := b.(vulkan.Recorder)
	if err != nil || !ok {
		return nil
	}
	known, err := recorder.Kernels(ctx)
	if errors.Is(err, backend.ErrNoDevice) {
		return nil
	}
	for i := range found.Devices {
		d := &found.Devices[i]
		k, ok := known[d.ID]
		if d.Backend != vulkan.Name || !ok || d.Properties == nil {
			continue
		}
		d.Properties["kernelsProved"] = fmt.Sprintf("%d, and on %d shapes of layers", k.Proved, k.Layers)
		d.Properties["kernelsMeasured"] = fmt.Sprintf("on %d shapes of layers", k.Measured)
		d.Properties["kernelsStruckOff"] = struckOff(k.StruckOff)
	}
	return err
}

func struckOff(list []vulkan.StruckOff) string {
	if len(list) == 0 {
		return "none"
	}
	var texts []string
	for _, s := range list {
		where := "everywhere"
		if s.Shape != "" {
			where = "for " + s.Shape
		}
		texts = append(texts, fmt.Sprintf("%s %s, on %s (%.200s)", s.Kernel, where, s.When.Format(time.DateOnly), s.Reason))
	}
	return strings.Join(texts, "; ")
}
