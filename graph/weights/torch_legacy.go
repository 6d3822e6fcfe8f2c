package weights

import "encoding/binary"

// legacyMagic is the number that a legacy file starts with, and legacyMagicBytes the same as LONG1 writes it.
// Source: MAGIC_NUMBER in torch/serialization.py, 0x1950a86a20f9469cfc6c.
const (
	legacyMagic      = "119547037146038801333356"
	legacyMagicBytes = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
	legacyProtocol   = 1001
)

// parseTorchLegacy reads PyTorch's format before 1.6: five pickles (magic number, protocol version, a dict about the
// machine, the object, the keys of the storages in order), then for each key the number of elements as a little-endian
// int64 and the elements. Elements are little-endian on every machine (torch/csrc/serialization.cpp).
func (f *File) parseTorchLegacy(o Options) error {
	pos := 0
	next := func(p *torchPickle, what string) (any, error) {
		v, n, err := p.run(f.data[pos:], int64(pos))
		if fe, ok := err.(*FormatError); ok {
			fe.Problem = what + ": " + fe.Problem
		}
		start := pos
		pos += n
		if err == nil && n == 0 {
			err = bad(int64(start), int64(start+1), "%s: empty", what)
		}
		return v, err
	}
	if err := f.checkLegacyHead(next, &pos); err != nil {
		return err
	}
	p := newTorchPickle()
	root, err := next(p, "object")
	if err != nil {
		return err
	}
	keysAt := int64(pos)
	keys, err := next(newTorchPickle(), "storage keys")
	if err != nil {
		return err
	}
	list, ok := keys.(*pyList)
	if !ok {
		return bad(keysAt, int64(pos), "storage keys: want a list, got %s", describe(keys))
	}
	storages, err := f.legacyStorages(p, list.items, keysAt, int64(pos))
	if err != nil {
		return err
	}
	return f.useStateDict(p, root, o, int64(len(f.data)), func(s *pyStorage) (*storage, error) { return storages[s.key], nil })
}

// checkLegacyHead reads the three pickles before the object.
func (f *File) checkLegacyHead(next func(*torchPickle, string) (any, error), pos *int) error {
	v, err := next(newTorchPickle(), "magic number")
	if err != nil {
		return err
	}
	if b, ok := v.(*pyBigInt); !ok || string(b.b) != legacyMagicBytes && string(b.b) != legacyMagic {
		return bad(0, int64(*pos), "want PyTorch's magic number, got a pickle of %s", describe(v))
	}
	start := int64(*pos)
	if v, err = next(newTorchPickle(), "protocol version"); err != nil {
		return err
	}
	if n, ok := v.(int64); !ok || n != legacyProtocol {
		return bad(start, int64(*pos), "protocol version: want %d, got %s (%d)", legacyProtocol, describe(v), n)
	}
	start = int64(*pos)
	if v, err = next(newTorchPickle(), "system information"); err != nil {
		return err
	}
	if _, ok := v.(*pyDict); !ok {
		return bad(start, int64(*pos), "system information: want a dict, got %s", describe(v))
	}
	return nil
}

// legacyStorages finds the storages that follow the pickles at byte pos. The keys stand at keysAt..pos.
func (f *File) legacyStorages(p *torchPickle, keys []any, keysAt, pos int64) (map[string]*storage, error) {
	found := make(map[string]*storage, len(keys))
	size := int64(len(f.data))
	keysEnd := pos
	for _, k := range keys {
		key, _ := k.(string)
		s := p.storages[key]
		if s == nil || found[key] != nil {
			return nil, bad(keysAt, keysEnd, "storage keys: want each key of the tensors once, got %s (%s)", describe(k), quote(key))
		}
		if size-pos < 8 {
			return nil, bad(pos, size, "storage %s: want 8 bytes with its size, the file ends after %d", quote(key), size-pos)
		}
		n := binary.LittleEndian.Uint64(f.data[pos:])
		if n != uint64(s.elems) {
			return nil, bad(pos, pos+8, "storage %s: want %d elements as in the pickle, got %d", quote(key), s.elems, n)
		}
		pos += 8
		bytes := s.elems * int64(s.dtype.size)
		if bytes > size-pos {
			return nil, bad(pos, pos+bytes, "storage %s: want %d bytes (%d %s), the file ends after %d", quote(key), bytes, s.elems, s.dtype.name, size-pos)
		}
		data := f.data[pos : pos+bytes]
		found[key] = &storage{at: pos, size: bytes, order: binary.LittleEndian, load: func() ([]byte, error) { return data, nil }}
		pos += bytes
	}
	if pos != size {
		return nil, bad(pos, size, "%d bytes follow the last storage", size-pos)
	}
	for key, s := range p.storages {
		if found[key] == nil {
			return nil, bad(s.at, s.at+1, "storage %s: not among the file's storages", quote(key))
		}
	}
	return found, nil
}
