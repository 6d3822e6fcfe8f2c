package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/conformance"
	"github.com/resnet-run/resnet-run/graph"
	"github.com/resnet-run/resnet-run/graph/pass"
	"github.com/resnet-run/resnet-run/graph/resnet"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/protobuf/proto"
)

// overTheWire encodes and decodes the structure of g through bytes, and each node on its own.
func overTheWire(t *testing.T, g *graph.Graph) *graph.Graph {
	t.Helper()
	p, err := wire.EncodeGraph(g)
	if err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	p = &pb.Graph{}
	if err := proto.Unmarshal(data, p); err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeGraph(p)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text() != g.Text() {
		t.Fatalf("graph %q: got\n%s\nwant\n%s", g.Name, got.Text(), g.Text())
	}
	if err := got.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Nodes {
		sameNode(t, n)
	}
	return got
}

func sameNode(t *testing.T, n *graph.Node) {
	t.Helper()
	q, err := wire.EncodeNode(n)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeNode(q)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != n.String() || got.Op != n.Op {
		t.Fatalf("node: got %v, want %v", got, n)
	}
	for i, v := range got.Inputs {
		want := n.Inputs[i]
		if v.Type != want.Type || (v.Kind == graph.ParamValue) != (want.Kind == graph.ParamValue) {
			t.Fatalf("node %v: input %d: got %v %v, want %v %v", n, i, v.Kind, v.Type, want.Kind, want.Type)
		}
	}
}

func TestEveryMemberOfTheFamilyRoundTrips(t *testing.T) {
	for _, name := range resnet.Names() {
		cfg, err := resnet.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		g, err := cfg.Build(1, cfg.InputSize, cfg.InputSize)
		if err != nil {
			t.Fatal(err)
		}
		overTheWire(t, g)
		big, err := g.WithBatch(256)
		if err != nil {
			t.Fatal(err)
		}
		overTheWire(t, big)
	}
}

func TestConformanceGraphsRoundTrip(t *testing.T) {
	ops := map[string]bool{}
	for _, c := range conformance.Cases() {
		if c.Class == conformance.Agreement {
			continue // whole networks, which take long to bind: the family's test has them
		}
		g, err := c.Graph()
		if err != nil {
			t.Fatal(err)
		}
		overTheWire(t, g)
		fused, err := pass.Run(g, pass.Default())
		if err != nil {
			t.Fatal(err)
		}
		overTheWire(t, fused)
		for _, n := range append(g.Nodes, fused.Nodes...) {
			ops[n.Op.Name()] = true
		}
	}
	for _, name := range graph.OpNames() {
		if !ops[name] {
			t.Errorf("operation %s is in no graph of the suite", name)
		}
	}
}

// stream is a Compile stream in memory.
type stream []*pb.CompileRequest

func (s *stream) send(m *pb.CompileRequest) error {
	*s = append(*s, proto.Clone(m).(*pb.CompileRequest))
	return nil
}

func (s *stream) recv() (*pb.CompileRequest, error) {
	if len(*s) == 0 {
		return nil, io.EOF
	}
	m := (*s)[0]
	*s = (*s)[1:]
	return m, nil
}

// wide makes a graph of n ReLUs with long names and parameters of odd sizes, one of them empty and one of many chunks.
func wide(t *testing.T, n int) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("wide")
	v := b.Input("x", graph.F32(1, 4))
	for i := range n {
		v = b.Node(fmt.Sprintf("%0200d", i), graph.ReLU{}, v)
	}
	for i, elems := range []int{4, 0, 1, 600_000, 1 << 18} {
		typ := graph.F32(elems)
		tensor := graph.NewTensor(typ)
		for j := range tensor.Data {
			tensor.Data[j] = byte(i + j*j>>3)
		}
		b.Param(fmt.Sprintf("p%d", i), typ, tensor)
	}
	b.Output(v)
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGraphsTravelInSmallMessages(t *testing.T) {
	g := wide(t, 8000)
	var s stream
	if err := wire.SendGraph(g, s.send); err != nil {
		t.Fatal(err)
	}
	parts := 0
	for _, m := range s {
		if m.GetGraph() != nil {
			parts++
		}
		if n := proto.Size(m); n > wire.MaxChunkBytes+1024 {
			t.Errorf("a message has %d bytes", n)
		}
	}
	if parts < 2 {
		t.Errorf("the graph travelled in %d parts, want several", parts)
	}
	got, err := wire.ReceiveGraph(s.recv, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text() != g.Text() {
		t.Error("the graph changed on its way")
	}
	for i, p := range got.Params {
		if !bytes.Equal(p.Data.Data, g.Params[i].Data.Data) {
			t.Errorf("parameter %q changed on its way", p.Name)
		}
	}
}

func TestSpoiltStreamsAreRefused(t *testing.T) {
	small := func() stream {
		var s stream
		if err := wire.SendGraph(wide(t, 1), s.send); err != nil {
			t.Fatal(err)
		}
		return s // graph, p0, p2, p3 in three, p4
	}
	data := func(p uint32, offset uint64, n int) *pb.CompileRequest {
		return &pb.CompileRequest{Part: &pb.CompileRequest_Data{Data: &pb.ParameterData{Parameter: p, Offset: offset, Data: make([]byte, n)}}}
	}
	for name, spoil := range map[string]func(stream) stream{
		"nothing":            func(stream) stream { return nil },
		"no graph":           func(s stream) stream { return s[1:] },
		"a piece missing":    func(s stream) stream { return append(s[:3:3], s[4:]...) },
		"the end missing":    func(s stream) stream { return s[:len(s)-1] },
		"pieces swapped":     func(s stream) stream { s[3], s[4] = s[4], s[3]; return s },
		"a piece twice":      func(s stream) stream { return append(s, s[len(s)-1]) },
		"too long":           func(s stream) stream { return append(s[:1:1], data(0, 0, 17)) },
		"empty piece":        func(s stream) stream { return append(s[:1:1], data(0, 0, 0)) },
		"huge piece":         func(s stream) stream { return append(s[:3:3], data(3, 0, wire.MaxChunkBytes+1)) },
		"graph after data":   func(s stream) stream { return append(s, s[0]) },
		"second start":       func(s stream) stream { return append(s, &pb.CompileRequest{Part: &pb.CompileRequest_Start{}}) },
		"an unknown message": func(s stream) stream { return append(s, &pb.CompileRequest{}) },
	} {
		s := spoil(small())
		if g, err := wire.ReceiveGraph(s.recv, 0); err == nil {
			t.Errorf("%s: want an error, got %v", name, g.Name)
		}
	}
	s := small()
	if _, err := wire.ReceiveGraph(s.recv, 1000); err == nil {
		t.Error("more than the limit: want an error, got none")
	}
}

func TestHostileGraphsAreRefused(t *testing.T) {
	f32 := func(dims ...int64) *pb.TensorType { return &pb.TensorType{Dtype: pb.DType_DTYPE_FLOAT32, Shape: dims} }
	relu := &pb.Op{Kind: &pb.Op_Relu{Relu: &pb.ReLU{}}}
	good := func() *pb.Graph {
		return &pb.Graph{Name: "g", Inputs: []*pb.Value{{Name: "x", Type: f32(2, 3)}},
			Nodes: []*pb.Node{{Name: "y", Op: relu, Inputs: []string{"x"}, Result: f32(2, 3)}}, Outputs: []string{"y"}}
	}
	if _, err := wire.DecodeGraph(good()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		kind  error // in the error, or nil
		spoil func(*pb.Graph)
	}{
		{"no name", nil, func(g *pb.Graph) { g.Name = "" }},
		{"no inputs", nil, func(g *pb.Graph) { g.Inputs = nil }},
		{"no outputs", nil, func(g *pb.Graph) { g.Outputs = nil }},
		{"an unknown output", nil, func(g *pb.Graph) { g.Outputs = []string{"z"} }},
		{"a name twice", nil, func(g *pb.Graph) { g.Nodes[0].Name = "x" }},
		{"a cycle", nil, func(g *pb.Graph) { g.Nodes[0].Inputs = []string{"y"} }},
		{"no type", nil, func(g *pb.Graph) { g.Inputs[0].Type = nil }},
		{"no dtype", nil, func(g *pb.Graph) { g.Inputs[0].Type.Dtype = 0 }},
		{"a dtype of the future", backend.ErrUnsupported, func(g *pb.Graph) { g.Inputs[0].Type.Dtype = 99 }},
		{"a negative dimension", nil, func(g *pb.Graph) { g.Inputs[0].Type.Shape[0] = -1 }},
		{"too many dimensions", nil, func(g *pb.Graph) { g.Inputs[0].Type.Shape = make([]int64, 1000) }},
		{"too many elements", nil, func(g *pb.Graph) { g.Inputs[0].Type = f32(1<<40, 1<<40) }},
		{"an operation of the future", backend.ErrUnsupported, func(g *pb.Graph) { g.Nodes[0].Op = &pb.Op{} }},
		{"no operation", backend.ErrUnsupported, func(g *pb.Graph) { g.Nodes[0].Op = nil }},
		{"another result", nil, func(g *pb.Graph) { g.Nodes[0].Result = f32(3, 2) }},
		{"too many inputs of a node", nil, func(g *pb.Graph) { g.Nodes[0].Inputs = make([]string, wire.MaxNodeInputs+1) }},
		{"a negative attribute", nil, func(g *pb.Graph) {
			g.Nodes[0].Op = &pb.Op{Kind: &pb.Op_Subsample{Subsample: &pb.Subsample{Stride: &pb.Extent{Rows: -1, Columns: 1}}}}
		}},
		{"a negative group", nil, func(g *pb.Graph) {
			g.Nodes[0].Op = &pb.Op{Kind: &pb.Op_GroupNorm{GroupNorm: &pb.GroupNorm{Groups: -1, Epsilon: 1}}}
		}},
		{"an activation of the future", backend.ErrUnsupported, func(g *pb.Graph) {
			g.Nodes[0].Op = &pb.Op{Kind: &pb.Op_Conv2D{Conv2D: &pb.Conv2D{Activation: 7}}}
		}},
		{"an activation of the future after a gate", backend.ErrUnsupported, func(g *pb.Graph) {
			g.Nodes[0].Op = &pb.Op{Kind: &pb.Op_Gate{Gate: &pb.Gate{Activation: 7}}}
		}},
		{"an activation of the future after a group norm", backend.ErrUnsupported, func(g *pb.Graph) {
			g.Nodes[0].Op = &pb.Op{Kind: &pb.Op_GroupNorm{GroupNorm: &pb.GroupNorm{Activation: 7}}}
		}},
		{"an activation of the future after a split attention", backend.ErrUnsupported, func(g *pb.Graph) {
			g.Nodes[0].Op = &pb.Op{Kind: &pb.Op_SplitAttention{SplitAttention: &pb.SplitAttention{Activation: 7}}}
		}},
	} {
		g := good()
		c.spoil(g)
		if _, err := wire.DecodeGraph(g); err == nil || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: want an error (%v), got %v", c.name, c.kind, err)
		}
	}
}

// concat makes a graph of one Concat of the same picture n times.
func concat(t *testing.T, n int) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("concat")
	x := b.Input("x", graph.F32(1, 1, 1, 1))
	b.Output(b.Node("y", graph.Concat{}, slices.Repeat([]*graph.Value{x}, n)...))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestConcatHasAsManyInputsAsTheProtocolAllows(t *testing.T) {
	overTheWire(t, concat(t, wire.MaxNodeInputs))
	more := concat(t, wire.MaxNodeInputs+1)
	if _, err := wire.EncodeGraph(more); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("encode a graph: got %v, want unsupported", err)
	}
	if _, err := wire.EncodeNode(more.Nodes[0]); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("encode a node: got %v, want unsupported", err)
	}
	most := concat(t, wire.MaxNodeInputs)
	p, err := wire.EncodeGraph(most)
	if err != nil {
		t.Fatal(err)
	}
	p.Nodes[0].Inputs = append(p.Nodes[0].Inputs, "x")
	p.Nodes[0].Result = wire.EncodeType(more.Nodes[0].Output.Type)
	if _, err := wire.DecodeGraph(p); err == nil {
		t.Error("decode a graph: want an error, got none")
	}
	q, err := wire.EncodeNode(most.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	q.Inputs = append(q.Inputs, q.Inputs[0])
	q.Result = wire.EncodeType(more.Nodes[0].Output.Type)
	if _, err := wire.DecodeNode(q); err == nil {
		t.Error("decode a node: want an error, got none")
	}
}

// FuzzGraph: whatever the bytes, an error or a graph that validates and is encoded to what decodes to the same.
func FuzzGraph(f *testing.F) {
	cfg, err := resnet.Lookup("resnet20-cifar")
	if err != nil {
		f.Fatal(err)
	}
	g, err := cfg.Build(1, cfg.InputSize, cfg.InputSize)
	if err != nil {
		f.Fatal(err)
	}
	p, err := wire.EncodeGraph(g)
	if err != nil {
		f.Fatal(err)
	}
	whole, err := proto.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	p.Nodes, p.Outputs = p.Nodes[:2], []string{p.Nodes[1].Name}
	short, err := proto.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(short)
	p, err = wire.EncodeGraph(everyOp(f))
	if err != nil {
		f.Fatal(err)
	}
	every, err := proto.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(every)
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &pb.Graph{}
		if proto.Unmarshal(data, p) != nil {
			return
		}
		g, err := wire.DecodeGraph(p)
		if err != nil {
			return
		}
		if err := g.Validate(); err != nil {
			t.Fatalf("decoded, yet: %v", err)
		}
		overTheWire(t, g)
	})
}
