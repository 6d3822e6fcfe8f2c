package vulkan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
)

// imaginary is a discrete GPU that no one has.
func imaginary() facts.Facts {
	f := facts.Facts{
		Name: "Imaginary 9000", Type: facts.DeviceDiscrete, APIVersion: facts.Version(vk.Version13), Usable: facts.Version(vk.Version13),
		Driver:        facts.Driver{Name: "imagined", Info: "1.2.3"},
		QueueFamilies: []facts.QueueFamily{{Flags: vk.QueueCompute, Count: 1}},
		Heaps:         []facts.Heap{{Size: 8 << 30, DeviceLocal: true}},
	}
	f.Limits.MaxStorageBufferRange = 1 << 30
	f.Limits.MinStorageBufferOffsetAlignment = 1
	return f
}

func TestDescriptionOfADevice(t *testing.T) {
	f := imaginary()
	got := describe(&f)
	if got.Backend != "vulkan" || got.Name != "Imaginary 9000" || got.Type != backend.DiscreteGPU || got.Driver != "imagined 1.2.3" ||
		got.API != "Vulkan 1.3.0" || got.MemoryBytes != 8<<30 || got.Properties["maxStorageBufferRange"] != "1073741824" {
		t.Errorf("got %+v", got)
	}
	for typ, want := range map[facts.DeviceType]backend.DeviceType{
		facts.DeviceIntegrated: backend.IntegratedGPU, facts.DeviceVirtual: backend.VirtualGPU, facts.DeviceCPU: backend.CPU, facts.DeviceType(0): backend.Other,
	} {
		f.Type = typ
		if got := describe(&f).Type; got != want {
			t.Errorf("type %v: got %v, want %v", typ, got, want)
		}
	}
	f.Driver = facts.Driver{Version: 0x42}
	if got := describe(&f).Driver; got != "version 0x42" {
		t.Errorf("a driver without a name: got %q", got)
	}
}

func TestUsableDevices(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*facts.Facts)
		want   string
	}{
		{"good", func(*facts.Facts) {}, ""},
		{"Vulkan 1.0", func(f *facts.Facts) { f.Usable = facts.Version(vk.Version10) }, "want Vulkan 1.1, got 1.0"},
		{"no compute", func(f *facts.Facts) { f.QueueFamilies[0].Flags = vk.QueueTransfer }, "want a queue family that computes"},
	} {
		f := imaginary()
		c.change(&f)
		if err := usable(&f); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestLimitsOfAPlanner(t *testing.T) {
	f := imaginary()
	f.Features.ShaderFloat16 = true
	l := limits(&f)
	if !l.Float16 || describe(&f).Properties["shaderFloat16"] != "true" {
		t.Error("that shaders have float16 is not told")
	}
	if l.SoftwareDriver || l.MaxStorageBufferRange != 1<<30 || l.MinStorageBufferOffsetAlignment != 4 {
		t.Errorf("got %+v, want no software driver and an alignment of at least one element", l)
	}
	f.Type = facts.DeviceCPU
	if !limits(&f).SoftwareDriver {
		t.Error("a CPU device is a software driver")
	}
}

func TestDevicesOfOneUUIDAreToldApart(t *testing.T) {
	list := []candidate{{info: backend.DeviceInfo{ID: "a"}}, {info: backend.DeviceInfo{ID: "b"}}, {info: backend.DeviceInfo{ID: "a"}}, {info: backend.DeviceInfo{ID: "a"}}}
	distinguish(list)
	seen := map[string]bool{}
	for _, c := range list {
		if seen[c.info.ID] {
			t.Errorf("ID %q stands twice", c.info.ID)
		}
		seen[c.info.ID] = true
	}
	if list[0].info.ID != "a" || list[1].info.ID != "b" {
		t.Errorf("the first of each should keep its ID: %q, %q", list[0].info.ID, list[1].info.ID)
	}
}

func TestErrorsOfTheDriverBecomeThoseOfTheContract(t *testing.T) {
	for result, want := range map[vk.Result]error{
		vk.ErrOutOfDeviceMemory: backend.ErrOutOfMemory, vk.ErrOutOfHostMemory: backend.ErrOutOfMemory,
		vk.ErrTooManyObjects: backend.ErrOutOfMemory, vk.ErrDeviceLost: backend.ErrDeviceLost, vk.ErrIncompatibleDriver: backend.ErrNoDevice,
	} {
		inner := &vk.Error{Call: "vkAllocateMemory", Result: result}
		err := mapError(fmt.Errorf("allocate: %w", inner))
		var got *vk.Error
		if !errors.Is(err, want) || !errors.As(err, &got) {
			t.Errorf("%v: got %v, want %v with the cause kept", result, err, want)
		}
		if again := mapError(err); again.Error() != err.Error() {
			t.Errorf("%v: mapped twice: %v", result, again)
		}
	}
	if err := errors.New("other"); mapError(err) != err {
		t.Error("an error of another kind was changed")
	}
	if mapError(nil) != nil {
		t.Error("no error became one")
	}
}

// TestOutOfMemorySplitsTheBatchThenFails takes away the memory types of a device, so that every allocation fails.
func TestOutOfMemorySplitsTheBatchThenFails(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 4, 32)
	var log bytes.Buffer
	eachDevice(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, d *device) {
		log.Reset()
		types := d.facts.MemoryTypes
		d.facts.MemoryTypes = nil
		_, err := d.Compile(context.Background(), g)
		if !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "intermediate tensors") {
			t.Errorf("got %v, want out of memory that says for what", err)
		}
		if n := strings.Count(log.String(), "batch split"); n != 2 { // 4 → 2 → 1
			t.Errorf("got %d warnings, want 2: %s", n, log.String())
		}
		d.facts.MemoryTypes = types
		if _, err := d.Compile(context.Background(), g); err != nil {
			t.Errorf("with memory again: %v", err)
		}
	})
}

// TestLostDeviceRefusesEverything pretends that a call reported a lost device.
func TestLostDeviceRefusesEverything(t *testing.T) {
	g := seededNetwork(t, "resnet20-cifar", 1, 32)
	eachFreshDevice(t, Options{Unproved: true}, func(t *testing.T, d *device) {
		e, in, out := ready(t, d, g)
		if err := d.fail(&vk.Error{Call: "vkWaitForFences", Result: vk.ErrDeviceLost}); !errors.Is(err, backend.ErrDeviceLost) {
			t.Errorf("got %v, want backend.ErrDeviceLost", err)
		}
		_, compileErr := d.Compile(context.Background(), g)
		_, bufferErr := d.NewBuffer(context.Background(), g.Inputs[0].Type)
		for what, err := range map[string]error{
			"run": e.Run(context.Background(), in, out), "read": out[0].Read(context.Background(), make([]byte, 40)),
			"compile": compileErr, "new buffer": bufferErr,
		} {
			if !errors.Is(err, backend.ErrDeviceLost) {
				t.Errorf("%s: got %v, want backend.ErrDeviceLost", what, err)
			}
		}
		closeAll(in, out) // must release them all the same: the validation layer tells
		e.Close()
	})
}
