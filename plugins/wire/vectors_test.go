package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/backend/reference"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// vectors is plugins/proto/testdata/vectors.json, which tools/golden/plugin/vectors.py makes without our code.
type vectors struct {
	Messages []struct{ Name, About, Type, Text, Hex string }
	Tensors  []struct {
		DType  string
		Shape  []int
		Values []float64
		Hex    string
	}
	Run struct {
		Graph         string
		Input, Output []float64
		InputHex      string `json:"input_hex"`
		OutputHex     string `json:"output_hex"`
	}
}

func readVectors(t testing.TB) *vectors {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "proto", "testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	v := &vectors{}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	data, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// message decodes the bytes of the named vector into m.
func (v *vectors) message(t testing.TB, name string, m proto.Message) {
	t.Helper()
	for _, c := range v.Messages {
		if c.Name == name {
			if err := proto.Unmarshal(unhex(t, c.Hex), m); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no vector %q", name)
}

func TestVectorsAreTheSameAsTextAndBytes(t *testing.T) {
	types := (&pb.Graph{}).ProtoReflect().Descriptor().ParentFile().Messages()
	v := readVectors(t)
	if len(v.Messages) < 10 {
		t.Fatalf("%d vectors only", len(v.Messages))
	}
	for _, c := range v.Messages {
		d := types.ByName(protoreflect.Name(c.Type))
		if d == nil {
			t.Errorf("%s: no message %s", c.Name, c.Type)
			continue
		}
		want := newMessage(t, d)
		if err := prototext.Unmarshal([]byte(c.Text), want); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		got, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
		if err != nil || hex.EncodeToString(got) != c.Hex {
			t.Errorf("%s: got %x, %v, want %s", c.Name, got, err, c.Hex)
		}
	}
}

func TestVectorGraphsAreOurs(t *testing.T) {
	v := readVectors(t)
	ops := map[string]bool{}
	for _, name := range []string{"graph/tiny", "graph/every-op"} {
		p := &pb.Graph{}
		v.message(t, name, p)
		g, err := wire.DecodeGraph(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range g.Nodes {
			ops[n.Op.Name()] = true
		}
		again, err := wire.EncodeGraph(g)
		if err != nil || !proto.Equal(again, p) {
			t.Errorf("%s: got %v, %v", name, again, err)
		}
	}
	if len(ops) != len(graph.OpNames()) {
		t.Errorf("the vectors have the operations %v, want %v", ops, graph.OpNames())
	}
	q, tiny := &pb.NodeQuery{}, &pb.Graph{}
	v.message(t, "node/conv", q)
	v.message(t, "graph/tiny", tiny)
	g, err := wire.DecodeGraph(tiny)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.EncodeNode(g.Nodes[0]); err != nil || !proto.Equal(got, q) {
		t.Errorf("node/conv: got %v, %v", got, err)
	}
}

func TestVectorGraphRuns(t *testing.T) {
	v := readVectors(t)
	var s stream
	for _, name := range []string{"compile/1", "compile/2", "compile/3"} {
		m := &pb.CompileRequest{}
		v.message(t, name, m)
		s = append(s, m)
	}
	want := append(stream(nil), s...)
	g, err := wire.ReceiveGraph(s.recv, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.SendGraph(g, s.send); err != nil {
		t.Fatal(err)
	}
	for i, m := range s {
		if !proto.Equal(m, want[i]) {
			t.Errorf("message %d: got %v, want %v", i, m, want[i])
		}
	}
	ctx := t.Context()
	b := reference.New()
	list, err := b.Devices(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Open(ctx, list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	e, err := d.Compile(ctx, g)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var buffers []backend.Buffer
	for _, p := range append(e.Signature().Inputs, e.Signature().Outputs...) {
		buf, err := d.NewBuffer(ctx, p.Type)
		if err != nil {
			t.Fatal(err)
		}
		defer buf.Close()
		buffers = append(buffers, buf)
	}
	if err := buffers[0].Write(ctx, unhex(t, v.Run.InputHex)); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx, buffers[:1], buffers[1:]); err != nil {
		t.Fatal(err)
	}
	out := unhex(t, v.Run.OutputHex)
	got := make([]byte, len(out))
	if err := buffers[1].Read(ctx, got); err != nil || !bytes.Equal(got, out) {
		t.Errorf("got %x, %v, want %x", got, err, out)
	}
}

func TestVectorTensors(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.Tensors {
		d, err := graph.ParseDType(c.DType)
		if err != nil {
			t.Fatal(err)
		}
		s, err := graph.MakeShape(c.Shape)
		if err != nil {
			t.Fatal(err)
		}
		typ := graph.TensorType{DType: d, Shape: s}
		data := unhex(t, c.Hex)
		if len(data) != typ.SizeBytes() || len(c.Values) != s.Elems() {
			t.Errorf("%v: %d bytes of %d values, want %d of %d", typ, len(data), len(c.Values), typ.SizeBytes(), s.Elems())
		}
		if back, err := wire.DecodeType(wire.EncodeType(typ)); err != nil || back != typ {
			t.Errorf("%v: got %v, %v", typ, back, err)
		}
		if d != graph.Float32 {
			continue // nothing of ours computes with the others
		}
		for i, x := range (&graph.Tensor{Type: typ, Data: data}).Float32s() {
			if math.Float32bits(x) != math.Float32bits(float32(c.Values[i])) {
				t.Errorf("%v: element %d: got %v, want %v", typ, i, x, c.Values[i])
			}
		}
	}
}

func TestVectorErrors(t *testing.T) {
	v := readVectors(t)
	answers := &pb.SupportsResponse{}
	v.message(t, "supports/answers", answers)
	if err := wire.DecodeMessage(answers.Answers[0]); err != nil {
		t.Errorf("a yes: got %v", err)
	}
	no := wire.DecodeMessage(answers.Answers[1])
	if !backend.IsUnsupported(no) || !strings.Contains(no.Error(), "dilation") {
		t.Errorf("a refusal: got %v", no)
	}
	if got := wire.EncodeMessage(no); !proto.Equal(got, answers.Answers[1]) {
		t.Errorf("got %v, want %v", got, answers.Answers[1])
	}
}

func newMessage(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	m, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return m.New().Interface()
}
