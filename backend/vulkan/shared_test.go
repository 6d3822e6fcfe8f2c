package vulkan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// Drivers take long to compile pipelines, so tests use the same devices one after the other, with options of their own. A pipeline is
// compiled once, and a kernel proved once for a precision, however many tests run it. eachFreshDevice is for tests of what a device
// starts with, of what it leaves when it is closed, and of proofs.

// heed adds the messages of the layer to m, but for those with which it begins.
func heed(m *vktest.Messages) func(text string) {
	return func(text string) {
		if !isAboutSettings(text) {
			m.Add(text)
		}
	}
}

// sharedDevice is a test device that stays open.
type sharedDevice struct {
	*device
	said     *vktest.Messages
	outcomes map[Precision]*outcomes
}

// shared are the test drivers' devices.
var shared struct {
	once sync.Once
	list []*sharedDevice
	err  error
}

func openShared() {
	ctx, b := context.Background(), New(Options{Validation: true})
	infos, err := b.Devices(ctx)
	for _, info := range infos {
		s := &sharedDevice{said: &vktest.Messages{}, outcomes: map[Precision]*outcomes{}}
		var d backend.Device
		if d, err = New(Options{NoCache: true, Validation: true, OnMessage: heed(s.said)}).Open(ctx, info.ID); err != nil {
			break
		}
		s.device = d.(*device)
		shared.list = append(shared.list, s)
	}
	shared.err = err
}

// TestMain closes the devices: the layer tells what was made and not destroyed.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range shared.list {
		_ = s.Close() // never fails
		for _, text := range s.said.Take() {
			fmt.Println("validation, when the device that tests share was closed:", text)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// eachDevice runs f on every test device. Any message of the validation layer fails the test, and so does memory of the device that
// is not released with the buffers and executables.
func eachDevice(t *testing.T, o Options, f func(t *testing.T, d *device)) {
	t.Helper()
	if o.CacheDir != "" || o.spirv != nil {
		t.Fatal("a device with a cache, or with other kernels, cannot be shared")
	}
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	if shared.once.Do(openShared); shared.err != nil {
		unavailable(t, shared.err)
	}
	for _, s := range shared.list {
		t.Run(s.info.Name, func(t *testing.T) { s.use(t, o, f) })
	}
}

// use lends the device to a test, which may change it as it likes as long as it does not close it.
func (s *sharedDevice) use(t *testing.T, o Options, f func(t *testing.T, d *device)) {
	t.Helper()
	d := s.device
	facts, limits, opts := d.facts, d.limits, d.opts
	o.NoCache, o.Validation, o.OnMessage = true, true, opts.OnMessage
	if o.Logger == nil { // a kernel that was struck off would hide behind the one that runs instead
		o.Logger = slog.New(struckFails{slog.DiscardHandler, t})
	}
	d.configure(o)
	if s.outcomes[o.Precision] == nil {
		s.outcomes[o.Precision] = newOutcomes(d)
	}
	d.outcomes = s.outcomes[o.Precision]
	defer func() {
		if d.closed || d.lost.Load() {
			t.Fatal("the device that tests share was closed or lost: want eachFreshDevice")
		}
		d.childMu.Lock()
		for c := range d.children { // what the test forgot
			c.destroy()
		}
		clear(d.children)
		d.childMu.Unlock()
		d.staging.destroy()
		d.facts, d.limits = facts, limits
		d.configure(opts)
		var err error
		if d.staging, err = newStaging(d); err != nil {
			t.Error(err)
		}
		if n, bytes := d.allocations.Load(), d.AllocatedBytes(); n != 0 || bytes != 0 {
			t.Errorf("%d allocations of %d bytes are left, want none", n, bytes)
		}
		s.said.Fail(t)
	}()
	f(t, d)
}

// eachFreshDevice is eachDevice with devices that are opened for the test alone, and closed after it.
func eachFreshDevice(t *testing.T, o Options, f func(t *testing.T, d *device)) {
	t.Helper()
	eachDriver(t, o, func(t *testing.T, open func(t *testing.T) backend.Device) {
		d := open(t)
		defer d.Close() // with everything the test forgot: the layer tells what is not destroyed
		f(t, d.(*device))
	})
}

// eachDriver runs f for every test device with a function that opens it, for those that close what they open.
func eachDriver(t *testing.T, o Options, f func(t *testing.T, open func(t *testing.T) backend.Device)) {
	t.Helper()
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
		return
	}
	said := &vktest.Messages{}
	o.Validation, o.OnMessage = true, heed(said)
	o.NoCache = o.CacheDir == ""
	list, err := New(o).Devices(context.Background())
	if err != nil {
		unavailable(t, err)
	}
	for _, info := range list {
		t.Run(info.Name, func(t *testing.T) {
			o := o
			if o.Logger == nil {
				o.Logger = slog.New(struckFails{slog.DiscardHandler, t})
			}
			f(t, func(t *testing.T) backend.Device {
				t.Helper()
				d, err := New(o).Open(context.Background(), info.ID)
				if err != nil {
					t.Fatal(err)
				}
				return d
			})
			said.Fail(t)
		})
	}
}

// unavailable ends a test for which no device could be listed.
func unavailable(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, backend.ErrNoDevice) {
		vktest.Unavailable(t, err.Error())
	}
	t.Fatal(err)
}
