package weights

import (
	"encoding/binary"
	"math"
)

// kind is how the bytes of an element are to be understood.
type kind uint8

const (
	otherKind kind = iota // listed, never converted: bool, complex, float8, ...
	floatKind
	brainKind // bfloat16: the upper half of a float32
	intKind
	uintKind
)

// dtype is the type of the elements of a stored tensor.
type dtype struct {
	name string // PyTorch's name, for example "float16"
	size int    // bytes an element
	kind kind
}

func (d dtype) isFloat() bool { return d.kind == floatKind || d.kind == brainKind }
func (d dtype) isInt() bool   { return d.kind == intKind || d.kind == uintKind }

var (
	dtFloat64 = dtype{"float64", 8, floatKind}
	dtFloat32 = dtype{"float32", 4, floatKind}
	dtUint8   = dtype{"uint8", 1, uintKind}
)

// dtypes by PyTorch's names.
var dtypes = func() map[string]dtype {
	m := map[string]dtype{}
	for _, d := range []dtype{
		dtFloat64, dtFloat32, {"float16", 2, floatKind}, {"bfloat16", 2, brainKind},
		{"int64", 8, intKind}, {"int32", 4, intKind}, {"int16", 2, intKind}, {"int8", 1, intKind},
		{"uint64", 8, uintKind}, {"uint32", 4, uintKind}, {"uint16", 2, uintKind}, dtUint8,
		{"bool", 1, otherKind}, {"complex64", 8, otherKind}, {"complex128", 16, otherKind},
		{"float8_e4m3fn", 1, otherKind}, {"float8_e5m2", 1, otherKind},
		{"float8_e4m3fnuz", 1, otherKind}, {"float8_e5m2fnuz", 1, otherKind}, {"float8_e8m0fnu", 1, otherKind},
	} {
		m[d.name] = d
	}
	return m
}()

// safetensorsDTypes maps the names of the safetensors format to PyTorch's.
var safetensorsDTypes = map[string]string{
	"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
	"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
	"U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
	"BOOL": "bool", "C64": "complex64",
	"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
	"F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E8M0": "float8_e8m0fnu",
}

// storageDTypes maps PyTorch's typed storage classes to the type of their elements.
var storageDTypes = map[string]string{
	"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
	"LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
	"ByteStorage": "uint8", "BoolStorage": "bool",
	"ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
	"UntypedStorage": "uint8", // its size counts bytes
}

// int64At converts the element of a signed integer type at the start of b.
func (d dtype) int64At(b []byte, order binary.ByteOrder) int64 {
	switch d.size {
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(order.Uint16(b)))
	case 4:
		return int64(int32(order.Uint32(b)))
	}
	return int64(order.Uint64(b))
}

// float64At converts the element at the start of b, which is in the given byte order. All stored floating-point
// types fit a float64 exactly; so do integers below 2^53.
func (d dtype) float64At(b []byte, order binary.ByteOrder) float64 {
	var bits uint64
	switch d.size {
	case 1:
		bits = uint64(b[0])
	case 2:
		bits = uint64(order.Uint16(b))
	case 4:
		bits = uint64(order.Uint32(b))
	default:
		bits = order.Uint64(b)
	}
	switch d.kind {
	case brainKind:
		return float64(math.Float32frombits(uint32(bits) << 16))
	case uintKind:
		return float64(bits)
	case intKind:
		shift := 64 - 8*d.size
		return float64(int64(bits<<shift) >> shift)
	}
	switch d.size {
	case 2:
		return halfToFloat64(uint16(bits))
	case 4:
		return float64(math.Float32frombits(uint32(bits)))
	}
	return math.Float64frombits(bits)
}

// halfToFloat64 converts an IEEE 754 binary16: 1 sign bit, 5 exponent bits with bias 15, 10 fraction bits.
func halfToFloat64(h uint16) float64 {
	sign, exp, frac := uint64(h>>15)<<63, uint64(h>>10&31), uint64(h&1023)
	switch exp {
	case 0: // zero and subnormal numbers: frac · 2^-24
		return math.Copysign(float64(frac)*0x1p-24, math.Float64frombits(sign))
	case 31:
		exp = 2047 // infinities and NaN
	default:
		exp += 1023 - 15
	}
	return math.Float64frombits(sign | exp<<52 | frac<<42)
}
