package weights

import (
	"archive/zip"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// readAll opens a file and reads every tensor in both ways; the first error counts.
func readAll(name string, data []byte) error {
	f, err := OpenBytes(name, data)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, n := range f.Names() {
		if i, _ := f.Info(n); !strings.HasPrefix(i.DType, "float") && !strings.HasPrefix(i.DType, "bfloat") {
			continue
		}
		if _, err := f.Tensor(n); err != nil {
			return err
		}
	}
	return nil
}

// bounded runs f and checks that it neither allocated nor lasted more than the size of the file justifies.
func bounded(t *testing.T, size int, f func() error) error {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err := f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if got, want := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+128*size); got > want {
		t.Errorf("allocated %d bytes for a file of %d, want at most %d", got, size, want)
	}
	if took > 20*time.Second {
		t.Errorf("took %v for a file of %d bytes", took, size)
	}
	return err
}

type badFile struct {
	name string
	data []byte
	want string // part of the error
}

// refuse checks that each file gives an error with the wanted text and with the file's name.
func refuse(t *testing.T, files []badFile) {
	t.Helper()
	for _, c := range files {
		t.Run(c.name, func(t *testing.T) {
			err := bounded(t, len(c.data), func() error { return readAll("the file", c.data) })
			if err == nil {
				t.Fatalf("want an error with %s", c.want)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), `read weights "the file": `) {
				t.Errorf("got %v, want it to name the file and to say %s", err, c.want)
			}
			var fe *FormatError
			if !errors.As(err, &fe) || fe.File != "the file" {
				t.Errorf("got %#v, want a *FormatError about the file", err)
			}
		})
	}
}

func TestRefusesBadSafetensors(t *testing.T) {
	const a = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	eight := make([]byte, 8)
	sixteen := make([]byte, 16)
	entry := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"a":{"dtype":%s,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	f32 := func(shape, offsets string) string { return entry(`"F32"`, shape, offsets) }
	many := strings.Builder{}
	many.WriteString(`{`)
	for i := range maxTensors + 1 {
		fmt.Fprintf(&many, `"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},`, i)
	}
	long := make([]byte, maxSafetensorsHeader+1+8)
	copy(long, le(8, maxSafetensorsHeader+1)+"{")
	refuse(t, []badFile{
		{"header longer than the file", append([]byte(le(8, 100)), `{"a"`...), "bytes 0..8: safetensors header length: want at most the 4 bytes that follow in the file, got 100"},
		{"huge header claim", append([]byte(le(8, 1<<62)), `{"a"`...), "got 4611686018427387904"},
		{"header length with the sign bit", append([]byte(le(8, 1<<63)), `{"a"`...), "bytes 0..8: safetensors header length: want at most 16777216 bytes"},
		{"header over the cap", long, "want at most 16777216 bytes, got 16777217"},
		{"JSON cut off", st(`{` + a), "unexpected EOF"},
		{"empty object, data left", st(`{}       `, eight...), "bytes 17..25: 8 bytes follow the last tensor"},
		{"not UTF-8", st("{\"\xff\":1}"), "want UTF-8"},
		{"text after the JSON", st(`{`+a+`} x`, eight...), "want only spaces after the JSON object"},
		{"a newline after the JSON", st(`{`+a+"}\n", eight...), "want only spaces after the JSON object"},
		{"duplicate tensor", st(`{`+a+`,`+a+`}`, eight...), `duplicate key "a"`},
		{"duplicate key in a tensor", st(`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, eight...), `tensor "a": bytes 27..35: safetensors header: duplicate key "dtype"`},
		{"duplicate through an escape", st(`{`+a+`,"\u0061":{}}`, eight...), `duplicate key "a"`},
		{"duplicate metadata", st(`{"__metadata__":{"k":"v","k":"v"}}`), `duplicate key "k"`},
		{"metadata that is no string", st(`{"__metadata__":{"k":1}}`), `__metadata__ "k": want a string, got 1`},
		{"metadata that is no object", st(`{"__metadata__":[]}`), `want "{", got [`},
		{"tensor that is no object", st(`{"a":[]}`), `tensor "a": bytes 12..14: safetensors header: want "{", got [`},
		{"unknown key", st(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"strides":[1]}}`, 0, 0, 0, 0), `got "strides"`},
		{"no dtype", st(`{"a":{"shape":[2],"data_offsets":[0,8]}}`, eight...), "want the key dtype"},
		{"no shape", st(`{"a":{"dtype":"F32","data_offsets":[0,8]}}`, eight...), "want the key shape"},
		{"no offsets", st(`{"a":{"dtype":"F32","shape":[2]}}`, eight...), "want the key data_offsets"},
		{"unknown dtype", st(entry(`"F31"`, `[2]`, `[0,8]`), eight...), `tensor "a": bytes 21..27: safetensors header: dtype: want one of F64, F32, F16, BF16, I64, ..., got "F31"`},
		{"dtype that is no string", st(entry(`32`, `[2]`, `[0,8]`), eight...), "dtype: want a string, got 32"},
		{"more bytes than elements", st(f32(`[1]`, `[0,8]`), eight...), `data_offsets [0,8]: want 4 bytes for float32[1], got 8`},
		{"wrong dtype for the bytes", st(entry(`"F64"`, `[2]`, `[0,8]`), eight...), "want 16 bytes for float64[2], got 8"},
		{"integer where floats are wanted", st(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,8]}}`, eight...), `tensor "b": bytes 118..122: data_offsets [4,8]: want 8 bytes for float32[2], got 4`},
		{"negative dimension", st(f32(`[-2]`, `[0,8]`), eight...), "shape: want an integer of at least 0, got -2"},
		{"fraction", st(f32(`[2.0]`, `[0,8]`), eight...), "shape: want an integer of at least 0, got 2.0"},
		{"exponent", st(f32(`[2]`, `[0,8e0]`), eight...), "data_offsets: want an integer of at least 0, got 8e0"},
		{"dimension that is a string", st(f32(`["2"]`, `[0,8]`), eight...), `shape: want an integer of at least 0, got "2"`},
		{"dimension that is an array", st(f32(`[[2]]`, `[0,8]`), eight...), `shape: want an integer of at least 0, got [`},
		{"elements overflow", st(f32(`[4294967296,4294967296,4]`, `[0,8]`), eight...), "make shape ["},
		{"zero hides an overflow", st(f32(`[0,4294967296,4294967296]`, `[0,0]`)), "make shape ["},
		{"number beyond 64 bits", st(f32(`[36893488147419103232]`, `[0,8]`), eight...), "shape: want an integer"},
		{"too many dimensions", st(f32(`[1,1,1,1,1,1,2]`, `[0,8]`), eight...), "shape: want at most 6 numbers"},
		{"offsets in the wrong order", st(f32(`[2]`, `[8,0]`), eight...), "want [begin,end] with begin <= end, got [8 0]"},
		{"one offset", st(f32(`[2]`, `[8]`), eight...), "want [begin,end]"},
		{"three offsets", st(f32(`[2]`, `[0,8,8]`), eight...), "want at most 2 numbers"},
		{"offsets beyond the file", st(f32(`[4]`, `[0,16]`), eight...), `tensor "a": bytes 63..79: data_offsets [0,16]: the file ends after 8 bytes of data`},
		{"shape larger than the offsets", st(f32(`[3]`, `[0,8]`), eight...), "want 12 bytes for float32[3], got 8"},
		{"overlap", st(`{`+a+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, sixteen[:12]...), `tensor "b": bytes 120..124: data_offsets [4,12]: overlaps the tensor before it, which ends at 8`},
		{"the same bytes twice", st(`{`+a+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, eight...), "overlaps"},
		{"hole", st(`{`+a+`,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}`, sixteen...), `tensor "b": bytes 125..129: data_offsets [12,16]: 4 bytes before it belong to no tensor`},
		{"hole at the start", st(f32(`[1]`, `[4,8]`), eight...), "4 bytes before it belong to no tensor"},
		{"bytes after the last tensor", st(f32(`[1]`, `[0,4]`), eight...), "bytes 66..70: 4 bytes follow the last tensor"},
		{"too many tensors", st(many.String()), "want at most 65536 tensors"},
		{"deep nesting", st(`{"a":` + strings.Repeat("[", 1<<20)), `tensor "a"`},
		{"NaN", st(f32(`[1,2]`, `[0,8]`), []byte(le(4, 0)+le(4, 0x7fc00000))...), `tensor "a": bytes 68..72: element 1 [0 1] (float32 at byte 68): want a finite value, got NaN`},
		{"infinity in float16", st(entry(`"F16"`, `[2,2]`, `[0,8]`), []byte("\x00\x00\x00\x00\x00\xfc\x00\x00")...), "bytes 68..70: element 2 [1 0] (float16 at byte 68): want a finite value, got -Inf"},
		{"NaN in bfloat16", st(entry(`"BF16"`, `[1]`, `[0,2]`), 0x81, 0x7f), "element 0 [0] (bfloat16 at byte 63): want a finite value, got NaN"},
		{"float64 beyond float32", st(entry(`"F64"`, `[1]`, `[0,8]`), []byte(le(8, 0x47efffffffffffff))...), "element 0 [0] (float64 at byte 62): want a value that fits a float32, got 3.402823"},
	})
}

func TestRefusesOtherFormats(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar")
	refuse(t, []badFile{
		{"empty", nil, "the file is empty"},
		{"short", []byte("ab"), `bytes 0..2: want safetensors, a PyTorch file or ONNX, got a file that begins with "ab"`},
		{"Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a"), "a Git LFS pointer"},
		{"web page", []byte("<!DOCTYPE html><html>not found</html>"), "a web page"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00"), "a gzip file"},
		{"HDF5", []byte("\x89HDF\r\n\x1a\n0000"), "HDF5"},
		{"legacy tar", tar, "a tar archive: PyTorch before 0.1.10"},
		{"TorchScript", testdata(t, "torchscript.pt"), "a TorchScript archive (it has the entry"},
		{"a whole module", testdata(t, "whole_module.zip.pth"), `a whole object of "torch.nn.modules.container.Sequential": save its state_dict() instead`},
		{"some zip", zipFile(t, zipEntry{name: "word/document.xml", data: "x"}), "an entry NAME/data.pkl"},
		{"some pickle", []byte(pickle(pyMap())), "want PyTorch's magic number, got a pickle of a dict of 0"},
	})
}

func TestRefusesAmbiguousStateDict(t *testing.T) {
	data := testdata(t, "ema.zip.pth")
	refuse(t, []badFile{{"two state dicts", data, `want one state dict, got "state_dict" (8 tensors), "state_dict_ema" (8 tensors)`}})
	for name, want := range map[string]string{"nothing": `state dict "nothing": not found, the file has "state_dict" (8 tensors)`} {
		if _, err := (Options{StateDict: name}).OpenBytes("x", data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, err := (Options{StateDict: "a"}).OpenBytes("x", testdata(t, "plain.safetensors")); err == nil {
		t.Error("want an error for the state dict of a safetensors file")
	}
}

// Every proper prefix of a good file is bad, and says so in bounded memory.
func TestRefusesTruncation(t *testing.T) {
	for _, name := range []string{"plain.safetensors", "protocol2.legacy.pt", "protocol5.legacy.pt", "protocol2.zip.pt", "deflated.zip.pth", "zip64.zip.pth"} {
		t.Run(name, func(t *testing.T) {
			data := testdata(t, name)
			if err := readAll(name, data); err != nil {
				t.Fatal(err)
			}
			for n := range len(data) {
				err := readAll(name, data[:n:n])
				var fe *FormatError
				if !errors.As(err, &fe) {
					t.Fatalf("cut to %d of %d bytes: got %v, want a *FormatError", n, len(data), err)
				}
			}
			if err := readAll(name, append(data[:len(data):len(data)], 0)); err == nil && !strings.Contains(name, ".zip.") {
				t.Error("a byte too many: want an error") // a zip has its directory at the end, so junk is a comment there
			}
		})
	}
}

func TestRefusesBadLegacy(t *testing.T) {
	good := legacyFile(pyPlain(), []string{"0"}, le(8, 3), threeFloats)
	if err := readAll("good", good); err != nil {
		t.Fatalf("the good file: %v", err)
	}
	tensor := func(storage string, offset int64, size, stride string) []byte {
		return legacyFile(pickle(pyMap(pyStr("w"), pyTensorV2(storage, offset, size, stride))), []string{"0"}, le(8, 3), threeFloats)
	}
	three := pyStorageID("FloatStorage", "0", 3, "N")
	// Where the opcode REDUCE of the tensor stands: after the head, PROTO, the dict, the name, and before "u" and STOP.
	reduce := len(legacyHead) + len(pickle(pyMap(pyStr("w"), pyTensorV2(three, 1, pyInts(3), pyInts(1))))) - 3
	refuse(t, []badFile{
		{"wrong protocol version", []byte(pickle("\x8a\x0a"+legacyMagicBytes) + pickle("M\xea\x03")), "bytes 15..21: protocol version: want 1001, got an int (1002)"},
		{"system information that is no dict", []byte(pickle("\x8a\x0a"+legacyMagicBytes) + pickle("M\xe9\x03") + pickle("N")), "system information: want a dict, got None"},
		{"object missing", []byte(legacyHead), "object: pickle: ends without the opcode STOP"},
		{"object that is a number", legacyFile(pickle("K\x01"), nil), "want a state dict, got an int"},
		{"no tensors", legacyFile(pickle(pyMap(pyStr("epoch"), "K\x01")), nil), "want a state dict, got a dict of 1 without tensors by name"},
		{"keys that are no list", []byte(legacyHead + pyPlain() + pickle("N")), "storage keys: want a list, got None"},
		{"key that no tensor mentions", legacyFile(pyPlain(), []string{"0", "1"}, le(8, 3), threeFloats, le(8, 0)), `want each key of the tensors once, got a str ("1")`},
		{"key twice", legacyFile(pyPlain(), []string{"0", "0"}, le(8, 3), threeFloats, le(8, 3), threeFloats), "want each key of the tensors once"},
		{"key that is a number", []byte(legacyHead + pyPlain() + pickle("](K\x00e")), "want each key of the tensors once, got an int"},
		{"storage missing", legacyFile(pyPlain(), nil), `storage "0": not among the file's storages`},
		{"storage size differs", legacyFile(pyPlain(), []string{"0"}, le(8, 2), threeFloats[:8]), `storage "0": want 3 elements as in the pickle, got 2`},
		{"storage size huge", legacyFile(pyPlain(), []string{"0"}, le(8, 1<<63), threeFloats), "want 3 elements as in the pickle, got 9223372036854775808"},
		{"storage cut off", good[:len(good)-1], `storage "0": want 12 bytes (3 float32), the file ends after 11`},
		{"size cut off", good[:len(good)-13], `storage "0": want 8 bytes with its size, the file ends after 7`},
		{"bytes after the storages", append(good[:len(good):len(good)], 1, 2), "2 bytes follow the last storage"},
		{"two sizes for a storage", tensor(pyStorageID("FloatStorage", "0", 4)+"0"+three, 0, pyInts(3), pyInts(1)), `storage "0": mentioned as 4 float32 and as 3 float32`},
		{"two types for a storage", tensor(pyStorageID("IntStorage", "0", 3)+"0"+three, 0, pyInts(3), pyInts(1)), `mentioned as 3 int32 and as 3 float32`},
		{"negative storage", tensor(pyStorageID("FloatStorage", "0", -1), 0, pyInts(3), pyInts(1)), "got a str and a negative one"},
		{"huge storage", tensor(pyStorageID("FloatStorage", "0", 1<<62), 0, pyInts(3), pyInts(1)), "persistent id: want a key and a number of elements"},
		{"reaches outside", tensor(three, 1, pyInts(3), pyInts(1)), fmt.Sprintf(`tensor "w": bytes %d..%d: size [3] with strides [1] from element 1: reaches outside its storage of 3 elements`, reduce, reduce+1)},
		{"offset outside", tensor(three, 4, pyInts(0), pyInts(1)), "from element 4: reaches outside"},
		{"negative offset", tensor(three, -1, pyInts(3), pyInts(1)), "from element -1: reaches outside"},
		{"stride outside", tensor(three, 0, pyInts(2), pyInts(3)), "size [2] with strides [3] from element 0: reaches outside"},
		{"stride overflows", tensor(three, 0, pyInts(3), pyInts(1<<62)), "reaches outside"},
		{"strides add up to an overflow", tensor(three, 0, pyInts(2, 2, 2), pyInts(1<<61, 1<<61, 1<<61)), "reaches outside"},
		{"negative stride", tensor(three, 2, pyInts(3), pyInts(-1)), "stride: dimension 0: want an int of at least 0, got a negative one"},
		{"negative size", tensor(three, 0, pyInts(-3), pyInts(1)), "size: dimension 0: want an int of at least 0, got a negative one"},
		{"size that is a string", tensor(three, 0, pyTup(pyStr("3")), pyInts(1)), "size: dimension 0: want an int of at least 0, got a str"},
		{"size that is a list", tensor(three, 0, "]", pyInts(1)), "want tuples of sizes and strides, got a list of 0"},
		{"size overflows", tensor(three, 0, pyInts(1<<40, 1<<40), pyInts(0, 0)), "make shape ["},
		{"rank 7", tensor(three, 0, pyInts(1, 1, 1, 1, 1, 1, 1), pyInts(1, 1, 1, 1, 1, 1, 1)), "size: want at most 6 dimensions, got 7"},
		{"fewer strides than dimensions", tensor(three, 0, pyInts(1, 3), pyInts(1)), "want a stride for each of 2 dimensions, got 1"},
		{"expanded without end", tensor(three, 0, pyInts(1<<40), pyInts(0)), "1099511627776 elements: want at most"},
		{"view outside its storage", tensor(pyStorageID("FloatStorage", "0", 3, pyTup(pyStr("v"), pyInt(2), pyInt(2))), 0, pyInts(1), pyInts(1)), `storage "0": view: want (key, offset, elements) inside 3 elements`},
		{"tensor outside its view", tensor(pyStorageID("FloatStorage", "0", 3, pyTup(pyStr("v"), pyInt(1), pyInt(1))), 0, pyInts(2), pyInts(1)), "reaches outside its storage of 1 elements"},
		{"not a storage", tensor("N", 0, pyInts(3), pyInts(1)), "rebuild tensor: want a storage, got None"},
		{"persistent id that is a string", tensor(pyStr("0")+"Q", 0, pyInts(3), pyInts(1)), "persistent id: want a tuple, got a str"},
		{"persistent id of something else", tensor(pyTup(pyStr("file"), pyStr("x"))+"Q", 0, pyInts(3), pyInts(1)), "persistent id: want a storage, got a str"},
		{"too few arguments", legacyFile(pickle(pyMap(pyStr("w"), pyName("torch._utils", "_rebuild_tensor_v2")+")R")), nil), "rebuild tensor: want 4 to 7 arguments, got 0"},
		{"two entries of a name", legacyFile(pyPlain(pyStr("w"), "N"), []string{"0"}, le(8, 3), threeFloats), `tensor "w": the state dict has two entries of this name`},
		{"NaN", legacyFile(pyPlain(), []string{"0"}, le(8, 3), threeFloats[:8]+le(4, 0xffc00000)), fmt.Sprintf(`tensor "w": bytes %d..%d: element 2 [2] (float32 at byte %d): want a finite value, got NaN`, len(good)-4, len(good), len(good)-4)},
	})
}

func TestRefusesBadZip(t *testing.T) {
	data0 := zipEntry{name: "a/data/0", data: threeFloats}
	if err := readAll("good", torchZipFile(t, pyPlain(), data0)); err != nil {
		t.Fatalf("the good file: %v", err)
	}
	change := func(f func(*zip.FileHeader)) zipEntry {
		return zipEntry{name: "a/data/0", data: threeFloats, change: f}
	}
	bomb := strings.Repeat("\x00", 1<<20)
	claim := func(n uint64) func(*zip.FileHeader) { return func(h *zip.FileHeader) { h.UncompressedSize64 = n } }
	damaged := torchZipFile(t, pyPlain(), data0)
	damaged[strings.Index(string(damaged), threeFloats)] ^= 1
	four := pickle(pyMap(pyStr("w"), pyTensorV2(pyStorageID("FloatStorage", "0", 4), 0, pyInts(3), pyInts(1))))
	two := pickle(pyMap(pyStr("w"), pyTensorV2(pyStorageID("FloatStorage", "0", 2), 0, pyInts(2), pyInts(1))))
	refuse(t, []badFile{
		{"storage missing", torchZipFile(t, pyPlain()), `storage "0": no entry "data/0" in the zip`},
		{"storage too short", torchZipFile(t, four, data0), `storage "0": want 16 bytes (4 float32), got an entry of 12`},
		{"storage too long", torchZipFile(t, two, data0), `storage "0": want 8 bytes (2 float32), got an entry of 12`},
		{"size a little beyond the file", torchZipFile(t, pyPlain(), change(func(h *zip.FileHeader) { h.CompressedSize64, h.UncompressedSize64 = 1000, 1000 })), "want 1000 bytes, the file ends after"},
		{"damaged data", damaged, `tensor "w"`},
		{"wrong checksum", torchZipFile(t, pyPlain(), change(func(h *zip.FileHeader) { h.CRC32++ })), `zip: "data/0": want CRC-32`},
		{"stored with another unpacked size", torchZipFile(t, pyPlain(), change(func(h *zip.FileHeader) { h.UncompressedSize64 = 13 })), "stored, but 12 bytes packed and 13 unpacked"},
		{"size beyond the file", torchZipFile(t, pyPlain(), change(func(h *zip.FileHeader) { h.CompressedSize64, h.UncompressedSize64 = 1<<40, 1<<40 })), "want 1099511627776 bytes, the file ends after"},
		{"encrypted", torchZipFile(t, pyPlain(), change(func(h *zip.FileHeader) { h.Flags |= 1 })), `zip: "data/0" is encrypted`},
		{"unknown compression", torchZipFile(t, pyPlain(), change(func(h *zip.FileHeader) { h.Method = 93 })), "want it stored or deflated, got compression method 93"},
		{"deflated shorter than it says", torchZipFile(t, four, zipEntry{name: "a/data/0", data: threeFloats, deflate: true, change: func(h *zip.FileHeader) { h.UncompressedSize64 = 16 }}), `tensor "w": bytes`},
		{"deflated longer than it says", torchZipFile(t, pyPlain(), zipEntry{name: "a/data/0", data: threeFloats + threeFloats, deflate: true, change: func(h *zip.FileHeader) { h.UncompressedSize64 = 12 }}), `zip: unpack "data/0"`},
		{"a zip bomb in a storage", torchZipFile(t, pyPlain(), zipEntry{name: "a/data/1", data: bomb, deflate: true, change: claim(100 << 20)}), `zip: entry "a/data/1": the compressed entries unpack to more than`},
		{"a zip bomb in the pickle", zipFile(t, zipEntry{name: "a/data.pkl", data: bomb, deflate: true, change: claim(maxPickleBytes + 1)}), "data.pkl: want at most 33554432 bytes, got 33554433"},
		{"two entries of a name", torchZipFile(t, pyPlain(), data0, data0), `two entries have the name "a/data/0"`},
		{"two pickles", torchZipFile(t, pyPlain(), data0, zipEntry{name: "b/data.pkl"}), `want one data.pkl, got "a/data.pkl" and "b/data.pkl"`},
		{"bytes after the pickle", torchZipFile(t, pyPlain()+"x", data0), "data.pkl: 1 bytes follow the pickle"},
		{"empty pickle", torchZipFile(t, "", data0), "data.pkl: pickle: ends without the opcode STOP"},
		{"compressed pickle, cut off", zipFile(t, zipEntry{name: "a/data.pkl", data: pyPlain()[:7], deflate: true}), "the file\": data.pkl: pickle: BINUNICODE: want"},
		{"unknown byte order", zipFile(t, zipEntry{name: "a/data.pkl", data: pyPlain()}, zipEntry{name: "a/byteorder", data: "middle"}, data0), "byteorder: want little or big, got \"middle\""},
		{"TorchScript by its code", torchZipFile(t, pyPlain(), data0, zipEntry{name: "a/code/x.py"}), "a TorchScript archive"},
		{"compressed pickle with a bad opcode", zipFile(t, zipEntry{name: "a/data.pkl", data: pickle("\xff"), deflate: true}), "the file\": data.pkl: pickle: unknown opcode 0xff"},
		{"NaN in compressed data", torchZipFile(t, pyPlain(), zipEntry{name: "a/data/0", data: threeFloats[:8] + le(4, 0x7f800000), deflate: true}), "element 2 [2] (float32, compressed): want a finite value, got +Inf"},
	})
}
