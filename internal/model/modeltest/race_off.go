//go:build !race

package modeltest

// Race reports whether the race detector is on, under which the float64 reference takes minutes for a large network.
const Race = false
