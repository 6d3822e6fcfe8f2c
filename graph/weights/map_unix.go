//go:build unix

package weights

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps the whole file read-only, and takes the file over when it succeeds: what lies in it is asked for again.
func mapFile(f *os.File, st os.FileInfo) (*mapping, error) {
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %q: %w", f.Name(), err)
	}
	return &mapping{
		data:  data,
		unmap: func() error { return errors.Join(unix.Munmap(data), f.Close()) },
		check: func() error {
			now, err := f.Stat()
			if err != nil {
				return err
			}
			if now.Size() < st.Size() {
				return errShrunk
			}
			if now.Size() != st.Size() || !now.ModTime().Equal(st.ModTime()) {
				return errChanged
			}
			return nil
		},
		forget: func(from, to int) {
			page := os.Getpagesize()
			if from = (from + page - 1) / page * page; to > from {
				_ = unix.Madvise(data[from:to], unix.MADV_DONTNEED) // advice: without it the pages stay in memory
			}
		},
	}, nil
}
