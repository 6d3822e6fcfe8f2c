package main

import (
	"strings"
	"testing"
)

func TestSelectInPrecision(t *testing.T) {
	for _, c := range []struct{ selection, precision, want, err string }{
		{"vulkan", "", "vulkan", ""},
		{"vulkan:0", "f32", "vulkan:0", ""},
		{"vulkan", "f16", "vulkan@f16", ""},
		{"vulkan:a:b", "f16", "vulkan@f16:a:b", ""},
		{"auto", "f16", "vulkan@f16", ""},
		{"auto:llvm", "f32", "auto:llvm", ""},
		{"cpu", "f16", "cpu@f16", ""}, // the registry says what it thinks of that
		{"vulkan@f16:1", "f32", "vulkan@f16:1", ""},
		{"vulkan@f16:1", "f16", "vulkan@f16:1", ""},
		{"vulkan@f32", "f16", "", "want one precision"},
		{"vulkan", "f8", "", "want f32 or f16"},
	} {
		got, err := selectInPrecision(c.selection, c.precision)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s in %s: got %q, %v, want an error with %q", c.selection, c.precision, got, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s in %q: got %q, %v, want %q", c.selection, c.precision, got, err, c.want)
		}
	}
}
