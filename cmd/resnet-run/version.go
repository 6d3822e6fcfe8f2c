package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which version this is",
		Args:  usageArgs(cobra.NoArgs),
	}
	addFormat(cmd, &format, report.VersionFormats)
	cmd.RunE = runs(func(*cobra.Command, []string) error {
		f, err := report.ParseFormat(format, report.VersionFormats...)
		if err != nil {
			return failure(exitUsage, err)
		}
		return report.WriteVersion(a.stdout, f, buildVersion())
	})
	return cmd
}

// buildVersion reads what the Go tool wrote into the program.
func buildVersion() report.Version {
	v := report.Version{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = cmp.Or(info.Main.Version, v.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
