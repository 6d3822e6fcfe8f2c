package weights

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seed adds the files of testdata whose names contain part.
func seed(f *testing.F, part string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*"+part+"*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds with %q in their names: %v", part, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// fuzzFile opens and reads data; whatever it holds, an error is a *FormatError and what can be read is consistent.
func fuzzFile(t *testing.T, name string, data []byte) {
	f, err := OpenBytes(name, data)
	if err != nil {
		var fe *FormatError
		if !errors.As(err, &fe) || fe.File != name || fe.Start < 0 {
			t.Fatalf("got %#v, want a *FormatError", err)
		}
		return
	}
	defer f.Close()
	f.Uninterpreted()
	for _, n := range f.Names() {
		info, ok := f.Info(n)
		if !ok || info.Offset > int64(len(data)) {
			t.Fatalf("%s: info %+v of a file of %d bytes", n, info, len(data))
		}
		x, err := f.Tensor(n)
		if err == nil && x.Type.Shape != info.Shape {
			t.Fatalf("%s: got shape %v, want %v", n, x.Type.Shape, info.Shape)
		}
		v, err64 := f.Float64s(n)
		if err64 == nil && len(v) != info.Shape.Elems() {
			t.Fatalf("%s: got %d values, want %d", n, len(v), info.Shape.Elems())
		}
		if err == nil && err64 == nil {
			for i, w := range x.Float32s() {
				if w != float32(v[i]) {
					t.Fatalf("%s: element %d is %v as float32 and %v as float64", n, i, w, v[i])
				}
			}
		}
		for _, e := range []error{err, err64} {
			var fe *FormatError
			if e != nil && (!errors.As(e, &fe) || fe.Tensor != n) {
				t.Fatalf("%s: got %v, want a *FormatError about it", n, e)
			}
		}
	}
	if len(f.Names()) > 0 {
		_, _ = Canonical(f.Shapes())
	}
}

func FuzzSafetensors(f *testing.F) {
	seed(f, ".safetensors")
	f.Add(st(`{"__metadata__":{"a":"b"},"x":{"dtype":"F16","shape":[1,1],"data_offsets":[0,2]}}  `, 0, 60))
	f.Add(st(`{"a":{"dtype":"F32","shape":[0,4294967296],"data_offsets":[0,0]}}`))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "x.safetensors", data) })
}

func FuzzTorchZip(f *testing.F) {
	seed(f, ".zip.")
	seed(f, "torchscript")
	f.Add(torchZipFile(f, pyPlain(), zipEntry{name: "a/data/0", data: threeFloats}))
	f.Add(torchZipFile(f, pyPlain(), zipEntry{name: "a/data/0", data: threeFloats, deflate: true}))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "x.pth", data) })
}

func FuzzTorchLegacy(f *testing.F) {
	seed(f, ".legacy.")
	f.Add(legacyFile(pyPlain(), []string{"0"}, le(8, 3), threeFloats))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "x.th", data) })
}

// FuzzPickle puts a fuzzed pickle into an archive, where no checksum stands before it.
func FuzzPickle(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "pickles.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, part := range strings.Split(string(b), `"`) {
		if p, err := hex.DecodeString(part); err == nil && len(p) > 10 {
			f.Add(p)
		}
	}
	f.Add([]byte(pyPlain()))
	f.Add([]byte(pyPlain(pyStr("x"), "(cos\nsystem\n"+pyStr("true")+"o")))
	f.Add([]byte(pickle(pyMap(pyStr("state_dict"), pyPlain()[2:len(pyPlain())-1], pyStr("n"), "(]}\x8f)NI1\nL2L\nF3\nS'a'\nVb\nt"))))
	f.Add([]byte(pickle(pyMap(pyStr("w"), pyTensorV2(pyStorageID("HalfStorage", "0", 6), 1, pyInts(2, 2), pyInts(1, 2))))))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzFile(t, "x.pth", torchZipFile(t, string(data), zipEntry{name: "a/data/0", data: threeFloats}))
	})
}
