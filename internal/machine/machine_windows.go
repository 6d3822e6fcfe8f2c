package machine

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

var (
	kernel32      = windows.NewLazySystemDLL("kernel32.dll")
	memoryStatus  = kernel32.NewProc("GlobalMemoryStatusEx")
	processMemory = kernel32.NewProc("K32GetProcessMemoryInfo")
)

// processor reads the registry.
func processor() string {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `HARDWARE\DESCRIPTION\System\CentralProcessor\0`, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer k.Close() //nolint:errcheck // it was only read
	name, _, err := k.GetStringValue("ProcessorNameString")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(name)
}

// memoryStatusEx is MEMORYSTATUSEX.
type memoryStatusEx struct {
	length, load                     uint32
	totalPhysical, availablePhysical uint64
	totalPageFile, availablePageFile uint64
	totalVirtual, availableVirtual   uint64
	availableExtendedVirtual         uint64
}

func status() (memoryStatusEx, error) {
	s := memoryStatusEx{}
	s.length = uint32(unsafe.Sizeof(s))
	if ok, _, err := memoryStatus.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return s, fmt.Errorf("read the state of memory: %w: %w", ErrUnknown, err)
	}
	return s, nil
}

// Installed is the memory of the machine in bytes; 0 when it cannot be told.
func Installed() int64 {
	s, err := status()
	if err != nil {
		return 0
	}
	return int64(s.totalPhysical)
}

// Available is the memory in bytes that this program and its children can still take without swapping.
//
// Errors: wraps [ErrUnknown].
func Available() (int64, error) {
	s, err := status()
	return int64(s.availablePhysical), err
}

// processMemoryCounters is PROCESS_MEMORY_COUNTERS.
type processMemoryCounters struct {
	size, pageFaults                 uint32
	peakWorkingSet, workingSet       uintptr
	peakPagedPool, pagedPool         uintptr
	peakNonPagedPool, nonPagedPool   uintptr
	pagefileUsage, peakPagefileUsage uintptr
}

// Resident is the memory in bytes that a process has at this moment, shared pages included: its working set.
//
// Errors: wraps [ErrUnknown], or the process has ended.
func Resident(pid int) (int64, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	defer windows.CloseHandle(h) //nolint:errcheck // nothing was changed
	c := processMemoryCounters{}
	c.size = uint32(unsafe.Sizeof(c))
	if ok, _, err := processMemory.Call(uintptr(h), uintptr(unsafe.Pointer(&c)), uintptr(c.size)); ok == 0 {
		return 0, fmt.Errorf("read memory of process %d: %w: %w", pid, ErrUnknown, err)
	}
	return int64(c.workingSet), nil
}

// VolunteerFirst asks the system to end this process before others when memory runs out; here it does nothing.
func VolunteerFirst() {}
