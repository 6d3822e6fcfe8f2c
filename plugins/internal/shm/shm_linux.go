package shm

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// seals keep the size, and themselves.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// prefix begins the names of files; [Sweep] looks for it.
const prefix = "resnet-run-shm-"

// Create makes a region of size bytes of memory without a name.
//
// Errors: a size that is no multiple of [Unit], not enough memory, a kernel without sealed memfds.
func Create(size int) (*Region, error) {
	if err := checkSize(uint64(size)); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("resnet-run", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create memfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memfd:resnet-run")
	r, err := fill(f, size)
	if err == nil {
		if _, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
			err = errors.Join(fmt.Errorf("seal memfd: %w", err), r.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.path, r.sealed, r.keep = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), true, f.Close
	return r, nil
}

// CreateFile makes a region of size bytes in a new file in dir, for where the path of a memfd cannot be opened. The
// caller calls [Region.Unlink] as soon as the other side has answered.
//
// Errors: as [Create]; a folder in which no such file can be made.
func CreateFile(dir string, size int) (*Region, error) {
	if err := checkSize(uint64(size)); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("create shared file: %w", err)
	}
	f, err := lockedFile(dir)
	if err != nil {
		return nil, fmt.Errorf("create shared file: %w", err)
	}
	r, err := fill(f, size)
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()), f.Close())
	}
	r.path, r.keep, r.unlink = f.Name(), f.Close, func() error { return os.Remove(f.Name()) }
	return r, nil
}

// lockedFile makes a file that this process holds a lock on. Between the making and the lock another process's Sweep
// may take it for a dead one's; then the next name is tried.
func lockedFile(dir string) (*os.File, error) {
	var random [16]byte
	for range 10 {
		if _, err := rand.Read(random[:]); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(filepath.Join(dir, prefix+hex.EncodeToString(random[:])), os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && stillNamed(f) {
			return f, nil
		}
		_ = os.Remove(f.Name()) // whoever has the lock may have removed it before
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: each new file was taken away", dir)
}

// stillNamed reports whether the open file is the one that its name leads to.
func stillNamed(f *os.File) bool {
	open, err1 := f.Stat()
	named, err2 := os.Lstat(f.Name())
	return err1 == nil && err2 == nil && os.SameFile(open, named)
}

// fill reserves the memory of a new file, so that a full /dev/shm is an error here and no SIGBUS later, maps it and
// writes the nonce.
func fill(f *os.File, size int) (*Region, error) {
	if err := f.Chmod(0o600); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size))
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("%s: reserve %d bytes: %w", f.Name(), size, err)
		}
	}
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: map %d bytes: %w", f.Name(), size, err)
	}
	r := &Region{data: data}
	if _, err = rand.Read(r.nonce[:]); err == nil {
		_, err = r.WriteAt(r.nonce[:], 0)
	}
	if err != nil {
		return nil, errors.Join(err, unmap(data))
	}
	return r, nil
}

// Dirs are the folders for [CreateFile], best first: in memory, and entered by this user alone or sticky.
func Dirs() []string {
	dirs := []string{"/dev/shm"}
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		dirs = append(dirs, run)
	}
	return dirs
}

// Sweep removes the files of [CreateFile] in dir whose makers have died, and says how many.
//
// Errors: a folder that cannot be listed. Files that cannot be opened, as those of other users, are passed over.
func Sweep(dir string) (removed int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("sweep shared files: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.Type().IsRegular() && sweep(filepath.Join(dir, e.Name())) {
			removed++
		}
	}
	return removed, nil
}

// sweep removes a file if nobody holds its lock.
func sweep(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was not written
	if private(f, -1) != nil || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false
	}
	return os.Remove(path) == nil
}

// private checks that an open file is one that only this user can reach; a size of -1 is any.
func private(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || int64(stat.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("want a regular file of this user without permissions for others, got mode %v", info.Mode())
	}
	if size >= 0 && info.Size() != size {
		return fmt.Errorf("want a file of %d bytes, got %d", size, info.Size())
	}
	return nil
}

// Open maps a region that another process has made, and proves it by writing the complement of the nonce.
//
// Errors: path is not absolute or cannot be opened; it is not a private regular file of exactly size bytes of this
// user; it does not begin with nonce; a size that is no multiple of [Unit].
func Open(path string, size uint64, nonce []byte) (*Region, error) {
	if err := checkSize(size); err != nil {
		return nil, err
	}
	if len(nonce) != NonceBytes || !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return nil, fmt.Errorf("open region: want an absolute, clean path and a nonce of %d bytes, got %.200q and %d", NonceBytes, path, len(nonce))
	}
	r, err := open(path, int64(size), [NonceBytes]byte(nonce))
	if err != nil {
		return nil, fmt.Errorf("open region: %.200q: %w", path, err)
	}
	return r, nil
}

func open(path string, size int64, nonce [NonceBytes]byte) (*Region, error) {
	flags := os.O_RDWR | unix.O_CLOEXEC | unix.O_NONBLOCK // no waiting for whoever should read a pipe
	if !strings.HasPrefix(path, "/proc/") {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := openFile(path, flags)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { _ = f.Close() }() // the mapping stays
	if err := private(f, size); err != nil {
		return nil, err
	}
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	sealed := err == nil && got&(unix.F_SEAL_SHRINK) != 0
	data, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	r := &Region{data: data, nonce: nonce, sealed: sealed}
	var begin [NonceBytes]byte
	if _, err = r.ReadAt(begin[:], 0); err == nil && begin != nonce {
		err = errors.New("want the nonce at its beginning, got something else")
	}
	if err == nil {
		proof := complement(nonce)
		_, err = r.WriteAt(proof[:], 0)
	}
	if err != nil {
		return nil, errors.Join(err, unmap(data))
	}
	return r, nil
}

func openFile(path string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Open(path, flags, 0); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func unmap(data []byte) error { return unix.Munmap(data) }
