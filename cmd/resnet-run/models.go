package main

import (
	"github.com/resnet-run/resnet-run/internal/model"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) modelsCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "models",
		Short: "List the bundled models and the architectures",
		Long: `List the bundled models, which have weights, and the architectures, which take them from --weights. Parameters and
multiply-accumulates (for one picture of the input size) are those of the network as published.`,
		Args: usageArgs(cobra.NoArgs),
	}
	addFormat(cmd, &format, report.ModelsFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error {
		f, err := report.ParseFormat(format, report.ModelsFormats...)
		if err != nil {
			return failure(exitUsage, err)
		}
		list, err := model.List(cmd.Context())
		if err != nil {
			return failure(exitModel, err)
		}
		return report.WriteModels(a.stdout, f, list)
	})
	return cmd
}
