package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// Tensor is a tensor in host memory: row-major without padding, elements little-endian. The data may lie in a
// read-only file mapping, so it must not be written to unless the caller made it.
type Tensor struct {
	Type TensorType
	Data []byte // len(Data) == Type.SizeBytes(); nil in a lazy tensor, see [NewLazy]

	lazy *lazy
}

// NewTensor makes a zeroed tensor.
func NewTensor(t TensorType) *Tensor {
	if t.DType.SizeBytes() == 4 { // aligned for Float32s
		f := make([]float32, t.Shape.Elems())
		return &Tensor{Type: t, Data: bytesOf(f)}
	}
	return &Tensor{Type: t, Data: make([]byte, t.SizeBytes())}
}

// FromFloat32s makes a float32 tensor of the given shape over data, which it takes over.
//
// Errors: a *[ShapeError] when the shape has not len(data) elements.
func FromFloat32s(s Shape, data []float32) (*Tensor, error) {
	if s.Elems() != len(data) {
		return nil, &ShapeError{Attr: "data", Want: fmt.Sprintf("%d elements for shape %v", s.Elems(), s), Got: fmt.Sprint(len(data))}
	}
	t := &Tensor{Type: TensorType{Float32, s}, Data: bytesOf(data)}
	if !hostIsLittleEndian {
		swap32(t.Data)
	}
	return t, nil
}

// WithShape returns the tensor with the same elements, in the same order, under another shape. It takes no copy, and a lazy tensor stays one.
//
// Errors: a *[ShapeError] when the shape has another number of elements.
func (t *Tensor) WithShape(s Shape) (*Tensor, error) {
	if s.Elems() != t.Type.Shape.Elems() {
		return nil, &ShapeError{Attr: "shape", Want: fmt.Sprintf("%d elements as %v", t.Type.Shape.Elems(), t.Type.Shape), Got: s.String()}
	}
	return &Tensor{Type: TensorType{t.Type.DType, s}, Data: t.Data, lazy: t.lazy}, nil
}

// Float32s returns the elements of a float32 tensor: a view of Data where the host's byte order and the alignment
// allow it, else a copy. Treat it as read-only. It panics for another element type. A lazy tensor is read anew each time;
// when that fails the elements are zeros, and [Tensor.Err] and [Graph.DataErr] say why.
func (t *Tensor) Float32s() []float32 {
	if t.Type.DType != Float32 {
		panic(fmt.Sprintf("graph: bug: Float32s of a %v tensor", t.Type))
	}
	if t.lazy != nil {
		out := make([]float32, t.Type.Shape.Elems())
		_ = t.ReadFloat32s(out) // kept for Err
		return out
	}
	n := len(t.Data) / 4
	if n == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(t.Data))
	if hostIsLittleEndian && uintptr(p)%4 == 0 {
		return unsafe.Slice((*float32)(p), n)
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out
}

var hostIsLittleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func bytesOf(f []float32) []byte {
	if len(f) == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

func swap32(b []byte) {
	for i := 0; i+4 <= len(b); i += 4 {
		binary.BigEndian.PutUint32(b[i:], binary.LittleEndian.Uint32(b[i:]))
	}
}
