package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Builders of files, good and bad, for the tests and the fuzz seeds.

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// st makes a safetensors file from its header, padded to nothing, and its data.
func st(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func le(n int, v uint64) string {
	return string(binary.LittleEndian.AppendUint64(nil, v)[:n])
}

// The pickles below are written by hand, opcode by opcode.

func pyStr(s string) string        { return "X" + le(4, uint64(len(s))) + s }
func pyInt(v int64) string         { return "\x8a\x08" + le(8, uint64(v)) }
func pyName(mod, n string) string  { return "c" + mod + "\n" + n + "\n" }
func pyTup(items ...string) string { return "(" + strings.Join(items, "") + "t" }
func pyMap(items ...string) string { return "}(" + strings.Join(items, "") + "u" }
func pyInts(v ...int64) string {
	items := make([]string, len(v))
	for i, x := range v {
		items[i] = pyInt(x)
	}
	return pyTup(items...)
}

// pyStorageID is a persistent id; view is empty or the pickle of the view tuple.
func pyStorageID(class, key string, elems int64, view ...string) string {
	return pyTup(append([]string{pyStr("storage"), pyName("torch", class), pyStr(key), pyStr("cpu"), pyInt(elems)}, view...)...) + "Q"
}

// pyTensorV2 calls _rebuild_tensor_v2 over a storage.
func pyTensorV2(storage string, offset int64, size, stride string) string {
	return pyName("torch._utils", "_rebuild_tensor_v2") + pyTup(storage, pyInt(offset), size, stride, "\x89", pyName("collections", "OrderedDict")+")R") + "R"
}

// pyPlain is a state dict with one float32 tensor "w" of 3 elements in storage "0".
func pyPlain(extra ...string) string {
	w := pyTensorV2(pyStorageID("FloatStorage", "0", 3), 0, pyInts(3), pyInts(1))
	return pickle(pyMap(append([]string{pyStr("w"), w}, extra...)...))
}

func pickle(body string) string { return "\x80\x02" + body + "." }

var threeFloats = le(4, 0x3f800000) + le(4, 0x40000000) + le(4, 0xc0400000) // 1, 2, -3

// legacy makes a legacy file around the pickle of the object; storages are the bytes after the pickles.
func legacyFile(object string, keys []string, storages ...string) []byte {
	list := ""
	for _, k := range keys {
		list += pyStr(k)
	}
	return []byte(legacyHead + object + pickle("]("+list+"e") + strings.Join(storages, ""))
}

var legacyHead = pickle("\x8a\x0a"+legacyMagicBytes) + pickle("M\xe9\x03") + pickle(pyMap(pyStr("little_endian"), "\x88"))

// zipEntry is one entry of an archive whose sizes and checksum may lie.
type zipEntry struct {
	name    string
	data    string
	deflate bool
	change  func(*zip.FileHeader) // of the central directory, and the local header
}

func zipFile(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(e.data)), UncompressedSize64: uint64(len(e.data))}
		data := e.data
		if e.deflate {
			data = deflate(t, data)
			h.Method = zip.Deflate
		}
		h.CompressedSize64 = uint64(len(data))
		if e.change != nil {
			e.change(h)
		}
		out, err := w.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(out, data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func deflate(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	out, err := w.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(out, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	at, err := r.File[0].DataOffset()
	if err != nil {
		t.Fatal(err)
	}
	return string(b.Bytes()[at : at+int64(r.File[0].CompressedSize64)])
}

// torchZipFile is an archive as PyTorch writes it.
func torchZipFile(t testing.TB, object string, more ...zipEntry) []byte {
	t.Helper()
	return zipFile(t, append([]zipEntry{{name: "a/data.pkl", data: object}, {name: "a/byteorder", data: "little"}}, more...)...)
}
