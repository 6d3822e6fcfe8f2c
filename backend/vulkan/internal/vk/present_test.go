package vk_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vk"
	"github.com/resnet-run/resnet-run/backend/vulkan/internal/vktest"
)

// TestSurfacesAreAskedFor: extensions of surfaces are those of who opened the instance first.
func TestSurfacesAreAskedFor(t *testing.T) {
	if !vktest.UseTestDrivers() {
		vktest.Unavailable(t, "no Vulkan test driver is installed")
	}
	unknown := vk.InstanceOptions{Surfaces: []string{"VK_KHR_surface", "VK_XX_no_such_surface"}}
	if i, err := vk.OpenInstance(unknown); err == nil {
		i.Close()
		t.Error("an unknown extension was enabled")
	} else if !errors.Is(err, vk.ErrExtensionNotPresent) || !strings.Contains(err.Error(), "VK_XX_no_such_surface") {
		t.Errorf("got %v, want %v of VK_XX_no_such_surface", err, vk.ErrExtensionNotPresent)
	}
	presents := vk.InstanceOptions{Surfaces: []string{"VK_KHR_surface"}}
	first, err := vk.OpenInstance(presents)
	if err != nil {
		t.Fatal(err)
	}
	second, err := vk.OpenInstance(vk.InstanceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first.Close() // the instance stays the one with surfaces
	third, err := vk.OpenInstance(presents)
	if err != nil {
		t.Error(err)
	} else {
		third.Close()
	}
	second.Close()
	computes, err := vk.OpenInstance(vk.InstanceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer computes.Close()
	if i, err := vk.OpenInstance(presents); err == nil {
		i.Close()
		t.Error("an instance without surfaces was shared as one with them")
	} else if !strings.Contains(err.Error(), "VK_KHR_surface") {
		t.Errorf("got %v, want one that names VK_KHR_surface", err)
	}
}
