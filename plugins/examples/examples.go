// Package examples holds the files of go-naive, from which 'resnet-run plugins new' makes the beginning of a new
// backend. What is copied is what is tested: there is no second version of it.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed go-naive/main.go go-naive/main_test.go go-naive/README.md go-naive/manifest.json
var files embed.FS

const original = "go-naive"

// Skeleton returns the files of a new backend of that name (see wire.CheckName), by their names.
func Skeleton(name string) (map[string][]byte, error) {
	entries, err := fs.ReadDir(files, original)
	if err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", original, err)
	}
	out := make(map[string][]byte, len(entries))
	for _, e := range entries {
		text, err := files.ReadFile(original + "/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read the files of %s: %w", original, err)
		}
		out[e.Name()] = []byte(strings.ReplaceAll(string(text), original, name))
	}
	return out, nil
}
