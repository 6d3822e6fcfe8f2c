package host

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/plugins/internal/shm"
	"golang.org/x/sys/unix"
)

// TestFullFileSystem has a real file system in memory that is full: from the beginning, and after the first region. Tensors cross
// all the same, and nothing is left in it.
func TestFullFileSystem(t *testing.T) {
	for _, c := range []struct {
		name, size, message string
		regions             int
	}{{"from the beginning", "256k", chunksMessage, 0}, {"after a region", "1600k", moreChunksMessage, 1}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if !smallFileSystem(t, dir, c.size) {
				return // the test has run, in a process of its own
			}
			b, w := start(t, "cpu", patient)
			dev := openDevice(t, b)
			none := func(int) (*shm.Region, error) { return nil, shm.ErrUnavailable }
			b.now.regions.makers = []maker{{"memfd", none}, {dir, func(n int) (*shm.Region, error) { return shm.CreateFile(dir, n) }}}
			var held []backend.Buffer
			for i := range 3 { // each wants a region until it is read
				buf := newBuffer(t, dev, relu(t, 1<<18).Inputs[0].Type)
				if err := buf.Write(t.Context(), floats(make([]float32, 1<<18))); err != nil {
					t.Fatalf("write %d: %v", i, err)
				}
				held = append(held, buf)
			}
			runReLU(t, dev, 1<<18)
			for _, buf := range held {
				if err := buf.Read(t.Context(), make([]byte, 4<<18)); err != nil {
					t.Error(err)
				}
			}
			if n := strings.Count(w.log.String(), c.message); n != 1 || !w.log.has("level=INFO", c.message, "no space left on device") {
				t.Errorf("got log\n%s\nwant %q once, with the reason", w.log, c.message)
			}
			if got := b.now.regions.count; got != c.regions {
				t.Errorf("got %d regions, want %d", got, c.regions)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left in the folder: %v, %v", left, err)
			}
		})
	}
}

// inNamespace says that the process may mount, since it is alone with its mounts.
const inNamespace = "RESNET_RUN_TEST_IN_NAMESPACE"

// smallFileSystem mounts a file system in memory of a size on dir. Who may not mount runs the test once more, as root of a user namespace
// of its own, and gets false; where that may not be either it is skipped.
func smallFileSystem(t *testing.T, dir, size string) bool {
	t.Helper()
	err := unix.Mount("none", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700,size="+size)
	if err == nil {
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		return true
	}
	if !errors.Is(err, unix.EPERM) || os.Getenv(inNamespace) != "" {
		t.Fatalf("mount a tmpfs of %s: %v", size, err)
	}
	var pattern []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+part+"$")
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+strings.Join(pattern, "/"))
	again.Env = append(os.Environ(), inNamespace+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := again.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		t.Errorf("in a namespace of its own: %v\n%s", err, out)
	case err == nil && strings.Contains(string(out), "no tests to run"):
		t.Errorf("in a namespace of its own nothing was tested:\n%s", out)
	case err != nil:
		t.Skipf("NOT RUN: neither mounting a tmpfs nor making a user namespace is permitted: %v", err)
	}
	return false
}
