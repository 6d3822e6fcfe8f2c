package cpu

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of the pages that wantHugePages asks for.
const hugePage = 2 << 20

// wantHugePages asks the system to back the memory of v with pages of 2 MiB: weights are read once a run, tens of megabytes in a row, and with
// pages of 4 KiB every one of them is a miss in the processor's table of translations. Most systems do this only when they are asked. What is around v in
// its first and last page goes along; it is memory of the Go heap too, whose arenas begin and end on such a boundary. A
// system that declines changes nothing.
func wantHugePages(v []float32) {
	if len(v) == 0 {
		return
	}
	p := uintptr(unsafe.Pointer(unsafe.SliceData(v)))
	first, end := p&^(hugePage-1), (p+uintptr(4*len(v))+hugePage-1)&^(hugePage-1)
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, first, end-first, unix.MADV_HUGEPAGE)
}
