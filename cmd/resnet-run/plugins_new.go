package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/resnet-run/resnet-run/plugins/examples"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"github.com/spf13/cobra"
)

const modulePath = "github.com/resnet-run/resnet-run"

// pluginsNewCommand is a part of the command plugins.
func (a *app) pluginsNewCommand() *cobra.Command {
	var out, sdk string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the beginning of a backend of your own, in Go",
		Long: `Write the beginning of a backend of your own, in Go: a folder resnet-run-backend-NAME with a backend that works, computes
slowly and passes its tests. docs/write-a-backend.md leads on from there.`,
		Example: `  resnet-run plugins new my-chip && cd resnet-run-backend-my-chip && go mod tidy && go test .`,
		Args:    usageArgs(cobra.ExactArgs(1)),
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "`DIR` to write to instead of resnet-run-backend-NAME; it must be empty or not exist")
	f.StringVar(&sdk, "sdk", "", "use the source tree of resnet-run in `DIR` instead of the published module")
	cmd.RunE = runs(func(_ *cobra.Command, args []string) error {
		name := args[0]
		if err := wire.CheckName(name); err != nil {
			return failure(exitUsage, err)
		}
		if slices.Contains(a.registry.Names(), name) {
			return failure(exitUsage, fmt.Errorf("backend name %q: it is taken by one of resnet-run's own", name))
		}
		dir := cmp.Or(out, "resnet-run-backend-"+name)
		if err := writeSkeleton(dir, name, sdk); err != nil {
			return err
		}
		_, err := fmt.Fprintf(a.stdout, "%s\n", dir)
		a.note("a backend to start from is in %s: see its README.md", dir)
		return err
	})
	return cmd
}

// writeSkeleton writes the files of a new backend.
func writeSkeleton(dir, name, sdk string) error {
	files, err := examples.Skeleton(name)
	if err != nil {
		return err
	}
	if err := addModule(files, name, sdk); err != nil {
		return failure(exitUsage, err)
	}
	switch there, err := os.ReadDir(dir); {
	case err == nil && len(there) > 0:
		return failure(exitUsage, fmt.Errorf("%s: want an empty folder or none, got one with %q in it", dir, there[0].Name()))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, file), files[file], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// requirements are the require directives of a go.mod file.
var requirements = regexp.MustCompile(`(?ms)^require \($.*?^\)$|^require [^(\n]+$`)

// release is a version that the module can be fetched by.
var release = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// addModule adds go.mod, and with a source tree, whose checksums are known, go.sum.
func addModule(files map[string][]byte, name, sdk string) error {
	mod := fmt.Sprintf("module resnet-run-backend-%s\n\ngo 1.26.0\n", name)
	version := buildVersion().Version
	switch {
	case sdk != "":
		sdk, err := filepath.Abs(sdk)
		if err != nil {
			return fmt.Errorf("--sdk: %w", err)
		}
		theirs, err := os.ReadFile(filepath.Join(sdk, "go.mod"))
		if err == nil && !regexp.MustCompile(`(?m)^module `+regexp.QuoteMeta(modulePath)+`$`).Match(theirs) {
			err = fmt.Errorf("%s: want the source tree of %s, got another module", sdk, modulePath)
		}
		sums, sumErr := os.ReadFile(filepath.Join(sdk, "go.sum"))
		if err := errors.Join(err, sumErr); err != nil {
			return fmt.Errorf("--sdk: %w", err)
		}
		files["go.sum"] = sums
		mod += fmt.Sprintf("\nrequire %s v0.0.0\n\nreplace %[1]s => %s\n", modulePath, strconv.Quote(filepath.ToSlash(sdk)))
		for _, block := range requirements.FindAll(theirs, -1) { // with all of them nothing need be looked up to build
			mod += "\n" + string(block) + "\n"
		}
	case release.MatchString(version): // else 'go mod tidy' takes the latest
		mod += fmt.Sprintf("\nrequire %s %s\n", modulePath, version)
	}
	files["go.mod"] = []byte(mod)
	return nil
}
