package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/fastest"
)

func TestTheFasterOfTwoOnTheProcessorComesFirst(t *testing.T) {
	lost := fastest.Rate{Err: backend.ErrDeviceLost}
	for _, c := range []struct {
		cpu, vulkan fastest.Rate
		want, why   string
	}{
		{fastest.Rate{FLOPsPerSecond: 2e11}, fastest.Rate{FLOPsPerSecond: 1.25e10}, "cpu", "measured: cpu 200 GFLOP/s, vulkan 12.5 GFLOP/s"},
		{fastest.Rate{FLOPsPerSecond: 1e9}, fastest.Rate{FLOPsPerSecond: 2e9}, "vulkan", "measured: cpu 1 GFLOP/s, vulkan 2 GFLOP/s"},
		{lost, fastest.Rate{FLOPsPerSecond: 2e9}, "vulkan", "measured: cpu " + backend.ErrDeviceLost.Error() + ", vulkan 2 GFLOP/s"},
		{fastest.Rate{FLOPsPerSecond: 1e9}, lost, "cpu", "measured: cpu 1 GFLOP/s, vulkan " + backend.ErrDeviceLost.Error()},
		{lost, lost, "cpu", "measured: cpu " + backend.ErrDeviceLost.Error() + ", vulkan " + backend.ErrDeviceLost.Error()},
	} {
		candidates := []fastest.Candidate{{Info: backend.DeviceInfo{Backend: "cpu"}}, {Info: backend.DeviceInfo{Backend: "vulkan"}}}
		order, why := ordered(candidates, []fastest.Rate{c.cpu, c.vulkan})
		if len(order) != len(preferred) || order[1].backend != c.want || why.Error() != c.why {
			t.Errorf("got %v, %q, want %s first and %q", order, why, c.want, c.why)
		}
	}
}

// emulated is the reference as a Vulkan driver that runs on the CPU would look.
type emulated struct {
	backend.Backend
	opened *int
}

func (emulated) Name() string { return "vulkan" }

func (e emulated) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	list, err := e.Backend.Devices(ctx)
	for i := range list {
		list[i].Backend, list[i].Name = "vulkan", "llvmpipe"
	}
	return list, err
}

func (e emulated) Open(ctx context.Context, id string) (backend.Device, error) {
	*e.opened++
	return e.Backend.Open(ctx, id)
}

// TestTheChoiceIsMeasuredOnce: the second start takes the figures of the first, and a damaged file is told and replaced.
func TestTheChoiceIsMeasuredOnce(t *testing.T) {
	world(t)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	opened := 0
	backends := []backend.Backend{emulated{reference.New(), &opened}, cpu.New(cpu.Options{}), reference.New()}
	devices := func(what string, wantOpened int) outcome {
		o := run(t, t.Context(), nil, nil, backends, "devices")
		if o.code != exitOK || !strings.Contains(o.stderr, "--backend auto takes cpu: ") || !strings.Contains(o.stderr, `"llvmpipe" runs on the CPU`) || !strings.Contains(o.stderr, "measured: cpu ") {
			t.Errorf("%s: got %+v, want the cpu backend, why, and what was measured", what, o)
		}
		if opened != wantOpened {
			t.Errorf("%s: the driver was opened %d times, want %d", what, opened, wantOpened)
		}
		return o
	}
	devices("first", 1)
	devices("second", 1)
	var files []string
	if err := filepath.WalkDir(cache, func(path string, d os.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), "fastest-") {
			files = append(files, path)
		}
		return err
	}); err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v, want one", files, err)
	}
	if err := os.WriteFile(files[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := devices("damaged", 2); !strings.Contains(o.stderr, files[0]) {
		t.Errorf("got %q, want a warning about %s", o.stderr, files[0])
	}
	if o := run(t, t.Context(), nil, nil, backends, "classify", "-m", "colour.safetensors", "-f", "json", "pictures"); o.code != exitOK || !strings.Contains(o.stdout, `"backend":"cpu"`) || opened != 2 {
		t.Errorf("got %+v with the driver opened %d times, want the cpu backend by the figures of the file", o, opened)
	}
}
