//go:build !viewer

package main

import (
	"strings"
	"testing"
)

// TestViewSaysHowToGetIt in a program without it.
func TestViewSaysHowToGetIt(t *testing.T) {
	world(t)
	for _, args := range [][]string{{"view"}, {"view", "-m", "nosuch", "pictures"}} {
		o := do(t, args...)
		if o.code != exitUsage || !strings.Contains(o.stderr, "make view") || !strings.Contains(o.stderr, "-tags viewer") {
			t.Errorf("%v: got %+v, want exit code %d and how to build it", args, o, exitUsage)
		}
	}
	for _, flag := range []string{"--batch=2", "--format=json"} {
		if o := do(t, "view", flag); o.code != exitUsage || !strings.Contains(o.stderr, "unknown flag") {
			t.Errorf("%s: got %+v, want it unknown", flag, o)
		}
	}
}
