package tune

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// endsWithProcess: the system takes the locks of a process that ended, though not always at once.
const endsWithProcess = true

// hold locks a file until it is closed or the process ends. It is false when another process holds it. The locked byte is far behind the contents:
// unlike elsewhere, nobody else could read what is locked.
func hold(file *os.File) (bool, error) {
	const behind = 1 << 30
	at := windows.Overlapped{Offset: behind}
	err := windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}
