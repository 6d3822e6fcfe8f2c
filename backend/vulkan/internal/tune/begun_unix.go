//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package tune

import (
	"errors"
	"os"
	"syscall"
)

// endsWithProcess: the system takes the locks of a process that ended.
const endsWithProcess = true

// hold locks a file until it is closed or the process ends. It is false when another process holds it.
func hold(file *os.File) (bool, error) {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
