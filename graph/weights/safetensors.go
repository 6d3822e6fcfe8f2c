package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/resnet-run/resnet-run/graph"
)

// maxSafetensorsHeader bounds the header. The format allows 100 MB; a ResNet-1202 needs less than 1 MB.
const maxSafetensorsHeader = 16 << 20

// parseSafetensors reads the header: 8 bytes of length N (little-endian), N bytes of JSON, then the elements.
//
//	{"__metadata__": {string: string}, name: {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ...}
//
// Offsets count bytes after the header. As in the reference implementation, the tensors must cover everything after
// the header, in order, without holes or overlap. Source: github.com/huggingface/safetensors, "Format".
func (f *File) parseSafetensors() error {
	size := int64(len(f.data))
	if size < 8 {
		return bad(0, size, "safetensors header length: want 8 bytes, got %d", size)
	}
	n := binary.LittleEndian.Uint64(f.data)
	if n > maxSafetensorsHeader {
		return bad(0, 8, "safetensors header length: want at most %d bytes, got %d", maxSafetensorsHeader, n)
	}
	if int64(n) > size-8 {
		return bad(0, 8, "safetensors header length: want at most the %d bytes that follow in the file, got %d", size-8, n)
	}
	h := &safetensorsHeader{text: f.data[8 : 8+n], entries: map[string]*safetensorsEntry{}}
	if err := h.parse(); err != nil {
		return err
	}
	f.metadata = h.metadata
	return f.placeSafetensors(h, 8+int64(n))
}

type safetensorsEntry struct {
	name       string
	dtype      dtype
	shape      graph.Shape
	begin, end int64
	from       int64 // where the entry stands in the header
}

// placeSafetensors checks the offsets against each other and against the file's size, and makes the tensors.
func (f *File) placeSafetensors(h *safetensorsHeader, base int64) error {
	list := make([]*safetensorsEntry, 0, len(h.entries))
	for _, e := range h.entries {
		list = append(list, e)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.begin != b.begin {
			return a.begin < b.begin
		}
		if a.end != b.end {
			return a.end < b.end
		}
		return a.name < b.name
	})
	size := int64(len(f.data)) - base
	last := int64(0)
	for _, e := range list {
		start, end := base+e.begin, base+min(e.end, size)
		want := int64(e.shape.Elems()) * int64(e.dtype.size)
		switch {
		case e.end > size:
			return badTensor(e.name, start, base+e.end, "data_offsets [%d,%d]: the file ends after %d bytes of data", e.begin, e.end, size)
		case e.end-e.begin != want:
			return badTensor(e.name, start, end, "data_offsets [%d,%d]: want %d bytes for %s%v, got %d", e.begin, e.end, want, e.dtype.name, e.shape, e.end-e.begin)
		case e.begin < last:
			return badTensor(e.name, start, base+last, "data_offsets [%d,%d]: overlaps the tensor before it, which ends at %d", e.begin, e.end, last)
		case e.begin > last:
			return badTensor(e.name, base+last, start, "data_offsets [%d,%d]: %d bytes before it belong to no tensor", e.begin, e.end, e.begin-last)
		}
		last = e.end
		data := f.data[start:end]
		f.tensors[e.name] = &tensor{dtype: e.dtype, shape: e.shape, stride: rowMajor(e.shape), src: &storage{
			at: start, size: want, order: binary.LittleEndian, load: func() ([]byte, error) { return data, nil },
		}}
	}
	if last != size {
		return bad(base+last, base+size, "%d bytes follow the last tensor", size-last)
	}
	return nil
}

// safetensorsHeader is the parser of the JSON header. It goes token by token, because decoding into maps would
// hide duplicate keys.
type safetensorsHeader struct {
	text     []byte
	dec      *json.Decoder
	metadata map[string]string
	entries  map[string]*safetensorsEntry
}

// bad is an error about the header's bytes from the given position of the text up to where the parser stands.
func (h *safetensorsHeader) bad(tensor string, from int64, format string, args ...any) error {
	end := int64(len(h.text))
	if h.dec != nil {
		end = h.dec.InputOffset()
	}
	return badTensor(tensor, 8+from, 8+max(end, from+1), "safetensors header: "+format, args...)
}

func (h *safetensorsHeader) parse() error {
	if !utf8.Valid(h.text) {
		return h.bad("", 0, "want UTF-8")
	}
	h.dec = json.NewDecoder(bytes.NewReader(h.text))
	h.dec.UseNumber()
	err := h.object("", func(key string) error {
		if key == "__metadata__" {
			return h.readMetadata()
		}
		if len(h.entries) == maxTensors {
			return h.bad(key, h.dec.InputOffset(), "want at most %d tensors", maxTensors)
		}
		e, err := h.entry(key)
		h.entries[key] = e
		return err
	})
	if err != nil {
		return err
	}
	from := h.dec.InputOffset()
	if rest := bytes.TrimRight(h.text[from:], " "); len(rest) > 0 {
		return bad(8+from, 8+from+int64(len(rest)), "safetensors header: want only spaces after the JSON object, got %.20q", rest)
	}
	return nil
}

// object reads a JSON object without duplicate keys; member reads the value of a key.
func (h *safetensorsHeader) object(tensor string, member func(key string) error) error {
	if err := h.delim(tensor, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for h.dec.More() {
		from := h.dec.InputOffset()
		tok, err := h.token(tensor)
		if err != nil {
			return err
		}
		key, _ := tok.(string) // the decoder accepts no other token here
		if seen[key] {
			return h.bad(tensor, from, "duplicate key %s", quote(key))
		}
		seen[key] = true
		if err := member(key); err != nil {
			return err
		}
	}
	return h.delim(tensor, '}')
}

func (h *safetensorsHeader) token(tensor string) (json.Token, error) {
	from := h.dec.InputOffset()
	tok, err := h.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, h.bad(tensor, from, "%v", err)
	}
	return tok, nil
}

func (h *safetensorsHeader) delim(tensor string, want json.Delim) error {
	from := h.dec.InputOffset()
	tok, err := h.token(tensor)
	if err != nil {
		return err
	}
	if tok != want {
		return h.bad(tensor, from, "want %q, got %s", want.String(), describeToken(tok))
	}
	return nil
}

func (h *safetensorsHeader) str(tensor, what string) (string, error) {
	from := h.dec.InputOffset()
	tok, err := h.token(tensor)
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", h.bad(tensor, from, "%s: want a string, got %s", what, describeToken(tok))
	}
	return s, nil
}

func describeToken(tok json.Token) string {
	if s, ok := tok.(string); ok {
		return quote(s)
	}
	return fmt.Sprintf("%.40v", tok)
}

func (h *safetensorsHeader) readMetadata() error {
	h.metadata = map[string]string{}
	return h.object("", func(key string) error {
		v, err := h.str("", "__metadata__ "+quote(key))
		h.metadata[key] = v
		return err
	})
}

// entry reads the description of one tensor.
func (h *safetensorsHeader) entry(name string) (*safetensorsEntry, error) {
	e := &safetensorsEntry{name: name, from: h.dec.InputOffset()}
	var has [3]bool
	err := h.object(name, func(key string) error {
		switch key {
		case "dtype":
			has[0] = true
			return h.readDType(e)
		case "shape":
			has[1] = true
			return h.readShape(e)
		case "data_offsets":
			has[2] = true
			return h.readOffsets(e)
		}
		return h.bad(name, h.dec.InputOffset(), "want the keys dtype, shape and data_offsets, got %s", quote(key))
	})
	if err != nil {
		return nil, err
	}
	for i, key := range []string{"dtype", "shape", "data_offsets"} {
		if !has[i] {
			return nil, h.bad(name, e.from, "want the key %s", key)
		}
	}
	return e, nil
}

func (h *safetensorsHeader) readDType(e *safetensorsEntry) error {
	from := h.dec.InputOffset()
	s, err := h.str(e.name, "dtype")
	if err != nil {
		return err
	}
	d, ok := dtypes[safetensorsDTypes[s]]
	if !ok {
		return h.bad(e.name, from, "dtype: want one of F64, F32, F16, BF16, I64, ..., got %s", quote(s))
	}
	e.dtype = d
	return nil
}

func (h *safetensorsHeader) readShape(e *safetensorsEntry) error {
	from := h.dec.InputOffset()
	dims, err := h.numbers(e.name, "shape", graph.MaxRank)
	if err != nil {
		return err
	}
	if e.shape, err = graph.MakeShape(dims); err != nil {
		return h.bad(e.name, from, "shape: %v", err)
	}
	return nil
}

func (h *safetensorsHeader) readOffsets(e *safetensorsEntry) error {
	from := h.dec.InputOffset()
	v, err := h.numbers(e.name, "data_offsets", 2)
	if err != nil {
		return err
	}
	if len(v) != 2 || v[0] > v[1] {
		return h.bad(e.name, from, "data_offsets: want [begin,end] with begin <= end, got %v", v)
	}
	e.begin, e.end = int64(v[0]), int64(v[1])
	return nil
}

// numbers reads an array of at most limit numbers, each an integer from 0 to 2^62 without sign, fraction or exponent.
func (h *safetensorsHeader) numbers(tensor, what string, limit int) ([]int, error) {
	if err := h.delim(tensor, '['); err != nil {
		return nil, err
	}
	v := []int{}
	for h.dec.More() {
		from := h.dec.InputOffset()
		tok, err := h.token(tensor)
		if err != nil {
			return nil, err
		}
		n, _ := tok.(json.Number)
		x, err := strconv.ParseUint(n.String(), 10, strconv.IntSize)
		if err != nil || x > math.MaxInt/2 {
			return nil, h.bad(tensor, from, "%s: want an integer of at least 0, got %s", what, describeToken(tok))
		}
		if len(v) == limit {
			return nil, h.bad(tensor, from, "%s: want at most %d numbers", what, limit)
		}
		v = append(v, int(x))
	}
	return v, h.delim(tensor, ']')
}
