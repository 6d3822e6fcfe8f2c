package proto

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits of a model; ResNet-1202 has some 4,800 nodes.
const (
	maxNodes = 1 << 17
	maxItems = 1 << 18 // of all else that is counted: inputs of nodes, attributes, initializers
)

// Model is a ModelProto.
type Model struct {
	IRVersion       int64
	Producer        string // the program that wrote it, for example "pytorch"
	ProducerVersion string
	Opsets          map[string]int64 // the version of the operators of each domain; "" is ONNX's own
	Metadata        map[string]string
	Graph           Graph
}

// Graph is a GraphProto.
type Graph struct {
	Name    string
	Nodes   []Node
	Tensors []Tensor // the initializers
	Sparse  []string // names of initializers that are sparse
	Inputs  []Port   // those that have an initializer too are parameters
	Outputs []Port
}

// Node is a NodeProto. A name that is empty stands for an input or output that is left out.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attrs            []Attr
}

// Attr is an AttributeProto; which of the fields counts follows from its name, and for older files from nothing else.
type Attr struct {
	Name   string
	Type   AttrType // what the file says it is, which is 0 in the oldest
	Float  float32
	Int    int64
	String string
	Ints   []int64
	Tensor *Tensor
	Other  bool // it has something else: a graph, lists of strings, floats or tensors
}

// AttrType is AttributeProto.AttributeType.
type AttrType int64

// The types of attributes that are written.
const (
	AttrFloat  AttrType = 1
	AttrInt    AttrType = 2
	AttrString AttrType = 3
	AttrInts   AttrType = 7
)

// Port is a ValueInfoProto of a tensor.
type Port struct {
	Name  string
	DType DType
	Dims  []int64 // 0 for one that is not fixed
	Known bool    // that it has a shape
}

// Attr returns the attribute of that name, nil when there is none.
func (n *Node) Attr(name string) *Attr {
	for i := range n.Attrs {
		if n.Attrs[i].Name == name {
			return &n.Attrs[i]
		}
	}
	return nil
}

// reader counts what it has read.
type reader struct{ items int }

func (r *reader) count(m message, n int) error {
	if r.items += n; r.items > maxItems {
		return m.bad("want at most %d inputs, outputs, attributes and initializers in all, got more", maxItems)
	}
	return nil
}

// ReadModel reads a ModelProto. The data of its tensors are parts of data.
//
// Errors: an [*Error].
func ReadModel(data []byte) (*Model, error) {
	m := &Model{Opsets: map[string]int64{}, Metadata: map[string]string{}}
	r := &reader{}
	found := false
	err := message{data, 0}.each("model", func(x field) error {
		switch x.number {
		case 1:
			return x.int(&m.IRVersion)
		case 2:
			return x.text(&m.Producer)
		case 3:
			return x.text(&m.ProducerVersion)
		case 7:
			if found {
				return message{data, 0}.bad("model: want one graph, got several")
			}
			found = true
			return r.graph(x, &m.Graph)
		case 8:
			return readOpset(x, m.Opsets)
		case 14:
			return readEntry(x, m.Metadata)
		}
		return nil
	})
	if err == nil && !found {
		err = message{data, 0}.bad("model: want a graph, got none")
	}
	return m, err
}

func readOpset(x field, to map[string]int64) error {
	m, err := x.message()
	if err != nil {
		return err
	}
	domain, version := "", int64(0)
	err = m.each("opset", func(x field) error {
		switch x.number {
		case 1:
			return x.text(&domain)
		case 2:
			return x.int(&version)
		}
		return nil
	})
	if domain == "ai.onnx" {
		domain = ""
	}
	to[domain] = version
	return err
}

func readEntry(x field, to map[string]string) error {
	m, err := x.message()
	if err != nil {
		return err
	}
	var key, value string
	err = m.each("metadata", func(x field) error {
		switch x.number {
		case 1:
			return x.text(&key)
		case 2:
			return x.text(&value)
		}
		return nil
	})
	to[key] = value
	return err
}

func (r *reader) graph(x field, g *Graph) error {
	m, err := x.message()
	if err != nil {
		return err
	}
	return m.each("graph", func(x field) error {
		switch x.number {
		case 1:
			return r.node(x, g)
		case 2:
			return x.text(&g.Name)
		case 5:
			t, err := r.tensor(x)
			g.Tensors = append(g.Tensors, t)
			return err
		case 11:
			return r.port(x, &g.Inputs)
		case 12:
			return r.port(x, &g.Outputs)
		case 15:
			return r.sparse(x, g)
		}
		return nil
	})
}

func (r *reader) node(x field, g *Graph) error {
	m, err := x.message()
	if err != nil {
		return err
	}
	if len(g.Nodes) == maxNodes {
		return m.bad("want at most %d nodes, got more", maxNodes)
	}
	var n Node
	err = m.each("node", func(x field) error {
		switch x.number {
		case 1:
			return x.texts(&n.Inputs)
		case 2:
			return x.texts(&n.Outputs)
		case 3:
			return x.text(&n.Name)
		case 4:
			return x.text(&n.Op)
		case 5:
			return r.attr(x, &n)
		case 7:
			return x.text(&n.Domain)
		}
		return nil
	})
	if n.Domain == "ai.onnx" {
		n.Domain = ""
	}
	g.Nodes = append(g.Nodes, n)
	if err != nil {
		return err
	}
	return r.count(m, len(n.Inputs)+len(n.Outputs))
}

func (r *reader) attr(x field, n *Node) error {
	m, err := x.message()
	if err != nil {
		return err
	}
	var a Attr
	if err := r.count(m, 1); err != nil {
		return err
	}
	err = m.each("attribute", func(x field) error {
		switch x.number {
		case 1:
			return x.text(&a.Name)
		case 2:
			if x.kind != protowire.Fixed32Type {
				return errKind
			}
			a.Float = math.Float32frombits(uint32(x.value))
		case 3:
			return x.int(&a.Int)
		case 4:
			return x.text(&a.String)
		case 5:
			t, err := r.tensor(x)
			a.Tensor = &t
			return err
		case 8:
			return x.ints(&a.Ints)
		case 6, 7, 9, 10, 11, 14, 15, 22, 23:
			a.Other = true
		case 20:
			return x.int((*int64)(&a.Type))
		}
		return nil
	})
	n.Attrs = append(n.Attrs, a)
	return err
}

// port reads a ValueInfoProto: its name, and TypeProto.tensor_type with element type and TensorShapeProto.
func (r *reader) port(x field, to *[]Port) error {
	m, err := x.message()
	if err != nil {
		return err
	}
	var p Port
	err = m.each("input or output", func(x field) error {
		switch x.number {
		case 1:
			return x.text(&p.Name)
		case 2:
			t, err := x.message()
			if err != nil {
				return err
			}
			return t.each("type", func(x field) error {
				if x.number != 1 {
					return nil
				}
				t, err := x.message()
				if err != nil {
					return err
				}
				return p.tensorType(t)
			})
		}
		return nil
	})
	*to = append(*to, p)
	if err != nil {
		return err
	}
	return r.count(m, 1+len(p.Dims))
}

func (p *Port) tensorType(m message) error {
	return m.each("tensor type", func(x field) error {
		switch x.number {
		case 1:
			var d int64
			err := x.int(&d)
			p.DType = DType(d)
			return err
		case 2:
			shape, err := x.message()
			if err != nil {
				return err
			}
			p.Known = true
			return shape.each("shape", func(x field) error {
				if x.number != 1 {
					return nil
				}
				dim, err := x.message()
				if err != nil {
					return err
				}
				var d int64
				err = dim.each("dimension", func(x field) error {
					if x.number != 1 {
						return nil // a name
					}
					return x.int(&d)
				})
				p.Dims = append(p.Dims, max(d, 0))
				return err
			})
		}
		return nil
	})
}

// sparse keeps the name of a SparseTensorProto, which is that of its values.
func (r *reader) sparse(x field, g *Graph) error {
	m, err := x.message()
	if err != nil {
		return err
	}
	return m.each("sparse tensor", func(x field) error {
		if x.number != 1 {
			return nil
		}
		t, err := r.tensor(x)
		g.Sparse = append(g.Sparse, t.Name)
		return err
	})
}
