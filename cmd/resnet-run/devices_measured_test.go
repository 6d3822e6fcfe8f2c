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
		{fastest.Rate{FLOPsPerSecond: 1e9}, fastest.Rate{FLOPsPerSecond: 9e9, Err: backend.ErrDeviceLost}, "cpu", "measured: cpu 1 GFLOP/s, vulkan " + backend.ErrDeviceLost.Error()},
		{lost, lost, "cpu", "measured: cpu " + backend.ErrDeviceLost.Error() + ", vulkan " + backend.ErrDeviceLost.Error()},
	} {
		candidates := []fastest.Candidate{{Info: backend.DeviceInfo{Backend: "cpu"}}, {Info: backend.DeviceInfo{Backend: "vulkan"}}}
		order, why := ordered(candidates, []fastest.Rate{c.cpu, c.vulkan})
		if len(order) != len(preferred) || order[1].backend != c.want || why.Error() != c.why {
			t.Errorf("got %v, %q, want %s first and %q", order, why, c.want, c.why)
		}
	}
}

// emulated is the reference as a Vulkan device would look.
type emulated struct {
	backend.Backend
	opened *int
	kind   backend.DeviceType
}

func (emulated) Name() string { return "vulkan" }

func (e emulated) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	list, err := e.Backend.Devices(ctx)
	for i := range list {
		list[i].Backend, list[i].Name, list[i].Type = "vulkan", "llvmpipe", e.kind
	}
	return list, err
}

func (e emulated) Open(ctx context.Context, id string) (backend.Device, error) {
	*e.opened++
	dev, err := e.Backend.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	list, err := e.Devices(ctx)
	return looksLike{dev, list[0]}, err
}

type looksLike struct {
	backend.Device
	info backend.DeviceInfo
}

func (l looksLike) Info() backend.DeviceInfo { return l.info }

// ownCache gives a test a folder for caches of its own.
func ownCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, dir)
	}
	return dir
}

// TestTheChoiceIsMeasuredOnce: the second start takes the figures of the first, and a damaged file is told and replaced.
func TestTheChoiceIsMeasuredOnce(t *testing.T) {
	world(t)
	cache := ownCache(t)
	opened := 0
	backends := []backend.Backend{emulated{reference.New(), &opened, backend.CPU}, cpu.New(cpu.Options{}), reference.New()}
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

// TestAGPUBesideTheProcessorIsMeasured: a small one may be slower than the processor, so that a measurement decides, as it does for a driver
// that runs there; a discrete one is taken as it is.
func TestAGPUBesideTheProcessorIsMeasured(t *testing.T) {
	for kind, want := range map[backend.DeviceType]string{backend.IntegratedGPU: "cpu", backend.VirtualGPU: "cpu", backend.Other: "cpu", backend.DiscreteGPU: "vulkan"} {
		t.Run(kind.String(), func(t *testing.T) {
			world(t)
			ownCache(t)
			opened := 0
			backends := []backend.Backend{emulated{reference.New(), &opened, kind}, cpu.New(cpu.Options{}), reference.New()}
			o := run(t, t.Context(), nil, nil, backends, "devices")
			if says := strings.Contains(o.stderr, "measured: cpu "); o.code != exitOK || !strings.Contains(o.stderr, "--backend auto takes "+want+": ") || says != (want == "cpu") {
				t.Errorf("got %+v, want %s", o, want)
			}
			if o.code == exitOK && want == "cpu" && !strings.Contains(o.stderr, `"llvmpipe" is of the kind "`+kind.String()+`"`) {
				t.Errorf("got %q, want why", o.stderr)
			}
			o = run(t, t.Context(), nil, nil, backends, "classify", "-m", "colour.safetensors", "-f", "json", "pictures")
			if o.code != exitOK || !strings.Contains(o.stdout, `"backend":"`+want+`"`) || opened != 1 {
				t.Errorf("got %+v with the device opened %d times, want %s by what was measured before", o, opened, want)
			}
			// Who names the device gets it.
			o = run(t, t.Context(), nil, nil, backends, "classify", "-m", "colour.safetensors", "-f", "json", "--device", "llvmpipe", "pictures")
			if o.code != exitOK || !strings.Contains(o.stdout, `"backend":"vulkan"`) || o.stderr != "" {
				t.Errorf("got %+v, want the device that was named", o)
			}
		})
	}
}

// TestAGPUThatIsFasterIsTakenSilently: everyone wants a GPU, so there is nothing to say.
func TestAGPUThatIsFasterIsTakenSilently(t *testing.T) {
	world(t)
	ownCache(t)
	var opened, asked int
	backends := []backend.Backend{emulated{reference.New(), &opened, backend.IntegratedGPU}, brokenCPU{reference.New(), &asked}, reference.New()}
	o := run(t, t.Context(), nil, nil, backends, "classify", "-m", "colour.safetensors", "-f", "json", "pictures")
	if o.code != exitOK || !strings.Contains(o.stdout, `"backend":"vulkan"`) || o.stderr != "" || asked == 0 {
		t.Errorf("got %+v, want the GPU and not a word", o)
	}
}

// brokenCPU is a cpu backend that cannot be opened to be measured, once.
type brokenCPU struct {
	backend.Backend
	asked *int
}

func (brokenCPU) Name() string { return "cpu" }

func (b brokenCPU) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	list, err := b.Backend.Devices(ctx)
	for i := range list {
		list[i].Backend = "cpu"
	}
	return list, err
}

func (b brokenCPU) Open(ctx context.Context, id string) (backend.Device, error) {
	if *b.asked++; *b.asked == 1 {
		return nil, backend.ErrDeviceLost
	}
	return b.Backend.Open(ctx, id)
}
