package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExternalModule builds a module of a stranger, whose go.mod has this one by a replace, in a folder of its own: its right
// backend passes the suite and its wrong one fails, with the case, the place and the pattern named. Nothing is
// downloaded.
func TestExternalModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join("testdata", "external", "toy_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := len(strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })); lines >= 60 { // but empty ones
		t.Errorf("the module has %d lines, want under 60", lines)
	}
	write("toy_test.go", text)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write("go.sum", sum)
	const path = "github.com/resnet-run/resnet-run"
	write("go.mod", []byte("module example.com/toy\n\ngo 1.26\n\nrequire "+path+" v0.0.0\n\nreplace "+path+" => "+root+"\n"))
	run := func(test string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-v", "-run", "^"+test+"$", ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("TestRight")
	if counts := regexp.MustCompile(`conformance: (\d+) run: (\d+) passed, 0 failed`).FindStringSubmatch(out); err != nil || counts == nil || counts[1] != counts[2] || len(counts[1]) < 3 {
		t.Errorf("the right backend: %v, %v, want no failure and a hundred passes\n%s", err, counts, tail(out))
	}
	if out, err = run("TestWrong"); err == nil {
		t.Errorf("the wrong backend passed:\n%s", tail(out))
	}
	for _, want := range []string{"--- FAIL: TestWrong/relu/n2-c17-h5-w13/ordinary", "1 of 2210 elements are out of bounds: zero, one element; worst at [1 16 4 11]"} {
		if !strings.Contains(out, want) {
			t.Errorf("the wrong backend: want %q in\n%s", want, tail(out))
		}
	}
}

// tail is the end of a program's output.
func tail(out string) string { return out[max(0, len(out)-4000):] }
