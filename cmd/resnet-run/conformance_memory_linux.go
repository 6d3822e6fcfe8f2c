package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/resnet-run/resnet-run/internal/machine"
)

// residentOf is the memory in bytes that a process and all processes below it have at this moment. Pages that several of
// them share, such as tensors that a plugin takes over, count for each.
//
// Errors: those of [machine.Resident] about the process itself. Others may have ended by now, and are nothing then.
func residentOf(pid int) (int64, error) {
	sum, err := machine.Resident(pid)
	if err != nil {
		return 0, err
	}
	seen := map[int]bool{pid: true} // numbers are used again while we look
	for left := []int{pid}; len(left) > 0; left = left[1:] {
		for _, c := range childrenOf(left[0]) {
			if seen[c] {
				continue
			}
			seen[c] = true
			left = append(left, c)
			if n, err := machine.Resident(c); err == nil {
				sum += n
			}
		}
	}
	return sum, nil
}

// childrenOf are the processes that the threads of a process have started. A look at every process of the machine, ten
// times a second, would cost more; kernels without CONFIG_PROC_CHILDREN tell of none.
func childrenOf(pid int) []int {
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children") // the pattern is right
	var list []int
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(word); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}
