package machine

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processor reads the first "model name" of the kernel's list; some architectures have none.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Installed is the memory of the machine in bytes; 0 when it cannot be told.
func Installed() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit))
}

// Resident is the memory in bytes that a process has at this moment, shared pages included.
//
// Errors: wraps [ErrUnknown], or the process has ended.
func Resident(pid int) (int64, error) {
	// proc(5): size, resident, … in pages.
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	if f := strings.Fields(string(text)); len(f) > 1 {
		if pages, err := strconv.ParseInt(f[1], 10, 64); err == nil {
			return pages * int64(os.Getpagesize()), nil
		}
	}
	return 0, fmt.Errorf("read memory of process %d: %w: got %.80q", pid, ErrUnknown, text)
}

// Available is the memory in bytes that this program and its children can still take without swapping: that of the
// machine, or of the control group (version 2, at the container's root) when that is less.
//
// Errors: wraps [ErrUnknown].
func Available() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read available memory: %w: %w", ErrUnknown, err)
	}
	free, ok := available(string(text))
	if !ok {
		return 0, fmt.Errorf("read available memory: %w: no MemAvailable in /proc/meminfo", ErrUnknown)
	}
	limit, limited := count("/sys/fs/cgroup/memory.max") // "max" when there is none
	used, known := count("/sys/fs/cgroup/memory.current")
	if limited && known {
		free = min(free, max(0, limit-used))
	}
	return free, nil
}

// available finds the line "MemAvailable:   12345 kB".
func available(meminfo string) (int64, bool) {
	for line := range strings.Lines(meminfo) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err == nil && kib >= 0
		}
	}
	return 0, false
}

func count(path string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// VolunteerFirst asks the kernel to end this process before others when memory runs out.
func VolunteerFirst() {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // a wish: nothing depends on it
}
