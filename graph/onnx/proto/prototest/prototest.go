// Package prototest writes ONNX files for tests: right ones, and such as no library would write.
package prototest

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// Bytes is a field that has a length: a message, a string, or packed numbers.
func Bytes(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), slices.Concat(parts...))
}

// Text is a field with a string.
func Text(number protowire.Number, s string) []byte { return Bytes(number, []byte(s)) }

// Int is a field with a whole number.
func Int(number protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(v))
}

// Float is a field with a float32.
func Float(number protowire.Number, v float32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, number, protowire.Fixed32Type), math.Float32bits(v))
}

// Double is a field with a float64.
func Double(number protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), math.Float64bits(v))
}

// Floats are float32s, little-endian.
func Floats(v ...float32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// Int64s are whole numbers, little-endian.
func Int64s(v ...int64) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return b
}

// Model is a ModelProto of a graph's fields.
func Model(opset int64, graph ...[]byte) []byte {
	return slices.Concat(Int(1, 8), Text(2, "test"), Bytes(7, graph...), Bytes(8, Int(2, opset)))
}

// Node is the field of a graph for a node; attributes follow.
func Node(op string, inputs, outputs []string, attrs ...[]byte) []byte {
	var b []byte
	for _, s := range inputs {
		b = append(b, Text(1, s)...)
	}
	for _, s := range outputs {
		b = append(b, Text(2, s)...)
	}
	return Bytes(1, b, Text(4, op), slices.Concat(attrs...))
}

// AttrInts is an attribute with a list of numbers.
func AttrInts(name string, v ...int64) []byte {
	b := Text(1, name)
	for _, x := range v {
		b = append(b, Int(8, x)...)
	}
	return Bytes(5, b)
}

// AttrInt, AttrFloat, AttrText and AttrTensor are attributes of one value.
func AttrInt(name string, v int64) []byte     { return Bytes(5, Text(1, name), Int(3, v)) }
func AttrFloat(name string, v float32) []byte { return Bytes(5, Text(1, name), Float(2, v)) }
func AttrText(name, v string) []byte          { return Bytes(5, Text(1, name), Text(4, v)) }
func AttrTensor(name string, tensor []byte) []byte {
	return Bytes(5, Text(1, name), Bytes(5, tensor))
}

// Tensor is a TensorProto; the fields with its elements follow.
func Tensor(name string, d proto.DType, dims []int64, data ...[]byte) []byte {
	var b []byte
	for _, x := range dims {
		b = append(b, Int(1, x)...)
	}
	return slices.Concat(b, Int(2, int64(d)), Text(8, name), slices.Concat(data...))
}

// Raw is the field of a tensor with its elements as bytes.
func Raw(data []byte) []byte { return Bytes(9, data) }

// External are the fields of a tensor whose elements are in another file: key, value, key, value, ...
func External(entries ...string) []byte {
	var b []byte
	for i := 0; i+1 < len(entries); i += 2 {
		b = append(b, Bytes(13, Text(1, entries[i]), Text(2, entries[i+1]))...)
	}
	return append(b, Int(14, 1)...)
}

// Initializer is the field of a graph for a tensor.
func Initializer(tensor []byte) []byte { return Bytes(5, tensor) }

// Input and Output are the fields of a graph for float32 tensors; a dimension of 0 is left open.
func Input(name string, dims ...int64) []byte  { return Bytes(11, port(name, dims)) }
func Output(name string, dims ...int64) []byte { return Bytes(12, port(name, dims)) }

func port(name string, dims []int64) []byte {
	var shape []byte
	for _, d := range dims {
		dim := Text(2, "n")
		if d != 0 {
			dim = Int(1, d)
		}
		shape = append(shape, Bytes(1, dim)...)
	}
	return slices.Concat(Text(1, name), Bytes(2, Bytes(1, Int(1, int64(proto.Float)), Bytes(2, shape))))
}
