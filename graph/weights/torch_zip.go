package weights

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
)

// maxUnpacked is how many bytes the compressed entries of a zip may have, beyond 16 times the file's size. PyTorch
// stores entries as they are; only archives that were packed again have compressed ones.
const (
	maxUnpacked      = 64 << 20
	maxUnpackedRatio = 16
	maxZipEntries    = 2 * maxTensors
)

// torchZip is an archive as PyTorch writes it: NAME/data.pkl, NAME/byteorder, and NAME/data/KEY for each storage.
type torchZip struct {
	file    *File
	entries map[string]*zip.File // by the name after the archive's prefix
	order   binary.ByteOrder
	total   int64 // bytes of the file and of its compressed entries, unpacked
	loaded  map[string]*storage
}

// parseTorchZip reads PyTorch's format since 1.6.
func (f *File) parseTorchZip(o Options) error {
	size := int64(len(f.data))
	r, err := zip.NewReader(bytes.NewReader(f.data), size)
	if err != nil {
		return &FormatError{Start: 0, End: size, Problem: "zip archive is damaged or cut off", Err: err}
	}
	z := &torchZip{file: f, loaded: map[string]*storage{}, order: binary.LittleEndian}
	if err := z.index(r); err != nil {
		return err
	}
	if err := z.readByteOrder(); err != nil {
		return err
	}
	entry := z.entries["data.pkl"]
	if entry.UncompressedSize64 > maxPickleBytes {
		return bad(0, 0, "data.pkl: want at most %d bytes, got %d", maxPickleBytes, entry.UncompressedSize64)
	}
	data, at, err := z.read(entry, "data.pkl")
	if err != nil {
		return err
	}
	if at < 0 {
		at = nowhere
	}
	p := newTorchPickle()
	root, n, err := p.run(data, at)
	if err != nil {
		if fe, ok := err.(*FormatError); ok {
			fe.Problem = "data.pkl: " + fe.Problem
		}
		return err
	}
	if n != len(data) {
		return bad(at+int64(n), at+int64(len(data)), "data.pkl: %d bytes follow the pickle", len(data)-n)
	}
	return f.useStateDict(p, root, o, z.total, z.resolve)
}

// index sorts the entries by name and refuses what is no state dict.
func (z *torchZip) index(r *zip.Reader) error {
	size := int64(len(z.file.data))
	if len(r.File) > maxZipEntries {
		return bad(0, size, "zip: want at most %d entries, got %d", maxZipEntries, len(r.File))
	}
	prefix, found := "", false
	for _, e := range r.File {
		dir, ok := strings.CutSuffix(e.Name, "/data.pkl")
		if !ok || strings.Contains(dir, "/") {
			continue
		}
		if found {
			return bad(0, 0, "zip: want one data.pkl, got %s and %s", quote(prefix+"data.pkl"), quote(e.Name))
		}
		prefix, found = dir+"/", true
	}
	if !found {
		return bad(0, 0, "want a zip archive written by PyTorch, with an entry NAME/data.pkl, got one of %d entries without it", len(r.File))
	}
	z.entries = make(map[string]*zip.File, len(r.File))
	limit := maxUnpacked + maxUnpackedRatio*size
	z.total = size
	for _, e := range r.File {
		name, ok := strings.CutPrefix(e.Name, prefix)
		if !ok {
			continue
		}
		if name == "constants.pkl" || strings.HasPrefix(name, "code/") {
			return bad(0, 0, "want a state dict, got a TorchScript archive (it has the entry %s), which holds a program: save the model's state_dict() instead", quote(e.Name))
		}
		if z.entries[name] != nil {
			return bad(0, 0, "zip: two entries have the name %s", quote(e.Name))
		}
		z.entries[name] = e
		if e.Method != zip.Store {
			if z.total += int64(min(e.UncompressedSize64, uint64(limit)+1)); z.total-size > limit {
				return bad(0, size, "zip: entry %s: the compressed entries unpack to more than %d bytes", quote(e.Name), limit)
			}
		}
	}
	return nil
}

func (z *torchZip) readByteOrder() error {
	e := z.entries["byteorder"]
	if e == nil {
		return nil // before PyTorch 2.1: written by little-endian machines, as good as always
	}
	b, at, err := z.read(e, "byteorder")
	if err != nil {
		return err
	}
	switch string(b) {
	case "little":
	case "big":
		z.order = binary.BigEndian
	default:
		return bad(at, at+int64(len(b)), "byteorder: want little or big, got %.20q", b)
	}
	return nil
}

// locate checks an entry's sizes against the file and returns where its bytes are.
func (z *torchZip) locate(e *zip.File, what string) (start, end int64, err error) {
	size := int64(len(z.file.data))
	if e.Flags&1 != 0 {
		return 0, 0, bad(0, 0, "zip: %s is encrypted", what)
	}
	if e.Method != zip.Store && e.Method != zip.Deflate {
		return 0, 0, bad(0, 0, "zip: %s: want it stored or deflated, got compression method %d", what, e.Method)
	}
	start, err = e.DataOffset()
	if err != nil {
		return 0, 0, &FormatError{Problem: "zip: " + what, Err: err}
	}
	if start > size || e.CompressedSize64 > uint64(size-start) {
		return 0, 0, bad(start, size, "zip: %s: want %d bytes, the file ends after %d", what, e.CompressedSize64, size-start)
	}
	if e.Method == zip.Store && e.CompressedSize64 != e.UncompressedSize64 {
		return 0, 0, bad(start, start+int64(e.CompressedSize64), "zip: %s: stored, but %d bytes packed and %d unpacked", what, e.CompressedSize64, e.UncompressedSize64)
	}
	return start, start + int64(e.CompressedSize64), nil
}

// read returns the bytes of an entry after checking their CRC-32, and where they start in the file, -1 if compressed.
func (z *torchZip) read(e *zip.File, what string) (data []byte, at int64, err error) {
	start, end, err := z.locate(e, what)
	if err != nil {
		return nil, 0, err
	}
	if e.Method == zip.Store {
		data = z.file.data[start:end]
		if got := crc32.ChecksumIEEE(data); got != e.CRC32 && e.CRC32 != 0 { // 0: PyTorch was told to compute none
			return nil, 0, bad(start, end, "zip: %s: want CRC-32 %08x, got %08x", what, e.CRC32, got)
		}
		return data, start, nil
	}
	r, err := e.Open()
	if err != nil {
		return nil, 0, &FormatError{Start: start, End: end, Problem: "zip: " + what, Err: err}
	}
	defer func() { _ = r.Close() }() // of memory; nothing to report
	// Grown by what comes, not by what the header says, which is bounded by index in any case.
	data, err = io.ReadAll(io.LimitReader(r, int64(e.UncompressedSize64)+1))
	if err == nil && uint64(len(data)) != e.UncompressedSize64 {
		err = fmt.Errorf("want %d bytes, got %d", e.UncompressedSize64, len(data))
	}
	if err != nil {
		return nil, 0, &FormatError{Start: start, End: end, Problem: "zip: unpack " + what, Err: err}
	}
	return data, -1, nil
}

// resolve finds the entry of a storage and checks its size. The bytes are read and their CRC checked at first use.
func (z *torchZip) resolve(s *pyStorage) (*storage, error) {
	if found := z.loaded[s.key]; found != nil {
		return found, nil
	}
	what := "data/" + s.key
	e := z.entries[what]
	if e == nil {
		return nil, bad(s.at, s.at+1, "storage %s: no entry %s in the zip", quote(s.key), quote(what))
	}
	what = quote(what)
	start, end, err := z.locate(e, what)
	if err != nil {
		return nil, err
	}
	size := s.elems * int64(s.dtype.size)
	if uint64(size) != e.UncompressedSize64 {
		return nil, bad(start, end, "storage %s: want %d bytes (%d %s), got an entry of %d", quote(s.key), size, s.elems, s.dtype.name, e.UncompressedSize64)
	}
	out := &storage{at: start, size: size, order: z.order}
	if e.Method != zip.Store {
		out.at = -1
	}
	out.load = sync.OnceValues(func() ([]byte, error) {
		b, _, err := z.read(e, what)
		return b, err
	})
	z.loaded[s.key] = out
	return out, nil
}
