package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/resnet-run/resnet-run/plugins/host"
	"github.com/spf13/cobra"
)

// pluginSet is what was found of plugins. The zero value is none.
type pluginSet struct {
	folders  []string
	options  host.Options
	found    []host.Plugin
	backends []*host.Backend
	err      error // a folder that cannot be read
	wrong    error // a variable that cannot be read
	level    slog.LevelVar
}

// addPlugins looks for plugins and registers each as a backend. No process is started before one is used.
func (a *app) addPlugins() {
	s := &a.plugins
	s.level.Set(slog.LevelWarn)
	s.folders = host.Folders(a.getenv)
	s.options = host.Options{LockPath: host.LockPath(a.getenv), Getenv: a.getenv, Version: buildVersion().Version,
		Logger: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: &s.level}))}
	s.options.Limits, s.wrong = host.FromEnvironment(a.getenv)
	s.found, s.err = host.Find(s.folders)
	own := a.registry.Names()
	for i := range s.found {
		p := &s.found[i]
		if slices.Contains(own, p.Name) {
			p.Manifest, p.Err = nil, errors.New("the name is that of one of resnet-run's own backends")
			continue
		}
		b := host.New(*p, s.options)
		if err := a.registry.Register(b); err != nil {
			if p.Err == nil { // else it is hidden by another, or has no name that can be given
				p.Manifest, p.Err = nil, err
			}
			continue
		}
		s.backends = append(s.backends, b)
	}
}

// begin applies the flags that all commands share.
func (s *pluginSet) begin(verbose bool) error {
	if verbose {
		s.level.Set(slog.LevelDebug)
	}
	return failure(exitUsage, s.wrong)
}

// close ends the processes of plugins.
func (s *pluginSet) close() error {
	var errs []error
	for _, b := range s.backends {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// named returns the plugin of that name.
func (s *pluginSet) named(name string) (host.Plugin, error) {
	var names []string
	for _, p := range s.found {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	have := "none is there"
	if len(names) > 0 {
		have = "there are " + strings.Join(names, ", ")
	}
	return host.Plugin{}, failure(exitUsage, fmt.Errorf("no plugin %q: %s. Looked in %s", name, have, strings.Join(s.folders, ", ")))
}

func (a *app) pluginsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugins",
		Short: "List, trust and examine backends that are programs of their own",
		Long: `List, trust and examine plugins: backends that are programs of their own. docs/plugins.md explains where they are looked for,
what trust means, and what happens when one fails.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.pluginsListCommand(), a.pluginsDescribeCommand(), a.pluginsTrustCommand(), a.pluginsRemoveCommand(), a.pluginsDoctorCommand(),
		a.pluginsNewCommand(), a.pluginsSealCommand())
	return cmd
}

// pluginView makes a command that shows data.
func pluginView(use, short, long string, args cobra.PositionalArgs, show func(cmd *cobra.Command, f report.Format, args []string) error) *cobra.Command {
	var format string
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: usageArgs(args)}
	addFormat(cmd, &format, report.PluginFormats)
	cmd.RunE = runs(func(cmd *cobra.Command, args []string) error {
		f, err := report.ParseFormat(format, report.PluginFormats...)
		if err != nil {
			return failure(exitUsage, err)
		}
		return show(cmd, f, args)
	})
	return cmd
}

func (a *app) pluginsListCommand() *cobra.Command {
	return pluginView("list", "List plugins and whether they are trusted",
		"List plugins and whether they are trusted, and on standard error why one is not. No plugin is started.", cobra.NoArgs,
		func(_ *cobra.Command, f report.Format, _ []string) error {
			pins, err := host.Pins(a.plugins.options.LockPath)
			if err != nil {
				return err
			}
			var list []report.Plugin
			for _, p := range a.plugins.found {
				v := viewPlugin(p, pins)
				if v.Reason != "" {
					a.note("%s", report.Printable(v.Reason))
				}
				list = append(list, v)
			}
			if a.plugins.err != nil {
				a.note("%v", a.plugins.err)
			}
			return report.WritePlugins(a.stdout, f, list)
		})
}

func (a *app) pluginsDescribeCommand() *cobra.Command {
	return pluginView("describe NAME", "Say what a plugin is, without starting it",
		"Say what a plugin is: its manifest, the files and checksums, what it is started with, and whether it is trusted. It is not started.", cobra.ExactArgs(1),
		func(_ *cobra.Command, f report.Format, args []string) error {
			p, err := a.plugins.named(args[0])
			if err != nil {
				return err
			}
			pins, err := host.Pins(a.plugins.options.LockPath)
			if err != nil {
				return err
			}
			return report.WritePlugin(a.stdout, f, viewPlugin(p, pins))
		})
}

// viewPlugin says how a plugin stands.
func viewPlugin(p host.Plugin, pins map[string]host.Pin) report.Plugin {
	state, err := host.Examine(p, pins)
	v := report.Plugin{Name: p.Name, State: state.String(), Manifest: p.Path, Protocols: []int{}, Command: []string{}, Files: []report.PluginFile{}, Variables: []string{}}
	if err != nil {
		v.Reason = err.Error()
	}
	if pin, ok := pins[p.Name]; ok {
		v.TrustedAt = pin.TrustedAt.Format(time.RFC3339)
	}
	m := p.Manifest
	if m == nil {
		return v
	}
	v.Version, v.Protocols, v.Command = m.Version, m.ProtocolVersions, m.Command
	v.Variables = append(v.Variables, m.Environment...)
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		v.Files = append(v.Files, report.PluginFile{Path: name, SHA256: m.Files[name]})
	}
	return v
}

func (a *app) pluginsTrustCommand() *cobra.Command {
	var program string
	cmd := &cobra.Command{
		Use:   "trust NAME",
		Short: "Let a plugin run, as it is now",
		Long: `Let a plugin run, with your rights, as it is now: the checksums of its manifest, its files and its program are written to the lock
file, and a plugin that differs from them is refused until it is trusted again.

--program says which interpreter runs a plugin whose manifest names one to be looked up in PATH. It is needed where what is found there
is not the interpreter but a script of a version manager.`,
		Example: `  resnet-run plugins trust mine
  resnet-run plugins trust mine --program "$(pyenv which python3)"`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&program, "program", "", "`FILE` that is run in place of the program that the manifest looks up in PATH")
	cmd.RunE = runs(func(_ *cobra.Command, args []string) error {
		p, err := a.plugins.named(args[0])
		if err != nil {
			return err
		}
		pin, err := host.TrustWith(a.plugins.options.LockPath, p, program)
		if err != nil {
			return err
		}
		a.note("plugin %s %s is trusted: it runs %s, and of its files %d are pinned in %s", p.Name, pin.Version, report.Printable(pin.Program), len(pin.Files), a.plugins.options.LockPath)
		return nil
	})
	return cmd
}

func (a *app) pluginsRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Trust a plugin no more; its files stay",
		Args:  usageArgs(cobra.ExactArgs(1)),
	}
	cmd.RunE = runs(func(_ *cobra.Command, args []string) error {
		if err := host.Distrust(a.plugins.options.LockPath, args[0]); err != nil {
			return err
		}
		where := "nowhere to be found"
		if p, err := a.plugins.named(args[0]); err == nil {
			where = "still there, at " + report.Printable(p.Path)
		}
		a.note("plugin %s is trusted no more; it is %s", args[0], where)
		return nil
	})
	return cmd
}

func (a *app) pluginsSealCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "seal FOLDER",
		Short: "Write the checksums of a plugin's files into its manifest",
		Long:  "Write the checksums of a plugin's files into its manifest. It is for authors, after each build; FOLDER may be the manifest itself.",
		Args:  usageArgs(cobra.ExactArgs(1)),
	}
	cmd.RunE = runs(func(_ *cobra.Command, args []string) error { return host.Seal(args[0]) })
	return cmd
}

func (a *app) pluginsDoctorCommand() *cobra.Command {
	return pluginView("doctor [NAME...]", "Start plugins that are trusted, and say what is wrong",
		`Check plugins one after the other: manifest, trust, start, devices, a tensor to the first device and back, end. All when none is named. Plugins
that are not trusted are not started. The exit code is 5 when something is wrong.`, cobra.ArbitraryArgs,
		func(cmd *cobra.Command, f report.Format, args []string) error {
			return a.doctor(cmd.Context(), f, args)
		})
}

func (a *app) doctor(ctx context.Context, f report.Format, names []string) error {
	list := a.plugins.found
	if len(names) > 0 {
		list = nil
		for _, name := range names {
			p, err := a.plugins.named(name)
			if err != nil {
				return err
			}
			list = append(list, p)
		}
	}
	c := report.PluginChecks{Folders: a.plugins.folders, Lock: a.plugins.options.LockPath}
	wrong := 0
	for _, p := range list {
		for _, v := range host.Diagnose(ctx, p, a.plugins.options) {
			c.Checks = append(c.Checks, report.PluginCheck{Plugin: p.Name, Check: v.Check, OK: v.OK, Detail: v.Detail})
			if !v.OK {
				wrong++
			}
		}
	}
	if a.plugins.err != nil {
		a.note("%v", a.plugins.err)
	}
	if err := report.WritePluginChecks(a.stdout, f, c); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d plugins are not well", wrong, len(list))
	}
	return nil
}
