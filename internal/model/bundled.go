package model

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/resnet-run/resnet-run/graph/weights"
)

// The folder holds one NAME.safetensors for each bundled model, with its preset in the header, and the model cards.
//
//go:embed bundled
var bundledFiles embed.FS

// Bundled is a model that comes with the program.
type Bundled struct {
	Name string
	path string
}

// AllBundled returns the bundled models, sorted by name.
func AllBundled() []Bundled {
	entries, err := fs.ReadDir(bundledFiles, "bundled")
	if err != nil {
		panic("model: bug: " + err.Error()) // the folder is embedded
	}
	var all []Bundled
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".safetensors"); ok {
			all = append(all, Bundled{name, "bundled/" + e.Name()})
		}
	}
	return all
}

// BundledNames returns the names of the bundled models, sorted.
func BundledNames() []string {
	var names []string
	for _, b := range AllBundled() {
		names = append(names, b.Name)
	}
	return names
}

// DefaultName is the bundled model that is used when none is named.
const DefaultName = "resnet20-cifar10"

func bundledByName(name string) (Bundled, bool) {
	for _, b := range AllBundled() {
		if b.Name == name {
			return b, true
		}
	}
	return Bundled{}, false
}

func loadBundled(b Bundled, opts Options) (*Model, error) {
	data, err := bundledFiles.ReadFile(b.path)
	if err != nil {
		return nil, fmt.Errorf("read bundled model: %w", err)
	}
	f, err := weights.OpenBytes(b.Name+".safetensors", data)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: b.Name, Weights: "bundled"}
	return m, m.read(f, nil, opts)
}
