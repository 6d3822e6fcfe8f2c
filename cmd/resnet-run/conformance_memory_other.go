//go:build !linux

package main

import "github.com/resnet-run/resnet-run/internal/machine"

// residentOf is the memory in bytes that a process has at this moment.
func residentOf(pid int) (int64, error) { return machine.Resident(pid) }
