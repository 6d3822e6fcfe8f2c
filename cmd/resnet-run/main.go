// Command resnet-run classifies pictures with ResNets on any GPU that has a Vulkan driver. See README.md beside this
// file for its commands, environment variables and exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, self: self()}
	a.level.Set(slog.LevelWarn)
	a.registry = newRegistry(os.Stderr, &a.level)
	a.addPlugins()
	os.Exit(a.run(ctx, os.Args[1:]))
}

// self starts the program's own file; nil when the system does not tell where it is.
func self() func(context.Context, ...string) *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	return func(ctx context.Context, args ...string) *exec.Cmd { return exec.CommandContext(ctx, path, args...) }
}

// app is the program with the world around it, so that tests can bring another one.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	registry       *backend.Registry
	plugins        pluginSet
	verbose        bool
	level          slog.LevelVar // from which on backends are heard
	// self prepares a command that runs this program again with other arguments; nil where it cannot.
	self func(ctx context.Context, args ...string) *exec.Cmd
}

// run is the program: it returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if closeErr := a.plugins.close(); err == nil {
		err = failure(exitRun, closeErr)
	}
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	switch code {
	case exitInterrupted:
		a.note("interrupted")
	case exitInput: // each input was reported already
		a.note("%v", err)
	case exitUsage:
		a.note("%v\nRun '%s --help' for its usage.", err, cmd.CommandPath())
	default:
		a.note("%v", err)
	}
	return code
}

// note prints a line for people to stderr.
func (a *app) note(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, "resnet-run: "+format+"\n", args...) // nothing to do when nobody listens
}

// detail is note for those who asked for more.
func (a *app) detail(format string, args ...any) {
	if a.verbose {
		a.note(format, args...)
	}
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "resnet-run",
		Short: "Run any ResNet on any GPU that has a Vulkan driver",
		Long: `Run any ResNet on any GPU that has a Vulkan driver, and prove that the numbers are right.

Results go to standard output, everything else to standard error.

Environment: RESNET_RUN_BACKEND, RESNET_RUN_DEVICE, RESNET_RUN_MODEL, RESNET_RUN_THREADS and RESNET_RUN_TUNE set the defaults of --backend,
--device, --model, --threads and --tune.

` + exitCodesHelp,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.verbose {
			a.level.Set(slog.LevelInfo)
		}
		return a.plugins.begin(a.verbose)
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return failure(exitUsage, err) })
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "say more on standard error")
	root.AddCommand(a.classifyCommand(), a.explainCommand(), a.viewCommand(), a.embedCommand(), a.serveCommand(), a.devicesCommand(), a.modelsCommand(), a.inspectCommand(), a.exportCommand(), a.evalCommand(), a.conformanceCommand(),
		a.compareCommand(), a.benchCommand(), a.profileCommand(), a.tuneCommand(), a.pluginsCommand(), a.versionCommand())
	return root
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// exit codes; the help text and README.md explain them.
const (
	exitOK            = 0
	exitInput         = 1
	exitUsage         = 2
	exitNoDevice      = 3
	exitModel         = 4
	exitRun           = 5
	exitNotConformant = 6
	exitSlower        = 7
	exitInterrupted   = 130
)

const exitCodesHelp = `Exit codes:
  0    all went well
  1    some inputs could not be read or classified; there are results for the others
  2    wrong usage: an unknown command, flag, format or backend
  3    no device: the backend has none, or none that is meant by --device, or a plugin is not trusted or has changed
  4    the model could not be loaded
  5    the device or the output failed, or the data set could not be opened
  6    a device did not pass the conformance suite, a package of results does not hold, compare found a wrong layer,
       or a benchmark's answer was wrong
  7    a benchmark was slower than its baseline
  130  interrupted (Ctrl-C or SIGTERM)`

// exitError is an error with the exit code that it leads to.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// failure gives err an exit code, unless it has one.
func failure(code int, err error) error {
	var e *exitError
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &exitError{code, err}
}

// exitCode returns the code of err. What carries none comes from cobra and is about usage.
func exitCode(ctx context.Context, err error) int {
	var e *exitError
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &e):
		return e.code
	}
	return exitUsage
}

// usageArgs makes the errors of an argument check errors of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return failure(exitUsage, check(cmd, args)) }
}

// runs makes every error of a command that carries no exit code one of running.
func runs(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return failure(exitRun, do(cmd, args)) }
}
