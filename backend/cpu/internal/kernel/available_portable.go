//go:build !amd64 && !arm64

package kernel

// available lists the sets that the processor can run, the fastest first.
func available() []*Set { return []*Set{&Portable} }
