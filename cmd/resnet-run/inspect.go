package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) inspectCommand() *cobra.Command {
	var format, input, passes string
	var batch int
	var plan bool
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Show a network layer by layer",
		Long: `Show a network layer by layer: shapes, parameters, multiply-accumulates (MACs) and memory of parameters and results,
and their totals; where its weights, its preprocessing and its labels come from.

MODEL is a bundled name, a weights file, an ONNX file, or the name of an architecture, which needs no weights for this.
--format dot draws it with Graphviz, text is the graph's own text form.

--plan shows instead which device would run which part of the network after the passes, what is copied between them, and estimates of the
times, for the devices of --backend; --format is table, json, dot or svg then.`,
		Example: `  resnet-run inspect resnet50
  resnet-run inspect --passes after --format text resnet20-cifar10
  resnet-run inspect --format dot resnet18 | dot -Tsvg > resnet18.svg
  resnet-run inspect --plan --backend vulkan,cpu --place 'layer*.conv2=cpu' resnet50`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	f := cmd.Flags()
	addFormat(cmd, &format, report.InspectionFormats)
	f.IntVarP(&batch, "batch", "b", 1, "batch of `N` pictures")
	f.StringVar(&input, "input", "", "rows and columns of the input, `HxW` (default: the model's)")
	f.StringVar(&passes, "passes", "before", "show the network `before|after` the optimisation passes")
	f.BoolVar(&plan, "plan", false, "show the plan of the devices that --backend chooses")
	device := a.addDeviceFlags(f)
	device.addScheduleFlags(f)
	m := a.addModelFlags(f, false)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		formats := report.InspectionFormats
		if plan {
			formats = report.PlanFormats
		}
		format, err := report.ParseFormat(format, formats...)
		if err != nil {
			return failure(exitUsage, err)
		}
		view := model.View{Batch: batch}
		if view.Height, view.Width, err = model.ParseExtent(input); err != nil {
			return failure(exitUsage, err)
		}
		switch passes {
		case "before", "after":
			view.AfterPasses = passes == "after" || plan && !cmd.Flags().Changed("passes")
		default:
			return failure(exitUsage, fmt.Errorf("--passes: want before or after, got %.40q", passes))
		}
		if given := changed(cmd.Flags(), "backend", "device", "threads", "fallback", "split", "place"); !plan && len(given) > 0 {
			return failure(exitUsage, fmt.Errorf("%s: only --plan asks devices: want both, or neither", strings.Join(given, " ")))
		}
		if batch < 1 {
			return failure(exitUsage, fmt.Errorf("--batch: want at least 1, got %d", batch))
		}
		m.model, m.opts.StructureOnly = args[0], true
		loaded, err := a.loadModel(cmd.Context(), m)
		if err != nil {
			return err
		}
		seen, err := loaded.Inspect(view)
		if err != nil {
			return failure(exitModel, err)
		}
		out := bufio.NewWriter(a.stdout)
		if plan {
			return errors.Join(a.plan(cmd.Context(), device, seen.Graph, out, format), out.Flush())
		}
		return errors.Join(report.WriteInspection(out, format, report.NewInspection(loaded, seen)), out.Flush())
	})
	return cmd
}

// plan writes how the chosen devices would run the graph.
func (a *app) plan(ctx context.Context, f *deviceFlags, g *graph.Graph, out io.Writer, format report.Format) (err error) {
	dev, err := a.openSchedule(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	p, err := dev.Plan(ctx, g)
	if err != nil {
		return err
	}
	return report.WritePlan(out, format, p)
}
