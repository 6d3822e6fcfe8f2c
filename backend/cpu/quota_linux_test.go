package cpu

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestQuotaOfControlGroups(t *testing.T) {
	const (
		v2    = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
		v1    = "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
		inner = "32 24 0:27 /docker/1f /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		set   = "33 24 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
	)
	none := math.Inf(1)
	for _, c := range []struct {
		name, mounts, groups string
		files                map[string]string
		want                 float64
	}{
		{"nothing is there", "", "", nil, none},
		{"v2", v2, "0::/a/b\n", map[string]string{"sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5},
		{"v2, no limit", v2, "0::/a\n", map[string]string{"sys/fs/cgroup/a/cpu.max": "max 100000\n"}, none},
		{"v2, the limit of a group further out", v2, "0::/a/b\n", map[string]string{
			"sys/fs/cgroup/a/cpu.max": "50000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n"}, 0.5},
		{"v2, a file of something else", v2, "0::/a\n", map[string]string{"sys/fs/cgroup/a/cpu.max": "hello\n"}, none},
		{"v1", set + v1, "5:cpuset:/x\n4:cpu,cpuacct:/a\n", map[string]string{
			"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}, 3},
		{"v1, no limit", v1, "4:cpu,cpuacct:/\n", map[string]string{
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, none},
		{"v1 in a container that sees its own group only", inner, "4:cpu:/docker/1f\n", map[string]string{
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "25000\n"}, 2},
		{"a group that is not below what is mounted", v2, "0::/../..\n", map[string]string{"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1},
		{"v1 without the cpu controller", set, "5:cpuset:/x\n", nil, none},
	} {
		root := t.TempDir()
		files := map[string]string{"proc/self/cgroup": c.groups, "proc/self/mountinfo": c.mounts}
		for name, text := range c.files {
			files[name] = text
		}
		for name, text := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := quotaCPUs(root); got != c.want {
			t.Errorf("%s: got %g processors, want %g", c.name, got, c.want)
		}
	}
}

const quotaChild = "RESNET_RUN_TEST_QUOTA_CHILD"

// TestThreadsFollowARealQuota makes a control group and runs itself in it.
func TestThreadsFollowARealQuota(t *testing.T) {
	if os.Getenv(quotaChild) != "" {
		d, err := New(Options{}).Open(context.Background(), "cpu")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("threads=%s\n", d.Info().Properties["threads"])
		return
	}
	if err := exec.Command(os.Args[0], "-test.list=^$").Run(); errors.Is(err, syscall.ENOEXEC) {
		t.Skip("this program runs under emulation, which a child would not")
	}
	for quota, want := range map[int]string{50000: "1", 100000: "1"} { // of 100000 µs; more would need more processors
		group := quotaGroup(t, quota)
		// The shell enters the group before the program starts, as a container's does.
		cmd := exec.Command("sh", "-c", `echo $$ > "$1/cgroup.procs" && exec "$2" -test.run='^TestThreadsFollowARealQuota$'`, "sh", group, os.Args[0])
		cmd.Env = append(os.Environ(), quotaChild+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !strings.Contains(string(out), "threads="+want+"\n") {
			t.Errorf("quota of %d µs in 100000: got %s, want %s threads", quota, out, want)
		}
	}
}

// quotaGroup makes a control group with a quota, of version 2 or 1, whichever the machine lets us.
func quotaGroup(t *testing.T, quota int) string {
	t.Helper()
	name := fmt.Sprintf("resnet-run-test-%d-%d", os.Getpid(), quota)
	var reasons []string
	for _, c := range []struct{ dir, file, text string }{
		{"/sys/fs/cgroup", "cpu.max", fmt.Sprintf("%d 100000", quota)},
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", fmt.Sprint(quota)},
		{"/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", fmt.Sprint(quota)},
	} {
		group := filepath.Join(c.dir, name)
		if err := os.Mkdir(group, 0o700); err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		err := writeExisting(filepath.Join(group, c.file), c.text)
		if err == nil {
			t.Cleanup(func() { _ = os.Remove(group) })
			return group
		}
		reasons = append(reasons, err.Error())
		_ = os.Remove(group) // a folder of tmpfs, or a group without the controller
	}
	t.Skipf("no control group with a CPU quota can be made here: %s", strings.Join(reasons, "; "))
	return ""
}

func writeExisting(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
