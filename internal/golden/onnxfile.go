package golden

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/resnet-run/resnet-run/graph/onnx/proto"
)

// onnxModel is what the tests need of a ModelProto.
type onnxModel struct {
	nodes   []onnxNode
	tensors map[string]onnxTensor // initializers
	inputs  []string              // without the initializers
	outputs []string
}

type onnxNode struct {
	op      string
	inputs  []string
	outputs []string
	attrs   map[string]onnxAttr
}

type onnxAttr struct {
	f    float32
	i    int
	s    string
	ints []int
	t    onnxTensor
}

type onnxTensor struct {
	dims []int
	f32  []float32
	i64  []int
}

func readModel(data []byte) (*onnxModel, error) {
	p, err := proto.ReadModel(data)
	if err != nil {
		return nil, err
	}
	m := &onnxModel{tensors: map[string]onnxTensor{}}
	for i := range p.Graph.Tensors {
		t := &p.Graph.Tensors[i]
		if m.tensors[t.Name], err = elements(t); err != nil {
			return nil, err
		}
	}
	for _, in := range p.Graph.Inputs {
		if _, ok := m.tensors[in.Name]; !ok {
			m.inputs = append(m.inputs, in.Name)
		}
	}
	for _, out := range p.Graph.Outputs {
		m.outputs = append(m.outputs, out.Name)
	}
	for _, n := range p.Graph.Nodes {
		node := onnxNode{op: n.Op, inputs: n.Inputs, outputs: n.Outputs, attrs: map[string]onnxAttr{}}
		for _, a := range n.Attrs {
			attr := onnxAttr{f: a.Float, i: int(a.Int), s: a.String, ints: narrow(a.Ints)}
			if a.Tensor != nil {
				if attr.t, err = elements(a.Tensor); err != nil {
					return nil, err
				}
			}
			node.attrs[a.Name] = attr
		}
		m.nodes = append(m.nodes, node)
	}
	return m, nil
}

func readTensor(data []byte) (onnxTensor, error) {
	t, err := proto.ReadTensor(data)
	if err != nil {
		return onnxTensor{}, err
	}
	return elements(&t)
}

func narrow(v []int64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// elements reads a tensor of float32 or whole numbers.
func elements(t *proto.Tensor) (onnxTensor, error) {
	out := onnxTensor{dims: narrow(t.Dims)}
	if t.DType != proto.Float {
		v, err := t.Ints()
		if err != nil {
			return out, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		out.i64 = narrow(v)
		return out, nil
	}
	for b := t.Data; len(b) >= 4; b = b[4:] {
		out.f32 = append(out.f32, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return out, nil
}
