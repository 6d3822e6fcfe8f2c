package wire

import (
	"errors"
	"fmt"
	"io"

	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"google.golang.org/protobuf/proto"
)

// SendGraph sends the messages of a Compile stream after the start: the structure of g in parts, then the data of its
// parameters in chunks. send must be done with a message when it returns, as those of gRPC are.
//
// Errors: those of [EncodeGraph], a parameter without data, those of send as they are.
func SendGraph(g *graph.Graph, send func(*pb.CompileRequest) error) error {
	p, err := EncodeGraph(g)
	if err != nil {
		return err
	}
	for _, v := range g.Params {
		if v.Data == nil {
			return fmt.Errorf("send graph %q: parameter %q has no data", g.Name, v.Name)
		}
	}
	if n := proto.Size(p); n > MaxGraphBytes {
		return fmt.Errorf("send graph %q: want a graph of at most %d bytes, got %d", g.Name, MaxGraphBytes, n)
	}
	for _, part := range split(p, MaxChunkBytes) {
		if err := send(&pb.CompileRequest{Part: &pb.CompileRequest_Graph{Graph: part}}); err != nil {
			return err
		}
	}
	for i, v := range g.Params {
		offset := 0
		data, err := v.Data.Bytes()
		if err != nil {
			return fmt.Errorf("send graph %q: read parameter %q: %w", g.Name, v.Name, err)
		}
		err = Chunks(data, func(chunk []byte) error {
			d := &pb.ParameterData{Parameter: uint32(i), Offset: uint64(offset), Data: chunk}
			offset += len(chunk)
			return send(&pb.CompileRequest{Part: &pb.CompileRequest_Data{Data: d}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Chunks cuts data into pieces of at most [MaxChunkBytes] and hands them to send in order, none for no data.
//
// Errors: the first of send.
func Chunks(data []byte, send func([]byte) error) error {
	for len(data) > 0 {
		n := min(len(data), MaxChunkBytes)
		if err := send(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// split cuts a graph into parts of about limit bytes that, merged, are the graph again.
func split(p *pb.Graph, limit int) []*pb.Graph {
	part := &pb.Graph{Name: p.Name}
	parts, size := []*pb.Graph{part}, 0
	room := func(n int) *pb.Graph { // for an element of n bytes
		if size > 0 && size+n > limit {
			part, size = &pb.Graph{}, 0
			parts = append(parts, part)
		}
		size += n + 8 // tag and length
		return part
	}
	for _, v := range p.Inputs {
		q := room(proto.Size(v))
		q.Inputs = append(q.Inputs, v)
	}
	for _, v := range p.Parameters {
		q := room(proto.Size(v))
		q.Parameters = append(q.Parameters, v)
	}
	for _, n := range p.Nodes {
		q := room(proto.Size(n))
		q.Nodes = append(q.Nodes, n)
	}
	for _, name := range p.Outputs {
		q := room(len(name))
		q.Outputs = append(q.Outputs, name)
	}
	return parts
}

// ReceiveGraph is the other end of [SendGraph]: it receives the messages after the start until recv returns io.EOF.
// The graph is bound and its data is its own.
//
// Errors: those of [DecodeGraph]; messages out of order; data of no parameter, beyond its end or with a gap; missing
// data; more than maxBytes of data in all (0 means no limit); those of recv but io.EOF as they are.
func ReceiveGraph(recv func() (*pb.CompileRequest, error), maxBytes int64) (*graph.Graph, error) {
	r := &receiver{structure: &pb.Graph{}, maxBytes: maxBytes}
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := r.part(m); err != nil {
			return nil, fmt.Errorf("receive graph: %w", err)
		}
	}
	if err := r.decode(); err != nil {
		return nil, fmt.Errorf("receive graph: %w", err)
	}
	r.skipEmpty()
	if r.next < len(r.g.Params) {
		p := r.g.Params[r.next]
		return nil, fmt.Errorf("receive graph: parameter %q: want %d bytes, got %d", p.Name, p.Type.SizeBytes(), len(r.data))
	}
	return r.g.Bind(r.tensors)
}

// receiver puts a Compile stream together.
type receiver struct {
	structure *pb.Graph
	size      int          // of the structure's messages in bytes
	g         *graph.Graph // nil until the first data or the end
	tensors   map[string]*graph.Tensor
	next      int    // the parameter that is being received
	data      []byte // what is there of it
	maxBytes  int64
}

func (r *receiver) part(m *pb.CompileRequest) error {
	switch k := m.GetPart().(type) {
	case *pb.CompileRequest_Graph:
		if r.g != nil {
			return errors.New("want no more of the graph after data, got a part")
		}
		p := k.Graph
		if r.size += proto.Size(p); r.size > MaxGraphBytes {
			return fmt.Errorf("want a graph of at most %d bytes, got more", MaxGraphBytes)
		}
		proto.Merge(r.structure, p)
		return nil
	case *pb.CompileRequest_Data:
		if err := r.decode(); err != nil {
			return err
		}
		return r.piece(k.Data)
	case *pb.CompileRequest_Start:
		return errors.New("want one start, got a second")
	}
	return errors.New("want a part of the graph or data, got neither")
}

// decode decodes the structure once it is complete.
func (r *receiver) decode() error {
	if r.g != nil {
		return nil
	}
	g, err := DecodeGraph(r.structure)
	if err != nil {
		return err
	}
	var total int64
	for _, p := range g.Params {
		n := int64(p.Type.SizeBytes())
		if total += n; total < 0 || r.maxBytes > 0 && total > r.maxBytes {
			return fmt.Errorf("graph %q: want at most %d bytes of parameters, got more", g.Name, r.maxBytes)
		}
	}
	r.g, r.structure, r.tensors = g, nil, make(map[string]*graph.Tensor, len(g.Params))
	return nil
}

// skipEmpty finishes parameters that have no bytes, which come in no piece.
func (r *receiver) skipEmpty() {
	for ; r.next < len(r.g.Params) && r.g.Params[r.next].Type.SizeBytes() == 0; r.next++ {
		p := r.g.Params[r.next]
		r.tensors[p.Name] = &graph.Tensor{Type: p.Type, Data: []byte{}}
	}
}

func (r *receiver) piece(d *pb.ParameterData) error {
	r.skipEmpty()
	if r.next >= len(r.g.Params) {
		return fmt.Errorf("parameter %d: want no data after the last parameter's, got %d bytes", d.GetParameter(), len(d.GetData()))
	}
	p := r.g.Params[r.next]
	if int64(d.GetParameter()) != int64(r.next) || d.GetOffset() != uint64(len(r.data)) {
		return fmt.Errorf("parameter %q: want data of parameter %d at %d, got parameter %d at %d", p.Name, r.next, len(r.data), d.GetParameter(), d.GetOffset())
	}
	data, err := Gather(r.data, d.GetData(), p.Type.SizeBytes())
	if err != nil {
		return fmt.Errorf("parameter %q: %w", p.Name, err)
	}
	if r.data = data; len(data) == p.Type.SizeBytes() {
		r.tensors[p.Name] = &graph.Tensor{Type: p.Type, Data: data}
		r.next, r.data = r.next+1, nil
	}
	return nil
}

// eager is up to which size the memory of a tensor is taken when its first chunk comes.
const eager = 16 << 20

// Gather appends a chunk to the beginning of a tensor of size bytes. Memory grows with what has come, not with what was
// announced.
//
// Errors: an empty chunk, one larger than [MaxChunkBytes], one that reaches beyond size.
func Gather(begun, chunk []byte, size int) ([]byte, error) {
	if len(chunk) == 0 || len(chunk) > MaxChunkBytes {
		return nil, fmt.Errorf("chunk: want 1 to %d bytes, got %d", MaxChunkBytes, len(chunk))
	}
	if len(chunk) > size-len(begun) {
		return nil, fmt.Errorf("chunk: want at most the %d bytes that are missing of %d, got %d", size-len(begun), size, len(chunk))
	}
	if begun == nil {
		begun = make([]byte, 0, min(size, eager))
	}
	return append(begun, chunk...), nil
}
