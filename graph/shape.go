package graph

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// MaxRank is the highest number of dimensions of a [Shape].
const MaxRank = 6

// MaxElems is the highest number of elements of a [Shape]: low enough that no size in bytes overflows an int.
const MaxElems = math.MaxInt / 16

// Shape is the extent of a tensor in each dimension, row-major: the last dimension is contiguous. It is a
// comparable value: == compares, and a copy never aliases. The zero Shape is that of a scalar (rank 0, one element).
type Shape struct {
	rank int8
	dims [MaxRank]int
}

// NewShape makes a shape from its dimensions. It panics when there are more than [MaxRank] or one is negative:
// shapes that come from outside go through [MakeShape].
func NewShape(dims ...int) Shape {
	s, err := MakeShape(dims)
	if err != nil {
		panic("graph: bug: " + err.Error())
	}
	return s
}

// MakeShape makes a shape from dimensions that may be wrong.
//
// Errors: more than [MaxRank] dimensions, a negative one, or more than [MaxElems] elements, empty dimensions taken as 1.
func MakeShape(dims []int) (Shape, error) {
	var s Shape
	if len(dims) > MaxRank {
		return s, fmt.Errorf("make shape %v: want at most %d dimensions, got %d", dims, MaxRank, len(dims))
	}
	elems := 1
	for i, d := range dims {
		if d < 0 {
			return Shape{}, fmt.Errorf("make shape %v: dimension %d is negative", dims, i)
		}
		if d > 0 && elems > MaxElems/d {
			return Shape{}, fmt.Errorf("make shape %v: want at most %d elements, got more", dims, MaxElems)
		}
		elems *= max(d, 1) // keep counting past a zero, so that [0, huge, huge] is refused too
		s.dims[i] = d
	}
	s.rank = int8(len(dims))
	return s, nil
}

// Rank is the number of dimensions.
func (s Shape) Rank() int { return int(s.rank) }

// Dim is the extent of dimension i; a negative i counts from the end. It panics when i is out of range.
func (s Shape) Dim(i int) int {
	if i < 0 {
		i += int(s.rank)
	}
	if i < 0 || i >= int(s.rank) {
		panic(fmt.Sprintf("graph: bug: dimension %d of shape %v", i, s))
	}
	return s.dims[i]
}

// Dims returns a copy of the dimensions.
func (s Shape) Dims() []int { return append([]int(nil), s.dims[:s.rank]...) }

// Elems is the number of elements, 1 for a scalar.
func (s Shape) Elems() int {
	n := 1
	for _, d := range s.dims[:s.rank] {
		n *= d
	}
	return n
}

// NCHW returns the four dimensions of an activation, or of weights as K, C/groups, R, S. It panics unless the rank is 4.
func (s Shape) NCHW() (n, c, h, w int) {
	if s.rank != 4 {
		panic(fmt.Sprintf("graph: bug: shape %v has not 4 dimensions", s))
	}
	return s.dims[0], s.dims[1], s.dims[2], s.dims[3]
}

// WithDim returns the shape with dimension i replaced by d. It panics when i is out of range, and as [NewShape] does.
func (s Shape) WithDim(i, d int) Shape {
	s.Dim(i) // checks i
	if i < 0 {
		i += int(s.rank)
	}
	dims := s.Dims()
	dims[i] = d
	return NewShape(dims...)
}

// String returns the form "[1,3,224,224]".
func (s Shape) String() string {
	b := []byte{'['}
	for i, d := range s.dims[:s.rank] {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(d), 10)
	}
	return string(append(b, ']'))
}

// ParseShape is the inverse of [Shape.String].
func ParseShape(text string) (Shape, error) {
	body, ok := strings.CutPrefix(text, "[")
	body, ok2 := strings.CutSuffix(body, "]")
	if !ok || !ok2 {
		return Shape{}, fmt.Errorf("parse shape %.80q: want [d0,d1,...]", text)
	}
	if body == "" {
		return Shape{}, nil
	}
	var dims []int
	for _, f := range strings.SplitN(body, ",", MaxRank+2) {
		d, err := strconv.Atoi(f)
		if err != nil {
			return Shape{}, fmt.Errorf("parse shape %.80q: dimension %.40q is not a number", text, f)
		}
		dims = append(dims, d)
	}
	s, err := MakeShape(dims)
	if err != nil {
		return Shape{}, fmt.Errorf("parse shape %.80q: %w", text, err)
	}
	return s, nil
}

// TensorType is the element type and the shape of a tensor.
type TensorType struct {
	DType DType
	Shape Shape
}

// F32 is the type of a float32 tensor with the given dimensions.
func F32(dims ...int) TensorType { return TensorType{Float32, NewShape(dims...)} }

// SizeBytes is the size of the tensor in memory without padding.
func (t TensorType) SizeBytes() int { return t.Shape.Elems() * t.DType.SizeBytes() }

// String returns the form "float32[1,3,224,224]".
func (t TensorType) String() string { return t.DType.String() + t.Shape.String() }

// ParseTensorType is the inverse of [TensorType.String].
func ParseTensorType(text string) (TensorType, error) {
	i := strings.IndexByte(text, '[')
	if i < 0 {
		return TensorType{}, fmt.Errorf("parse tensor type %.80q: want dtype[d0,d1,...]", text)
	}
	d, err := ParseDType(text[:i])
	if err != nil {
		return TensorType{}, fmt.Errorf("parse tensor type %.80q: %w", text, err)
	}
	s, err := ParseShape(text[i:])
	if err != nil {
		return TensorType{}, fmt.Errorf("parse tensor type %.80q: %w", text, err)
	}
	return TensorType{d, s}, nil
}
