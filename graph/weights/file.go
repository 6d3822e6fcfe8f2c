package weights

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"sync"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// The formats that [File.Format] reports.
const (
	FormatSafetensors   = "safetensors"
	FormatPyTorchZip    = "pytorch-zip"
	FormatPyTorchLegacy = "pytorch-legacy"
	FormatONNX          = "onnx"
)

// maxTensors bounds the number of tensors of a file; ResNet-1202 has about 7,200.
const maxTensors = 1 << 16

// File is an open weights file. Its methods may be called by several goroutines at once.
type File struct {
	name     string
	format   string
	data     []byte
	metadata map[string]string
	names    []string // sorted
	tensors  map[string]*tensor
	refused  map[string]string // entries of the state dict that are no tensor we can read, and why
	opaque   []string
	onnx     *proto.Model // nil for other formats

	mu       sync.RWMutex        // held for reading while data is read, for writing to unmap it
	mapped   *mapping            // nil for OpenBytes
	onDisk   bool                // name is a path, beside which there may be other files
	beside   map[string]*mapping // those that hold tensors, by the name that this file has for them
	cleanups []runtime.Cleanup
	open     bool
}

// Info describes a stored tensor.
type Info struct {
	Name   string
	DType  string // PyTorch's name of the element type, for example "float16" or "int64"
	Shape  graph.Shape
	Offset int64 // where the first element lies in the file, in bytes; -1 when it is compressed
	// SizeBytes is the size of the elements as stored, each counted once for each position of the tensor.
	SizeBytes int64
}

// Options say how to open a file where the content leaves a choice. The zero value is what [Open] uses.
type Options struct {
	// StateDict is the path of the state dict in a checkpoint that holds several, for example "state_dict_ema" or
	// "ema.state_dict". Empty means: the only one there is.
	StateDict string
}

// Open opens a weights file of any of the formats of the package and checks its structure. Close it after use.
//
// # Errors
//
// A [*FormatError] for whatever is wrong with the content; an *fs.PathError when the file cannot be read.
func Open(path string) (*File, error) { return Options{}.Open(path) }

// OpenBytes is [Open] for the content of a file, which must not change until Close; name stands for the path in errors.
func OpenBytes(name string, data []byte) (*File, error) { return Options{}.OpenBytes(name, data) }

// Open is the function [Open] with options.
func (o Options) Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	w, err := o.open(path, f)
	if err != nil {
		_ = f.Close() // only read from, and perhaps closed already
		return nil, err
	}
	return w, nil
}

// open takes f over when it succeeds.
func (o Options) open(path string, f *os.File) (*File, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("open weights %q: want a regular file, got %v", path, st.Mode().Type())
	}
	if st.Size() == 0 || st.Size() > math.MaxInt {
		return o.OpenBytes(path, nil)
	}
	m, err := mapFile(f, st)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	w := &File{name: path, data: m.data, mapped: m, onDisk: true}
	if err := w.read(o); err != nil {
		return nil, errors.Join(err, w.unmap())
	}
	// Lazy tensors hold the file for as long as anybody may read them; whoever closes it earlier gains an error, not a crash.
	for _, m := range w.mappings() {
		w.cleanups = append(w.cleanups, runtime.AddCleanup(w, func(unmap func() error) { _ = unmap() }, m.unmap))
	}
	return w, nil
}

// OpenBytes is the function [OpenBytes] with options.
func (o Options) OpenBytes(name string, data []byte) (*File, error) {
	f := &File{name: name, data: data}
	if err := f.read(o); err != nil {
		return nil, err
	}
	return f, nil
}

// read finds out what is in the file.
func (f *File) read(o Options) error {
	f.tensors, f.open = map[string]*tensor{}, true
	if err := guard(func() error { return f.parse(o) }); err != nil {
		return f.fail(err)
	}
	for n := range f.tensors {
		f.names = append(f.names, n)
	}
	sort.Strings(f.names)
	return nil
}

// mappings are the mapped files.
func (f *File) mappings() []*mapping {
	var all []*mapping
	if f.mapped != nil {
		all = append(all, f.mapped)
	}
	for _, m := range f.beside {
		all = append(all, m)
	}
	return all
}

// unmap lets go of all mapped files.
func (f *File) unmap() error {
	var errs []error
	for _, m := range f.mappings() {
		errs = append(errs, m.unmap())
	}
	f.mapped, f.beside = nil, nil
	return errors.Join(errs...)
}

// parse finds out the format and reads the structure.
func (f *File) parse(o Options) error {
	d := f.data
	switch {
	case len(d) == 0:
		return bad(0, 0, "the file is empty")
	case len(d) > 8 && d[8] == '{', filepath.Ext(f.name) == ".safetensors" && !isPickle(d) && !isZip(d) && hint(d) == "":
		f.format = FormatSafetensors
		if o.StateDict != "" {
			return bad(0, 0, "state dict %q: a safetensors file holds one state dict without a name", o.StateDict)
		}
		return f.parseSafetensors()
	case isZip(d):
		f.format = FormatPyTorchZip
		return f.parseTorchZip(o)
	case isPickle(d):
		f.format = FormatPyTorchLegacy
		return f.parseTorchLegacy(o)
	case isONNX(d), filepath.Ext(f.name) == ".onnx" && hint(d) == "":
		f.format = FormatONNX
		if o.StateDict != "" {
			return bad(0, 0, "state dict %q: an ONNX file holds a network, and no state dict", o.StateDict)
		}
		return f.parseONNX()
	}
	if h := hint(d); h != "" {
		return bad(0, 0, "want safetensors, a PyTorch file or ONNX, got %s", h)
	}
	return bad(0, int64(min(len(d), 16)), "want safetensors, a PyTorch file or ONNX, got a file that begins with %q", d[:min(len(d), 16)])
}

func isZip(d []byte) bool { return bytes.HasPrefix(d, []byte("PK\x03\x04")) }

// isPickle recognises the first pickle of the legacy format: the opcode PROTO, or the magic number as text, which is
// how protocols 0 and 1 write it.
func isPickle(d []byte) bool {
	return len(d) > 2 && d[0] == opProto && d[1] <= maxProtocol || bytes.HasPrefix(d, []byte("L"+legacyMagic))
}

// hint names what a file is that people take for weights.
func hint(d []byte) string {
	for _, h := range []struct {
		at    int
		magic string
		what  string
	}{
		{0, "version https://git-lfs", "a Git LFS pointer: fetch the file itself"},
		{0, "\x1f\x8b", "a gzip file: decompress it first"},
		{0, "\x28\xb5\x2f\xfd", "a zstd file: decompress it first"},
		{0, "\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes"},
		{0, "GGUF", "a GGUF file"},
		{0, "\x93NUMPY", "a NumPy array"},
		{0, "<", "a web page"},
		{257, "ustar", "a tar archive: PyTorch before 0.1.10 wrote such files, which have to be converted by loading and saving them with PyTorch"},
	} {
		if len(d) >= h.at+len(h.magic) && string(d[h.at:h.at+len(h.magic)]) == h.magic {
			return h.what
		}
	}
	return ""
}

// fail puts the file's name into the error.
func (f *File) fail(err error) error {
	var fe *FormatError
	if errors.As(err, &fe) {
		c := *fe
		c.File = f.name
		if c.Start < 0 || c.End <= c.Start {
			c.Start, c.End = 0, 0
		}
		return &c
	}
	if errors.Is(err, errShrunk) || errors.Is(err, errChanged) {
		return &FormatError{File: f.name, Problem: "the file changed", Err: err}
	}
	return fmt.Errorf("read weights %q: %w", f.name, err)
}

// Name is the path, or what stood for it, as it was opened.
func (f *File) Name() string { return f.name }

// Format is "safetensors", "pytorch-zip", "pytorch-legacy" or "onnx".
func (f *File) Format() string { return f.format }

// Names returns the names of all tensors as they are in the file, sorted.
func (f *File) Names() []string { return slices.Clone(f.names) }

// Info describes a tensor; ok is false when the file has none of that name.
func (f *File) Info(name string) (info Info, ok bool) {
	t, ok := f.tensors[name]
	if !ok {
		return Info{}, false
	}
	return t.info(name), true
}

// Shapes returns the shapes of all tensors with floating-point or integer elements, by their names in the file.
func (f *File) Shapes() map[string]graph.Shape {
	m := make(map[string]graph.Shape, len(f.tensors))
	for n, t := range f.tensors {
		if t.dtype.isFloat() || t.dtype.isInt() {
			m[n] = t.shape
		}
	}
	return m
}

// Metadata returns the __metadata__ of a safetensors file or the metadata_props of an ONNX file, and nil for other
// formats or when there is none.
func (f *File) Metadata() map[string]string {
	if f.metadata == nil {
		return nil
	}
	m := make(map[string]string, len(f.metadata))
	for k, v := range f.metadata {
		m[k] = v
	}
	return m
}

// Uninterpreted lists, sorted and for people to read, what the state dict holds besides tensors and the Python
// classes and functions that a PyTorch file mentions and that this package did not interpret. Nothing of it was executed.
func (f *File) Uninterpreted() []string {
	out := slices.Clone(f.opaque)
	for n, why := range f.refused {
		out = append(out, fmt.Sprintf("entry %s: %s", quote(n), why))
	}
	sort.Strings(out)
	return out
}

// Close releases the file. Tensors that were read stay valid, those of [File.Lazy] give [ErrClosed] from then on. A second
// Close does nothing. A file that is never closed is released when neither it nor a lazy tensor of it can be reached.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open, f.data = false, nil
	for _, c := range f.cleanups {
		c.Stop()
	}
	if err := f.unmap(); err != nil {
		return fmt.Errorf("close weights %q: %w", f.name, err)
	}
	return nil
}
