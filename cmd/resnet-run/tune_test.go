package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/vulkan"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/internal/report"
)

// tunable is the reference as a Vulkan device that can be tuned: it says what it was asked for, and what it "measured".
type tunable struct {
	backend.Backend
	seen  *[]vulkan.Tuning
	known vulkan.Kernels
}

type tunableDevice struct {
	backend.Device
	owner  tunable
	tuning vulkan.Tuning
}

func newTunable() tunable {
	return tunable{Backend: reference.New(), seen: &[]vulkan.Tuning{}, known: vulkan.Kernels{
		Proved: 3, Layers: 5, Measured: 2,
		StruckOff: []vulkan.StruckOff{{Kernel: "conv2d_wrong_f32", Reason: "7 of 9 elements are out of bounds", When: time.Date(2026, 5, 4, 12, 0, 0, 0, time.Local)}},
	}}
}

func (t tunable) Name() string { return "vulkan" }

func (t tunable) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	list, err := t.Backend.Devices(ctx)
	for i := range list {
		list[i].Backend, list[i].Properties = "vulkan", map[string]string{"subgroupSize": "8"}
	}
	return list, err
}

func (t tunable) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := t.Backend.Open(ctx, id)
	return &tunableDevice{Device: d, owner: t}, err
}

func (t tunable) Kernels(ctx context.Context) (map[string]vulkan.Kernels, error) {
	list, err := t.Devices(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]vulkan.Kernels{list[0].ID: t.known}, nil
}

func (d *tunableDevice) SetTuning(t vulkan.Tuning) {
	d.tuning = t
	*d.owner.seen = append(*d.owner.seen, t)
}

func (d *tunableDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	if d.tuning.On != nil {
		times := []vulkan.TuneTime{{Kernel: "rule_f32", Median: 0.004, Spread: 1e-4, Samples: 5}, {Kernel: "other_f32", Median: 0.002, Spread: 1e-4, Samples: 5}}
		d.tuning.On(vulkan.TuneEvent{Done: 1, Total: 3, Shape: "conv2d float32[1,2]", Nodes: 3, Measured: times, Chosen: 1})
		d.tuning.On(vulkan.TuneEvent{Done: 2, Total: 3, Shape: "conv2d float32[3,4]", Nodes: 1, Measured: times[:1], Cached: true})
		d.tuning.On(vulkan.TuneEvent{Done: 3, Total: 3, Shape: "conv2d float32[5,6]", Nodes: 1, Skipped: true})
	}
	return d.Device.Compile(ctx, g)
}

func tuneRun(t *testing.T, b tunable, env map[string]string, args ...string) outcome {
	t.Helper()
	return run(t, t.Context(), strings.NewReader(""), env, []backend.Backend{b, reference.New()}, args...)
}

func TestTuneWritesEveryFormat(t *testing.T) {
	world(t)
	b := newTunable()
	o := tuneRun(t, b, nil, "tune", "colour.safetensors", "--batch", "1,2", "--budget", "7s", "-f", "json")
	var r report.Tuning
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || o.code != exitOK {
		t.Fatalf("%v, %+v", err, o)
	}
	if len(r.Rows) != 6 || r.Rows[0].Chosen != "other_f32" || r.Rows[0].Rule != "rule_f32" || r.Rows[0].Nodes != 3 || r.Rows[0].Speedup() != 2 || len(r.Rows[0].Times) != 2 ||
		r.Rows[1].State != "cached" || r.Rows[2].State != "skipped" || r.Rows[2].Chosen != "" || r.Rows[3].Batch != 2 {
		t.Errorf("got %+v", r.Rows)
	}
	if want := "4 shapes of layers measured, 2 with another kernel than the rule's; their convolutions take 0.62 of the untuned time; 2 not measured"; !strings.Contains(o.stderr, want) {
		t.Errorf("stderr: got %q, want %q", o.stderr, want)
	}
	var last vulkan.Tuning
	for _, s := range *b.seen {
		last = s
	}
	if last.Mode != vulkan.TuneFull || last.Budget != 7*time.Second {
		t.Errorf("got tuning %+v", last)
	}
	for format, want := range map[string]string{
		"table": "other_f32  2 ms        2.00x  conv2d [1,2]", "csv": ",colour.safetensors,1,\"conv2d [1,2]\",3,measured,2,other_f32,0.002,rule_f32,0.004\n",
	} {
		if o := tuneRun(t, newTunable(), nil, "tune", "colour.safetensors", "--quick", "-f", format); o.code != exitOK || !strings.Contains(o.stdout, want) {
			t.Errorf("%s: got %+v, want %q", format, o, want)
		}
	}
}

func TestTuneRefusesWhatItCannotDo(t *testing.T) {
	world(t)
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"tune colour.safetensors --backend reference", "has one kernel for each operation", exitUsage},
		{"tune colour.safetensors --batch 0", "--batch: want at least 1", exitUsage},
		{"tune colour.safetensors --budget -1s", "--budget: want 0 or more", exitUsage},
		{"tune nonsense.safetensors", "nonsense", exitModel},
		{"classify -m colour.safetensors --tune fast pictures/red.png", "--tune: want one of [off cached quick full]", exitUsage},
		{"bench colour.safetensors --tune fast", "--tune: want one of", exitUsage},
	} {
		if o := tuneRun(t, newTunable(), nil, strings.Fields(c.args)...); o.code != c.code || !strings.Contains(o.stderr, c.want) {
			t.Errorf("%s: got %+v, want exit code %d and %q", c.args, o, c.code, c.want)
		}
	}
	if o := do(t, "tune", "colour.safetensors"); o.code != exitNoDevice {
		t.Errorf("without a device: got %+v", o)
	}
}

// TestTheFlagReachesTheDevice, by default, from the environment and from the command line, which counts most.
func TestTheFlagReachesTheDevice(t *testing.T) {
	world(t)
	for _, c := range []struct {
		env  string
		args []string
		want vulkan.TuneMode
	}{
		{"", nil, vulkan.TuneCached}, {"quick", nil, vulkan.TuneQuick}, {"quick", []string{"--tune=off"}, vulkan.TuneOff}, {"", []string{"--tune", "full"}, vulkan.TuneFull},
	} {
		b := newTunable()
		args := append([]string{"classify", "-v", "--backend", "vulkan", "-m", "colour.safetensors", "pictures/red.png"}, c.args...)
		o := tuneRun(t, b, map[string]string{"RESNET_RUN_TUNE": c.env}, args...)
		if o.code != exitOK || len(*b.seen) != 1 || (*b.seen)[0].Mode != c.want {
			t.Errorf("%+v: got %+v and %+v, want %v", c, *b.seen, o, c.want)
		}
		if !strings.Contains(o.stderr, "1 of 3: conv2d float32[1,2]: other_f32") {
			t.Errorf("%+v: -v does not tell what was measured: %s", c, o.stderr)
		}
	}
}

func TestDevicesTellWhatWasStruckOff(t *testing.T) {
	o := tuneRun(t, newTunable(), nil, "devices", "-v")
	for _, want := range []string{"conv2d_wrong_f32 everywhere, on 2026-05-04 (7 of 9 elements are out of bounds)", "3, and on 5 shapes of layers", "on 2 shapes of layers"} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("got %s, want %q", o.stdout, want)
		}
	}
	if o := tuneRun(t, newTunable(), nil, "devices"); strings.Contains(o.stdout, "conv2d_wrong_f32") {
		t.Errorf("without -v: got %s", o.stdout)
	}
}
