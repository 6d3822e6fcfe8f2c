package vulkan

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/tune"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
	"github.com/resnet-run/resnet-run/internal/backendtest"
	"github.com/resnet-run/resnet-run/shaders"
)

// endEnv makes a process of the test's own meet a driver that ends it in a proof. Its value is the folder of the cache.
const endEnv = "RESNET_RUN_TEST_END"

// endStatus is that of a process that ended in a proof.
const endStatus = 77

// TestAProofThatEndsTheProgramIsRemembered: the next start strikes the kernel off, says so, and runs another.
func TestAProofThatEndsTheProgramIsRemembered(t *testing.T) {
	g := parseBound(t, twoConvs)
	if dir := os.Getenv(endEnv); dir != "" {
		eachFreshDevice(t, Options{CacheDir: dir, Logger: slog.New(slog.DiscardHandler), spirv: endsInProof(t, dir)}, func(t *testing.T, d *device) { judge(t, d, g, backendtest.Input(g)) })
		return
	}
	dir := t.TempDir()
	end := func() {
		t.Helper()
		out, err := vktest.InProcess(t, "^TestAProofThatEndsTheProgramIsRemembered$", endEnv+"="+dir)
		if ended := new(exec.ExitError); !errors.As(err, &ended) || ended.ExitCode() != endStatus {
			t.Fatalf("the child: %v, want exit status %d\n%s", err, endStatus, out)
		}
	}
	var blamed []string
	end() // while pipelines are made side by side: there is nobody to blame but that
	eachFreshDevice(t, Options{CacheDir: dir, Logger: slog.New(slog.DiscardHandler), Unproved: true}, func(t *testing.T, d *device) {
		for _, p := range d.outcomes.known.Proofs() {
			if p.Struck {
				blamed = append(blamed, p.Kernel)
			}
		}
	})
	if !slices.Equal(blamed, []string{tune.Together}) {
		t.Errorf("struck off: got %q, want %q", blamed, tune.Together)
	}
	end() // one by one
	var log bytes.Buffer
	o := Options{CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	struck := 0
	eachFreshDevice(t, o, func(t *testing.T, d *device) {
		var names []string
		for _, p := range d.outcomes.known.Proofs() {
			if p.Struck && strings.Contains(p.Reason, "ended in the middle") && p.Shape == "" {
				names = append(names, p.Kernel)
			}
		}
		struck += len(names)
		judge(t, d, g, backendtest.Input(g))
		for _, name := range names {
			if got := chosenFor(t, d, g); slices.Contains(got, name) {
				t.Errorf("%s was chosen, which ended a process: %v", name, got)
			}
			if !strings.Contains(log.String(), "kernel="+name) {
				t.Errorf("the log does not name %s: %s", name, log.String())
			}
		}
	})
	if struck != 1 {
		t.Errorf("%d kernels were struck off, want the one whose proof ended the process", struck)
	}
	if list, err := filepath.Glob(filepath.Join(dir, "*.begun-*")); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// endsInProof is code whose use, in the proof of a convolution, ends the process.
func endsInProof(t *testing.T, dir string) func(*shaders.Variant) []uint32 {
	return func(v *shaders.Variant) []uint32 {
		list, err := filepath.Glob(filepath.Join(dir, "*.begun-*"))
		if err != nil {
			t.Error(err)
		}
		for _, path := range list {
			if info, err := os.Stat(path); err == nil && info.Size() > 0 && strings.HasPrefix(v.Name, "conv2d") {
				os.Exit(endStatus)
			}
		}
		return v.SPIRV()
	}
}
