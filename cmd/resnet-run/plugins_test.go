package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/internal/report"
	"github.com/resnet-run/resnet-run/plugins"
)

// actAsPlugin, as the first argument, makes the test binary a plugin that leaves a mark in the file that is the second.
const actAsPlugin = "act-as-plugin"

func init() {
	if len(os.Args) > 2 && os.Args[1] == actAsPlugin {
		if err := os.WriteFile(os.Args[2], []byte("started"), 0o600); err != nil {
			panic(err)
		}
		plugins.Serve(renamed{})
		os.Exit(0)
	}
}

// renamed is the reference backend under another name.
type renamed struct{}

func (renamed) Name() string { return "naive" }

func (renamed) Devices(ctx context.Context) ([]backend.DeviceInfo, error) {
	list, err := reference.New().Devices(ctx)
	for i := range list {
		list[i].Backend = "naive"
	}
	return list, err
}

func (renamed) Open(ctx context.Context, id string) (backend.Device, error) {
	d, err := reference.New().Open(ctx, id)
	return renamedDevice{d}, err
}

type renamedDevice struct{ backend.Device }

func (d renamedDevice) Info() backend.DeviceInfo {
	i := d.Device.Info()
	i.Backend = "naive"
	return i
}

// shelf is a folder with the plugin naive and one that has taken the name of a backend.
type shelf struct {
	dir, mark string
	env       map[string]string
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	dir := t.TempDir()
	s := &shelf{dir: dir, mark: filepath.Join(dir, "mark")}
	settings, data := filepath.Join(dir, "settings"), filepath.Join(dir, "data")
	s.env = map[string]string{"RESNET_RUN_PLUGIN_PATH": dir, "XDG_CONFIG_HOME": settings, "XDG_DATA_HOME": data, "APPDATA": settings, "LOCALAPPDATA": data}
	s.manifest(t, "naive", "1.0.0")
	s.manifest(t, "reference", "1.0.0")
	return s
}

func (s *shelf) manifest(t *testing.T, name, version string) {
	t.Helper()
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"manifest_version": 1, "name": name, "version": version, "protocol_versions": []int{1}, "command": []string{exe, actAsPlugin, s.mark}, "files": map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "resnet-run-backend-"+name+".json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// do runs the program as it is in main, with the reference backend and the plugins of the shelf.
func (s *shelf) do(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, getenv: func(k string) string { return s.env[k] }, registry: &backend.Registry{}}
	for _, b := range []backend.Backend{noVulkan, reference.New()} {
		if err := a.registry.Register(b); err != nil {
			t.Fatal(err)
		}
	}
	a.addPlugins()
	code := a.run(t.Context(), args)
	return outcome{out.String(), errs.String(), code}
}

func (s *shelf) expect(t *testing.T, code int, parts []string, args ...string) outcome {
	t.Helper()
	o := s.do(t, args...)
	if o.code != code {
		t.Errorf("%q: got exit code %d, want %d, stderr:\n%s", args, o.code, code, o.stderr)
	}
	for _, p := range parts {
		if !strings.Contains(o.stdout+o.stderr, p) {
			t.Errorf("%q: got\n%s%s\nwant %q in it", args, o.stdout, o.stderr, p)
		}
	}
	return o
}

func (s *shelf) started(t *testing.T) bool {
	t.Helper()
	_, err := os.Stat(s.mark)
	return err == nil
}

// TestPluginCommands follows a plugin from its discovery to its removal.
func TestPluginCommands(t *testing.T) {
	world(t)
	s := newShelf(t)
	const sentence = `plugin "naive": not trusted. It runs with your rights; to see what it is: resnet-run plugins describe naive; to trust it: resnet-run plugins trust naive`
	classify := []string{"classify", "-m", "colour.safetensors", "-f", "json", "pictures"}
	with := func(name string) []string { return append(append([]string{}, classify...), "--backend", name) }

	s.expect(t, exitOK, []string{"NAME", "naive", "1.0.0", "untrusted", sentence, "broken", "the name is that of one of resnet-run's own backends"}, "plugins", "list")
	s.expect(t, exitNoDevice, []string{sentence}, with("naive")...)
	s.expect(t, exitOK, []string{"backend naive has no device: " + sentence}, "devices")
	s.expect(t, exitRun, []string{sentence, "FAILED"}, "plugins", "doctor", "naive")
	if s.started(t) {
		t.Fatal("a plugin was started that nobody has trusted")
	}

	s.expect(t, exitOK, []string{"plugin naive 1.0.0 is trusted"}, "plugins", "trust", "naive")
	s.expect(t, exitRun, []string{"resnet-run's own"}, "plugins", "trust", "reference")
	o := s.expect(t, exitOK, nil, "plugins", "list", "--format", "json")
	var list []report.Plugin
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil || len(list) != 2 || list[0].Name != "naive" || list[0].State != "trusted" || list[0].TrustedAt == "" || list[1].State != "broken" {
		t.Errorf("got %s, %v", o.stdout, err)
	}
	s.expect(t, exitOK, []string{"state", "trusted", actAsPlugin}, "plugins", "describe", "naive")
	own := s.expect(t, exitOK, nil, with("reference")...)
	s.expect(t, exitOK, nil, "models")
	if s.started(t) {
		t.Fatal("a plugin was started to run another backend")
	}

	s.expect(t, exitOK, []string{"naive", "float64 reference"}, "devices")
	if !s.started(t) {
		t.Error("the plugin was not started to list its devices")
	}
	got := s.expect(t, exitOK, nil, with("naive:0")...)
	if want := strings.ReplaceAll(own.stdout, `"backend":"reference"`, `"backend":"naive"`); got.stdout != want || own.stdout == want {
		t.Errorf("got\n%s\nwant\n%s", got.stdout, want)
	}
	s.expect(t, exitOK, []string{"1 passed"}, "conformance", "--backend", "naive", "--filter", "outputs/twice")
	s.expect(t, exitOK, []string{"tensors", "ready after", "it ended with status 0"}, "plugins", "doctor", "naive")

	s.manifest(t, "naive", "1.0.1")
	s.expect(t, exitNoDevice, []string{`plugin "naive": changed since it was trusted`, "resnet-run plugins trust naive"}, with("naive")...)
	s.expect(t, exitOK, []string{"changed", "1.0.1"}, "plugins", "list")
	s.expect(t, exitOK, nil, "plugins", "trust", "naive")
	s.expect(t, exitOK, nil, with("naive")...)
	s.expect(t, exitOK, []string{"still there, at " + s.dir}, "plugins", "remove", "naive")
	s.expect(t, exitRun, []string{"not trusted"}, "plugins", "remove", "naive")
	s.expect(t, exitNoDevice, []string{sentence}, with("naive")...)
}

// noSuchFile is what the system says of a file that is not there; on Windows each says it differently.
var noSuchFile = map[bool]string{false: "no such file", true: ""}[runtime.GOOS == "windows"]

func TestPluginUsage(t *testing.T) {
	s := newShelf(t)
	s.expect(t, exitUsage, []string{`no plugin "mine": there are naive, reference. Looked in ` + s.dir}, "plugins", "trust", "mine")
	s.expect(t, exitUsage, []string{"accepts 1 arg"}, "plugins", "describe")
	s.expect(t, exitUsage, []string{"table|json"}, "plugins", "list", "--format", "xml")
	s.expect(t, exitRun, []string{"manifest.json: " + noSuchFile}, "plugins", "seal", s.dir)
	s.expect(t, exitOK, []string{"doctor", "describe", "remove", "trust", "seal", "new"}, "plugins")
	s.env["RESNET_RUN_PLUGIN_MEMORY"] = "much"
	s.expect(t, exitUsage, []string{"RESNET_RUN_PLUGIN_MEMORY: want a number of bytes"}, "plugins", "list")
	delete(s.env, "RESNET_RUN_PLUGIN_MEMORY")
	if runtime.GOOS != "windows" { // where a file is a folder that is not there
		s.env["RESNET_RUN_PLUGIN_PATH"] = filepath.Join(s.dir, "resnet-run-backend-naive.json")
		s.expect(t, exitOK, []string{"look for plugins", "not a directory"}, "plugins", "list")
	}
}

// TestSealWritesTheChecksums is what an author does after a build.
func TestSealWritesTheChecksums(t *testing.T) {
	s := newShelf(t)
	dir := filepath.Join(s.dir, "resnet-run-backend-mine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"tool": "program", "manifest.json": `{"manifest_version":1,"name":"mine","version":"1","protocol_versions":[1],"command":["./tool"],"files":{"tool":""}}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.expect(t, exitOK, []string{"broken", "want a SHA-256"}, "plugins", "list")
	s.expect(t, exitOK, nil, "plugins", "seal", dir)
	s.expect(t, exitOK, []string{"1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8", "tool"}, "plugins", "describe", "mine")
}
