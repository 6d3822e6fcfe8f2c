//go:build viewer && !wayland

package window

const wayland = false
