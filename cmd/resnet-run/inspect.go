package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) inspectCommand() *cobra.Command {
	var format, input, passes string
	var batch int
	cmd := &cobra.Command{
		Use:   "inspect MODEL",
		Short: "Show a network layer by layer",
		Long: `Show a network layer by layer: shapes, parameters, multiply-accumulates (MACs) and memory of parameters and results,
and their totals; where its weights, its preprocessing and its labels come from.

MODEL is a bundled name, a weights file, or the name of an architecture, which needs no weights for this.
--format dot draws it with Graphviz, text is the graph's own text form.`,
		Example: `  resnet-run inspect resnet50
  resnet-run inspect --passes after --format text resnet20-cifar10
  resnet-run inspect --format dot resnet18 | dot -Tsvg > resnet18.svg`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	f := cmd.Flags()
	addFormat(cmd, &format, report.InspectionFormats)
	f.IntVarP(&batch, "batch", "b", 1, "batch of `N` pictures")
	f.StringVar(&input, "input", "", "rows and columns of the input, `HxW` (default: the model's)")
	f.StringVar(&passes, "passes", "before", "show the network `before|after` the optimisation passes")
	m := a.addModelFlags(f, false)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		format, err := report.ParseFormat(format, report.InspectionFormats...)
		if err != nil {
			return failure(exitUsage, err)
		}
		view := model.View{Batch: batch}
		if view.Height, view.Width, err = model.ParseExtent(input); err != nil {
			return failure(exitUsage, err)
		}
		switch passes {
		case "before", "after":
			view.AfterPasses = passes == "after"
		default:
			return failure(exitUsage, fmt.Errorf("--passes: want before or after, got %.40q", passes))
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
		return errors.Join(report.WriteInspection(out, format, report.NewInspection(loaded, seen)), out.Flush())
	})
	return cmd
}
