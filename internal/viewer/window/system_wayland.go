//go:build viewer && wayland

package window

// wayland is the tag that makes GLFW use Wayland.
const wayland = true
