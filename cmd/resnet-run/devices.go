package main

import (
	"context"
	"errors"

	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) devicesCommand() *cobra.Command {
	var format string
	var listOnly bool
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List the devices of all backends, and which one is taken and why",
		Long: `List the devices of all backends, and on standard error why a backend has none and which device --backend auto takes. INDEX, a part of NAME and ID (or its
beginning) are what --device takes. With -v the table has the properties of each device.`,
		Args: usageArgs(cobra.NoArgs),
	}
	addFormat(cmd, &format, report.DevicesFormats)
	cmd.Flags().BoolVar(&listOnly, "list-only", false, "do not find out which device auto takes, for another process")
	if err := cmd.Flags().MarkHidden("list-only"); err != nil {
		panic("resnet-run: bug: " + err.Error())
	}
	cmd.RunE = runs(func(cmd *cobra.Command, _ []string) error {
		f, err := report.ParseFormat(format, report.DevicesFormats...)
		if err != nil {
			return failure(exitUsage, err)
		}
		found, err := a.findDevices(cmd.Context())
		if err != nil {
			return err
		}
		if a.verbose {
			if err := a.addKernels(cmd.Context(), &found); err != nil {
				return err
			}
		}
		for _, m := range found.Missing {
			a.note("backend %s has no device: %s", m.Backend, m.Reason)
		}
		if !listOnly {
			a.notePreferred(cmd.Context())
		}
		if err := report.WriteDevices(a.stdout, f, found, a.verbose); err != nil {
			return err
		}
		if len(found.Devices) == 0 {
			return failure(exitNoDevice, errors.New("no backend has a device"))
		}
		return nil
	})
	return cmd
}

// notePreferred says which device auto takes, and why.
func (a *app) notePreferred(ctx context.Context) {
	if info, why, ok := a.preferredNow(ctx); ok && why != nil {
		a.note("--backend auto takes %s: %s, because: %v", info.Backend, info.Name, why)
	} else if ok {
		a.note("--backend auto takes %s: %s", info.Backend, info.Name)
	}
}

// addFormat adds the flag --format to a command without the other flags of running.
func addFormat(cmd *cobra.Command, format *string, formats []report.Format) {
	cmd.Flags().StringVarP(format, "format", "f", string(formats[0]), "output `FORMAT`: "+report.Names(formats))
}
