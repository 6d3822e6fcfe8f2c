package host

import (
	"errors"
	"os"
	"syscall"
)

func onlyOurs(os.FileInfo) error { return nil }

func mayExecute(os.FileInfo) error { return nil }

func exclusive(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
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
