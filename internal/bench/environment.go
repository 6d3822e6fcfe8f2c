package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/internal/machine"
)

// Environment is what a number depends on beside the program and the device. What the system does not tell is empty.
type Environment struct {
	Time       time.Time `json:"time"`
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`   // logical processors
	Threads    int       `json:"threads"` // GOMAXPROCS: what a quota or --threads leaves of them
	Memory     int64     `json:"memory_bytes"`
	OS         string    `json:"os"`
	Kernel     string    `json:"kernel"`
	Go         string    `json:"go"`
	Platform   string    `json:"platform"`
	Level      string    `json:"level"` // GOAMD64 or its like, which says what instructions the compiler may use
	Version    string    `json:"version"`
	Revision   string    `json:"revision"`
	Modified   bool      `json:"modified"` // whether there were changes beyond the revision
	Governor   string    `json:"governor"` // of the first processor's clock
	Load       []float64 `json:"load"`     // mean number of runnable processes in the last 1, 5, 15 minutes, at the start
	Overridden []string  `json:"variables"`
}

// variables are those of the environment that change what drivers and kernels do, as far as they can be told to strangers.
var variables = []string{"RESNET_RUN_CPU", "RESNET_RUN_THREADS", "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "LP_NUM_THREADS", "MESA_SHADER_CACHE_DISABLE", "LP_NATIVE_VECTOR_WIDTH"}

// ReadEnvironment looks around.
func ReadEnvironment() Environment {
	e := Environment{
		Time: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Threads: runtime.GOMAXPROCS(0),
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Version: "(devel)", OS: runtime.GOOS,
		CPU: machine.Processor(), Memory: machine.Installed(), Kernel: firstLine("/proc/sys/kernel/osrelease"),
		Governor: firstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
	}
	if name := strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`); name != "" {
		e.OS = name
	}
	for i, text := range strings.Fields(firstLine("/proc/loadavg")) {
		v, err := strconv.ParseFloat(text, 64)
		if i == 3 || err != nil {
			break
		}
		e.Load = append(e.Load, v)
	}
	for _, name := range variables {
		if v := os.Getenv(name); v != "" {
			e.Overridden = append(e.Overridden, name+"="+v)
		}
	}
	e.readBuild()
	return e
}

func (e *Environment) readBuild() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	if info.Main.Version != "" {
		e.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			e.Revision = s.Value
		case "vcs.modified":
			e.Modified = s.Value == "true"
		case "GOAMD64", "GOARM64", "GOPPC64", "GORISCV64":
			e.Level = s.Value
		}
	}
}

// ResidentBytes is the resident memory of this process, 0 where the system does not tell.
func ResidentBytes() int64 {
	n, err := machine.Resident(os.Getpid())
	if err != nil {
		return 0
	}
	return n
}

// field is the value of the first line "key: value" or "key=value" of a file, empty when there is none.
func field(path, key string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		at := strings.IndexAny(line, ":=")
		if at > 0 && strings.TrimSpace(line[:at]) == key {
			return strings.TrimSpace(line[at+1:])
		}
	}
	return ""
}

func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}
