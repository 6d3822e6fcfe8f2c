package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Prefix begins the names of folders and manifests of plugins.
const Prefix = "resnet-run-backend-"

const (
	manifestName   = "manifest.json"
	manifestSuffix = ".json"
)

// Plugin is what was found of a plugin. Nothing of it has been run.
type Plugin struct {
	Name     string
	Path     string    // of the manifest, absolute
	Manifest *Manifest // nil when Err is not
	Err      error     // why it can never run as it is
	sum      string    // the manifest's SHA-256
}

// Dir is the folder that the plugin's files are relative to, in which it runs.
func (p *Plugin) Dir() string { return filepath.Dir(p.Path) }

// Folders are where plugins are looked for, first ones first: those of $RESNET_RUN_PLUGIN_PATH, the user's data
// directory, and the folder of the program.
func Folders(getenv func(string) string) []string {
	dirs := filepath.SplitList(getenv("RESNET_RUN_PLUGIN_PATH"))
	if data := dataDir(getenv); data != "" {
		dirs = append(dirs, filepath.Join(data, "resnet-run", "plugins"))
	}
	if exe, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(exe))
	}
	return dirs
}

// dataDir is the folder for the data of a user's programs; empty when the environment does not tell.
func dataDir(getenv func(string) string) string {
	home := getenv("HOME")
	switch {
	case runtime.GOOS == "windows":
		return getenv("LOCALAPPDATA")
	case filepath.IsAbs(getenv("XDG_DATA_HOME")):
		return getenv("XDG_DATA_HOME")
	case home == "":
		return ""
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support")
	}
	return filepath.Join(home, ".local", "share")
}

// settingsVariables are what LockPath needs, for people.
var settingsVariables = map[bool]string{false: "neither XDG_CONFIG_HOME nor HOME is", true: "APPDATA is not"}[runtime.GOOS == "windows"]

// LockPath is where the lock file lies; empty when the environment does not tell.
func LockPath(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	switch home := getenv("HOME"); {
	case runtime.GOOS == "windows":
		dir = getenv("APPDATA")
	case filepath.IsAbs(dir):
	case home == "":
		return ""
	case runtime.GOOS == "darwin":
		dir = filepath.Join(home, "Library", "Application Support")
	default:
		dir = filepath.Join(home, ".config")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "resnet-run", "plugins.lock")
}

// Find reads the manifests in the folders, of which some may not exist. Of plugins with the same name the first counts and
// the others have Err set. It starts nothing.
//
// Errors: folders that are there and cannot be read; the plugins of the others are returned.
func Find(folders []string) ([]Plugin, error) {
	var found []Plugin
	var errs []error
	first := map[string]string{}
	seen := map[string]bool{}
	for _, dir := range folders {
		dir, err := filepath.Abs(dir)
		if err != nil || seen[dir] {
			errs = append(errs, err)
			continue
		}
		seen[dir] = true
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("look for plugins: %w", err))
		}
		for _, e := range entries {
			p, ok := read(dir, e.Name())
			if !ok {
				continue
			}
			if other, taken := first[p.Name]; taken {
				p.Manifest, p.Err = nil, fmt.Errorf("hidden by %s, which has the same name and comes first", other)
			} else {
				first[p.Name] = p.Path
			}
			found = append(found, p)
		}
	}
	return found, errors.Join(errs...)
}

// read reads the plugin that an entry of a folder stands for; false when it stands for none.
func read(dir, entry string) (Plugin, bool) {
	name, ok := strings.CutPrefix(entry, Prefix)
	if !ok {
		return Plugin{}, false
	}
	full := filepath.Join(dir, entry)
	info, err := os.Stat(full) // not that of the entry: it may be a link
	if err != nil {
		return Plugin{Name: name, Path: full, Err: err}, true
	}
	p := Plugin{Name: name, Path: full}
	switch manifest, isManifest := strings.CutSuffix(name, manifestSuffix); {
	case info.IsDir():
		p.Path = filepath.Join(full, manifestName)
	case isManifest:
		p.Name = manifest
	default: // a program: its manifest beside it is an entry of its own
		program := strings.TrimSuffix(entry, ".exe")
		if _, err := os.Stat(filepath.Join(dir, program+manifestSuffix)); err == nil || info.Mode()&0o111 == 0 && runtime.GOOS != "windows" {
			return p, false
		}
		p.Name = strings.TrimPrefix(program, Prefix)
		p.Err = fmt.Errorf("it has no manifest: want %s beside it, or %s in a folder of its own", program+manifestSuffix, manifestName)
		return p, true
	}
	p.Manifest, p.sum, p.Err = load(p.Path, p.Name)
	return p, true
}

// load reads a manifest and checks that it is that of the plugin called name.
func load(path, name string) (*Manifest, string, error) {
	data, err := readManifest(path)
	if err != nil {
		return nil, "", fmt.Errorf("manifest: %w", err)
	}
	m, err := ParseManifest(data)
	if err == nil && m.Name != name {
		err = fmt.Errorf("field %q: want %q, as in the name of the folder or file, got %q", "name", name, m.Name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("manifest %s: %w", path, err)
	}
	return m, sumBytes(data), nil
}
