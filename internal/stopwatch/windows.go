//go:build windows

package stopwatch

import (
	"math/bits"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	kernel32 = windows.NewLazySystemDLL("kernel32.dll")
	counter  = kernel32.NewProc("QueryPerformanceCounter")
	// begin and zero are of the same moment, frequency is steps a second: it is the same as long as the system runs.
	begin     = time.Now()
	zero      = query(counter)
	frequency = query(kernel32.NewProc("QueryPerformanceFrequency"))
)

// query calls one of the two functions, which cannot fail since Windows XP.
func query(p *windows.LazyProc) uint64 {
	var v int64
	_, _, _ = p.Call(uintptr(unsafe.Pointer(&v)))
	return uint64(v)
}

func now() time.Time {
	// The product has more than 64 bits after some years of 10 million steps a second.
	hi, lo := bits.Mul64(query(counter)-zero, uint64(time.Second))
	nanoseconds, _ := bits.Div64(hi, lo, frequency)
	return begin.Add(time.Duration(nanoseconds))
}
