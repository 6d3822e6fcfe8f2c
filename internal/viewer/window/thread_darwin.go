//go:build viewer

package window

import "runtime"

// On macOS windows belong to the thread that the process began with, which the main goroutine has until it is moved.
func init() { runtime.LockOSThread() }
