package vktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// headers asks for Vulkan 1.3: older ones lack most names.
const headers = `#include <vulkan/vulkan_core.h>
#ifndef VK_API_VERSION_1_3
#error vulkan_core.h is too old
#endif
#include <stddef.h>
`

// CompileWithHeaders compiles C statements after the system's vulkan_core.h,
// for tests that compare declarations with it, and returns the compiler's
// complaints. Without a compiler or headers of Vulkan 1.3 it skips the test.
// Headers of the caller's directory can be included.
func CompileWithHeaders(t *testing.T, source string) error {
	t.Helper()
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	if err := compile(t, compiler, headers); err != nil {
		if strings.Contains(err.Error(), "vulkan_core.h") {
			t.Skip("no Vulkan headers to compare with (Debian: libvulkan-dev)")
		}
		t.Fatal(err)
	}
	return compile(t, compiler, headers+source)
}

func compile(t *testing.T, compiler, source string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "check.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(compiler, "-std=c11", "-fsyntax-only", "-I", here, file).CombinedOutput()
	if err != nil {
		return &compileError{err, string(out)}
	}
	return nil
}

// compileError is a compiler's complaint.
type compileError struct {
	err  error
	text string
}

func (e *compileError) Error() string { return e.err.Error() + "\n" + e.text }
func (e *compileError) Unwrap() error { return e.err }
