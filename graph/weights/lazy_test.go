package weights

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLazyTensorsAreThoseOfTensor in every format and for every element type of the test files.
func TestLazyTensorsAreThoseOfTensor(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	compared := map[string]int{}
	for _, path := range files {
		f, err := Open(path)
		if err != nil {
			continue // a bad file, or none
		}
		for _, name := range f.Names() {
			want, wantErr := f.Tensor(name)
			got, err := f.Lazy(name)
			if wantErr != nil || err != nil {
				if wantErr == nil || err == nil || wantErr.Error() != err.Error() {
					t.Errorf("%s: %s: got error %v, Tensor gives %v", path, name, err, wantErr)
				}
				continue
			}
			info, _ := f.Info(name)
			compared[info.DType]++
			if got.Type != want.Type || !slices.Equal(got.Float32s(), want.Float32s()) || got.Err() != nil {
				t.Errorf("%s: %s: the elements differ from those of Tensor (%v)", path, name, got.Err())
			}
			if got.Bound() != want.Bound() {
				t.Errorf("%s: %s: got bound %g, want %g", path, name, got.Bound(), want.Bound())
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, d := range []string{"float32", "float16", "bfloat16", "float64"} {
		if compared[d] == 0 {
			t.Errorf("no tensor of %s was compared, only %v", d, compared)
		}
	}
}

func TestHalfToFloat32IsExactForAllBits(t *testing.T) {
	for h := range 1 << 16 {
		got, want := halfToFloat32(uint16(h)), float32(halfToFloat64(uint16(h)))
		if math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
			t.Fatalf("%04x: got %g, want %g", h, got, want)
		}
	}
}

// lazyFile writes a tensor "a" of 65536 zeros and opens it.
func lazyFile(t *testing.T) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := os.WriteFile(path, st(`{"a":{"dtype":"F32","shape":[65536],"data_offsets":[0,262144]}}`, make([]byte, 262144)...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestLazyTensorOfAFileThatIsNotWhatItWas(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a mapping shows of a changed file differs between systems")
	}
	for what, c := range map[string]struct {
		do   func(f *File, path string) error
		want string
	}{
		"cut":     {func(_ *File, path string) error { return os.Truncate(path, 100) }, "became shorter"},
		"longer":  {func(_ *File, path string) error { return os.Truncate(path, 300000) }, "written to"},
		"written": {func(_ *File, path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) }, "written to"},
		"closed":  {func(f *File, _ string) error { return f.Close() }, ErrClosed.Error()},
	} {
		f, path := lazyFile(t)
		x, err := f.Lazy("a")
		if err != nil {
			t.Fatal(err)
		}
		if x.Float32s(); x.Err() != nil {
			t.Fatal(x.Err())
		}
		if err := c.do(f, path); err != nil {
			t.Fatal(err)
		}
		if x.Float32s(); x.Err() == nil || !strings.Contains(x.Err().Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", what, x.Err(), c.want)
		}
		var fe *FormatError
		if what != "closed" && (!errors.As(x.Err(), &fe) || fe.Tensor != "a") {
			t.Errorf("%s: got %v, want a *FormatError about tensor a", what, x.Err())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestARemovedFileCanStillBeRead, as on any Unix.
func TestARemovedFileCanStillBeRead(t *testing.T) {
	f, path := lazyFile(t)
	defer f.Close()
	x, err := f.Lazy("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Skipf("this system keeps open files: %v", err)
	}
	if v := x.Float32s(); len(v) != 65536 || x.Err() != nil {
		t.Errorf("got %d elements (%v), want 65536", len(v), x.Err())
	}
}

// TestLazyTensorsHoldTheFile until nobody can read them any more, when its mapping goes.
func TestLazyTensorsHoldTheFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into /proc")
	}
	f, path := lazyFile(t)
	x, err := f.Lazy("a")
	if err != nil {
		t.Fatal(err)
	}
	f = nil
	runtime.GC()
	runtime.GC()
	if x.Float32s(); x.Err() != nil || !isMapped(t, path) {
		t.Fatalf("the file was released while a tensor of it lives (%v)", x.Err())
	}
	runtime.KeepAlive(x)
	x = nil
	for deadline := time.Now().Add(10 * time.Second); isMapped(t, path); {
		if time.Now().After(deadline) {
			t.Fatal("the file is still mapped 10 s after nobody refers to it")
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

func isMapped(t *testing.T, path string) bool {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(maps), path)
}
