package backend_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
)

// fake lists fixed devices and opens none.
type fake struct {
	name    string
	devices []backend.DeviceInfo
	opened  []string
}

var errFake = errors.New("opened nothing")

func (f *fake) Name() string { return f.name }
func (f *fake) Devices(context.Context) ([]backend.DeviceInfo, error) {
	if f.devices == nil {
		return nil, backend.ErrNoDevice
	}
	return f.devices, nil
}
func (f *fake) Open(_ context.Context, id string) (backend.Device, error) {
	f.opened = append(f.opened, id)
	return nil, errFake
}

var devices = []backend.DeviceInfo{
	{ID: "aaaa-1111", Name: "Radeon RX 5700"},
	{ID: "aaaa-2222", Name: "GeForce RTX 4090"},
	{ID: "cccc-3333", Name: "llvmpipe (LLVM 15.0.6, 256 bits)"},
}

func TestSelect(t *testing.T) {
	for _, c := range []struct{ sel, want, err string }{
		{"", "aaaa-1111", ""},
		{"0", "aaaa-1111", ""},
		{"2", "cccc-3333", ""},
		{"3", "", "no device of that index"},
		{"-1", "", "no device of that index"},
		{"rtx", "aaaa-2222", ""},
		{"LLVMPIPE", "cccc-3333", ""},
		{"5700", "aaaa-1111", ""},
		{"aaaa-2222", "aaaa-2222", ""},
		{"CCCC", "cccc-3333", ""},
		{"aaaa", "", "no device is meant alone"},
		{"RX", "aaaa-1111", ""},
		{"R", "", "no device is meant alone"},
		{"Arc", "", "no device of that name or UUID"},
	} {
		got, err := backend.Select(devices, c.sel)
		if got.ID != c.want || (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || !errors.Is(err, backend.ErrNoDevice)) {
			t.Errorf("Select(%q): got %q, %v, want %q, %q", c.sel, got.ID, err, c.want, c.err)
		}
	}
	if _, err := backend.Select(nil, ""); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("empty list: got %v, want ErrNoDevice", err)
	}
}

func TestRegistry(t *testing.T) {
	var r backend.Registry
	b := &fake{name: "b", devices: devices}
	for _, f := range []*fake{b, {name: "a-2"}} {
		if err := r.Register(f); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"b": "taken", "": "want a name", "Upper": "want a name", "a:b": "want a name"} {
		if err := r.Register(&fake{name: name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("register %q: got %v, want %q", name, err, want)
		}
	}
	if got := r.Names(); !slices.Equal(got, []string{"a-2", "b"}) {
		t.Errorf("names: got %v", got)
	}
	ctx := context.Background()
	if _, err := r.Open(ctx, "cuda"); err == nil || !strings.Contains(err.Error(), "want one of a-2, b") {
		t.Errorf("unknown backend: got %v, want the known ones", err)
	}
	if _, err := r.Open(ctx, "a-2"); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("backend without devices: got %v, want ErrNoDevice", err)
	}
	if _, err := r.Open(ctx, "b:nothing"); !errors.Is(err, backend.ErrNoDevice) {
		t.Errorf("unknown device: got %v, want ErrNoDevice", err)
	}
	for _, sel := range []string{"b", "b:4090"} {
		if _, err := r.Open(ctx, sel); !errors.Is(err, errFake) {
			t.Errorf("open %q: got %v, want the backend's own error", sel, err)
		}
	}
	if want := []string{"aaaa-1111", "aaaa-2222"}; !slices.Equal(b.opened, want) {
		t.Errorf("opened %v, want %v", b.opened, want)
	}
}

func TestRegistryIsSafeForConcurrentUse(t *testing.T) {
	var r backend.Registry
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_ = r.Register(&fake{name: string(rune('a' + i))}) // names differ: checked by the count below
			r.Names()
			_, _ = r.Backend("a")
		})
	}
	wg.Wait()
	if n := len(r.Names()); n != 20 {
		t.Errorf("got %d backends, want 20", n)
	}
}

func TestDeviceTypesHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for d := backend.DiscreteGPU; d <= backend.Other; d++ {
		text, err := d.MarshalText()
		if err != nil || seen[string(text)] || strings.HasPrefix(string(text), "devicetype") {
			t.Errorf("device type %d: got %q, %v", d, text, err)
		}
		seen[string(text)] = true
	}
	if got := backend.InvalidDevice.String(); got != "devicetype(0)" {
		t.Errorf("zero value: got %q", got)
	}
}

func TestUnsupportedIsFoundByErrorsIs(t *testing.T) {
	err := backend.Unsupported("groups", "1", "4")
	if !backend.IsUnsupported(err) || err.Error() != "unsupported: groups: want 1, got 4" {
		t.Errorf("got %v", err)
	}
	if backend.IsUnsupported(backend.ErrClosed) {
		t.Error("ErrClosed counts as unsupported")
	}
}
