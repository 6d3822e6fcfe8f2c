//go:build !linux

package cpu

import "runtime"

func memoryBytes() int64    { return 0 }
func processorName() string { return runtime.GOARCH + " processor" }
