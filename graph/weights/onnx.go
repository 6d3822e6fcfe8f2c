package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// maxExternalFiles bounds the files in which an ONNX model keeps tensors; exporters write one.
const maxExternalFiles = 64

// onnxFields are the numbers of the fields of a ModelProto that a writer puts after ir_version.
var onnxFields = []protowire.Number{2, 3, 4, 5, 6, 7, 8, 14, 20, 25}

// isONNX recognises a ModelProto, which has no magic number: it begins with ir_version, a small number, and another of
// its fields follows.
func isONNX(d []byte) bool {
	if len(d) < 4 || d[0] != 0x08 || d[1] == 0 || d[1] >= 0x40 {
		return false
	}
	number, kind, n := protowire.ConsumeTag(d[2:])
	return n > 0 && slices.Contains(onnxFields, number) && (kind == protowire.BytesType) != (number == 5)
}

// parseONNX reads the structure of a model. The tensors are the initializers and those of its Constant nodes, which go by
// the name of their result; the elements stay in the file, or in the files beside it that the model names.
func (f *File) parseONNX() error {
	m, err := proto.ReadModel(f.data)
	if err != nil {
		return fromProto(err)
	}
	for _, name := range m.Graph.Sparse {
		f.refuse(name, "a sparse tensor")
	}
	for i := range m.Graph.Tensors {
		if err := f.addONNX(m.Graph.Tensors[i].Name, &m.Graph.Tensors[i]); err != nil {
			return fromProto(err)
		}
	}
	m.Graph.Sparse, m.Graph.Tensors = nil, nil // what is in f is not needed again
	for i := range m.Graph.Nodes {
		n := &m.Graph.Nodes[i]
		for j := range n.Attrs {
			t := n.Attrs[j].Tensor
			if t == nil {
				continue
			}
			if n.Op == "Constant" && len(n.Outputs) == 1 {
				if err := f.addONNX(n.Outputs[0], t); err != nil {
					return fromProto(err)
				}
			}
			t.Data = slices.Clone(t.Data[:min(len(t.Data), maxONNXValue)])
		}
	}
	f.onnx = m
	if len(m.Metadata) > 0 {
		f.metadata = m.Metadata
	}
	return f.checkONNXSize()
}

// maxONNXValue is how many bytes stay of a tensor that is an attribute of another node: that of ConstantOfShape has one
// element.
const maxONNXValue = 64

// fromProto makes the package's error of one about a message.
func fromProto(err error) error {
	var pe *proto.Error
	if !errors.As(err, &pe) {
		return err
	}
	return badTensor(pe.Tensor, pe.Start, pe.End, "ONNX: %s", pe.Problem)
}

// ONNX returns the network of an ONNX file, without its tensors, and nil for other formats. It is read-only.
func (f *File) ONNX() *proto.Model { return f.onnx }

func (f *File) refuse(name, why string) {
	if f.refused == nil {
		f.refused = map[string]string{}
	}
	f.refused[name] = why
}

// addONNX adds a tensor whose size the reader of messages has checked, unless it is in another file.
func (f *File) addONNX(name string, t *proto.Tensor) error {
	fail := func(format string, args ...any) error {
		return badTensor(name, t.Pos, t.Pos+1, "ONNX: "+format, args...)
	}
	switch {
	case name == "":
		return fail("want a name for each initializer and constant, got one without")
	case f.tensors[name] != nil || f.refused[name] != "":
		return fail("two tensors have this name")
	case len(f.tensors) == maxTensors:
		return fail("want at most %d tensors, got more", maxTensors)
	}
	d, ok := dtypes[t.DType.String()]
	if !ok {
		f.refuse(name, "elements of "+t.DType.String())
		return nil
	}
	if _, err := t.Elems(); err != nil {
		return fail("%v", err)
	}
	dims := make([]int, len(t.Dims))
	for i, v := range t.Dims {
		dims[i] = int(v)
	}
	shape, err := graph.MakeShape(dims)
	if err != nil {
		return fail("%v", err)
	}
	src := &storage{at: t.At, size: int64(len(t.Data)), order: binary.LittleEndian}
	data := t.Data
	if t.External != nil {
		if src, data, err = f.external(t.External, int64(shape.Elems())*int64(d.size)); err != nil {
			return fail("%v", err)
		}
	}
	src.load = func() ([]byte, error) { return data, nil }
	f.tensors[name] = &tensor{dtype: d, shape: shape, stride: rowMajor(shape), src: src}
	return nil
}

// checkONNXSize bounds what the tensors take together: those in other files may overlap.
func (f *File) checkONNXSize() error {
	bytes := int64(len(f.data))
	for _, m := range f.beside {
		bytes += int64(len(m.data))
	}
	elems := int64(0)
	for name, t := range f.tensors {
		if elems += min(int64(t.shape.Elems()), maxExtraElems+bytes+1); elems > maxExtraElems+bytes {
			return badTensor(name, 0, 0, "want at most %d elements in all tensors together of %d bytes of file, got more", maxExtraElems+bytes, bytes)
		}
	}
	return nil
}

// external finds the elements of a tensor in a file beside the model. The model comes from a stranger: a file anywhere
// else, through a link for instance, is not opened.
func (f *File) external(entries map[string]string, want int64) (*storage, []byte, error) {
	location := entries["location"]
	if !f.onDisk || location == "" {
		return nil, nil, fmt.Errorf("external data: want the name of a file beside the model, got %s", quote(location))
	}
	m, err := f.openBeside(location)
	if err != nil {
		return nil, nil, fmt.Errorf("external data: %w", err)
	}
	numbers := [2]int64{0, want}
	for i, key := range []string{"offset", "length"} {
		text, ok := entries[key]
		if !ok {
			continue
		}
		if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil || numbers[i] < 0 {
			return nil, nil, fmt.Errorf("external data: %s: want a whole number of bytes, got %s", key, quote(text))
		}
	}
	offset, length, size := numbers[0], numbers[1], int64(len(m.data))
	if length != want {
		return nil, nil, fmt.Errorf("external data: length: want %d bytes, got %d", want, length)
	}
	if offset > size || length > size-offset {
		return nil, nil, fmt.Errorf("external data: want %d bytes from byte %d on, %s has %d in all", length, offset, quote(location), size)
	}
	src := &storage{at: offset, size: length, order: binary.LittleEndian, in: m}
	return src, m.data[offset : offset+length], nil
}

// locate opens a file of the model's folder. Where the model is a link to a file elsewhere, as in Hugging Face's cache, a
// link to that other folder is as good.
func (f *File) locate(location string) (*os.File, error) {
	dir := filepath.Dir(f.name)
	file, err := os.OpenInRoot(dir, location)
	if err == nil || !filepath.IsLocal(location) {
		return file, err
	}
	model, err1 := filepath.EvalSymlinks(f.name)
	data, err2 := filepath.EvalSymlinks(filepath.Join(dir, location))
	if err1 != nil || err2 != nil || filepath.Dir(model) != filepath.Dir(data) {
		return nil, err
	}
	return os.OpenInRoot(filepath.Dir(model), filepath.Base(data))
}

// openBeside maps the file of that name beside the model, once.
func (f *File) openBeside(location string) (*mapping, error) {
	if m := f.beside[location]; m != nil {
		return m, nil
	}
	if len(f.beside) == maxExternalFiles {
		return nil, fmt.Errorf("want at most %d files, got more", maxExternalFiles)
	}
	file, err := f.locate(filepath.FromSlash(location))
	if err != nil {
		return nil, err
	}
	st, err := file.Stat()
	if err == nil && (!st.Mode().IsRegular() || st.Size() == 0 || st.Size() > math.MaxInt) {
		err = fmt.Errorf("%s: want a regular file that is not empty, got %v of %d bytes", quote(location), st.Mode().Type(), st.Size())
	}
	var m *mapping
	if err == nil {
		m, err = mapFile(file, st)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	m.path = filepath.Join(filepath.Dir(f.name), filepath.FromSlash(location))
	if f.beside == nil {
		f.beside = map[string]*mapping{}
	}
	f.beside[location] = m
	return m, nil
}
