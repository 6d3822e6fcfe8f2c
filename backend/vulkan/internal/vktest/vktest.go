// Package vktest gives tests the Vulkan devices of this machine's software
// drivers, with the validation layer and synchronization validation on.
//
// The drivers are Mesa's lavapipe (Debian: mesa-vulkan-drivers) and SwiftShader
// (Debian: chromium-common). The environment variable RESNET_RUN_TEST_ICD names
// other driver manifests (*.json, separated as in PATH) instead, to test a GPU.
// Where no driver or no validation layer is installed, tests are skipped; if CI
// or RESNET_RUN_REQUIRE_VULKAN is set, they fail.
package vktest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/internal/backendtest/drivers"
)

// Environment variables that choose the drivers and forbid skipping.
const (
	ICDEnv     = drivers.ICDEnv
	RequireEnv = "RESNET_RUN_REQUIRE_VULKAN"
)

// Manifests lists the driver manifests that tests use.
func Manifests() []string { return drivers.Manifests() }

// InProcess runs those tests of the package that match a pattern in a process of their own, with more in its environment.
func InProcess(t *testing.T, tests string, env ...string) (out string, err error) {
	t.Helper()
	return drivers.InProcess(t, tests, env...)
}

var useDrivers = sync.OnceValue(func() []string {
	found := Manifests()
	// Read by the loader when an instance is created; the second name is the one
	// of loaders before 1.3.207. An empty list would mean the system's drivers.
	list := strings.Join(found, string(os.PathListSeparator))
	if list == "" {
		list = "/nonexistent/no_software_driver.json"
	}
	os.Setenv("VK_DRIVER_FILES", list)
	os.Setenv("VK_ICD_FILENAMES", list)
	return found
})

// UseTestDrivers makes the Vulkan loader of this process see the test drivers
// only, for tests that open the instance on their own. It reports whether there
// are any.
func UseTestDrivers() bool { return len(useDrivers()) > 0 }

// Device is what a test gets for each physical device.
type Device struct {
	Instance *vk.Instance
	Physical vk.PhysicalDevice
	Name     string
	messages *log
}

// AboutSettings are the IDs of the messages with which versions of the layer begin GPU-assisted validation: that it is slow, and what it changes.
var AboutSettings = []string{"VALIDATION-SETTINGS", "WARNING-GPU-Assisted-Validation", "WARNING-Setting-Limit-Adjusted"}

// TakeMessages returns the messages since the test's start or the last call and
// forgets them, for tests that provoke some.
func (d Device) TakeMessages() []vk.Message { return d.messages.take() }

// log collects messages.
type log struct {
	mu  sync.Mutex
	all []vk.Message
}

func (l *log) add(m vk.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, m)
}

func (l *log) take() []vk.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// report fails t for every message, but for the loader's own remarks about
// drivers, which say nothing about the calls made.
func (l *log) report(t testing.TB) {
	t.Helper()
	for _, m := range l.take() {
		t.Errorf("Vulkan %s", m)
	}
}

// Messages collects what the validation layer said, on any thread.
type Messages struct {
	mu  sync.Mutex
	all []string
}

// Add adds a message.
func (m *Messages) Add(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, text)
}

// Take returns the messages since the last call.
func (m *Messages) Take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.all
	m.all = nil
	return all
}

// Fail fails the test for each message since the last call.
func (m *Messages) Fail(t testing.TB) {
	t.Helper()
	for _, text := range m.Take() {
		t.Errorf("validation: %s", text)
	}
}

// Devices runs test once for every physical device, as a subtest named after
// it. A message of the validation layer that the test leaves behind fails it,
// and so do objects left undestroyed. Tests that use Devices must not run in
// parallel with each other, or messages reach the wrong one.
func Devices(t *testing.T, test func(t *testing.T, d Device)) {
	t.Helper()
	messages := new(log)
	instance, devices := open(t, vk.InstanceOptions{Validation: true, SyncValidation: true, OnMessage: messages.add})
	defer func() {
		instance.Close()
		messages.report(t)
	}()
	names := map[string]int{}
	for _, pd := range devices {
		d := Device{Instance: instance, Physical: pd, Name: instance.Properties(pd).Name, messages: messages}
		name := shortName(d.Name)
		if names[name]++; names[name] > 1 {
			name = fmt.Sprintf("%s#%d", name, names[name])
		}
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { messages.report(t) })
			test(t, d)
		})
	}
}

// Plain is Devices without validation, for measurements.
func Plain(t *testing.T, test func(t *testing.T, d Device)) {
	t.Helper()
	instance, devices := open(t, vk.InstanceOptions{})
	defer instance.Close()
	for _, pd := range devices {
		d := Device{Instance: instance, Physical: pd, Name: instance.Properties(pd).Name, messages: new(log)}
		t.Run(shortName(d.Name), func(t *testing.T) { test(t, d) })
	}
}

// open opens the instance and lists its devices, or ends the test.
func open(t *testing.T, o vk.InstanceOptions) (*vk.Instance, []vk.PhysicalDevice) {
	t.Helper()
	if !UseTestDrivers() {
		Unavailable(t, "no software driver found: install mesa-vulkan-drivers, or chromium-common for SwiftShader")
	}
	instance, err := vk.OpenInstance(o)
	if errors.Is(err, vk.ErrNoLoader) || errors.Is(err, vk.ErrNoDriver) || errors.Is(err, vk.ErrNoValidationLayer) {
		Unavailable(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	devices, err := instance.PhysicalDevices()
	if err != nil {
		instance.Close()
		if errors.Is(err, vk.ErrNoDriver) {
			Unavailable(t, err.Error())
		}
		t.Fatal(err)
	}
	return instance, devices
}

// Unavailable skips t, or fails it where Vulkan is required.
func Unavailable(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv(RequireEnv) != "" {
		t.Fatal("Vulkan is required here: " + reason)
	}
	t.Skip(reason)
}

// shortName is a device name without what stands in brackets.
func shortName(name string) string {
	short, _, _ := strings.Cut(name, " (")
	return strings.ReplaceAll(short, " ", "_")
}
