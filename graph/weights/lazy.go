package weights

import (
	"encoding/binary"
	"math"

	"github.com/resnet-run/resnet-run/graph"
)

// Lazy is [File.Tensor] without the conversion being kept: it looks at every element once, and the tensor reads and
// converts them again whenever they are asked for. The tensor keeps the file from being released until Close.
//
// # Errors
//
// Those of [File.Tensor]. Later reads of the tensor give [ErrClosed] after Close, and a [*FormatError] when the file was
// written to or cut after it was opened.
func (f *File) Lazy(name string) (*graph.Tensor, error) {
	s := &source{file: f, name: name, key: graph.NewSourceKey()}
	var shape graph.Shape
	err := f.withTensor(name, func(t *tensor, b []byte) error {
		shape = t.shape
		if err := t.wantFloat(name); err != nil {
			return err
		}
		var err error
		s.bound, err = t.bound(name, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return graph.NewLazy(shape, s), nil
}

// source is a tensor in a file.
type source struct {
	file  *File
	name  string
	bound float64
	key   any
}

func (s *source) ReadFloat32s(dst []float32) error {
	return s.file.withTensor(s.name, func(t *tensor, b []byte) error { return t.convert(s.name, dst, b) })
}

func (s *source) Bound() float64 { return s.bound }
func (s *source) Key() any       { return s.key }

func (t *tensor) wantFloat(name string) error {
	if t.dtype.isFloat() {
		return nil
	}
	i := t.info(name)
	return badTensor(name, i.Offset, i.Offset+i.SizeBytes, "want float32, float16, bfloat16 or float64 elements, got %s", t.dtype.name)
}

// bound converts all elements, keeps none, and returns the largest magnitude.
func (t *tensor) bound(name string, b []byte) (float64, error) {
	largest := float32(0)
	if !t.isRowMajor() {
		err := t.each(func(i, at int) error {
			v, err := t.element(name, i, at, b)
			largest = max(largest, v, -v)
			return err
		})
		return float64(largest), err
	}
	var some [1 << 12]float32
	for from, n := 0, t.shape.Elems(); from < n; from += len(some) {
		values := some[:min(len(some), n-from)]
		if err := t.convertRun(name, values, b, from); err != nil {
			return 0, err
		}
		for _, v := range values {
			largest = max(largest, v, -v)
		}
	}
	return float64(largest), nil
}

// converters convert little-endian elements that lie side by side, exactly, NaN and infinities to some NaN or infinity.
var converters = map[string]func(dst []float32, src []byte){
	"float32": func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	},
	"bfloat16": func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	},
	"float16": func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = halfToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	},
}

// halfToFloat32 is halfToFloat64 for many numbers: the bits of a binary16 as those of a float32 are a number whose
// exponent is too small by the difference of the biases, 127-15, subnormal numbers included.
func halfToFloat32(h uint16) float32 {
	if h&0x7c00 == 0x7c00 {
		return float32(halfToFloat64(h))
	}
	v := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	return math.Float32frombits(math.Float32bits(v) | uint32(h&0x8000)<<16)
}
