// Package vulkantest opens a Vulkan device for tests of what is above the backends. The backend's own tests have more.
package vulkantest

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/vulkan"
)

// Open opens the machine's first Vulkan device, or skips where there is none; a machine that must have one fails. Who
// opens it closes it.
func Open(t testing.TB) backend.Device {
	t.Helper()
	b := vulkan.New(vulkan.Options{NoCache: true})
	list, err := b.Devices(t.Context())
	if errors.Is(err, backend.ErrNoDevice) || err == nil && len(list) == 0 {
		if os.Getenv("CI") != "" || os.Getenv("RESNET_RUN_REQUIRE_VULKAN") != "" {
			t.Fatal("Vulkan is required here: ", err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Open(context.Background(), list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("device: ", d.Info().Name)
	return d
}
