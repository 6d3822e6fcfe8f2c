package host

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

func onlyOurs(os.FileInfo) error { return nil }

func mayExecute(os.FileInfo) error { return nil }

// exclusive waits for the only lock on a file, which is made if need be.
func exclusive(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &windows.Overlapped{}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which unlocks
}

func attributes() *syscall.SysProcAttr { return nil }

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil && pid > 0 {
		_ = p.Kill()
	}
}

func lockFolder(string) (unlock func(), err error) { return func() {}, nil }

func tryLockFolder(string) (unlock func(), err error) {
	return nil, errors.New("folders cannot be locked on this system")
}
