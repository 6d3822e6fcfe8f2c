//go:build unix

package host

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// onlyOurs refuses a file that another user could have written.
func onlyOurs(info os.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Getuid() && st.Uid != 0 {
		return fmt.Errorf("want a file of your own, got one of user %d", st.Uid)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("want a file that only you can write, got mode %v", info.Mode())
	}
	return nil
}

// mayExecute says whether a file can be a program.
func mayExecute(info os.FileInfo) error {
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("want a file that may be executed, got mode %v", info.Mode())
	}
	return nil
}

// exclusive waits for the only lock on a file, which is made if need be.
func exclusive(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // which unlocks
}

// killGroup kills a process and those that it started.
func killGroup(pid int) {
	if pid > 0 {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // it may be gone
	}
}

// lockFolder marks a folder as in use until unlock.
func lockFolder(dir string) (unlock func(), err error) { return lockDir(dir, syscall.LOCK_EX) }

// tryLockFolder is lockFolder that fails when somebody else has marked it.
func tryLockFolder(dir string) (unlock func(), err error) {
	return lockDir(dir, syscall.LOCK_EX|syscall.LOCK_NB)
}

func lockDir(dir string, how int) (func(), error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}
