package golden

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A reader of as much of ONNX's protocol buffers as its own tests need. Field numbers are those of onnx.proto (opset 1
// and later: they never change).

// onnxModel is a ModelProto.
type onnxModel struct {
	nodes       []onnxNode
	tensors     map[string]onnxTensor // initializers
	inputs      []string              // without the initializers
	outputs     []string
	inputShapes map[string][]int
	opset       int
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
	name string
	dims []int
	f32  []float32
	i64  []int
}

var errCut = errors.New("message is cut short")

// fields calls f for each field of a message: number holds varints and fixed numbers, data what has a length.
func fields(msg []byte, f func(field int, number uint64, data []byte) error) error {
	for len(msg) > 0 {
		key, n := binary.Uvarint(msg)
		if n <= 0 {
			return errCut
		}
		msg = msg[n:]
		var number uint64
		var data []byte
		switch key & 7 {
		case 0:
			if number, n = binary.Uvarint(msg); n <= 0 {
				return errCut
			}
			msg = msg[n:]
		case 1, 5:
			size := map[uint64]int{1: 8, 5: 4}[key&7]
			if len(msg) < size {
				return errCut
			}
			data, msg = msg[:size], msg[size:]
		case 2:
			size, n := binary.Uvarint(msg)
			if n <= 0 || size > uint64(len(msg)-n) {
				return errCut
			}
			data, msg = msg[n:n+int(size)], msg[n+int(size):]
		default:
			return fmt.Errorf("field %d: want wire type 0, 1, 2 or 5, got %d", key>>3, key&7)
		}
		if err := f(int(key>>3), number, data); err != nil {
			return fmt.Errorf("field %d: %w", key>>3, err)
		}
	}
	return nil
}

// appendInts adds one number, or the packed numbers of data.
func appendInts(to []int, number uint64, data []byte) ([]int, error) {
	if data == nil {
		return append(to, int(int64(number))), nil
	}
	for len(data) > 0 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return to, errCut
		}
		to, data = append(to, int(int64(v))), data[n:]
	}
	return to, nil
}

func appendFloats(to []float32, data []byte) ([]float32, error) {
	if len(data)%4 != 0 {
		return to, errCut
	}
	for ; len(data) > 0; data = data[4:] {
		to = append(to, math.Float32frombits(binary.LittleEndian.Uint32(data)))
	}
	return to, nil
}

func readTensor(msg []byte) (t onnxTensor, err error) {
	kind := 0
	var raw []byte
	err = fields(msg, func(field int, number uint64, data []byte) (err error) {
		switch field {
		case 1:
			t.dims, err = appendInts(t.dims, number, data)
		case 2:
			kind = int(number)
		case 4:
			t.f32, err = appendFloats(t.f32, data)
		case 7:
			t.i64, err = appendInts(t.i64, number, data)
		case 8:
			t.name = string(data)
		case 9:
			raw = data
		}
		return err
	})
	switch {
	case err != nil:
		return t, err
	case raw != nil && kind == 1:
		t.f32, err = appendFloats(nil, raw)
	case raw != nil && kind == 7:
		for ; len(raw) >= 8; raw = raw[8:] {
			t.i64 = append(t.i64, int(binary.LittleEndian.Uint64(raw)))
		}
	}
	if kind != 1 && kind != 7 {
		return t, fmt.Errorf("tensor %q: want float32 or int64, got type %d", t.name, kind)
	}
	elems := 1
	for _, d := range t.dims {
		elems *= d
	}
	if got := len(t.f32) + len(t.i64); got != elems {
		return t, fmt.Errorf("tensor %q: want %d elements for %v, got %d", t.name, elems, t.dims, got)
	}
	return t, err
}

func readAttr(msg []byte) (name string, a onnxAttr, err error) {
	err = fields(msg, func(field int, number uint64, data []byte) (err error) {
		switch field {
		case 1:
			name = string(data)
		case 2:
			if len(data) != 4 {
				return errCut
			}
			a.f = math.Float32frombits(binary.LittleEndian.Uint32(data))
		case 3:
			a.i = int(int64(number))
		case 4:
			a.s = string(data)
		case 5:
			a.t, err = readTensor(data)
		case 8:
			a.ints, err = appendInts(a.ints, number, data)
		}
		return err
	})
	return name, a, err
}

func readNode(msg []byte) (onnxNode, error) {
	n := onnxNode{attrs: map[string]onnxAttr{}}
	err := fields(msg, func(field int, _ uint64, data []byte) error {
		switch field {
		case 1:
			n.inputs = append(n.inputs, string(data))
		case 2:
			n.outputs = append(n.outputs, string(data))
		case 4:
			n.op = string(data)
		case 5:
			name, a, err := readAttr(data)
			n.attrs[name] = a
			return err
		}
		return nil
	})
	return n, err
}

// readPort reads a ValueInfoProto: a name, and the dimensions of a tensor (0 for one that is no number).
func readPort(msg []byte) (name string, dims []int, err error) {
	err = fields(msg, func(field int, _ uint64, data []byte) error {
		if field == 1 {
			name = string(data)
		}
		if field != 2 {
			return nil
		}
		return at(data, 1, func(tensor []byte) error {
			return at(tensor, 2, func(shape []byte) error {
				return at(shape, 1, func(dim []byte) error {
					d := 0
					err := fields(dim, func(field int, number uint64, _ []byte) error {
						if field == 1 {
							d = int(number)
						}
						return nil
					})
					dims = append(dims, d)
					return err
				})
			})
		})
	})
	return name, dims, err
}

// at calls f for each field of that number.
func at(msg []byte, wanted int, f func(data []byte) error) error {
	return fields(msg, func(field int, _ uint64, data []byte) error {
		if field == wanted {
			return f(data)
		}
		return nil
	})
}

func readModel(msg []byte) (*onnxModel, error) {
	m := &onnxModel{tensors: map[string]onnxTensor{}, inputShapes: map[string][]int{}}
	var ports []string
	graph := func(field int, _ uint64, data []byte) error {
		switch field {
		case 1:
			n, err := readNode(data)
			m.nodes = append(m.nodes, n)
			return err
		case 5:
			t, err := readTensor(data)
			m.tensors[t.name] = t
			return err
		case 11, 12:
			name, dims, err := readPort(data)
			if field == 12 {
				m.outputs = append(m.outputs, name)
			} else {
				ports, m.inputShapes[name] = append(ports, name), dims
			}
			return err
		}
		return nil
	}
	err := fields(msg, func(field int, _ uint64, data []byte) error {
		switch field {
		case 7:
			return fields(data, graph)
		case 8:
			return fields(data, func(field int, number uint64, _ []byte) error {
				if field == 2 {
					m.opset = max(m.opset, int(number))
				}
				return nil
			})
		}
		return nil
	})
	for _, name := range ports {
		if _, ok := m.tensors[name]; !ok {
			m.inputs = append(m.inputs, name)
		}
	}
	return m, err
}
