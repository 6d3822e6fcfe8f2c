package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/resnet-run/resnet-run/plugins/wire"
)

// ManifestVersion is the version of the manifest's format.
const ManifestVersion = 1

// The limits of a manifest.
const (
	maxManifestBytes = 1 << 16
	maxFiles         = 256
	maxArguments     = 64
	maxTextBytes     = 4096
)

// Manifest says what a plugin is, so that it need not be started to know it. docs/plugins.md explains the fields.
type Manifest struct {
	ManifestVersion  int               `json:"manifest_version"`
	Name             string            `json:"name"`
	Version          string            `json:"version"`
	ProtocolVersions []int             `json:"protocol_versions"`
	Command          []string          `json:"command"`               // the program and its arguments
	Files            map[string]string `json:"files"`                 // SHA-256 in hexadecimal by path relative to the manifest's folder
	Environment      []string          `json:"environment,omitempty"` // names of further variables that are passed on
}

// ParseManifest reads a manifest and checks every field.
//
// Errors name the field, what is wanted and what is there.
func ParseManifest(data []byte) (*Manifest, error) {
	m, err := decodeManifest(data)
	if err != nil {
		return nil, err
	}
	return m, m.check()
}

func decodeManifest(data []byte) (*Manifest, error) {
	if len(data) > maxManifestBytes {
		return nil, fmt.Errorf("want at most %d bytes, got %d", maxManifestBytes, len(data))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return nil, jsonError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one JSON object, got more after it")
	}
	return &m, nil
}

// jsonError says in our words which field has the wrong type.
func jsonError(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) && t.Field != "" {
		return fmt.Errorf("field %q: want %s, got %s", t.Field, jsonName(t.Type.String()), t.Value)
	}
	return fmt.Errorf("not the JSON that is wanted: %w", err)
}

func jsonName(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map"):
		return "an object of strings"
	case goType == "int":
		return "a whole number"
	}
	return "a " + goType
}

// check checks each field.
func (m *Manifest) check() error {
	if m.ManifestVersion != ManifestVersion {
		return fmt.Errorf("field %q: want %d, got %d", "manifest_version", ManifestVersion, m.ManifestVersion)
	}
	if err := wire.CheckName(m.Name); err != nil {
		return fmt.Errorf("field %q: %w", "name", err)
	}
	if err := checkText(m.Version, 64); err != nil {
		return fmt.Errorf("field %q: %w", "version", err)
	}
	if len(m.ProtocolVersions) == 0 || len(m.ProtocolVersions) > 16 || slices.Min(m.ProtocolVersions) < 1 {
		return fmt.Errorf("field %q: want 1 to 16 numbers above 0, got %v", "protocol_versions", m.ProtocolVersions)
	}
	if err := m.checkCommand(); err != nil {
		return fmt.Errorf("field %q: %w", "command", err)
	}
	if err := m.checkFiles(); err != nil {
		return fmt.Errorf("field %q: %w", "files", err)
	}
	for _, name := range m.Environment {
		if name == "" || len(name) > 128 || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "PLUGIN_") || name == wire.CookieKey {
			return fmt.Errorf("field %q: want names of variables that are not those of the protocol, got %q", "environment", name)
		}
	}
	if len(m.Environment) > maxArguments {
		return fmt.Errorf("field %q: want at most %d names, got %d", "environment", maxArguments, len(m.Environment))
	}
	return nil
}

// checkText checks a text for people.
func checkText(s string, most int) error {
	if s == "" || len(s) > most || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("want 1 to %d bytes without control characters, got %q", most, s)
	}
	return nil
}

func (m *Manifest) checkCommand() error {
	if len(m.Command) == 0 || len(m.Command) > maxArguments {
		return fmt.Errorf("want a program and at most %d arguments, got %d strings", maxArguments-1, len(m.Command))
	}
	for i, arg := range m.Command {
		if len(arg) > maxTextBytes || strings.ContainsRune(arg, 0) || i == 0 && arg == "" {
			return fmt.Errorf("argument %d: want at most %d bytes without a zero byte, and a name for the program, got %.80q", i, maxTextBytes, arg)
		}
	}
	if program, ok := m.ownProgram(); ok {
		if _, listed := m.Files[program]; !listed {
			return fmt.Errorf("the program %q is not among the files", program)
		}
	}
	return nil
}

// ownProgram is the program's key in Files; false when it is not the plugin's own file but one of the system, such as an interpreter.
func (m *Manifest) ownProgram() (string, bool) {
	name := m.Command[0]
	if !strings.Contains(name, "/") || path.IsAbs(name) || filepath.IsAbs(name) {
		return "", false
	}
	return path.Clean(name), true
}

func (m *Manifest) checkFiles() error {
	if len(m.Files) > maxFiles {
		return fmt.Errorf("want at most %d, got %d", maxFiles, len(m.Files))
	}
	for name, sum := range m.Files {
		if name == "" || name != path.Clean(name) || !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("want paths inside the plugin's folder, without . and .., got %.80q", name)
		}
		if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
			return fmt.Errorf("%q: want a SHA-256 of 64 hexadecimal digits in lower case, got %.80q", name, sum)
		}
	}
	return nil
}

// Seal writes the checksums of the files that a manifest names into it. It is for authors, after a build. The argument
// is the manifest or its folder.
//
// Errors: a manifest that is wrong in another way, a file that cannot be read.
func Seal(manifest string) error {
	if info, err := os.Stat(manifest); err == nil && info.IsDir() {
		manifest = filepath.Join(manifest, manifestName)
	}
	data, err := readManifest(manifest)
	if err != nil {
		return err
	}
	m, err := decodeManifest(data)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", manifest, err)
	}
	if m.Files == nil {
		m.Files = map[string]string{}
	}
	if len(m.Command) > 0 {
		if program, ok := m.ownProgram(); ok {
			m.Files[program] = ""
		}
	}
	for name := range m.Files {
		sum, err := sumFile(filepath.Join(filepath.Dir(manifest), filepath.FromSlash(name)))
		if err != nil {
			return fmt.Errorf("manifest %s: field %q: %w", manifest, "files", err)
		}
		m.Files[name] = sum
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("manifest %s: %w", manifest, err)
	}
	out, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(manifest, append(out, '\n'), 0o644)
}

// readManifest reads the bytes of a manifest.
func readManifest(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxManifestBytes+1))
	if err != nil {
		return nil, err
	}
	return data, nil
}
