package vk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	vulkan "github.com/vulkan-go/vulkan"
)

// LibraryEnv names the environment variable that overrides which loader library
// is opened: a file name or a path.
const LibraryEnv = "RESNET_RUN_VULKAN_LIBRARY"

var (
	// ErrNoLoader: the Vulkan loader library is not on this machine.
	ErrNoLoader = errors.New("no Vulkan loader")
	// ErrNoDriver: the loader is there, but no driver offers a device.
	ErrNoDriver = errors.New("no Vulkan driver or device")
	// ErrNoValidationLayer: validation was asked for and the layer is not installed.
	ErrNoValidationLayer = errors.New("no Vulkan validation layer (Debian, Ubuntu: package vulkan-validationlayers)")
)

// installHint says what to install on this system.
func installHint(goos string) string {
	switch goos {
	case "windows":
		return "install the graphics driver of the GPU's vendor, which brings vulkan-1.dll"
	case "darwin":
		return "install MoltenVK and the Vulkan loader, with Homebrew: molten-vk vulkan-loader"
	default:
		return "install, on Debian or Ubuntu: libvulkan1 mesa-vulkan-drivers; Fedora: vulkan-loader mesa-vulkan-drivers; " +
			"Arch: vulkan-icd-loader and vulkan-intel, vulkan-radeon or vulkan-swrast; NVIDIA: the vendor's driver"
	}
}

var loader struct {
	sync.Mutex
	getInstanceProcAddr unsafe.Pointer
	path                string
}

// Load opens the Vulkan loader library, once for the process; after a failure
// it may be called again. The error wraps [ErrNoLoader] and says what to install.
func Load() error {
	loader.Lock()
	defer loader.Unlock()
	if loader.getInstanceProcAddr != nil {
		return nil
	}
	proc, path, err := openLoader(loaderNames(runtime.GOOS, os.Getenv))
	if err != nil {
		return fmt.Errorf("%w: %s (%w)", ErrNoLoader, installHint(runtime.GOOS), err)
	}
	vulkan.SetGetInstanceProcAddr(proc)
	if err := vulkan.Init(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoLoader, path, err)
	}
	loader.getInstanceProcAddr, loader.path = proc, path
	return nil
}

// LoaderPath is the name under which the loader library was found, "" before Load.
func LoaderPath() string {
	loader.Lock()
	defer loader.Unlock()
	return loader.path
}

// loaderNames lists what to try to open, in order.
func loaderNames(goos string, getenv func(string) string) []string {
	if name := getenv(LibraryEnv); name != "" {
		return []string{name}
	}
	switch goos {
	case "windows":
		return []string{"vulkan-1.dll"}
	case "darwin":
		names := []string{"libvulkan.1.dylib", "libvulkan.dylib"}
		if sdk := getenv("VULKAN_SDK"); sdk != "" {
			names = append(names, sdk+"/lib/libvulkan.1.dylib")
		}
		return append(names, "/opt/homebrew/lib/libvulkan.1.dylib", "/usr/local/lib/libvulkan.1.dylib", "libMoltenVK.dylib")
	default:
		// libvulkan.so comes with development packages only.
		return []string{"libvulkan.so.1", "libvulkan.so"}
	}
}
