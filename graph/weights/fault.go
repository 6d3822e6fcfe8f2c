package weights

import (
	"errors"
	"runtime/debug"
)

// errChanged is about a file that somebody wrote to after it was opened.
var errChanged = errors.New("it was written to after it was opened")

// mapping is a file in memory.
type mapping struct {
	path   string // of a file beside the weights file; empty for that itself
	data   []byte
	unmap  func() error
	check  func() error       // errChanged, once the file is not what it was
	forget func(from, to int) // lets go of the memory of whole pages of bytes from..to; they are read again when needed
}

var errShrunk = errors.New("the file became shorter, or unreadable, while it was being read")

// guard runs f, which may touch mapped memory, and returns an error when a page of the file cannot be read, for
// example because somebody truncated the file meanwhile. Without it the system would end the program (SIGBUS).
func guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			if fault, ok := r.(interface{ Addr() uintptr }); ok && fault.Addr() != 0 {
				err = errShrunk
				return
			}
			panic(r)
		}
	}()
	return f()
}
