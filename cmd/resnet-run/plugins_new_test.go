package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
)

// pluginsNew runs the command and returns its exit code and what it wrote.
func pluginsNew(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs, getenv: func(string) string { return "" }, registry: &backend.Registry{}}
	if err := a.registry.Register(reference.New()); err != nil {
		t.Fatal(err)
	}
	cmd := a.pluginsNewCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&errs)
	cmd.SetErr(&errs)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return exitCode(t.Context(), err), out.String(), err.Error()
	}
	return exitOK, out.String(), errs.String()
}

// TestANewPluginBuildsAndPassesItsTests does what its author would do first.
func TestANewPluginBuildsAndPassesItsTests(t *testing.T) {
	sdk, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	code, out, text := pluginsNew(t, "my-chip2", "--sdk", sdk)
	if code != exitOK || out != "resnet-run-backend-my-chip2\n" || !strings.Contains(text, "README.md") {
		t.Fatalf("got %d, %q, %q", code, out, text)
	}
	dir := strings.TrimSpace(out)
	for _, file := range []string{"main.go", "main_test.go", "README.md", "manifest.json", "go.mod"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(data, []byte("go-naive")) {
			t.Errorf("%s speaks of the example that it was made from", file)
		}
	}
	if _, err := exec.LookPath("go"); err != nil && runtime.GOOS == "windows" {
		t.Skip("no Go where Windows' programs run")
	}
	goTool := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off") // what the source tree needs is here already
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	goTool("build", "-o", "resnet-run-backend-my-chip2", ".")
	if out := goTool("test", "-v", "-run", "^TestConformance$/^(contract|outputs)/", "."); strings.Count(out, "--- PASS: TestConformance/contract/") < 20 {
		t.Errorf("want the first tests to have run, got:\n%s", out)
	}
	followGuide(t, filepath.Join(sdk, "docs/write-a-backend.md"), dir)
	if out := goTool("test", "-v", "."); strings.Count(out, "--- PASS: TestConformance/batch_norm/") < 100 {
		t.Errorf("want a hundred cases to pass with the operation that docs/write-a-backend.md adds, got:\n%s", out)
	}
	plugin := exec.CommandContext(t.Context(), filepath.Join(dir, "resnet-run-backend-my-chip2"))
	said, err := plugin.CombinedOutput()
	if err == nil || !strings.Contains(string(said), `This is the backend "my-chip2"`) {
		t.Errorf("started by hand: got %v, %q", err, said)
	}
}

// followGuide adds the operation of the guide's step 5, and makes the test run its cases.
func followGuide(t *testing.T, guide, dir string) {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(code) != 2 {
		t.Fatalf("%s: got %d pieces of code, want a line of the table and a function", guide, len(code))
	}
	edit := func(file, pattern, with string) {
		t.Helper()
		path := filepath.Join(dir, file)
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		next := regexp.MustCompile(pattern).ReplaceAllLiteralString(string(old), with)
		if next == string(old) {
			t.Fatalf("%s: nothing is like %s", file, pattern)
		}
		if err := os.WriteFile(path, []byte(next), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit("main.go", `(?m)^var kernels = .*\n`, code[0][1])
	edit("main.go", `\z`, "\n"+code[1][1])
	edit("main.go", `(?m)^\t"maps"\n`, "\t\"maps\"\n\t\"math\"\n")
	edit("main_test.go", `Filter: "[^"]*"`, `Filter: "^batch_norm/"`)
}

func TestNewPluginRefusals(t *testing.T) {
	t.Chdir(t.TempDir())
	full, other := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{filepath.Join(full, "notes"): "mine", filepath.Join(other, "go.mod"): "module example.com/other\n", filepath.Join(other, "go.sum"): ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "accepts 1 arg"},
		{[]string{"My Chip"}, "want 1 to 64 of a-z, 0-9 and -"},
		{[]string{"../x"}, "want 1 to 64 of a-z, 0-9 and -"},
		{[]string{"reference"}, "taken by one of resnet-run's own"},
		{[]string{"chip", "--out", full}, `with "notes" in it`},
		{[]string{"chip", "--sdk", full}, "go.mod: " + noSuchFile},
		{[]string{"chip", "--sdk", other}, "got another module"},
	} {
		if code, _, text := pluginsNew(t, c.args...); code != exitUsage || !strings.Contains(text, c.want) {
			t.Errorf("%q: got %d, %q, want %d and %q", c.args, code, text, exitUsage, c.want)
		}
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("a refused call left %v, %v", left, err)
	}
}

// TestANewPluginWithoutASourceTree: the module is taken from where modules are.
func TestANewPluginWithoutASourceTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "here")
	if code, _, text := pluginsNew(t, "chip", "--out", dir); code != exitOK {
		t.Fatal(text)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module resnet-run-backend-chip\n") || strings.Contains(string(mod), "replace") {
		t.Errorf("got %q, %v", mod, err)
	}
}
