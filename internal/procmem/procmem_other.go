//go:build !linux

package procmem

// Resident is the memory in bytes that a process has at this moment.
//
// Errors: wraps [ErrUnknown]: it is written for Linux only.
func Resident(int) (int64, error) { return 0, ErrUnknown }

// Available is the memory in bytes that this program and its children can still take.
//
// Errors: wraps [ErrUnknown]: it is written for Linux only.
func Available() (int64, error) { return 0, ErrUnknown }

// VolunteerFirst asks the system to end this process before others when memory runs out; here it does nothing.
func VolunteerFirst() {}
