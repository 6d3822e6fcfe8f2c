package pictures

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/internal/model/modeltest"
)

var dataset = []string{"test/great white shark/2.png", "test/great white shark/1.jpeg", "test/Airplane/sub/1.bmp", "test/truck/notes.txt", "test/truck/9.webp", "test/top.png"}

func writeDataset(t *testing.T, files []string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		modeltest.WriteFile(t, filepath.Join(dir, f), []byte(f))
	}
	return filepath.Join(dir, "test")
}

func classes(s *Set) map[string]int {
	m := map[string]int{}
	for _, p := range s.Pictures {
		m[filepath.Base(p.Name)] = p.Class
	}
	return m
}

func TestImageFolderMatchesNames(t *testing.T) {
	dir := writeDataset(t, dataset)
	s, err := ImageFolder(dir, []string{"truck", "car", "great_white-shark", "airplane"})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"1.bmp": 3, "1.jpeg": 2, "2.png": 2, "9.webp": 0}; !s.ByName || !reflect.DeepEqual(classes(s), want) {
		t.Errorf("got by name %t, %v, want %v", s.ByName, classes(s), want)
	}
	for i := 1; i < len(s.Pictures); i++ {
		if s.Pictures[i-1].Name >= s.Pictures[i].Name {
			t.Errorf("%q comes before %q", s.Pictures[i-1].Name, s.Pictures[i].Name)
		}
	}
}

func TestImageFolderTakesSortedOrderElse(t *testing.T) {
	dir := writeDataset(t, dataset)
	s, err := ImageFolder(dir, []string{"truck", "x", "y"}) // sorted: Airplane, great white shark, truck
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"1.bmp": 0, "1.jpeg": 1, "2.png": 1, "9.webp": 2}; s.ByName || !reflect.DeepEqual(classes(s), want) {
		t.Errorf("got by name %t, %v, want %v", s.ByName, classes(s), want)
	}
}

func TestImageFolderErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		files  []string
		labels []string
		want   []string
	}{
		{"no match, other number", dataset, []string{"truck", "x"}, []string{`"Airplane"`, "want 2", "got 3"}},
		{"two folders of one label", []string{"test/a_b/1.png", "test/a-b/1.png"}, []string{"a b"}, []string{"same label"}},
		{"no folders", []string{"test/1.png"}, []string{"a"}, []string{"one folder a class"}},
		{"no pictures", []string{"test/a/1.txt"}, []string{"a"}, []string{"no pictures"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ImageFolder(writeDataset(t, test.files), test.labels)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %q, want %q in it", err, w)
				}
			}
		})
	}
	if _, err := OpenSet(filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a set that is not there was opened")
	}
}

func archive(t testing.TB, files []string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f, Size: int64(len(f)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compressed(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestImageArchive(t *testing.T) {
	files := []string{"test/truck/2.png", "test/car/1.png", "test/truck/1.png", "test/truck/x.txt", "1.png"}
	plain := archive(t, files)
	for name, data := range map[string][]byte{"set.tar": plain, "set.tar.gz": compressed(t, plain)} {
		t.Run(name, func(t *testing.T) {
			path := modeltest.WriteFile(t, filepath.Join(t.TempDir(), name), data)
			s, err := OpenSet(path, []string{"truck", "car"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range s.Pictures {
				f, err := p.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				content, err := io.ReadAll(f)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s=%d", content, p.Class))
			}
			if want := []string{"test/car/1.png=1", "test/truck/1.png=0", "test/truck/2.png=0"}; !reflect.DeepEqual(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestDamagedArchives(t *testing.T) {
	whole := compressed(t, archive(t, dataset))
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("this is not an archive at all, is it"), "cut": whole[:len(whole)/2]} {
		path := modeltest.WriteFile(t, filepath.Join(t.TempDir(), "set.tar.gz"), data)
		if _, err := OpenSet(path, []string{"a"}); err == nil || !strings.Contains(err.Error(), "set.tar.gz") {
			t.Errorf("%s: got error %v, want one that names the file", name, err)
		}
	}
}

func FuzzReadArchive(f *testing.F) {
	f.Add(archive(f, dataset))
	f.Add(compressed(f, archive(f, dataset)))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := readArchive(bytes.NewReader(data))
		if err != nil {
			return
		}
		for class, list := range files {
			if class == "" || len(list) == 0 {
				t.Errorf("class %q with %d pictures", class, len(list))
			}
		}
	})
}

func TestLimitSpreadsOverTheSet(t *testing.T) {
	s := &Set{}
	for i := range 100 {
		s.Pictures = append(s.Pictures, Picture{Class: i / 10})
	}
	s.Limit(20)
	count := map[int]int{}
	for _, p := range s.Pictures {
		count[p.Class]++
	}
	if len(s.Pictures) != 20 || len(count) != 10 || count[0] != 2 || count[9] != 2 {
		t.Errorf("got %d pictures, by class %v, want 2 of each", len(s.Pictures), count)
	}
	s.Limit(0)
	s.Limit(99)
	if len(s.Pictures) != 20 {
		t.Errorf("got %d pictures, want all 20", len(s.Pictures))
	}
}
