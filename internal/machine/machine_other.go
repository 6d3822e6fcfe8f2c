//go:build !linux && !windows

package machine

func processor() string { return "" }

// Installed is the memory of the machine in bytes; 0 when it cannot be told.
func Installed() int64 { return 0 }

// Resident is the memory in bytes that a process has at this moment.
//
// Errors: wraps [ErrUnknown]: it is written for Linux and Windows only.
func Resident(int) (int64, error) { return 0, ErrUnknown }

// Available is the memory in bytes that this program and its children can still take.
//
// Errors: wraps [ErrUnknown]: it is written for Linux and Windows only.
func Available() (int64, error) { return 0, ErrUnknown }

// VolunteerFirst asks the system to end this process before others when memory runs out; here it does nothing.
func VolunteerFirst() {}
