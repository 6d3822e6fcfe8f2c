//go:build viewer

package window

import (
	"errors"
	"runtime"
)

// display tells whether there is one: GLFW's Go package fails in odd ways without.
func display(getenv func(string) string) error { return displayOn(runtime.GOOS, wayland, getenv) }

func displayOn(goos string, wayland bool, getenv func(string) string) error {
	switch {
	case goos == "windows" || goos == "darwin":
		return nil
	case wayland && getenv("WAYLAND_DISPLAY") == "":
		return errors.New("no display: WAYLAND_DISPLAY is not set, and this program was built for Wayland")
	case wayland || getenv("DISPLAY") != "":
		return nil
	case getenv("WAYLAND_DISPLAY") != "":
		return errors.New("no display: DISPLAY is not set, and this program was built for X11; start Xwayland, or build with -tags viewer,wayland")
	}
	return errors.New("no display: DISPLAY is not set; start this in a session with a screen")
}
