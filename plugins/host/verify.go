package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/resnet-run/resnet-run/backend"
)

// Why a plugin is not started. All of them are [backend.ErrNoDevice] too: another backend may do the work.
var (
	// ErrNotTrusted: the user has not said that the plugin may run.
	ErrNotTrusted error = refusal("not trusted")
	// ErrChanged: the plugin is not what the user has trusted.
	ErrChanged error = refusal("changed since it was trusted")
	// ErrChecksum: a file is not what the manifest says.
	ErrChecksum error = refusal("wrong checksum")
)

// refusal is an error that is backend.ErrNoDevice without saying so.
type refusal string

func (r refusal) Error() string { return string(r) }

// Unwrap returns backend.ErrNoDevice.
func (r refusal) Unwrap() error { return backend.ErrNoDevice }

// pinned is a file that is executed or read by what is executed, open since it was hashed.
type pinned struct {
	path string
	file *os.File
	info os.FileInfo // from before it was hashed
}

// verified are the files of a plugin that were found to be those that are trusted.
type verified struct {
	program *os.File
	files   []pinned
}

// verify opens and hashes everything that the pin names. What is executed later is the file that was hashed, by its
// descriptor, and recheck finds what was exchanged in between.
func verify(p Plugin, pin Pin) (*verified, error) {
	if err := p.matches(pin); err != nil {
		return nil, err
	}
	v := &verified{}
	for _, path := range slices.Sorted(maps.Keys(pin.Files)) {
		f, sum, err := openSum(path)
		if err == nil && sum != pin.Files[path] {
			err = errors.Join(fmt.Errorf("%w: %s: want SHA-256 %s, got %s", ErrChanged, path, pin.Files[path], sum), f.file.Close())
		}
		if err != nil {
			v.close()
			return nil, err
		}
		v.files = append(v.files, f)
		if path == pin.Program {
			v.program = f.file
		}
	}
	if v.program == nil {
		v.close()
		return nil, fmt.Errorf("%w: the lock file has no checksum of %s", ErrChanged, pin.Program)
	}
	return v, nil
}

// matches checks the manifest against the pin.
func (p *Plugin) matches(pin Pin) error {
	if p.Err != nil {
		return p.Err
	}
	if pin.Manifest != p.Path {
		return fmt.Errorf("%w: %s was trusted, this is %s", ErrNotTrusted, pin.Manifest, p.Path)
	}
	_, sum, err := load(p.Path, p.Name) // it may have changed since it was found
	if err != nil {
		return err
	}
	if sum != pin.ManifestSHA256 || sum != p.sum {
		return fmt.Errorf("%w: %s: want SHA-256 %s, got %s", ErrChanged, p.Path, pin.ManifestSHA256, sum)
	}
	return nil
}

// recheck says whether the paths still lead to the files that were hashed, and nobody has touched these.
func (v *verified) recheck() error {
	for _, f := range v.files {
		now, err := os.Stat(f.path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrChanged, err)
		}
		if !os.SameFile(now, f.info) || now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime()) || !changeTime(now).Equal(changeTime(f.info)) {
			return fmt.Errorf("%w: %s was written while the plugin was being started", ErrChanged, f.path)
		}
	}
	return nil
}

func (v *verified) close() {
	for _, f := range v.files {
		_ = f.file.Close() // only read
	}
}

// newPin hashes what is there now. A chosen program takes the place of the manifest's.
func newPin(p Plugin, chosen string) (Pin, error) {
	if p.Err != nil {
		return Pin{}, p.Err
	}
	pin := Pin{Manifest: p.Path, ManifestSHA256: p.sum, Version: p.Manifest.Version, Files: map[string]string{}, TrustedAt: time.Now().UTC().Truncate(time.Second)}
	var err error
	if pin.Program, err = p.program(chosen); err != nil {
		return pin, err
	}
	for name, want := range p.Manifest.Files {
		path := filepath.Join(p.Dir(), filepath.FromSlash(name))
		got, err := sumFile(path)
		if err != nil {
			return pin, err
		}
		if got != want {
			return pin, fmt.Errorf("%w: %s: want SHA-256 %s as in the manifest, got %s", ErrChecksum, path, want, got)
		}
		pin.Files[path] = got
	}
	if pin.Files[pin.Program], err = sumFile(pin.Program); err != nil {
		return pin, err
	}
	return pin, p.checkProgram(pin.Program)
}

// program is the absolute path of what is executed. Links in it are kept: some interpreters find their files by it.
func (p *Plugin) program(chosen string) (string, error) {
	name := p.Manifest.Command[0]
	if own, ok := p.Manifest.ownProgram(); ok {
		if chosen != "" {
			return "", fmt.Errorf("program %s: want the plugin's own, %q: another cannot be chosen", chosen, name)
		}
		return filepath.Join(p.Dir(), filepath.FromSlash(own)), nil
	}
	if chosen != "" {
		name = chosen
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("program: %w", err)
	}
	return filepath.Abs(path)
}

// checkProgram refuses what can be seen not to be a program. A script's interpreter would open it a second time, by its
// path, which is not what was hashed; so the interpreter must be named.
func (p *Plugin) checkProgram(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := mayExecute(info); err != nil {
		return fmt.Errorf("program %s: %w", path, err)
	}
	head := make([]byte, 256)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	interpreter, ok := interpreterOf(head[:n])
	if !ok {
		return nil
	}
	if own, ok := p.Manifest.ownProgram(); ok {
		command, err := json.Marshal(append(interpreter, own))
		if err != nil {
			return err
		}
		return fmt.Errorf(`program %s: want a program, got a script. Its interpreter is what must be named in the manifest, and the script as its argument: "command": %s`, path, command)
	}
	// Version managers put such scripts into PATH.
	return fmt.Errorf("program %s: want a program, got a script that starts one. Say which that is: resnet-run plugins trust %s --program /PATH/TO/%s", path, p.Name, filepath.Base(path))
}

// interpreterOf reads a script's first line, which begins with #!; false when it does not.
func interpreterOf(head []byte) ([]string, bool) {
	rest, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return nil, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	words := strings.Fields(printable(string(line)))
	if len(words) > 1 && filepath.Base(words[0]) == "env" { // which looks the next word up in PATH, as the manifest does
		words = words[1:]
		if words[0] == "-S" {
			words = words[1:]
		}
	}
	if len(words) == 0 {
		words = []string{"sh"}
	}
	return words, true
}

// openSum opens a regular file and hashes it.
func openSum(path string) (pinned, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return pinned{}, "", err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: want a regular file, got %v", path, info.Mode())
	}
	h := sha256.New()
	if err == nil {
		_, err = io.Copy(h, f)
	}
	if err != nil {
		return pinned{}, "", errors.Join(err, f.Close())
	}
	return pinned{path, f, info}, hex.EncodeToString(h.Sum(nil)), nil
}

func sumFile(path string) (string, error) {
	f, sum, err := openSum(path)
	if err != nil {
		return "", err
	}
	return sum, f.file.Close()
}

func sumBytes(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
