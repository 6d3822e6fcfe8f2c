// Package pictures finds the pictures that a command is to work on: files, folders, globs and standard input for
// classification ([Expand]), and labelled sets of one folder a class for evaluation ([ImageFolder], [ImageArchive]).
// It lists and opens; decoding is for package imaging.
package pictures

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Stdin is the argument that stands for standard input.
const Stdin = "-"

// maxStreamBytes bounds what is read from a source that cannot be waited for in pieces, standard input above all.
const maxStreamBytes = 512 << 20

// Picture is one input, not yet opened.
type Picture struct {
	Name  string // as reports name it: the path, or "-"
	Class int    // index of the right class in a labelled set, else -1
	Err   error  // why there is nothing to open; Open is nil then
	// Open starts reading. The caller closes it. It returns when ctx is done, even where the source does not.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// extensions are the names' ends by which a file counts as a picture without a look inside.
var extensions = []string{".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}

// Expand lists the pictures that the arguments mean, in their order: a file is itself, a folder is all pictures under
// it in the order of their paths, "-" is stdin, and what is no file but holds one of *?[ is a glob, for shells that do not
// expand them. An argument that means nothing, and a folder that cannot be read, becomes a Picture with Err.
func Expand(args []string, stdin io.Reader) []Picture {
	var all []Picture
	for _, arg := range args {
		if arg == Stdin {
			all = append(all, stream(arg, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }))
			continue
		}
		st, err := os.Stat(arg)
		switch {
		case err == nil && st.IsDir():
			all = append(all, folder(arg)...)
		case err == nil:
			all = append(all, file(arg, st.Mode()))
		case strings.ContainsAny(arg, "*?[") && (errors.Is(err, fs.ErrNotExist) || runtime.GOOS == "windows"): // which says that it is no name
			all = append(all, glob(arg)...)
		default:
			all = append(all, broken(arg, err))
		}
	}
	return all
}

func broken(name string, err error) Picture { return Picture{Name: name, Class: -1, Err: err} }

func file(path string, mode fs.FileMode) Picture {
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	if !mode.IsRegular() {
		return stream(path, open)
	}
	return Picture{Name: path, Class: -1, Open: func(context.Context) (io.ReadCloser, error) { return open() }}
}

// stream is a picture from a source that may block for ever, such as a terminal or a named pipe. It is read whole by a
// goroutine that stays behind when ctx ends first: there is no portable way to interrupt such a read.
func stream(name string, open func() (io.ReadCloser, error)) Picture {
	type read struct {
		data []byte
		err  error
	}
	return Picture{Name: name, Class: -1, Open: func(ctx context.Context) (io.ReadCloser, error) {
		done := make(chan read, 1)
		go func() {
			f, err := open()
			if err != nil {
				done <- read{nil, err}
				return
			}
			data, err := io.ReadAll(io.LimitReader(f, maxStreamBytes+1))
			if err == nil && len(data) > maxStreamBytes {
				err = fmt.Errorf("want at most %d bytes, got more", maxStreamBytes)
			}
			done <- read{data, errors.Join(err, f.Close())}
		}()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case r := <-done:
			return io.NopCloser(bytes.NewReader(r.data)), r.err
		}
	}}
}

func glob(pattern string) []Picture {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return []Picture{broken(pattern, fmt.Errorf("read pattern: %w", err))}
	}
	var args []string
	for _, p := range paths { // sorted by Glob
		if p == Stdin {
			p = "." + string(filepath.Separator) + p
		}
		args = append(args, p)
	}
	if len(args) == 0 {
		return []Picture{broken(pattern, fmt.Errorf("match pattern: %w", fs.ErrNotExist))}
	}
	var all []Picture
	for _, p := range args {
		st, err := os.Stat(p)
		switch {
		case err != nil:
			all = append(all, broken(p, err))
		case !st.IsDir():
			all = append(all, file(p, st.Mode()))
		default:
			all = append(all, folder(p)...)
		}
	}
	return all
}

// folder lists the pictures under dir. Links to files are followed, links to folders are not.
func folder(dir string) []Picture {
	var all []Picture
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			all = append(all, broken(path, err))
			return nil // the rest of the tree may be readable
		}
		if d.IsDir() {
			return nil
		}
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && isPicture(path) {
			all = append(all, file(path, st.Mode()))
		}
		return nil
	})
	if err != nil {
		all = append(all, broken(dir, err))
	}
	if len(all) == 0 {
		return []Picture{broken(dir, errors.New("no pictures in this folder"))}
	}
	return all
}

func hasPictureExtension(path string) bool {
	return slices.Contains(extensions, strings.ToLower(filepath.Ext(path)))
}

// isPicture decides by the name's end, or else by the first bytes.
func isPicture(path string) bool {
	if hasPictureExtension(path) {
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read from
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	return (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) && looksLikePicture(head[:n])
}

func looksLikePicture(head []byte) bool {
	if bytes.HasPrefix(head, []byte("II*\x00")) || bytes.HasPrefix(head, []byte("MM\x00*")) {
		return true
	}
	switch http.DetectContentType(head) {
	case "image/jpeg", "image/png", "image/gif", "image/bmp", "image/webp":
		return true
	}
	return false
}
