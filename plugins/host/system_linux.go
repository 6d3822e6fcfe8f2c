package host

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// changeTime is when a file or its name was changed last; unlike the time of modification nobody can set it back.
func changeTime(info os.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// attributes make a process the leader of a group of its own, so that the terminal's Ctrl-C does not reach it and its
// children end with it, and end it with the thread that started it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// executablePath is a path that leads to the open file itself, whatever is at its name by now.
func executablePath(f *os.File) string {
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if _, err := os.Stat(path); err != nil {
		return f.Name()
	}
	return path
}

// confine sets limits of a new process: no core files, which would hold the user's data; and twice the memory that the
// watch allows, so that one huge allocation fails in the plugin before the watch looks.
func confine(pid int, memory int64) error {
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err != nil {
		return fmt.Errorf("set limit of core files: %w", err)
	}
	if memory <= 0 {
		return nil
	}
	var now unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_DATA, nil, &now)
	if err == nil {
		most := min(uint64(memory)*2+1<<30, now.Max) // who is not root cannot raise it
		err = unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}, nil)
	}
	if err != nil {
		return fmt.Errorf("set limit of memory: %w", err)
	}
	return nil
}

// awaitExit waits until a child process has ended, and leaves it to be waited for; false when it cannot.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}
