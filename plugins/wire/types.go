package wire

import (
	"errors"
	"fmt"

	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
)

var dtypes = map[graph.DType]pb.DType{
	graph.Float32:  pb.DType_DTYPE_FLOAT32,
	graph.Float16:  pb.DType_DTYPE_FLOAT16,
	graph.BFloat16: pb.DType_DTYPE_BFLOAT16,
	graph.Int8:     pb.DType_DTYPE_INT8,
	graph.Uint8:    pb.DType_DTYPE_UINT8,
	graph.Int32:    pb.DType_DTYPE_INT32,
}

var dtypesBack = invert(dtypes)

func invert[K, V comparable](m map[K]V) map[V]K {
	back := make(map[V]K, len(m))
	for k, v := range m {
		back[v] = k
	}
	return back
}

// EncodeType is the wire form of t. An invalid element type becomes the invalid one of the wire.
func EncodeType(t graph.TensorType) *pb.TensorType {
	p := &pb.TensorType{Dtype: dtypes[t.DType], Shape: make([]int64, t.Shape.Rank())}
	for i := range p.Shape {
		p.Shape[i] = int64(t.Shape.Dim(i))
	}
	return p
}

// DecodeType is the inverse of [EncodeType].
//
// Errors: no type, an unknown element type (backend.ErrUnsupported), a shape that [graph.MakeShape] refuses.
func DecodeType(p *pb.TensorType) (graph.TensorType, error) {
	if p == nil {
		return graph.TensorType{}, errors.New("tensor type: want one, got none")
	}
	d, ok := dtypesBack[p.Dtype]
	if !ok {
		if p.Dtype == pb.DType_DTYPE_UNSPECIFIED {
			return graph.TensorType{}, errors.New("dtype: want one, got none")
		}
		return graph.TensorType{}, unknown("dtype", int32(p.Dtype))
	}
	if len(p.Shape) > graph.MaxRank { // before the error of MakeShape prints them all
		return graph.TensorType{}, fmt.Errorf("shape: want at most %d dimensions, got %d", graph.MaxRank, len(p.Shape))
	}
	dims := make([]int, len(p.Shape))
	for i, n := range p.Shape {
		if n < 0 || int64(int(n)) != n {
			return graph.TensorType{}, fmt.Errorf("shape: dimension %d: want 0 or more, got %d", i, n)
		}
		dims[i] = int(n)
	}
	s, err := graph.MakeShape(dims)
	return graph.TensorType{DType: d, Shape: s}, err
}

// EncodePorts is the wire form of the inputs or the outputs of a signature.
func EncodePorts(ports []graph.Port) []*pb.Value {
	out := make([]*pb.Value, len(ports))
	for i, p := range ports {
		out[i] = &pb.Value{Name: p.Name, Type: EncodeType(p.Type)}
	}
	return out
}

// DecodePorts is the inverse of [EncodePorts].
//
// Errors: those of [DecodeType], with the port's name.
func DecodePorts(values []*pb.Value) ([]graph.Port, error) {
	out := make([]graph.Port, len(values))
	for i, v := range values {
		t, err := DecodeType(v.GetType())
		if err != nil {
			return nil, fmt.Errorf("port %d %.40q: %w", i, v.GetName(), err)
		}
		out[i] = graph.Port{Name: v.GetName(), Type: t}
	}
	return out, nil
}
