//go:build !linux

package shm

// Create always fails on this system.
func Create(int) (*Region, error) { return nil, ErrUnavailable }

// CreateFile always fails on this system.
func CreateFile(string, int) (*Region, error) { return nil, ErrUnavailable }

// Dirs returns nothing on this system.
func Dirs() []string { return nil }

// Sweep finds nothing on this system.
func Sweep(string) (removed int, err error) { return 0, nil }

// Open always fails on this system.
func Open(string, uint64, []byte) (*Region, error) { return nil, ErrUnavailable }

func unmap([]byte) error { return nil }
