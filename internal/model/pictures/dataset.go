package pictures

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Set is a labelled set of pictures.
type Set struct {
	Pictures []Picture // sorted by name; Class is the index in the model's labels
	Folders  []string  // the folders' names, sorted
	ByName   bool      // whether the folders were matched to the labels by name, or else in sorted order
}

// maxArchiveBytes bounds the pictures of an archive, which are kept in memory.
const maxArchiveBytes = 1 << 30

// OpenSet reads the set at path: a folder with [ImageFolder], a file (.tar, .tar.gz, .tgz) with [ImageArchive].
func OpenSet(path string, labels []string) (*Set, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	if st.IsDir() {
		return ImageFolder(path, labels)
	}
	return ImageArchive(path, labels)
}

// ImageFolder lists a set of one folder a class. A folder belongs to the label of its name, whatever the case and with
// spaces, dashes and underscores alike; when that does not name all folders, then the folders belong to the labels in
// sorted order, as in torchvision's ImageFolder. Pictures are found at any depth below, by the ends of their names.
//
// Errors: no folders, or folders that can be matched in neither way.
func ImageFolder(dir string, labels []string) (*Set, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	files := map[string][]Picture{}
	for _, e := range entries {
		root := filepath.Join(dir, e.Name())
		if st, err := os.Stat(root); err != nil || !st.IsDir() {
			continue
		}
		files[e.Name()] = nil
		// A trailing separator has WalkDir follow a class folder that is a link.
		err := filepath.WalkDir(root+string(filepath.Separator), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !d.IsDir() && hasPictureExtension(p) {
				files[e.Name()] = append(files[e.Name()], file(p, 0))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("open data set: %w", err)
		}
	}
	return newSet(dir, files, labels)
}

// ImageArchive is [ImageFolder] for a tar file, compressed with gzip or not, in which the folder of a picture is its
// class. It reads all pictures into memory, at most 1 GiB of them: unpack a larger set.
func ImageArchive(name string, labels []string) (*Set, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	files, err := readArchive(f)
	if err != nil {
		return nil, fmt.Errorf("open data set %s: want a folder, or a tar file of folders: %w", name, err)
	}
	return newSet(name, files, labels)
}

func readArchive(f io.Reader) (map[string][]Picture, error) {
	head := make([]byte, 2)
	n, err := io.ReadFull(f, head)
	if err != nil {
		return nil, err
	}
	r := io.MultiReader(bytes.NewReader(head[:n]), f)
	if bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	}
	files := map[string][]Picture{}
	left := int64(maxArchiveBytes)
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		class := path.Base(path.Dir(h.Name))
		if h.Typeflag != tar.TypeReg || !hasPictureExtension(h.Name) || class == "." || class == "/" {
			continue
		}
		if left -= h.Size; left < 0 {
			return nil, fmt.Errorf("the pictures take more than %d bytes: unpack it and pass the folder", maxArchiveBytes)
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		files[class] = append(files[class], Picture{Name: h.Name, Class: -1, Open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(data)), nil
		}})
	}
}

// newSet matches folders to labels and sets the pictures' classes.
func newSet(name string, files map[string][]Picture, labels []string) (*Set, error) {
	s := &Set{}
	for f := range files {
		s.Folders = append(s.Folders, f)
	}
	sort.Strings(s.Folders)
	if len(s.Folders) == 0 {
		return nil, fmt.Errorf("open data set %s: want one folder a class, got no folder", name)
	}
	classes, err := match(s.Folders, labels)
	s.ByName = err == nil
	if err != nil {
		if len(s.Folders) != len(labels) {
			return nil, fmt.Errorf("open data set %s: %w, and the folders cannot be taken in sorted order: want %d of them, got %d",
				name, err, len(labels), len(s.Folders))
		}
		for i := range classes {
			classes[i] = i
		}
	}
	for i, f := range s.Folders {
		for _, p := range files[f] {
			p.Class = classes[i]
			s.Pictures = append(s.Pictures, p)
		}
	}
	if len(s.Pictures) == 0 {
		return nil, fmt.Errorf("open data set %s: no pictures in its %d folders", name, len(s.Folders))
	}
	slices.SortStableFunc(s.Pictures, func(a, b Picture) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// match finds the label of each folder by name. On an error the slice has the right length and nothing else.
func match(folders, labels []string) ([]int, error) {
	index := make(map[string]int, len(labels))
	for i, l := range labels {
		index[plain(l)] = i
	}
	classes := make([]int, len(folders))
	taken := map[int]string{}
	for i, f := range folders {
		c, ok := index[plain(f)]
		if !ok {
			return classes, fmt.Errorf("no label is named like the folder %q", f)
		}
		if other, ok := taken[c]; ok {
			return classes, fmt.Errorf("the folders %q and %q have the same label", other, f)
		}
		taken[c], classes[i] = f, c
	}
	return classes, nil
}

// plain is a name without what people write differently.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r == '-' {
			return '_'
		}
		return r
	}, strings.ToLower(strings.TrimSpace(s)))
}

// Limit keeps n of the pictures, spread evenly over the set and thus over its classes. It does nothing when n is 0 or
// not less than their number.
func (s *Set) Limit(n int) {
	total := len(s.Pictures)
	if n <= 0 || n >= total {
		return
	}
	kept := make([]Picture, n)
	for i := range kept {
		kept[i] = s.Pictures[int(int64(i)*int64(total)/int64(n))]
	}
	s.Pictures = kept
}
