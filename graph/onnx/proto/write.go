package proto

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// MaxSize is how many bytes a message may have: readers of protocol buffers take no more.
const MaxSize = math.MaxInt32

// OpenDim is what [Model.Write] calls a dimension that is not fixed.
const OpenDim = "N"

// Size is how many bytes [Model.Write] writes.
//
// Errors: a tensor with dimensions that have no size, or of elements that are no numbers.
func (m *Model) Size() (int64, error) {
	l, err := m.layout()
	return l.size, err
}

// Write writes what [ReadModel] reads of a model, but for tensors that are sparse or attributes. The elements of a tensor that has no
// Data and is not External are asked for when its turn comes, by its index, so that those of one at a time need be in memory.
//
// Errors: those of w and of elements; elements of another size than the tensor's; and those of [Model.Size].
func (m *Model) Write(w io.Writer, elements func(i int) ([]byte, error)) error {
	l, err := m.layout()
	if err != nil {
		return err
	}
	if _, err := w.Write(l.before); err != nil {
		return err
	}
	for i, head := range l.tensors {
		if _, err := w.Write(head); err != nil {
			return err
		}
		t := &m.Graph.Tensors[i]
		if t.External != nil {
			continue
		}
		data := t.Data
		if data == nil {
			if data, err = elements(i); err != nil {
				return err
			}
		}
		if want, err := t.sizeBytes(); err != nil || int64(len(data)) != want {
			return fmt.Errorf("tensor %.80q: want %d bytes of elements, got %d", t.Name, want, len(data))
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	_, err = w.Write(l.after)
	return err
}

// layout is a model as bytes but for the elements of its tensors, which lie between the heads.
type layout struct {
	before, after []byte
	tensors       [][]byte
	size          int64
}

func (m *Model) layout() (layout, error) {
	var l layout
	g := &m.Graph
	var nodes, ports []byte
	for i := range g.Nodes {
		nodes = appendMessage(nodes, 1, g.Nodes[i].bytes())
	}
	nodes = appendText(nodes, 2, g.Name)
	for _, p := range g.Inputs {
		ports = appendMessage(ports, 11, p.bytes())
	}
	for _, p := range g.Outputs {
		ports = appendMessage(ports, 12, p.bytes())
	}
	inGraph := int64(len(nodes) + len(ports))
	for i := range g.Tensors {
		head, size, err := g.Tensors[i].head()
		if err != nil {
			return l, err
		}
		l.tensors = append(l.tensors, head)
		inGraph += int64(len(head)) + size
	}
	b := appendInt(nil, 1, m.IRVersion) // first, which is how files are recognised
	b = appendText(b, 2, m.Producer)
	b = appendText(b, 3, m.ProducerVersion)
	for _, domain := range slices.Sorted(maps.Keys(m.Opsets)) {
		b = appendMessage(b, 8, appendInt(appendText(nil, 1, domain), 2, m.Opsets[domain]))
	}
	b = protowire.AppendTag(b, 7, protowire.BytesType)
	l.before = append(protowire.AppendVarint(b, uint64(inGraph)), nodes...)
	l.after = appendEntries(ports, 14, m.Metadata)
	l.size = int64(len(l.before)-len(nodes)+len(l.after)-len(ports)) + inGraph
	return l, nil
}

func (n *Node) bytes() []byte {
	var b []byte
	for _, s := range n.Inputs {
		b = appendBytes(b, 1, s) // an empty one stands for an input that is left out
	}
	for _, s := range n.Outputs {
		b = appendBytes(b, 2, s)
	}
	b = appendText(b, 3, n.Name)
	b = appendText(b, 4, n.Op)
	for _, a := range n.Attrs {
		b = appendMessage(b, 5, a.bytes())
	}
	return appendText(b, 7, n.Domain)
}

func (a *Attr) bytes() []byte {
	b := appendText(nil, 1, a.Name)
	switch a.Type {
	case AttrFloat:
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(a.Float))
	case AttrInt:
		b = appendInt(b, 3, a.Int)
	case AttrString:
		b = appendBytes(b, 4, a.String)
	case AttrInts:
		for _, v := range a.Ints {
			b = appendInt(b, 8, v)
		}
	default:
		panic(fmt.Sprintf("proto: bug: attribute %q of type %d", a.Name, a.Type))
	}
	return appendInt(b, 20, int64(a.Type))
}

func (p *Port) bytes() []byte {
	t := appendInt(nil, 1, int64(p.DType))
	if p.Known {
		var shape []byte
		for _, d := range p.Dims {
			dim := appendText(nil, 2, OpenDim)
			if d > 0 {
				dim = appendInt(nil, 1, d)
			}
			shape = appendMessage(shape, 1, dim)
		}
		t = appendMessage(t, 2, shape)
	}
	return appendMessage(appendText(nil, 1, p.Name), 2, appendMessage(nil, 1, t))
}

func (t *Tensor) sizeBytes() (int64, error) {
	n, err := t.Elems()
	if err == nil && t.DType.Size() == 0 {
		err = fmt.Errorf("want numbers, got elements of %v", t.DType)
	}
	if err != nil {
		return 0, fmt.Errorf("tensor %.80q: %w", t.Name, err)
	}
	return int64(n) * int64(t.DType.Size()), nil
}

// head returns the field of a graph for a tensor up to its elements, and how many bytes of those follow.
func (t *Tensor) head() ([]byte, int64, error) {
	size, err := t.sizeBytes()
	if err != nil {
		return nil, 0, err
	}
	var b []byte
	for _, d := range t.Dims {
		b = appendInt(b, 1, d)
	}
	b = appendInt(b, 2, int64(t.DType))
	b = appendText(b, 8, t.Name)
	if t.External != nil {
		size = 0
		b = appendInt(appendEntries(b, 13, t.External), 14, 1)
	} else {
		b = protowire.AppendVarint(protowire.AppendTag(b, 9, protowire.BytesType), uint64(size))
	}
	head := protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.BytesType), uint64(int64(len(b))+size))
	return append(head, b...), size, nil
}

func appendMessage(b []byte, number protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), m)
}

func appendBytes(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// appendText appends a string, and nothing for an empty one.
func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendBytes(b, number, s)
}

func appendInt(b []byte, number protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(v))
}

// appendEntries appends pairs of a key and a value, sorted by the key.
func appendEntries(b []byte, number protowire.Number, entries map[string]string) []byte {
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		b = appendMessage(b, number, appendBytes(appendText(nil, 1, key), 2, entries[key]))
	}
	return b
}
