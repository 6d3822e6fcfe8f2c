// Package machine tells what the machine is: its processor, its memory, and how much of that a process takes, where the system says so. The last
// is what a watchdog needs that must not let a child process take the whole machine.
//
// Why not a limit of the system's own: RLIMIT_AS counts address space, of which drivers for GPUs and Go itself reserve
// much more than they use, and control groups need rights that a program rarely has.
package machine

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
)

// Processor is what the system calls the processor, or its architecture.
func Processor() string {
	if name := processor(); name != "" {
		return name
	}
	return runtime.GOARCH + " processor"
}

// ErrUnknown is wrapped where the system does not tell.
var ErrUnknown = errors.New("not known on this system")

// units of ParseSize, longest first.
var units = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}, {"", 1}}

// ParseSize reads a size in bytes: a whole number with or without one of the units B, KiB, MiB, GiB, TiB.
func ParseSize(text string) (int64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("read size: want a number of bytes, or one with KiB, MiB, GiB or TiB, got %.40q", text)
}
