package weights

import (
	"errors"
	"runtime/debug"
)

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
