package shm

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// makers are both ways of making a region.
var makers = map[string]func(t *testing.T, size int) *Region{
	"memfd": func(t *testing.T, size int) *Region {
		return must(t)(Create(size))
	},
	"file": func(t *testing.T, size int) *Region {
		return must(t)(CreateFile(t.TempDir(), size))
	},
}

func must(t *testing.T) func(*Region, error) *Region {
	return func(r *Region, err error) *Region {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		return r
	}
}

func eachWay(t *testing.T, test func(t *testing.T, create func(size int) *Region)) {
	for name, create := range makers {
		t.Run(name, func(t *testing.T) {
			test(t, func(size int) *Region { return create(t, size) })
		})
	}
}

func TestBothSidesSeeTheSameMemory(t *testing.T) {
	eachWay(t, func(t *testing.T, create func(int) *Region) {
		r := create(3 * Unit)
		if r.Proved() {
			t.Error("proved before anybody opened it")
		}
		other := must(t)(Open(r.Path(), 3*Unit, r.Nonce()))
		if !r.Proved() {
			t.Error("not proved after it was opened")
		}
		if other.Size() != 3*Unit || r.Size() != 3*Unit || other.Sealed() != r.Sealed() {
			t.Errorf("sizes %d and %d, sealed %v and %v", r.Size(), other.Size(), r.Sealed(), other.Sealed())
		}
		if err := r.Unlink(); err != nil {
			t.Fatal(err)
		}
		// Forth and back, at the very end of the region.
		want, got := []byte("forth"), make([]byte, 5)
		if _, err := r.WriteAt(want, 3*Unit-5); err != nil {
			t.Fatal(err)
		}
		if _, err := other.ReadAt(got, 3*Unit-5); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the other side reads %q, %v, want %q", got, err, want)
		}
		copy(other.Bytes()[Unit:], "back")
		if string(r.Bytes()[Unit:Unit+4]) != "back" {
			t.Errorf("got %q, want what the other side wrote", r.Bytes()[Unit:Unit+4])
		}
	})
}

func TestANameIsGoneAfterUnlinkAndAfterClose(t *testing.T) {
	dir := t.TempDir()
	for what, remove := range map[string]func(*Region) error{"Unlink": (*Region).Unlink, "Close": (*Region).Close} {
		r := must(t)(CreateFile(dir, Unit))
		info, err := os.Stat(r.Path())
		if err != nil || info.Mode() != 0o600 || info.Size() != Unit {
			t.Fatalf("%v, %v: want a file of mode 0600 and %d bytes", info, err, Unit)
		}
		for range 2 { // the second call does nothing
			if err := remove(r); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := os.Lstat(r.Path()); !os.IsNotExist(err) {
			t.Errorf("after %s: got %v, want no file", what, err)
		}
	}
}

func TestOpenRefusesWhatIsNotTheRegion(t *testing.T) {
	dir := t.TempDir()
	r := must(t)(CreateFile(dir, Unit))
	link, fifo, open := filepath.Join(dir, "link"), filepath.Join(dir, "fifo"), filepath.Join(dir, "open")
	content := append(r.Nonce(), make([]byte, Unit-NonceBytes)...)
	for _, err := range []error{os.Symlink(r.Path(), link), unix.Mkfifo(fifo, 0o600), os.WriteFile(open, content, 0o600), os.Chmod(open, 0o640)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wrong := r.Nonce()
	wrong[31] ^= 1
	for name, c := range map[string]struct {
		path  string
		size  uint64
		nonce []byte
		want  string
	}{
		"another nonce":      {r.Path(), Unit, wrong, "want the nonce"},
		"a short nonce":      {r.Path(), Unit, wrong[:31], "nonce of 32 bytes"},
		"a greater size":     {r.Path(), 2 * Unit, r.Nonce(), "want a file of 131072 bytes, got 65536"},
		"no size":            {r.Path(), 0, r.Nonce(), "want a multiple of 65536"},
		"an odd size":        {r.Path(), Unit + 1, r.Nonce(), "want a multiple of 65536"},
		"a size beyond":      {r.Path(), 1 << 63, r.Nonce(), "want a multiple of 65536"},
		"a relative path":    {"region", Unit, r.Nonce(), "absolute"},
		"an unclean path":    {"/proc/.." + r.Path(), Unit, r.Nonce(), "clean"},
		"no file":            {filepath.Join(dir, "none"), Unit, r.Nonce(), "no such file"},
		"a link":             {link, Unit, r.Nonce(), "too many levels of symbolic links"},
		"a pipe":             {fifo, Unit, r.Nonce(), "regular file"},
		"a folder":           {dir, Unit, r.Nonce(), "is a directory"},
		"open to others":     {open, Unit, r.Nonce(), "without permissions for others"},
		"a path without end": {"/" + strings.Repeat("x", 5000), Unit, r.Nonce(), "file name too long"},
	} {
		got, err := Open(c.path, c.size, c.nonce)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
		if err == nil {
			_ = got.Close() // the test has failed already
		}
	}
	if r.Proved() || !bytes.Equal(r.Bytes()[:NonceBytes], r.Nonce()) {
		t.Error("a refused opening has written to the region")
	}
}

func TestAMemfdCannotBeCutOffByTheOtherSide(t *testing.T) {
	r := must(t)(Create(Unit))
	f, err := os.OpenFile(r.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, size := range []int64{0, Unit / 2, 2 * Unit} {
		if err := f.Truncate(size); err == nil {
			t.Errorf("the other side has set the size to %d", size)
		}
	}
	if !r.Sealed() {
		t.Error("want a sealed region, got one that says it is not")
	}
}

func TestAFileThatIsCutOffIsAnError(t *testing.T) {
	r := must(t)(CreateFile(t.TempDir(), 4*Unit))
	if err := os.Truncate(r.Path(), Unit); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 2*Unit)
	if _, err := r.ReadAt(p, 0); err == nil || !strings.Contains(err.Error(), "no longer there") {
		t.Errorf("read: got %v", err)
	}
	if _, err := r.WriteAt(p, Unit); err == nil || !strings.Contains(err.Error(), "no longer there") {
		t.Errorf("write: got %v", err)
	}
	if _, err := r.ReadAt(p[:Unit], 0); err != nil {
		t.Errorf("what is still there: %v", err)
	}
}

func TestRangesBeyondTheRegionAreErrors(t *testing.T) {
	eachWay(t, func(t *testing.T, create func(int) *Region) {
		r := create(Unit)
		for _, c := range []struct{ length, offset int64 }{{1, Unit}, {Unit + 1, 0}, {1, -1}, {2, 1<<63 - 1}, {0, Unit + 1}} {
			if _, err := r.ReadAt(make([]byte, c.length), c.offset); err == nil {
				t.Errorf("%d bytes at %d were read", c.length, c.offset)
			}
			if _, err := r.WriteAt(make([]byte, c.length), c.offset); err == nil {
				t.Errorf("%d bytes at %d were written", c.length, c.offset)
			}
		}
		if n, err := r.ReadAt(make([]byte, Unit), 0); n != Unit || err != nil {
			t.Errorf("all of it: got %d, %v", n, err)
		}
	})
}

func TestCreateRefusesSizesAndFolders(t *testing.T) {
	for _, size := range []int{0, -Unit, 1, Unit + 1} {
		if _, err := Create(size); err == nil {
			t.Errorf("a memfd of %d bytes was made", size)
		}
		if _, err := CreateFile(t.TempDir(), size); err == nil {
			t.Errorf("a file of %d bytes was made", size)
		}
	}
	if _, err := CreateFile(filepath.Join(t.TempDir(), "none"), Unit); err == nil {
		t.Error("a file was made in a folder that is not there")
	}
	// More than any disk has: an error when it is made, not a fault when it is used.
	dir := t.TempDir()
	if _, err := CreateFile(dir, 1<<55); err == nil {
		t.Error("a file of 32 PiB was made")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("a refused size left %v, %v", left, err)
	}
}

func TestSweepRemovesFilesOfTheDeadOnly(t *testing.T) {
	dir := t.TempDir()
	alive := must(t)(CreateFile(dir, Unit))
	dead, err := CreateFile(dir, Unit)
	if err != nil {
		t.Fatal(err)
	}
	dead.unlink = nil // the kernel unmaps and closes what a killed process had, and leaves the name
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	shared := filepath.Join(dir, prefix+"shared")
	for _, err := range []error{os.WriteFile(other, nil, 0o600), os.WriteFile(shared, nil, 0o600), os.Chmod(shared, 0o644),
		os.Mkdir(filepath.Join(dir, prefix+"folder"), 0o700), os.Symlink(other, filepath.Join(dir, prefix+"link"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Sweep(dir); n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1 file removed", n, err)
	}
	if _, err := os.Lstat(dead.Path()); !os.IsNotExist(err) {
		t.Errorf("the dead one's file: %v", err)
	}
	for _, path := range []string{alive.Path(), other, shared} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := Sweep(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there was swept")
	}
}

func TestFilesAreMadeWhileOthersSweep(t *testing.T) {
	dir := t.TempDir()
	stop := make(chan struct{})
	var sweepers sync.WaitGroup
	for range 2 {
		sweepers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := Sweep(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		r, err := CreateFile(dir, Unit)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := os.Lstat(r.Path()); err != nil {
			t.Errorf("a living one's file was removed: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	sweepers.Wait()
}
