package vulkan

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend/vulkan/internal/facts"
)

func testCacheFile(dir string) cacheFile {
	return cacheFile{path: filepath.Join(dir, "pipelines.bin"), uuid: facts.UUID{1, 2, 3}, ids: [2]uint32{7, 8}}
}

// driverData is what a driver with the IDs of testCacheFile would give.
func driverData(payload string) []byte {
	var b []byte
	for _, w := range []uint32{32, 1, 7, 8} {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	uuid := facts.UUID{1, 2, 3}
	return append(append(b, uuid[:]...), payload...)
}

func TestPipelineCacheComesBackAsItWasWritten(t *testing.T) {
	c := testCacheFile(filepath.Join(t.TempDir(), "new", "folder"))
	if data, err := c.read(); data != nil || err != nil {
		t.Errorf("no file: got %v, %v, want nothing", data, err)
	}
	for _, payload := range []string{"first", "second, longer"} {
		if err := c.write(driverData(payload)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.read(); err != nil || !bytes.Equal(got, driverData(payload)) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if files, _ := os.ReadDir(filepath.Dir(c.path)); len(files) != 1 {
		t.Errorf("got %v, want the one file: nothing temporary may be left", files)
	}
}

func TestDamagedPipelineCacheIsAnError(t *testing.T) {
	dir := t.TempDir()
	c := testCacheFile(dir)
	if err := c.write(driverData("payload")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if data, err := c.decode(bad); err == nil {
			t.Errorf("byte %d changed: got %q, want an error", i, data)
		}
		if data, err := c.decode(good[:i]); err == nil {
			t.Errorf("cut to %d bytes: got %q, want an error", i, data)
		}
	}
	other := c
	other.ids[1] = 9
	if _, err := other.decode(good); err == nil || !strings.Contains(err.Error(), "driver's header") {
		t.Errorf("another device's file: got %v, want an error about the header", err)
	}
}

func TestDamagedPipelineCacheIsReplaced(t *testing.T) {
	g := parseGraph(t, "graph g\ninput %x : float32[2,3]\n%y = relu(%x)\noutput %y\n")
	dir := t.TempDir()
	var log bytes.Buffer
	opts := Options{CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	use := func(t *testing.T, d *device) {
		if _, err := d.Compile(context.Background(), g); err != nil {
			t.Fatal(err)
		}
	}
	eachFreshDevice(t, opts, use)
	files, err := filepath.Glob(filepath.Join(dir, "pipelines-*.bin"))
	if err != nil || len(files) == 0 {
		if !t.Failed() {
			t.Skipf("no driver here keeps a pipeline cache: %v, %v", files, err)
		}
		return
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if log.Len() > 0 {
		t.Errorf("warnings before anything was damaged: %s", log.String())
	}
	eachFreshDevice(t, opts, use)
	if n := strings.Count(log.String(), "pipeline cache ignored"); n != len(files) {
		t.Errorf("got %d warnings, want %d: %s", n, len(files), log.String())
	}
	for _, f := range files {
		if data, err := os.ReadFile(f); err != nil || !strings.HasPrefix(string(data), cacheMagic) {
			t.Errorf("%s was not replaced: %.20q, %v", f, data, err)
		}
	}
}

// TestPipelineCacheInAnOddPlace: links are followed for reading and replaced by writing, so that no other file is
// changed; what is no file is an error and does not hang.
func TestPipelineCacheInAnOddPlace(t *testing.T) {
	dir := t.TempDir()
	c := testCacheFile(dir)
	if err := os.Mkdir(c.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if data, err := c.read(); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("a folder: got %q, %v, want an error", data, err)
	}
	if err := c.write(driverData("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("got %v, want only the folder: nothing temporary may be left", files)
	}
	if err := os.Remove(c.path); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, c.path); err != nil {
		t.Skip(err)
	}
	if err := c.write(driverData("new")); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(precious); err != nil || string(kept) != "keep" {
		t.Errorf("the link's target: got %q, %v", kept, err)
	}
	if got, err := c.read(); err != nil || !bytes.Equal(got, driverData("new")) {
		t.Errorf("got %q, %v", got, err)
	}
	if info, err := os.Stat(c.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file for its owner only", info.Mode(), err)
	}
}

func FuzzPipelineCache(f *testing.F) {
	c := testCacheFile(f.TempDir())
	if err := c.write(driverData("payload")); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(c.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(cacheMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		data, err := c.decode(raw)
		if err == nil && !bytes.HasSuffix(raw, data) {
			t.Errorf("got data that is not in the file: %q", data)
		}
	})
}
