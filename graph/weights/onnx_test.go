package weights

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
	pt "github.com/resnet-run/resnet-run/graph/onnx/proto/prototest"
)

// onnxModel is a file with one initializer "w".
func onnxModel(d proto.DType, dims []int64, fields ...[]byte) []byte {
	return pt.Model(13, pt.Initializer(pt.Tensor("w", d, dims, fields...)))
}

func TestONNXTensors(t *testing.T) {
	data := append(pt.Model(13,
		pt.Initializer(pt.Tensor("raw", proto.Float, []int64{2, 1}, pt.Raw(pt.Floats(1, -2)))),
		pt.Initializer(pt.Tensor("half", proto.Float16, []int64{3}, pt.Int(5, 0x3c00), pt.Int(5, 0x8001), pt.Int(5, 0x7bff))),
		pt.Initializer(pt.Tensor("brain", proto.BFloat16, nil, pt.Raw([]byte{0x80, 0x3f}))),
		pt.Initializer(pt.Tensor("double", proto.Double, []int64{1}, pt.Double(10, 0.1))),
		pt.Initializer(pt.Tensor("whole", proto.Int64, []int64{2}, pt.Raw(pt.Int64s(math.MaxInt64, -1)))),
		pt.Initializer(pt.Tensor("small", proto.Int32, []int64{1}, pt.Int(5, -7))),
		pt.Initializer(pt.Tensor("flag", proto.Bool, nil, pt.Int(5, 1))),
		pt.Initializer(pt.Tensor("text", proto.String, []int64{1}, pt.Text(6, "a"))),
		pt.Bytes(15, pt.Bytes(1, pt.Tensor("sparse", proto.Float, []int64{1}, pt.Raw(pt.Floats(1))))),
		pt.Node("Constant", nil, []string{"constant"}, pt.AttrTensor("value", pt.Tensor("", proto.Float, []int64{1}, pt.Raw(pt.Floats(5))))),
	), pt.Bytes(14, pt.Text(1, "labels"), pt.Text(2, "[]"))...)
	f, err := OpenBytes("x", data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Format() != FormatONNX || f.ONNX() == nil || f.Metadata()["labels"] != "[]" {
		t.Errorf("got format %q, metadata %v", f.Format(), f.Metadata())
	}
	for name, want := range map[string][]float32{"raw": {1, -2}, "half": {1, -0x1p-24, 65504}, "brain": {1}, "double": {0.1}, "constant": {5}} {
		x, err := f.Tensor(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(x.Float32s(), want) {
			t.Errorf("%s: got %v, want %v", name, x.Float32s(), want)
		}
	}
	for name, want := range map[string][]int64{"whole": {math.MaxInt64, -1}, "small": {-7}} {
		if got, err := f.Int64s(name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v and %v, want %v", name, got, err, want)
		}
	}
	if set, err := f.Bool("flag"); err != nil || !set {
		t.Errorf("flag: got %v, %v", set, err)
	}
	if _, err := f.Bool("small"); err == nil || !strings.Contains(err.Error(), "want one bool, got int32[1]") {
		t.Errorf("Bool of whole numbers: got %v", err)
	}
	if _, err := f.Int64s("raw"); err == nil || !strings.Contains(err.Error(), "want signed whole numbers as elements, got float32") {
		t.Errorf("Int64s of float32: got %v", err)
	}
	for name, want := range map[string]string{"text": "elements of string", "sparse": "a sparse tensor"} {
		if _, err := f.Tensor(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	if i, _ := f.Info("raw"); string(data[i.Offset:][:8]) != string(pt.Floats(1, -2)) || i.Shape != graph.NewShape(2, 1) {
		t.Errorf("got info %+v", i)
	}
}

func TestBadONNX(t *testing.T) {
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"cut":         {onnxModel(proto.Float, []int64{1}, pt.Raw(pt.Floats(1)))[:20], "ONNX: model: field 7: unexpected EOF"},
		"too few":     {onnxModel(proto.Float, []int64{2}, pt.Raw(pt.Floats(1))), `tensor "w": bytes`},
		"rank":        {onnxModel(proto.Float, []int64{1, 1, 1, 1, 1, 1, 1}, pt.Raw(pt.Floats(1))), "at most 6 dimensions"},
		"no name":     {pt.Model(13, pt.Initializer(pt.Tensor("", proto.Float, nil, pt.Raw(pt.Floats(1))))), "want a name"},
		"twice":       {pt.Model(13, pt.Initializer(pt.Tensor("w", proto.Float, nil, pt.Raw(pt.Floats(1)))), pt.Initializer(pt.Tensor("w", proto.Float, nil, pt.Raw(pt.Floats(1))))), "two tensors"},
		"not finite":  {onnxModel(proto.Float, []int64{2}, pt.Raw(pt.Floats(1, float32(math.NaN())))), "element 1 [1]"},
		"beside":      {onnxModel(proto.Float, []int64{1}, pt.External("location", "w.bin")), "external data: want the name of a file beside the model"},
		"as pictures": {onnxModel(proto.Uint8, []int64{1}, pt.Raw([]byte{1})), "want float32, float16, bfloat16 or float64 elements, got uint8"},
	} {
		f, err := OpenBytes("bad.onnx", test.data)
		if err == nil {
			_, err = f.Lazy("w")
		}
		var fe *FormatError
		if !errors.As(err, &fe) || fe.File != "bad.onnx" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want a *FormatError with %q", name, err, test.want)
		}
	}
	if _, err := (Options{StateDict: "a"}).OpenBytes("x.onnx", onnxModel(proto.Float, nil, pt.Raw(pt.Floats(1)))); err == nil || !strings.Contains(err.Error(), "no state dict") {
		t.Errorf("a state dict of an ONNX file: got %v", err)
	}
}

// Tensors in files beside the model are read, and nothing else is: not above the folder, not through a link out of it.
func TestONNXExternalData(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "secret"), pt.Floats(1, 2, 3))
	write(filepath.Join(dir, "w.bin"), pt.Floats(1, 2, 3))
	write(filepath.Join(dir, "empty"), nil)
	windows := runtime.GOOS == "windows" // where links need a privilege, and files are read whole when they are opened
	if !windows {
		if err := os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
	}
	model := filepath.Join(dir, "m.onnx")
	open := func(entries ...string) (*File, error) {
		write(model, onnxModel(proto.Float, []int64{2}, pt.External(entries...)))
		return Open(model)
	}

	f, err := open("location", "w.bin", "offset", "4", "length", "8")
	if err != nil {
		t.Fatal(err)
	}
	x, err := f.Lazy("w")
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Float32s(); !reflect.DeepEqual(got, []float32{2, 3}) || x.Bound() != 3 {
		t.Errorf("got %v with bound %v, want 2 and 3", got, x.Bound())
	}
	// A change of the other file is noticed, and named.
	if err := os.Truncate(filepath.Join(dir, "w.bin"), 4); err != nil {
		t.Fatal(err)
	}
	var fe *FormatError
	if err := x.ReadFloat32s(make([]float32, 2)); !windows && (!errors.As(err, &fe) || fe.File != filepath.Join(dir, "w.bin")) {
		t.Errorf("a file that became shorter: got %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.ReadFloat32s(make([]float32, 2)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
	write(filepath.Join(dir, "w.bin"), pt.Floats(1, 2, 3))

	for _, test := range []struct {
		entries []string
		want    string
	}{
		{nil, "want the name of a file"},
		{[]string{"location", "nothing"}, "openat nothing: "},
		{[]string{"location", "../" + filepath.Base(outside) + "/secret"}, "path escapes"},
		{[]string{"location", filepath.Join(outside, "secret")}, "path escapes"},
		{[]string{"location", "link"}, "path escapes"},
		{[]string{"location", "empty"}, "want a regular file that is not empty"},
		{[]string{"location", "."}, "want a regular file"},
		{[]string{"location", "w.bin", "offset", "8"}, "want 8 bytes from byte 8 on"},
		{[]string{"location", "w.bin", "offset", "-1"}, "offset: want a whole number"},
		{[]string{"location", "w.bin", "offset", "9223372036854775807"}, "want 8 bytes from"},
		{[]string{"location", "w.bin", "length", "12"}, "length: want 8 bytes, got 12"},
	} {
		if windows && slices.Contains(test.entries, "link") {
			continue
		}
		_, err := open(test.entries...)
		if !errors.As(err, &fe) || fe.Tensor != "w" || fe.File != model || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want a *FormatError about w with %q", test.entries, err, test.want)
		}
	}
}

// Hugging Face's cache has links to files whose names are hashes, all of one folder.
func TestONNXExternalDataThroughLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there, and Hugging Face's cache has files instead")
	}
	blobs, snapshot := t.TempDir(), t.TempDir()
	for name, data := range map[string][]byte{
		"4a": onnxModel(proto.Float, []int64{1}, pt.External("location", "m.onnx.data")),
		"7b": pt.Floats(5),
	} {
		if err := os.WriteFile(filepath.Join(blobs, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, blob := range map[string]string{"m.onnx": "4a", "m.onnx.data": "7b"} {
		if err := os.Symlink(filepath.Join(blobs, blob), filepath.Join(snapshot, name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(filepath.Join(snapshot, "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if x, err := f.Tensor("w"); err != nil || x.Float32s()[0] != 5 {
		t.Errorf("got %v, %v, want 5", x, err)
	}
}

// Tensors in another file may overlap; what they take together stays in proportion to the files.
func TestONNXExternalDataIsBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var tensors []byte
	for i := range 20 {
		tensors = append(tensors, pt.Initializer(pt.Tensor(strings.Repeat("w", i+1), proto.Float, []int64{1 << 20}, pt.External("location", "w.bin")))...)
	}
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, pt.Model(13, tensors), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "elements in all tensors together") {
		t.Errorf("got %v, want an error about the elements together", err)
	}
}

func FuzzONNX(f *testing.F) {
	f.Add(onnxModel(proto.Float16, []int64{2}, pt.Int(5, 1), pt.Int(5, 2)))
	f.Add(onnxModel(proto.Int64, []int64{2}, pt.Raw(pt.Int64s(1, 2))))
	f.Add(pt.Model(9, pt.Node("Constant", nil, []string{"c"}, pt.AttrTensor("value", pt.Tensor("", proto.Double, nil, pt.Double(10, 1))))))
	f.Add(onnxModel(proto.Float, []int64{1}, pt.External("location", "w.bin")))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFile(t, "x.onnx", data) })
}
