//go:build unix

package host

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
)

const goodManifest = `{"manifest_version":1,"name":"naive","version":"1.0.0","protocol_versions":[1],"command":["./bin/tool","-v"],
"files":{"bin/tool":"0000000000000000000000000000000000000000000000000000000000000000"},"environment":["NAIVE_THREADS"]}`

// TestManifestFields: every field is checked, and the error names it.
func TestManifestFields(t *testing.T) {
	if _, err := ParseManifest([]byte(goodManifest)); err != nil {
		t.Fatal(err)
	}
	zero := strings.Repeat("0", 64)
	for _, c := range []struct{ field, value, want string }{
		{"manifest_version", `2`, `field "manifest_version": want 1, got 2`},
		{"manifest_version", `"1"`, `field "manifest_version": want a whole number, got string`},
		{"name", `"Naive"`, `field "name": `},
		{"name", `""`, `field "name": `},
		{"version", `""`, `field "version": want 1 to 64 bytes without control characters, got ""`},
		{"version", `"1\n2"`, `field "version": `},
		{"protocol_versions", `[]`, `field "protocol_versions": want 1 to 16 numbers above 0, got []`},
		{"protocol_versions", `[0]`, `field "protocol_versions": `},
		{"protocol_versions", `[1.5]`, `field "protocol_versions`},
		{"command", `[]`, `field "command": want a program`},
		{"command", `[""]`, `field "command": argument 0: `},
		{"command", `["./other"]`, `field "command": the program "other" is not among the files`},
		{"command", `["./bin/tool","a\u0000b"]`, `field "command": argument 1: `},
		{"command", `"tool"`, `field "command": want a list, got string`},
		{"files", `{"bin/tool":"` + zero + `","../x":"` + zero + `"}`, `field "files": want paths inside the plugin's folder`},
		{"files", `{"bin/tool":"` + zero + `","/etc/passwd":"` + zero + `"}`, `field "files": want paths inside`},
		{"files", `{"bin/tool":"` + zero + `","./x":"` + zero + `"}`, `field "files": want paths inside`},
		{"files", `{"bin/tool":"ABC"}`, `field "files": "bin/tool": want a SHA-256 of 64 hexadecimal digits in lower case, got "ABC"`},
		{"environment", `["A=B"]`, `field "environment": `},
		{"environment", `["PLUGIN_CLIENT_CERT"]`, `field "environment": `},
		{"environment", `["RESNET_RUN_PLUGIN"]`, `field "environment": `},
		{"sha256", `"x"`, `unknown field "sha256"`},
	} {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(goodManifest), &m); err != nil {
			t.Fatal(err)
		}
		m[c.field] = json.RawMessage(c.value)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseManifest(data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %s: got %v, want %q", c.field, c.value, err, c.want)
		}
	}
	for _, text := range []string{"", "[]", "null", goodManifest + "{}", goodManifest[:len(goodManifest)-1], strings.Repeat(" ", maxManifestBytes) + goodManifest} {
		if _, err := ParseManifest([]byte(text)); err == nil {
			t.Errorf("%.40q: want an error", text)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(goodManifest))
	f.Add([]byte(`{"manifest_version":1,"name":"a","version":"1","protocol_versions":[1],"command":["python3","x.py"],"files":{}}`))
	f.Add([]byte(`{"files":{"":""}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ParseManifest(again)
		if err != nil || n.Name != m.Name || !maps.Equal(n.Files, m.Files) {
			t.Errorf("written and read again: got %+v, %v, want %+v", n, err, m)
		}
		for name := range m.Files {
			if rel, err := filepath.Rel("/plugin", filepath.Join("/plugin", name)); err != nil || strings.HasPrefix(rel, "..") {
				t.Errorf("%q leads out of the folder", name)
			}
		}
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add("1|1|unix|/tmp/x|grpc|" + strings.Repeat("A", 60))
	f.Add("1|1|tcp|127.0.0.1:99|grpc|")
	f.Add("||||||")
	f.Fuzz(func(t *testing.T, line string) {
		if err := checkHandshake(line); err == nil && !strings.HasPrefix(line, "1|1|") {
			t.Errorf("%q is taken for a handshake", line)
		}
	})
}

// TestFind: what is a plugin, which of two counts, and what is wrong with the others.
func TestFind(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	put := func(dir, path, text string, mode os.FileMode) {
		t.Helper()
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, full, []byte(text), mode)
	}
	manifest := func(name string) string { return strings.Replace(goodManifest, `"naive"`, `"`+name+`"`, 1) }
	put(first, "resnet-run-backend-a/manifest.json", manifest("a"), 0o644)
	put(first, "resnet-run-backend-b.json", manifest("b"), 0o644)
	put(first, "resnet-run-backend-b", "the program of b", 0o755)
	put(first, "resnet-run-backend-c/manifest.json", manifest("d"), 0o644)
	put(first, "resnet-run-backend-e", "a program without a manifest", 0o755)
	put(first, "resnet-run-backend-f.txt", "notes", 0o644)
	put(first, "other", "", 0o755)
	put(first, "resnet-run-backend-g/readme", "", 0o644)
	if err := os.Symlink(filepath.Join(first, "gone"), filepath.Join(first, "resnet-run-backend-h")); err != nil {
		t.Fatal(err)
	}
	put(second, "resnet-run-backend-a/manifest.json", manifest("a"), 0o644)
	put(second, "resnet-run-backend-i/manifest.json", manifest("i"), 0o644)
	all, err := Find([]string{first, filepath.Join(first, "nowhere"), second, first})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ name, err string }{
		{"a", ""}, {"b", ""}, {"c", `field "name": want "c", as in the name of the folder or file, got "d"`},
		{"e", "it has no manifest: want resnet-run-backend-e.json beside it"}, {"g", "no such file"}, {"h", "no such file"},
		{"a", "hidden by " + filepath.Join(first, "resnet-run-backend-a", "manifest.json")}, {"i", ""},
	}
	if len(all) != len(want) {
		t.Fatalf("got %d plugins, want %d: %+v", len(all), len(want), all)
	}
	for i, p := range all {
		good := p.Err == nil && p.Manifest != nil && want[i].err == ""
		if p.Name != want[i].name || !good && (p.Err == nil || p.Manifest != nil || want[i].err == "" || !strings.Contains(p.Err.Error(), want[i].err)) {
			t.Errorf("plugin %d: got %q, %v, want %+v", i, p.Name, p.Err, want[i])
		}
	}
	b := New(all[2], Options{LockPath: filepath.Join(first, "lock")})
	if _, err := b.Devices(t.Context()); !errors.Is(err, backend.ErrNoDevice) || !strings.Contains(err.Error(), `plugin "c"`) {
		t.Errorf("a broken plugin: got %v", err)
	}
}

// TestFolders: where plugins and the lock file are looked for.
func TestFolders(t *testing.T) {
	env := map[string]string{"RESNET_RUN_PLUGIN_PATH": "/a" + string(os.PathListSeparator) + "/b", "HOME": "/home/me"}
	getenv := func(k string) string { return env[k] }
	got := Folders(getenv)
	if len(got) != 4 || got[0] != "/a" || got[1] != "/b" || !strings.HasSuffix(got[2], "resnet-run/plugins") || !strings.HasPrefix(got[2], "/home/me/") {
		t.Errorf("got %q", got)
	}
	if got := LockPath(getenv); !strings.HasPrefix(got, "/home/me/") || filepath.Base(got) != "plugins.lock" {
		t.Errorf("got %q", got)
	}
	env["XDG_DATA_HOME"], env["XDG_CONFIG_HOME"] = "/data", "/config"
	if got := Folders(getenv)[2]; got != "/data/resnet-run/plugins" {
		t.Errorf("got %q", got)
	}
	if got := LockPath(getenv); got != "/config/resnet-run/plugins.lock" {
		t.Errorf("got %q", got)
	}
	clear(env)
	if got := LockPath(getenv); got != "" {
		t.Errorf("got %q", got)
	}
	if _, err := Pins(""); err == nil {
		t.Error("a lock file without a place: want an error")
	}
}

// TestEnvironment: what a plugin gets of the host's variables, and what users can set.
func TestEnvironment(t *testing.T) {
	got := strings.Join(environment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "LC_ALL=C", "VK_DRIVER_FILES=y", "PLUGIN_CLIENT_CERT=z", "MINE=1", "LC=2"}, []string{"MINE"}), " ")
	if want := "PATH=/bin LC_ALL=C VK_DRIVER_FILES=y MINE=1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, c := range []struct{ name, value, want string }{
		{"RESNET_RUN_PLUGIN_MEMORY", "2 GiB", ""}, {"RESNET_RUN_PLUGIN_MEMORY", "500MiB", ""}, {"RESNET_RUN_PLUGIN_MEMORY", "4096", ""},
		{"RESNET_RUN_PLUGIN_MEMORY", "lots", `want a number of bytes above 0 such as 4GiB, got "lots"`},
		{"RESNET_RUN_PLUGIN_MEMORY", "9999999999GiB", "want a number of bytes"}, {"RESNET_RUN_PLUGIN_MEMORY", "-1", "want a number"},
		{"RESNET_RUN_PLUGIN_PATIENCE", "90s", ""}, {"RESNET_RUN_PLUGIN_PATIENCE", "90", "want a time above 0"}, {"RESNET_RUN_PLUGIN_START", "-1s", "want a time above 0"},
		{"RESNET_RUN_PLUGIN_RESTARTS", "0", ""}, {"RESNET_RUN_PLUGIN_RESTARTS", "many", "want a number in 0..65535"},
	} {
		_, err := FromEnvironment(func(k string) string { return map[string]string{c.name: c.value}[k] })
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), c.name)) {
			t.Errorf("%s=%s: got %v, want %q", c.name, c.value, err, c.want)
		}
	}
	l, err := FromEnvironment(func(k string) string {
		return map[string]string{"RESNET_RUN_PLUGIN_MEMORY": "2GiB", "RESNET_RUN_PLUGIN_RESTARTS": "0"}[k]
	})
	if err != nil || l.Memory != 2<<30 || l.withDefaults().Restarts != -1 {
		t.Errorf("got %+v, %v", l, err)
	}
}

// TestLog: what a plugin writes comes out as records, whatever it is.
func TestLog(t *testing.T) {
	b, w := start(t, "talks", patient)
	if _, err := b.Devices(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if !w.log.has("the last line") {
			return "no last line in the log:\n" + w.log.String()
		}
		return ""
	})
	for _, want := range [][]string{
		{"level=DEBUG", `@message`, "plugin=bad"},
		{"level=WARN", "msg=warm", "degrees=80", `nested="{\"a\":[1]}"`, "time=2026-01-02T03:04:05", "plugin=bad"},
		{"level=INFO", "msg=plain"},
		{"level=ERROR", "long long long"},
		{"level=DEBUG", `nothing special \x1b[31m`},
	} {
		if !w.log.has(want...) {
			t.Errorf("no line with %q in the log", want)
		}
	}
}

func FuzzLogLine(f *testing.F) {
	f.Add(`{"@message":1}`)
	f.Add(`{"@level":"info","@message":"m","k":{"a":null}}`)
	f.Add("[WARN] x")
	f.Add("panic: \x00")
	f.Fuzz(func(t *testing.T, line string) {
		l := &pluginLog{to: New(Plugin{}, Options{}).o.Logger}
		l.copy(strings.NewReader(line + "\n" + line))
		if len(l.words()) > 4*300 {
			t.Errorf("last words of %d bytes", len(l.words()))
		}
	})
}
