package pictures

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

// names lists what was found, relative to dir, with "!" before what is an error.
func names(dir string, list []Picture) []string {
	var out []string
	for _, p := range list {
		n := p.Name
		if rel, err := filepath.Rel(dir, n); err == nil && filepath.IsAbs(n) {
			n = filepath.ToSlash(rel)
		}
		if p.Err != nil {
			n = "!" + n
		}
		out = append(out, n)
	}
	return out
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	png := modeltest.PNG(t, modeltest.Red, 2, 2)
	for _, f := range []string{"b.png", "a/z.JPG", "a/y/x.webp", "a/without", "c.png", "[odd].png"} {
		modeltest.WriteFile(t, filepath.Join(dir, f), png)
	}
	modeltest.WriteFile(t, filepath.Join(dir, "a/notes.txt"), []byte("no picture"))
	modeltest.WriteFile(t, filepath.Join(dir, "a/scan.dat"), []byte("II*\x00 and so on"))
	modeltest.WriteFile(t, filepath.Join(dir, "none/readme.md"), []byte("#"))
	for _, test := range []struct {
		args string
		want []string
	}{
		{"c.png b.png", []string{"c.png", "b.png"}},
		{"a", []string{"a/scan.dat", "a/without", "a/y/x.webp", "a/z.JPG"}},
		{"*.png", []string{"[odd].png", "b.png", "c.png"}},
		{"[odd].png", []string{"[odd].png"}}, // a file goes before a pattern
		{"a/*", []string{"a/notes.txt", "a/scan.dat", "a/without", "a/y/x.webp", "a/z.JPG"}},
		{"*.gif b.png", []string{"!*.gif", "b.png"}},
		{"[a-", []string{"![a-"}},
		{"gone.png c.png", []string{"!gone.png", "c.png"}},
		{"none", []string{"!none"}},
		{"a/notes.txt", []string{"a/notes.txt"}}, // asked for by name: the decoder shall say what it is
	} {
		t.Run(test.args, func(t *testing.T) {
			var args []string
			for _, a := range strings.Fields(test.args) {
				args = append(args, filepath.Join(dir, a))
			}
			if got := names(dir, Expand(args, nil)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestStdinIsReadOnceOpened(t *testing.T) {
	list := Expand([]string{Stdin}, strings.NewReader("content"))
	if len(list) != 1 || list[0].Name != "-" {
		t.Fatalf("got %v", list)
	}
	f, err := list[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(f); string(data) != "content" || err != nil || f.Close() != nil {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestBlockedStdinEndsWithTheContext(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close() // lets the goroutine go
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Expand([]string{Stdin}, r)[0].Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestUnreadableFolderDoesNotHideTheRest(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("root can read everything, and so can the owner of a folder on Windows")
	}
	dir := t.TempDir()
	modeltest.WriteFile(t, filepath.Join(dir, "a/x.png"), nil)
	modeltest.WriteFile(t, filepath.Join(dir, "b.png"), nil)
	if err := os.Chmod(filepath.Join(dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "a"), 0o755) //nolint:errcheck // so that the folder can be removed
	if got := names(dir, Expand([]string{dir}, nil)); !reflect.DeepEqual(got, []string{"!a", "b.png"}) {
		t.Errorf("got %q", got)
	}
}

func TestGlobErrorSaysThatNothingMatches(t *testing.T) {
	list := Expand([]string{"no-such-*.png"}, nil)
	if len(list) != 1 || !errors.Is(list[0].Err, fs.ErrNotExist) {
		t.Errorf("got %v, want one picture with fs.ErrNotExist", list)
	}
}
