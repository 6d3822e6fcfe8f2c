package graph

import "fmt"

// DType is the type of a tensor's elements. The zero value is invalid.
type DType uint8

// The element types of the IR. Float32 is what every backend computes today; the others exist so that weights and
// activations can be stored in them.
const (
	InvalidDType DType = iota
	Float32
	Float16
	BFloat16
	Int8
	Uint8
	Int32
)

var dtypes = [...]struct {
	name string
	size int
}{
	InvalidDType: {"invalid", 0},
	Float32:      {"float32", 4},
	Float16:      {"float16", 2},
	BFloat16:     {"bfloat16", 2},
	Int8:         {"int8", 1},
	Uint8:        {"uint8", 1},
	Int32:        {"int32", 4},
}

// String returns the name used in the text form, for example "float32".
func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// SizeBytes is the size of one element in bytes, 0 for an invalid type.
func (d DType) SizeBytes() int {
	if int(d) < len(dtypes) {
		return dtypes[d].size
	}
	return 0
}

// IsFloat reports whether d is a floating-point type.
func (d DType) IsFloat() bool { return d == Float32 || d == Float16 || d == BFloat16 }

// ParseDType is the inverse of [DType.String].
func ParseDType(s string) (DType, error) {
	for d, t := range dtypes {
		if DType(d) != InvalidDType && t.name == s {
			return DType(d), nil
		}
	}
	return InvalidDType, fmt.Errorf("parse dtype: unknown name %.40q", s)
}
