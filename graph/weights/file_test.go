package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
)

func TestUninterpreted(t *testing.T) {
	for name, want := range map[string][]string{
		"checkpoint.zip.tar":    {`class or function "argparse.Namespace"`, `class or function "pathlib.PurePosixPath"`, `class or function "torch.device"`},
		"checkpoint.legacy.tar": {`class or function "argparse.Namespace"`, `class or function "pathlib.PurePosixPath"`, `class or function "torch.device"`},
		"malicious.zip.pth":     {`class or function "posix.system"`},
		"malicious.legacy.pth":  {`class or function "posix.system"`},
		"odd_entries.zip.pth":   {`class or function "torch._utils._rebuild_qtensor"`, `class or function "torch._utils._rebuild_sparse_tensor"`, `entry "_extra_state": a dict of 1`, `entry "quantized": an object of "torch._utils._rebuild_qtensor", which is not interpreted`, `entry "sparse": an object of "torch._utils._rebuild_sparse_tensor", which is not interpreted`},
		"protocol4.zip.pt":      nil,
		"plain.safetensors":     nil,
	} {
		f, err := Open(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got := f.Uninterpreted()
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: got %v, want among it %s", name, got, w)
			}
		}
		if len(want) == 0 && len(got) > 0 {
			t.Errorf("%s: got %v, want nothing", name, got)
		}
	}
	if _, err := os.Stat(filepath.Join("testdata", "executed")); err == nil {
		t.Error("a malicious file was executed")
	}
}

func TestUninterpretedIsBounded(t *testing.T) {
	names := ""
	for i := range 2 * maxOpaqueNames {
		names += pyName("m", fmt.Sprint("f", i)) + "0"
	}
	f, err := OpenBytes("x", legacyFile(pickle(names+pyPlain()[2:len(pyPlain())-1]), []string{"0"}, le(8, 3), threeFloats))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(f.Uninterpreted()); got != maxOpaqueNames {
		t.Errorf("got %d names, want %d", got, maxOpaqueNames)
	}
}

func TestTensorThatIsNone(t *testing.T) {
	f, err := Open(filepath.Join("testdata", "odd_entries.zip.pth"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string]string{
		"sparse": `tensor "sparse": want a tensor, got an object of "torch._utils._rebuild_sparse_tensor"`, "_extra_state": "want a tensor, got a dict of 1", "nothing": `no tensor "nothing"`,
	} {
		if _, err := f.Tensor(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
		if _, ok := f.Info(name); ok {
			t.Errorf("%s: want no info", name)
		}
	}
}

func TestShapesLeavesOutWhatCannotBeRead(t *testing.T) {
	f, err := Open(filepath.Join("testdata", "dtypes.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	shapes := f.Shapes()
	for name, want := range map[string]bool{"f32": true, "bf16": true, "i64": true, "u8": true, "bool": false, "f8": false, "c64": false} {
		if _, got := shapes[name]; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if shapes["f32"] != graph.NewShape(2, 3, 5) {
		t.Errorf("f32: got %v, want [2,3,5]", shapes["f32"])
	}
	m := f.Metadata()
	m["format"] = "changed"
	if f.Metadata()["format"] != "pt" {
		t.Error("a change of the metadata that was handed out reached the file")
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: got %v, want fs.ErrNotExist", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "want a regular file") {
		t.Errorf("folder: got %v, want an error", err)
	}
	empty := filepath.Join(dir, "empty.safetensors")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(empty); err == nil || !strings.Contains(err.Error(), "the file is empty") {
		t.Errorf("empty: got %v, want an error", err)
	}
	if _, err := OpenBytes("x.safetensors", []byte("\x02\x00\x00\x00\x00\x00\x00\x00[]")); err == nil || !strings.Contains(err.Error(), `safetensors header: want "{"`) {
		t.Errorf("no object: got %v, want an error about the header", err)
	}
}

// A tensor outlives its file, and a closed file says so.
func TestClose(t *testing.T) {
	for _, name := range []string{"plain.safetensors", "protocol2.zip.pt", "protocol2.legacy.pt"} {
		f, err := Open(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		before, err := f.Tensor("fc.weight")
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(before.Float32s())
		for range 2 {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(before.Float32s(), want) {
			t.Errorf("%s: the tensor changed when the file was closed", name)
		}
		if _, err := f.Tensor("fc.weight"); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
		if len(f.Names()) == 0 {
			t.Errorf("%s: want the names to stay", name)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, name := range []string{"plain.safetensors", "deflated.zip.pth", "protocol2.legacy.pt"} {
		f, err := Open(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 20 {
					x, err := f.Tensor("fc.weight")
					if err != nil && !errors.Is(err, ErrClosed) || err == nil && len(x.Float32s()) != 6 {
						t.Errorf("%s: got %v (%v)", name, x, err)
					}
				}
				if i == 7 {
					if err := f.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
}

// A file that is cut off after it was opened must not take the program down.
func TestFileThatShrinks(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a mapping shows of a shorter file differs between systems")
	}
	path := filepath.Join(t.TempDir(), "big.safetensors")
	if err := os.WriteFile(path, st(`{"a":{"dtype":"F32","shape":[65536],"data_offsets":[0,262144]}}`, make([]byte, 262144)...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Tensor("a"); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	_, err = f.Tensor("a")
	var fe *FormatError
	if !errors.As(err, &fe) || fe.Tensor != "a" || !strings.Contains(err.Error(), "became shorter") {
		t.Errorf("got %v, want an error that the file became shorter", err)
	}
}

// An expanded tensor may be larger than its storage, up to a limit that the file's size sets.
func TestElementLimit(t *testing.T) {
	file := func(n int64) []byte {
		return legacyFile(pickle(pyMap(pyStr("w"), pyTensorV2(pyStorageID("FloatStorage", "0", 3), 1, pyInts(n, 2), pyInts(0, 1)))), []string{"0"}, le(8, 3), threeFloats)
	}
	limit := int64(maxExtraElems + len(file(1)))
	f, err := OpenBytes("x", file(limit/2))
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Tensor("w")
	if err != nil {
		t.Fatal(err)
	}
	if v := x.Float32s(); len(v) != int(limit/2*2) || !slices.Equal(v[len(v)-4:], []float32{2, -3, 2, -3}) {
		t.Errorf("got %d elements, the last %v, want %d and 2 -3 2 -3", len(v), v[len(v)-4:], limit/2*2)
	}
	if _, err := OpenBytes("x", file(limit/2+1)); err == nil || !strings.Contains(err.Error(), `tensor "w"`) {
		t.Errorf("got %v, want an error for %d elements", err, limit/2+1)
	}
	// The limit is for all tensors together.
	w := pyTensorV2(pyStorageID("FloatStorage", "0", 3), 1, pyInts(limit/3, 2), pyInts(0, 1))
	if _, err := OpenBytes("x", legacyFile(pickle(pyMap(pyStr("a"), w, pyStr("b"), w)), []string{"0"}, le(8, 3), threeFloats)); err == nil || !strings.Contains(err.Error(), `tensor "b"`) {
		t.Errorf("got %v, want an error for the second tensor", err)
	}
}

// Views of a storage, which only old files have, start at an offset of their own.
func TestLegacyViewOfStorage(t *testing.T) {
	view := pyStorageID("FloatStorage", "0", 3, pyTup(pyStr("v"), pyInt(1), pyInt(2)))
	f, err := OpenBytes("x", legacyFile(pickle(pyMap(pyStr("w"), pyTensorV2(view, 1, pyInts(1), pyInts(1)))), []string{"0"}, le(8, 3), threeFloats))
	if err != nil {
		t.Fatal(err)
	}
	if x, err := f.Tensor("w"); err != nil || !slices.Equal(x.Float32s(), []float32{-3}) {
		t.Errorf("got %v (%v), want -3", x, err)
	}
}
