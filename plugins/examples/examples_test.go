package examples_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/plugins/examples"
	"github.com/resnet-run/resnet-run/plugins/host"
)

const (
	// testPlugins asks for the examples that need more than Go.
	testPlugins = "RESNET_RUN_TEST_PLUGINS"
	// requirePlugins makes it a failure that such an example cannot be tested here.
	requirePlugins = "RESNET_RUN_REQUIRE_PLUGINS"
	// full runs the full profile over the wire.
	full = "RESNET_RUN_FULL"
)

// TestGoNaiveConforms runs the suite on the example as the plugin that it is.
func TestGoNaiveConforms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), host.Prefix+"go-naive")
	command(t, 5*time.Minute, "go", "build", "-o", filepath.Join(dir, host.Prefix+"go-naive"+exe()), "./go-naive")
	manifest, err := os.ReadFile("go-naive/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if exe() != "" {
		manifest = bytes.ReplaceAll(manifest, []byte(host.Prefix+"go-naive"), []byte(host.Prefix+"go-naive"+exe()))
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	filter, least := "^(contract|outputs|inputs)/|^conv2d/n1-.*/integers$", 80
	if testing.Short() {
		filter, least = "^(contract|outputs)/", 25
	}
	conform(t, dir, conformance.Options{Filter: filter}, least)
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// TestPythonONNXRuntimeConforms runs the quick profile on an engine that is not ours, through the protocol. It fetches
// Python packages, so it runs where it is asked for.
func TestPythonONNXRuntimeConforms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), host.Prefix+"python-onnxruntime")
	prepare(t, "sh", "python-onnxruntime/setup", dir)
	conform(t, dir, conformance.Options{}, 2600)
}

// TestCppConforms runs the quick profile on the example that shares no line with the Go packages. It needs a C++ compiler
// and gRPC for C++.
func TestCppConforms(t *testing.T) {
	build := t.TempDir()
	prepare(t, "make", "-C", "cpp", "BUILD="+build)
	conform(t, filepath.Join(build, host.Prefix+"cpp"), conformance.Options{}, 2600)
}

// prepare runs a command that needs what may not be there. It is run where that is asked for, and then it says why not.
func prepare(t *testing.T, name string, args ...string) {
	t.Helper()
	if os.Getenv(testPlugins) == "" && os.Getenv(requirePlugins) == "" {
		t.Skipf("NOT RUN: it needs more than Go; %s=1 asks for it, %s=1 requires it", testPlugins, requirePlugins)
	}
	if out, err := output(t, 20*time.Minute, name, args...); err != nil {
		if os.Getenv(requirePlugins) != "" {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		t.Skipf("NOT RUN: %s: %v\n%s", name, err, out)
	}
}

// conform seals, trusts and starts the plugin in dir, runs the suite on it, and wants so many cases to have passed. Then
// it runs some cases without shared memory.
func conform(t *testing.T, dir string, o conformance.Options, least int) {
	t.Helper()
	if err := host.Seal(dir); err != nil {
		t.Fatal(err)
	}
	found, err := host.Find([]string{filepath.Dir(dir)})
	if err != nil || len(found) != 1 || found[0].Err != nil {
		t.Fatalf("got %+v, %v, want the one plugin", found, err)
	}
	lock := filepath.Join(t.TempDir(), "plugins.lock")
	if _, err := host.Trust(lock, found[0]); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(full) != "" {
		o.Profile, o.Filter = conformance.Full, ""
	}
	o.Strict = true
	t.Run("shared memory", func(t *testing.T) { runSuite(t, found[0], host.Options{LockPath: lock}, o, least) })
	o.Filter = "^contract/(buffer|compile)/"
	t.Run("chunks", func(t *testing.T) { runSuite(t, found[0], host.Options{LockPath: lock, NoSharedMemory: true}, o, 8) })
}

func runSuite(t *testing.T, p host.Plugin, ho host.Options, o conformance.Options, least int) {
	var log bytes.Buffer
	ho.TempDir, ho.Logger = shortTemp(t), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	b := host.New(p, ho)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", log.String())
		}
	})
	list, err := b.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := conformance.Run(t, func(t *testing.T) backend.Device {
		device, err := b.Open(t.Context(), list[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return device
	}, o)
	if err := conformance.Verdict(sum, true); err != nil || sum.Passed < least {
		t.Errorf("got %v, %v, want at least %d cases to have passed", sum, err, least)
	}
}

// shortTemp is a folder for sockets, whose paths have at most 107 bytes.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func output(t *testing.T, limit time.Duration, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func command(t *testing.T, limit time.Duration, name string, args ...string) {
	t.Helper()
	if out, err := output(t, limit, name, args...); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func TestTheSkeletonIsTheExampleUnderAnotherName(t *testing.T) {
	files, err := examples.Skeleton("my-chip")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("go-naive")
	if err != nil || len(entries) != len(files) {
		t.Errorf("got %d files, %v, want all %d of the example", len(files), err, len(entries))
	}
	for name, got := range files {
		want, err := os.ReadFile(filepath.Join("go-naive", name))
		if err != nil {
			t.Error(err)
		}
		if text := strings.ReplaceAll(string(want), "go-naive", "my-chip"); text != string(got) {
			t.Errorf("%s differs", name)
		}
	}
	main, err := os.ReadFile("go-naive/main.go")
	if n := bytes.Count(main, []byte("\n")); err != nil || n >= 150 {
		t.Errorf("main.go has %d lines, %v: want fewer than 150", n, err)
	}
}
