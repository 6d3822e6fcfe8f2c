//go:build unix

package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
)

// tool makes a plugin whose program is a copy of the test binary in its folder.
func (w *place) tool(t *testing.T) (Plugin, string) {
	t.Helper()
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, Prefix+"cpu", "tool")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, data, 0o755)
	m := Manifest{ManifestVersion: 1, Name: "cpu", Version: "1.0.0", ProtocolVersions: []int{1}, Command: []string{"./tool", asPlugin, "cpu"},
		Files: map[string]string{"tool": sumBytes(data)}}
	return w.installManifest(t, m), path
}

const (
	untrustedMessage = `plugin "cpu": not trusted. It runs with your rights; to see what it is: resnet-run plugins describe cpu; to trust it: resnet-run plugins trust cpu`
	changedMessage   = `plugin "cpu": changed since it was trusted: /PATH/tool: want SHA-256 SHA256, got SHA256. If you meant this change: resnet-run plugins trust cpu`
	checksumMessage  = `trust plugin "cpu": wrong checksum: /PATH/tool: want SHA-256 SHA256 as in the manifest, got SHA256`
)

// TestTrust: a plugin runs when it is trusted, and only as it was then.
func TestTrust(t *testing.T) {
	w := newPlace(t)
	p, path := w.tool(t)
	o := w.options(t, patient)
	refused := func(kind error, want string) {
		t.Helper()
		b := New(w.find(t, "cpu"), o)
		defer closeIt(t, b)
		_, err := b.Devices(t.Context())
		if !errors.Is(err, kind) || !errors.Is(err, backend.ErrNoDevice) || maskFault(err.Error()) != want {
			t.Errorf("got\n%v\nwant\n%s", err, want)
		}
	}
	state := func(want State) {
		t.Helper()
		pins, err := Pins(w.lock)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Examine(w.find(t, "cpu"), pins); got != want || (err == nil) != (want == Trusted) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	refused(ErrNotTrusted, untrustedMessage)
	state(Untrusted)

	w.trust(t, p)
	state(Trusted)
	b := New(p, o)
	openDevice(t, b)
	closeIt(t, b)

	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, append(good, 0), 0o755)
	refused(ErrChanged, changedMessage)
	state(Changed)
	if _, err := Trust(w.lock, p); !errors.Is(err, ErrChecksum) || maskFault(err.Error()) != checksumMessage {
		t.Errorf("got\n%v\nwant\n%s", err, checksumMessage)
	}
	if err := Seal(p.Dir()); err != nil {
		t.Fatal(err)
	}
	state(Changed)
	w.trust(t, w.find(t, "cpu"))
	state(Trusted)

	if err := Distrust(w.lock, "cpu"); err != nil {
		t.Fatal(err)
	}
	state(Untrusted)
	if err := Distrust(w.lock, "cpu"); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("second distrust: got %v", err)
	}
}

// TestChangeWhileStarting: what is exchanged after it was hashed is not what runs, and is noticed.
func TestChangeWhileStarting(t *testing.T) {
	w := newPlace(t)
	p, path := w.tool(t)
	w.trust(t, p)
	pins, err := Pins(w.lock)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(){
		"replaced": func() {
			write(t, path+".new", []byte("#!/bin/sh\n"), 0o755)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		},
		"removed": func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"touched": func() {
			if err := os.Chmod(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ = w.tool(t)
			v, err := verify(p, pins["cpu"])
			if err != nil {
				t.Fatal(err)
			}
			defer v.close()
			if err := v.recheck(); err != nil {
				t.Fatalf("nothing has changed: %v", err)
			}
			change()
			if err := v.recheck(); !errors.Is(err, ErrChanged) {
				t.Errorf("got %v, want ErrChanged", err)
			}
		})
	}
}

// TestWhatCannotBeTrusted: programs that would not run as they were hashed are refused, and one reads what to do.
func TestWhatCannotBeTrusted(t *testing.T) {
	w := newPlace(t)
	for name, c := range map[string]struct {
		mode os.FileMode
		data string
		want string
	}{
		"script":   {0o755, "#!/bin/sh -e\necho hello\n", `want a program, got a script. Its interpreter is what must be named in the manifest, and the script as its argument: "command": ["/bin/sh","-e","tool"]`},
		"env":      {0o755, "#! /usr/bin/env python3\n", `"command": ["python3","tool"]`},
		"split":    {0o755, "#!/usr/bin/env -S node --x", `"command": ["node","--x","tool"]`},
		"nothing":  {0o755, "#!", `"command": ["sh","tool"]`},
		"not-exec": {0o644, "x", "want a file that may be executed, got mode -rw-r--r--"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.installManifest(t, Manifest{ManifestVersion: 1, Name: name, Version: "1", ProtocolVersions: []int{1}, Command: []string{"./tool"}, Files: map[string]string{"tool": sumBytes([]byte(c.data))}})
			write(t, filepath.Join(p.Dir(), "tool"), []byte(c.data), c.mode)
			if err := os.Chmod(filepath.Join(p.Dir(), "tool"), c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := Trust(w.lock, p); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if _, err := TrustWith(w.lock, p, os.Args[0]); err == nil || !strings.Contains(err.Error(), "want the plugin's own") {
				t.Errorf("another program: got %v", err)
			}
		})
	}
}

// TestChosenProgram: where PATH leads to a script of a version manager, the user says which program is meant, and that one is pinned.
func TestChosenProgram(t *testing.T) {
	w := newPlace(t)
	shims := t.TempDir()
	write(t, filepath.Join(shims, "tool"), []byte("#!/bin/sh\nexec manager run tool\n"), 0o755)
	t.Setenv("PATH", shims+string(os.PathListSeparator)+os.Getenv("PATH"))
	p := w.installManifest(t, Manifest{ManifestVersion: 1, Name: "cpu", Version: "1", ProtocolVersions: []int{1}, Command: []string{"tool", asPlugin, "cpu"}})
	want := "tool: want a program, got a script that starts one. Say which that is: resnet-run plugins trust cpu --program /PATH/TO/tool"
	if _, err := Trust(w.lock, p); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	if _, err := TrustWith(w.lock, p, filepath.Join(shims, "tool")); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("the script itself: got %v", err)
	}
	if _, err := TrustWith(w.lock, p, filepath.Join(shims, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such program: got %v", err)
	}
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	pin, err := TrustWith(w.lock, p, exe)
	if err != nil || pin.Program != exe || len(pin.Files[exe]) != 64 {
		t.Fatalf("got %+v, %v", pin, err)
	}
	b := New(p, w.options(t, patient))
	defer closeIt(t, b)
	openDevice(t, b)
}

// TestLockFileOfOthers: a lock file that others can write says nothing.
func TestLockFileOfOthers(t *testing.T) {
	w := newPlace(t)
	p := w.install(t, "cpu", "cpu")
	w.trust(t, p)
	if err := os.Chmod(w.lock, 0o666); err != nil {
		t.Fatal(err)
	}
	b := New(p, w.options(t, patient))
	defer closeIt(t, b)
	if _, err := b.Devices(t.Context()); !errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), "want a file that only you can write") {
		t.Errorf("got %v", err)
	}
	for text, want := range map[string]string{
		`{"lock_version":2}`:            `field "lock_version": want 1, got 2`,
		`{"lock_version":"1"}`:          `field "lock_version": want a whole number, got string`,
		`{"lock_version":1,"plugins":3`: `not the JSON that is wanted`,
		`{"unknown":1}`:                 `unknown field`,
	} {
		if err := os.Remove(w.lock); err != nil {
			t.Fatal(err)
		}
		write(t, w.lock, []byte(text), 0o600)
		if _, err := Pins(w.lock); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), w.lock) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
