package host

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/internal/machine"
	"github.com/resnet-run/resnet-run/plugins/wire"
)

// protocolVersions are the major versions of the plugin protocol that the host speaks.
var protocolVersions = []int{wire.ProtocolVersion}

// grace is how long a plugin that was told to end has for it.
const grace = 2 * time.Second

// Limits are what a plugin must keep to. A zero field is the default.
type Limits struct {
	Start    time.Duration // from the start of the process until it has said what it is; default 60 s
	Patience time.Duration // for an answer that is due, and after a deadline or a cancellation; default 30 s
	Health   time.Duration // between two looks at the plugin's health; default 5 s
	Memory   int64         // bytes that the process may have resident; default three quarters of the machine's
	Restarts int           // how often a process that died is started again; default 3, none when negative
	Pause    time.Duration // before the first restart; doubles with each; default 200 ms
}

func (l Limits) withDefaults() Limits {
	or := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	or(&l.Start, time.Minute)
	or(&l.Patience, 30*time.Second)
	or(&l.Health, 5*time.Second)
	or(&l.Pause, 200*time.Millisecond)
	if l.Memory <= 0 {
		l.Memory = machine.Installed() / 4 * 3
	}
	if l.Restarts == 0 {
		l.Restarts = 3
	}
	return l
}

// Options are the host's settings.
type Options struct {
	LockPath string              // see [LockPath]
	Logger   *slog.Logger        // for the host and its plugins; nothing is logged without
	Getenv   func(string) string // os.Getenv when nil: where the variables that are passed on come from
	Version  string              // of the program, for the plugins' logs
	Limits   Limits
	// NoSharedMemory sends all tensors in chunks.
	NoSharedMemory bool
	// noExecute makes a plugin one that lacks Execute, for tests.
	noExecute bool
	// TempDir is for sockets; the user's runtime directory or that for temporary files when empty.
	TempDir string
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	o.Limits = o.Limits.withDefaults()
	return o
}

// FromEnvironment reads the limits that users can set: RESNET_RUN_PLUGIN_MEMORY, RESNET_RUN_PLUGIN_PATIENCE,
// RESNET_RUN_PLUGIN_START and RESNET_RUN_PLUGIN_RESTARTS.
//
// Errors name the variable, what is wanted and what is there.
func FromEnvironment(getenv func(string) string) (Limits, error) {
	var l Limits
	for _, v := range []struct {
		name string
		to   *time.Duration
	}{{"RESNET_RUN_PLUGIN_PATIENCE", &l.Patience}, {"RESNET_RUN_PLUGIN_START", &l.Start}} {
		if text := getenv(v.name); text != "" {
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				return l, fmt.Errorf("%s: want a time above 0 such as 30s, got %.40q", v.name, text)
			}
			*v.to = d
		}
	}
	if text := getenv("RESNET_RUN_PLUGIN_MEMORY"); text != "" {
		n, err := parseSize(text)
		if err != nil {
			return l, fmt.Errorf("RESNET_RUN_PLUGIN_MEMORY: %w", err)
		}
		l.Memory = n
	}
	if text := getenv("RESNET_RUN_PLUGIN_RESTARTS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return l, fmt.Errorf("RESNET_RUN_PLUGIN_RESTARTS: want a number in 0..65535, got %.40q", text)
		}
		if l.Restarts = int(n); n == 0 {
			l.Restarts = -1
		}
	}
	return l, nil
}

// parseSize reads a number of bytes with an optional unit KiB, MiB or GiB.
func parseSize(text string) (int64, error) {
	number, unit := text, int64(1)
	for i, u := range []string{"KiB", "MiB", "GiB"} {
		if rest, ok := strings.CutSuffix(text, u); ok {
			number, unit = strings.TrimSpace(rest), 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("want a number of bytes above 0 such as 4GiB, got %.40q", text)
	}
	return n * unit, nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// passedOn are the host's variables that a plugin gets beside those that its manifest names: where programs, libraries,
// the user's files, drivers and settings are. Names that end in * stand for all that begin so.
var passedOn = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP", "XDG_*", "SYSTEMROOT", "USERPROFILE", "LOCALAPPDATA", "APPDATA",
	"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV",
	"VK_*", "MESA_*", "DISPLAY", "WAYLAND_DISPLAY", "CUDA_*", "NVIDIA_*", "HIP_*", "ROCR_*", "ONEAPI_*", "ZE_*", "OCL_*",
	"GOMAXPROCS", "GOMEMLIMIT", "GODEBUG", "OMP_*", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RESNET_RUN_CPU",
}

// environment is what a plugin gets of the host's environment.
func environment(environ []string, more []string) []string {
	var out []string
	for _, entry := range environ {
		name, _, ok := strings.Cut(entry, "=")
		if ok && (anyMatch(passedOn, name) || anyMatch(more, name)) {
			out = append(out, entry)
		}
	}
	return out
}

func anyMatch(patterns []string, name string) bool {
	for _, p := range patterns {
		if prefix, open := strings.CutSuffix(p, "*"); p == name || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
