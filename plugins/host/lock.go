package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// LockVersion is the version of the lock file's format.
const LockVersion = 1

// Pin is what the user has trusted of one plugin.
type Pin struct {
	Manifest       string            `json:"manifest"`        // absolute path
	ManifestSHA256 string            `json:"manifest_sha256"` // of its bytes
	Version        string            `json:"version"`         // for people
	Program        string            `json:"program"`         // absolute path of what is executed
	Files          map[string]string `json:"files"`           // SHA-256 by absolute path: the manifest's files and the program
	TrustedAt      time.Time         `json:"trusted_at"`
}

// lockFile is the lock file's content.
type lockFile struct {
	LockVersion int            `json:"lock_version"`
	Plugins     map[string]Pin `json:"plugins"`
}

// Pins reads the lock file at path. A file that is not there holds nothing.
//
// Errors: a file that others could have written, or that is not a lock file. Then nothing is trusted.
func Pins(path string) (map[string]Pin, error) {
	pins, err := readPins(path)
	if err != nil {
		return nil, fmt.Errorf("lock file %s: %w", path, err)
	}
	return pins, nil
}

func readPins(path string) (map[string]Pin, error) {
	if path == "" {
		return nil, errors.New("want a folder for settings: " + settingsVariables + " set")
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]Pin{}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := onlyOurs(info); err != nil {
		return nil, err
	}
	if info.Size() > 16<<20 {
		return nil, fmt.Errorf("want at most %d bytes, got %d", 16<<20, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var l lockFile
	if err := d.Decode(&l); err != nil {
		return nil, jsonError(err)
	}
	if l.LockVersion != LockVersion {
		return nil, fmt.Errorf("field %q: want %d, got %d", "lock_version", LockVersion, l.LockVersion)
	}
	if l.Plugins == nil {
		l.Plugins = map[string]Pin{}
	}
	return l.Plugins, nil
}

// Trust pins p as it is now, in place of an earlier pin of that name.
//
// Errors: [Plugin.Err]; [ErrChecksum] for a file that is not as the manifest says; a program that is not there or is a
// script; a lock file that cannot be read or written.
func Trust(lockPath string, p Plugin) (Pin, error) { return TrustWith(lockPath, p, "") }

// TrustWith is [Trust] with a program in place of the one that the manifest's command leads to, if program is not empty: an
// interpreter that the user has chosen.
//
// Errors: those of Trust; a manifest whose program is one of its own files.
func TrustWith(lockPath string, p Plugin, program string) (Pin, error) {
	pin, err := newPin(p, program)
	if err != nil {
		return Pin{}, fmt.Errorf("trust plugin %q: %w", p.Name, err)
	}
	return pin, updatePins(lockPath, func(pins map[string]Pin) error {
		pins[p.Name] = pin
		return nil
	})
}

// Distrust removes the pin of a plugin. Its files stay.
//
// Errors: [ErrNotTrusted] when there is none; a lock file that cannot be read or written.
func Distrust(lockPath, name string) error {
	return updatePins(lockPath, func(pins map[string]Pin) error {
		if _, ok := pins[name]; !ok {
			return fmt.Errorf("plugin %q: %w", name, ErrNotTrusted)
		}
		delete(pins, name)
		return nil
	})
}

// updatePins changes the lock file, one process at a time, so that a reader sees the old or the new one.
func updatePins(path string, change func(map[string]Pin) error) error {
	if path != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("lock file %s: %w", path, err)
		}
		unlock, err := exclusive(path + ".lock")
		if err != nil {
			return fmt.Errorf("lock file %s: %w", path, err)
		}
		defer unlock()
	}
	pins, err := Pins(path)
	if err != nil {
		return err
	}
	if err := change(pins); err != nil {
		return err
	}
	data, err := json.MarshalIndent(lockFile{LockVersion, pins}, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("lock file %s: %w", path, err)
	}
	return nil
}

// writeFile replaces a file in one step.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
