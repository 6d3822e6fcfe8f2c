package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
)

func TestSelectInPrecision(t *testing.T) {
	for _, c := range []struct{ selection, precision, want, err string }{
		{"vulkan", "", "vulkan", ""},
		{"vulkan:0", "f32", "vulkan:0", ""},
		{"vulkan", "f16", "vulkan@f16", ""},
		{"vulkan:a:b", "f16", "vulkan@f16:a:b", ""},
		{"auto", "f16", "vulkan@f16", ""},
		{"auto:llvm", "f32", "auto:llvm", ""},
		{"cpu", "f16", "cpu@f16", ""}, // the registry says what it thinks of that
		{"vulkan@f16:1", "f32", "", "want one precision"},
		{"vulkan@f16-fenced", "f32", "", "want one precision"},
		{"vulkan@fenced:1", "f32", "vulkan@fenced:1", ""},
		{"vulkan@f16:1", "", "vulkan@f16:1", ""},
		{"vulkan@f16:1", "f16", "vulkan@f16:1", ""},
		{"vulkan@f32", "f16", "", "want one precision"},
		{"vulkan@f16", "f16a", "", "want one precision"},
		{"auto", "f16a", "vulkan@f16a", ""},
		{"vulkan", "f8", "", "want f32, f16, f16a, or auto"},
		{"vulkan", "auto", "", "want f32, f16, f16a, or auto"}, // who leaves it open has done so before
	} {
		got, err := selectInPrecision(c.selection, c.precision)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s in %s: got %q, %v, want an error with %q", c.selection, c.precision, got, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s in %q: got %q, %v, want %q", c.selection, c.precision, got, err, c.want)
		}
	}
}

// graphics is a backend of one GPU, in one precision or another.
type graphics struct {
	backend.Backend
	kind   backend.DeviceType
	suffix string
}

func (g graphics) Name() string { return "vulkan" + g.suffix }

func (g graphics) Devices(context.Context) ([]backend.DeviceInfo, error) {
	return []backend.DeviceInfo{{Backend: g.Name(), ID: "abcd", Name: "a chip", Type: g.kind}}, nil
}

func (g graphics) Open(ctx context.Context, id string) (backend.Device, error) {
	list, err := g.Devices(ctx)
	if err == nil {
		_, err = backend.Select(list, id)
	}
	return graphicsDevice{info: list[0]}, err
}

type graphicsDevice struct {
	backend.Device
	info backend.DeviceInfo
}

func (d graphicsDevice) Info() backend.DeviceInfo { return d.info }

type variedGraphics struct{ graphics }

func (g variedGraphics) Variant(name string) (backend.Backend, error) {
	g.suffix = "@" + name
	return g, nil
}

// TestPrecisionThatIsLeftOpen: float16 for GPUs of a backend that has it, in however many words the device is named.
func TestPrecisionThatIsLeftOpen(t *testing.T) {
	gpu, software := variedGraphics{graphics{kind: backend.DiscreteGPU}}, variedGraphics{graphics{kind: backend.CPU}}
	for _, c := range []struct {
		b                              backend.Backend
		backend, device, precision, to string
	}{
		{gpu, "auto", "", autoPrecision, "vulkan@f16"},
		{gpu, "auto", "chip", autoPrecision, "vulkan@f16"},
		{gpu, "vulkan", "", autoPrecision, "vulkan@f16"},
		{gpu, "vulkan:abcd", "", autoPrecision, "vulkan@f16"},
		{gpu, "vulkan@f32", "", autoPrecision, "vulkan@f32"},
		{gpu, "vulkan", "", "f32", "vulkan"},
		{gpu, "auto", "", "", "vulkan"},
		{software, "vulkan", "", autoPrecision, "vulkan"},
		{graphics{kind: backend.DiscreteGPU}, "vulkan", "", autoPrecision, "vulkan"},
	} {
		a := &app{stderr: io.Discard, registry: &backend.Registry{}}
		if err := a.registry.Register(c.b); err != nil {
			t.Fatal(err)
		}
		members, err := a.openMembers(t.Context(), &deviceFlags{backend: c.backend, device: c.device, precision: c.precision})
		if err != nil || len(members) != 1 || members[0].Device.Info().Backend != c.to {
			t.Errorf("--backend %s --device %q --precision %q: got %+v, %v, want %s", c.backend, c.device, c.precision, members, err, c.to)
		}
	}
}
