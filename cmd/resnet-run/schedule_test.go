package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/cpu"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/backend/schedule"
	"github.com/resnet-run/resnet-run/graph"
)

func TestListsOfDevices(t *testing.T) {
	for _, c := range []struct {
		backend, device string
		want            string // name|backend|device of each, or the error
	}{
		{"vulkan", "", "vulkan|vulkan|"},
		{"vulkan", "1", "vulkan|vulkan|1"},
		{"vulkan:1", "", "vulkan:1|vulkan|1"},
		{"vulkan:1", "1", "vulkan:1|vulkan|1"},
		{"vulkan,cpu", "", "vulkan|vulkan| cpu|cpu|"},
		{"vulkan:0,vulkan:1,cpu", "", "vulkan:0|vulkan|0 vulkan:1|vulkan|1 cpu|cpu|"},
		{"vulkan", "0,1", "vulkan:0|vulkan|0 vulkan:1|vulkan|1"},
		{"vulkan,cpu", "6d65,cpu", "vulkan|vulkan|6d65 cpu|cpu|cpu"},
		{"vulkan:llvmpipe (LLVM 15.0.6, 256 bits),cpu", "", "vulkan:llvmpipe (LLVM 15.0.6, 256 bits)|vulkan|llvmpipe (LLVM 15.0.6, 256 bits) cpu|cpu|"},
		{"vulkan", "llvmpipe (LLVM 15.0.6, 256 bits)", "vulkan|vulkan|llvmpipe (LLVM 15.0.6, 256 bits)"},
		{"vulkan:1", "0", "want one"},
		{"vulkan,cpu", "0", "as many devices as backends"},
		{"vulkan,cpu", "0,1,2", "as many devices as backends"},
		{"vulkan,,cpu", "", "names of backends"},
	} {
		list, err := (&deviceFlags{backend: c.backend, device: c.device}).selections()
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("--backend %s --device %s: got %v, want %q", c.backend, c.device, err, c.want)
			}
			continue
		}
		var got []string
		for _, s := range list {
			got = append(got, s.name+"|"+s.backend+"|"+s.device)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("--backend %s --device %s: got %s, want %s", c.backend, c.device, strings.Join(got, " "), c.want)
		}
	}
}

// partial is the reference under another name, without some ops; when lost is set its second run fails.
type partial struct {
	backend.Backend
	name    string
	refuses []string
	lost    bool
}

func (p partial) Name() string { return p.name }

func (p partial) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := p.Backend.Open(ctx, id)
	return &partialDevice{d, p, 0}, err
}

func (p partial) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	list, err := p.Backend.Devices(ctx)
	for i := range list {
		list[i].Backend = p.name
	}
	return list, err
}

type partialDevice struct {
	backend.Device
	p    partial
	runs int
}

func (d *partialDevice) Info() backend.DeviceInfo {
	i := d.Device.Info()
	i.Backend = d.p.name
	return i
}

func (d *partialDevice) Supports(n *graph.Node) error {
	if slices.Contains(d.p.refuses, n.Op.Name()) {
		return backend.Unsupported("op", "another", n.Op.Name())
	}
	return d.Device.Supports(n)
}

func (d *partialDevice) Compile(ctx context.Context, g *graph.Graph) (backend.Executable, error) {
	for _, n := range g.Nodes {
		if err := d.Supports(n); err != nil {
			return nil, err
		}
	}
	e, err := d.Device.Compile(ctx, g)
	return &partialExecutable{e, d}, err
}

type partialExecutable struct {
	backend.Executable
	d *partialDevice
}

func (e *partialExecutable) Run(ctx context.Context, in, out []backend.Buffer) error {
	if e.d.runs++; e.d.p.lost && e.d.runs > 1 {
		return fmt.Errorf("run: %w", backend.ErrDeviceLost)
	}
	return e.Executable.Run(ctx, in, out)
}

// TestFallbackOfTheCommands: the cpu backend stands in for what a device lacks, and for a device that is lost; with --fallback=off both are errors.
func TestFallbackOfTheCommands(t *testing.T) {
	world(t)
	pool := partial{reference.New(), "odd", []string{"global_avg_pool", "avg_pool"}, false}
	frail := partial{reference.New(), "frail", nil, true}
	backends := []backend.Backend{pool, frail, cpu.New(cpu.Options{Threads: 1})}
	classify := []string{"classify", "-m", "colour.safetensors", "-f", "csv", "--batch", "1", "pictures"}
	want := run(t, t.Context(), strings.NewReader(""), nil, backends, append(classify, "--backend", "cpu")...)
	if want.code != exitOK || strings.Count(want.stdout, ",colour.safetensors") != 3 {
		t.Fatalf("got %+v", want)
	}
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{"--backend", "odd"}, exitOK, "run on the fallback"},
		{[]string{"--backend", "odd", "--fallback", "off"}, exitRun, "avgpool"},
		{[]string{"--backend", "frail"}, exitOK, "a device is lost"},
		{[]string{"--backend", "frail", "--fallback=off"}, exitRun, "device lost"},
		{[]string{"--backend", "odd,frail"}, exitOK, "a device is lost"},
		{[]string{"--backend", "odd", "--backend", "cpu", "--place", "fc=cpu"}, exitOK, ""},
		{[]string{"--backend", "odd", "--place", "avgpool=odd"}, exitRun, "forced"},
		{[]string{"--backend", "odd", "--place", "fc=radeon"}, exitUsage, "want one of odd, cpu"},
		{[]string{"--backend", "odd", "--place", "fc"}, exitUsage, "PATTERN=DEVICE"},
		{[]string{"--backend", "odd", "--fallback", "maybe"}, exitUsage, "on or off"},
		{[]string{"--backend", "odd,cpu", "--split", "rows"}, exitUsage, "auto, graph or batch"},
		{[]string{"--backend", "odd,odd"}, exitUsage, "named twice"},
		{[]string{"--backend", "odd,cuda"}, exitUsage, "cuda"},
		{[]string{"--backend", "odd:7,cpu"}, exitNoDevice, "no device"},
	} {
		o := run(t, t.Context(), strings.NewReader(""), nil, backends, append(slices.Clone(classify), c.args...)...)
		if o.code != c.code || !strings.Contains(o.stderr, c.stderr) {
			t.Errorf("%v: got exit code %d and %s, want %d and %q", c.args, o.code, o.stderr, c.code, c.stderr)
		}
		if got, want := predictions(o.stdout), predictions(want.stdout); c.code == exitOK && got != want {
			t.Errorf("%v: got %s, want %s", c.args, got, want)
		}
	}
}

// predictions are the lines of a CSV without the columns about model and device.
func predictions(csv string) string {
	var b strings.Builder
	for _, line := range strings.Split(csv, "\n") {
		line, _, _ = strings.Cut(line, ",colour.safetensors")
		b.WriteString(line + "\n")
	}
	return b.String()
}

func TestPlanOfSeveralDevices(t *testing.T) {
	world(t)
	backends := []backend.Backend{partial{reference.New(), "odd", []string{"linear"}, false}, cpu.New(cpu.Options{Threads: 1})}
	o := run(t, t.Context(), strings.NewReader(""), nil, backends, "inspect", "colour.safetensors", "--plan", "-f", "json", "--backend", "odd,cpu", "--place", "*conv2=odd", "--place", "*=cpu")
	var p schedule.Plan
	if err := json.Unmarshal([]byte(o.stdout), &p); err != nil {
		t.Fatalf("%v: %+v", err, o)
	}
	var devices []string
	for _, part := range p.Routes[0].Parts {
		devices = append(devices, part.Device)
	}
	if strings.Join(devices, " ") != "cpu odd cpu" || p.Devices[0].Name != "odd" || p.Devices[0].Refused != 1 {
		t.Errorf("got %s from %s", devices, o.stdout)
	}
	o = run(t, t.Context(), strings.NewReader(""), nil, backends, "inspect", "colour.safetensors", "--plan", "-f", "csv")
	if o.code != exitUsage || !strings.Contains(o.stderr, "table|json|dot|svg") {
		t.Errorf("got %+v", o)
	}
}

// TestConformanceOfSeveralDevices: the suite takes a list as one device, and one device as it is, without a fallback.
func TestConformanceOfSeveralDevices(t *testing.T) {
	backends := []backend.Backend{partial{reference.New(), "odd", []string{"softmax"}, false}, cpu.New(cpu.Options{Threads: 1})}
	args := []string{"conformance", "--filter", "^(softmax/n3-c33|contract/info|replay/25/)", "-f", "json", "--backend"}
	for list, refused := range map[string]bool{"odd": true, "odd,cpu": false} {
		o := run(t, t.Context(), strings.NewReader(""), nil, backends, append(slices.Clone(args), list)...)
		if o.code != exitOK || strings.Contains(o.stdout, `"status": "refused"`) != refused || !strings.Contains(o.stdout, `"backend": "`+list+`"`) {
			t.Errorf("%s: got %+v", list, o)
		}
	}
}
