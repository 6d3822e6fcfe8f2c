package cpu

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// quotaCPUs is how many processors' time the control groups of the process allow it, infinite when there is no limit or it
// cannot be read. Files lie below root, "/" but in tests.
//
// The Go runtime looks at the same limit for GOMAXPROCS and never goes below two, for the garbage collector's sake.
//
// Source: cgroups(7); Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst of the Linux kernel.
func quotaCPUs(root string) float64 {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return math.Inf(1)
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return math.Inf(1)
	}
	quota := math.Inf(1)
	for s := bufio.NewScanner(bytes.NewReader(groups)); s.Scan(); { // ID:CONTROLLERS:PATH
		f := strings.SplitN(s.Text(), ":", 3)
		if len(f) != 3 {
			continue
		}
		isV2 := f[0] == "0" && f[1] == ""
		if !isV2 && !hasWord(f[1], "cpu") {
			continue
		}
		top, dir, ok := groupFolder(mounts, isV2, f[2])
		for ok { // a limit of a group holds for those in it
			quota = min(quota, groupQuota(filepath.Join(root, dir), isV2))
			if dir == top || len(dir) <= len(top) {
				break
			}
			dir = filepath.Dir(dir)
		}
	}
	return quota
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// groupFolder finds where a hierarchy is mounted, and the folder of a group in it.
func groupFolder(mounts []byte, isV2 bool, group string) (top, dir string, ok bool) {
	for s := bufio.NewScanner(bytes.NewReader(mounts)); s.Scan(); { // ID PARENT DEV ROOT POINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS
		place, kind, found := strings.Cut(s.Text(), " - ")
		f, k := strings.Fields(place), strings.Fields(kind)
		if !found || len(f) < 5 || len(k) < 3 {
			continue
		}
		if isV2 && k[0] != "cgroup2" || !isV2 && (k[0] != "cgroup" || !hasWord(k[2], "cpu")) {
			continue
		}
		if rest, inside := strings.CutPrefix(group, strings.TrimSuffix(f[3], "/")); inside && !strings.Contains(rest, "..") {
			return filepath.Clean(f[4]), filepath.Join(f[4], rest), true
		}
		return filepath.Clean(f[4]), filepath.Clean(f[4]), true // as containers see it: what is mounted is their own group
	}
	return "", "", false
}

// groupQuota reads the limit of one group.
func groupQuota(dir string, isV2 bool) float64 {
	var fields []string
	if isV2 { // "max 100000" or "QUOTA PERIOD"
		fields = strings.Fields(readText(filepath.Join(dir, "cpu.max")))
	} else {
		fields = strings.Fields(readText(filepath.Join(dir, "cpu.cfs_quota_us")) + " " + readText(filepath.Join(dir, "cpu.cfs_period_us")))
	}
	if len(fields) != 2 {
		return math.Inf(1)
	}
	quota, err1 := strconv.ParseFloat(fields[0], 64)
	period, err2 := strconv.ParseFloat(fields[1], 64)
	if err1 != nil || err2 != nil || !(quota > 0) || !(period > 0) { // v1 writes -1 for none
		return math.Inf(1)
	}
	return quota / period
}

func readText(path string) string {
	b, _ := os.ReadFile(path) // a file that is not there says nothing
	return string(b)
}
