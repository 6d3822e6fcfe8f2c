package proto

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// DType is TensorProto.DataType.
type DType int32

// The element types that ONNX has, with its numbers.
const (
	Float    DType = 1
	Uint8    DType = 2
	Int8     DType = 3
	Uint16   DType = 4
	Int16    DType = 5
	Int32    DType = 6
	Int64    DType = 7
	String   DType = 8
	Bool     DType = 9
	Float16  DType = 10
	Double   DType = 11
	Uint32   DType = 12
	Uint64   DType = 13
	BFloat16 DType = 16
)

// dtypes has the names of the element types and the sizes in bytes of those that are numbers of whole bytes.
var dtypes = map[DType]struct {
	name string
	size int
}{
	Float: {"float32", 4}, Uint8: {"uint8", 1}, Int8: {"int8", 1}, Uint16: {"uint16", 2}, Int16: {"int16", 2}, Int32: {"int32", 4},
	Int64: {"int64", 8}, String: {"string", 0}, Bool: {"bool", 1}, Float16: {"float16", 2}, Double: {"float64", 8},
	Uint32: {"uint32", 4}, Uint64: {"uint64", 8}, BFloat16: {"bfloat16", 2},
}

// String is the usual name, for example "float32", which is PyTorch's as well.
func (d DType) String() string {
	if t, ok := dtypes[d]; ok {
		return t.name
	}
	return fmt.Sprintf("element type %d", int32(d))
}

// Size is the size of an element in bytes, 0 for strings and what is not known here.
func (d DType) Size() int { return dtypes[d].size }

// Tensor is a TensorProto.
type Tensor struct {
	Name  string
	DType DType
	Dims  []int64
	// Data are the elements, little-endian and row-major, whichever way the file has them; nil when they are External.
	Data []byte
	// At is where Data begins in what was read, -1 when it was put together from something else.
	At int64
	// Pos is where the message of the tensor begins.
	Pos int64
	// External has the entries that say where the elements are, when they are in another file: "location", "offset", "length".
	External map[string]string
}

// Elems is the number of elements that Dims say.
//
// Errors: a dimension below 0, or more elements than an int can count in bytes.
func (t *Tensor) Elems() (int, error) {
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 || d > 0 && n > 1<<58/d {
			return 0, fmt.Errorf("dimensions: want numbers of at least 0 with a product of at most 2^58, got %d", t.Dims)
		}
		n *= max(d, 1)
	}
	for _, d := range t.Dims {
		if d == 0 {
			return 0, nil
		}
	}
	return int(n), nil
}

// ReadTensor reads a TensorProto that stands alone, as in ONNX's test data.
//
// Errors: an [*Error].
func ReadTensor(data []byte) (Tensor, error) {
	r := &reader{}
	return r.tensor(field{kind: protowire.BytesType, body: message{data, 0}})
}

// values are the fields of a tensor that may hold its elements.
type values struct {
	raw    *message
	packed []message // float_data, double_data
	ints   []int64   // int32_data, int64_data, uint64_data
	each   int       // bytes of an element of packed
}

func (r *reader) tensor(x field) (Tensor, error) {
	t := Tensor{At: -1}
	m, err := x.message()
	if err != nil {
		return t, err
	}
	t.Pos = m.at
	var v values
	external := int64(0)
	err = m.each("tensor", func(x field) error {
		switch x.number {
		case 1:
			return x.ints(&t.Dims)
		case 2:
			var d int64
			err := x.int(&d)
			t.DType = DType(d)
			return err
		case 4:
			return v.fixed(x, protowire.Fixed32Type, 4)
		case 10:
			return v.fixed(x, protowire.Fixed64Type, 8)
		case 5, 7, 11:
			return x.ints(&v.ints)
		case 8:
			return x.text(&t.Name)
		case 9:
			raw, err := x.message()
			v.raw = &raw
			return err
		case 13:
			if t.External == nil {
				t.External = map[string]string{}
			}
			return readEntry(x, t.External)
		case 14:
			return x.int(&external)
		}
		return nil
	})
	if err == nil {
		err = r.count(m, 1+len(t.Dims))
	}
	if err != nil {
		return t, named(err, t.Name)
	}
	if external == 0 {
		t.External = nil
		err = t.take(m, v)
	} else if t.External == nil {
		t.External = map[string]string{}
	}
	return t, named(err, t.Name)
}

// named puts the tensor's name into the error about it.
func named(err error, tensor string) error {
	if e, ok := err.(*Error); ok && e.Tensor == "" {
		c := *e
		c.Tensor = tensor
		return &c
	}
	return err
}

// fixed collects numbers of a fixed size, which a writer may pack together or not.
func (v *values) fixed(x field, single protowire.Type, size int) error {
	v.each = size
	switch x.kind {
	case protowire.BytesType:
		if len(x.body.data)%size != 0 {
			return x.body.bad("tensor: want numbers of %d bytes, got %d bytes", size, len(x.body.data))
		}
		if len(x.body.data) > 0 {
			v.packed = append(v.packed, x.body)
		}
		return nil
	case single:
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], x.value)
		if n := len(v.packed); n == 0 || v.packed[n-1].at >= 0 {
			v.packed = append(v.packed, message{at: -1})
		}
		last := &v.packed[len(v.packed)-1]
		last.data = append(last.data, b[:size]...)
		return nil
	}
	return errKind
}

// take sets Data from the field that has the elements.
func (t *Tensor) take(m message, v values) error {
	size := t.DType.Size()
	switch {
	case size == 0:
		return nil // a name is all that anybody needs to know of it
	case v.raw != nil:
		t.Data, t.At = v.raw.data, v.raw.at
	case len(v.packed) > 0 && v.each != size:
		return m.bad("tensor: want elements of %v, got numbers of %d bytes", t.DType, v.each)
	case len(v.packed) == 1:
		t.Data, t.At = v.packed[0].data, v.packed[0].at
	case len(v.packed) > 1:
		for _, p := range v.packed {
			t.Data = append(t.Data, p.data...)
		}
	case len(v.ints) > 0:
		t.Data = make([]byte, 0, size*len(v.ints))
		var b [8]byte
		for _, i := range v.ints {
			binary.LittleEndian.PutUint64(b[:], uint64(i))
			t.Data = append(t.Data, b[:size]...)
		}
	}
	want, err := t.Elems()
	if err != nil {
		return m.bad("tensor: %v", err)
	}
	if len(t.Data)%size != 0 || len(t.Data)/size != want {
		return m.bad("tensor: want %d elements of %v for %d, got %d bytes", want, t.DType, t.Dims, len(t.Data))
	}
	return nil
}

// Ints returns the elements of a tensor of int32 or int64 that is not external.
//
// Errors: another element type.
func (t *Tensor) Ints() ([]int64, error) {
	out := make([]int64, 0, len(t.Data)/4)
	switch {
	case t.External != nil:
		return nil, fmt.Errorf("want whole numbers in the file itself, got ones in another")
	case t.DType == Int64:
		for b := t.Data; len(b) >= 8; b = b[8:] {
			out = append(out, int64(binary.LittleEndian.Uint64(b)))
		}
	case t.DType == Int32:
		for b := t.Data; len(b) >= 4; b = b[4:] {
			out = append(out, int64(int32(binary.LittleEndian.Uint32(b))))
		}
	default:
		return nil, fmt.Errorf("want elements of int64 or int32, got %v", t.DType)
	}
	return out, nil
}
