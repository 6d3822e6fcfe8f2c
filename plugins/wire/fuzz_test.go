package wire_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// everyOp is the graph with each operation once, of the vectors.
func everyOp(t testing.TB) *graph.Graph {
	t.Helper()
	p := &pb.Graph{}
	readVectors(t).message(t, "graph/every-op", p)
	g, err := wire.DecodeGraph(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// FuzzNode: whatever the bytes, an error or a node that is encoded to what decodes to the same.
func FuzzNode(f *testing.F) {
	for _, seed := range []string{
		"0a04636f6e7612160a140a040801100112001a0408011001200128013801", "0a0172120222001a0c0a080a01781203080112001001", "",
	} {
		data, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, n := range everyOp(f).Nodes {
		q, err := wire.EncodeNode(n)
		if err != nil {
			f.Fatal(err)
		}
		data, err := proto.Marshal(q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		q := &pb.NodeQuery{}
		if proto.Unmarshal(data, q) != nil {
			return
		}
		n, err := wire.DecodeNode(q)
		if err != nil {
			return
		}
		sameNode(t, n)
	})
}

// FuzzReceive: whatever the messages of a Compile stream, an error or a bound graph that validates, of no more data than came.
func FuzzReceive(f *testing.F) {
	var s stream
	g, err := graph.Parse(strings.NewReader("graph g\ninput %x : float32[1,2]\nparam @w : float32[3,2]\n%y = linear(%x, @w)\noutput %y"))
	if err != nil {
		f.Fatal(err)
	}
	if g, err = g.Bind(map[string]*graph.Tensor{"w": graph.NewTensor(graph.F32(3, 2))}); err != nil {
		f.Fatal(err)
	}
	if err := wire.SendGraph(g, s.send); err != nil {
		f.Fatal(err)
	}
	var seed [2]bytes.Buffer // the graph, the data
	for i, m := range s {
		if _, err := protodelim.MarshalTo(&seed[i], m); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(seed[0].Bytes(), seed[1].Bytes())
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var s stream
		total := 0
		r := bytes.NewReader(append(a, b...))
		for {
			m := &pb.CompileRequest{}
			if protodelim.UnmarshalFrom(r, m) != nil {
				break
			}
			total += len(m.GetData().GetData())
			s = append(s, m)
		}
		g, err := wire.ReceiveGraph(s.recv, 1<<20)
		if err != nil {
			return
		}
		if err := g.Validate(); err != nil || !g.Bound() {
			t.Fatalf("received, yet: %v, bound %v", err, g.Bound())
		}
		for _, p := range g.Params {
			total -= len(p.Data.Data)
		}
		if total != 0 {
			t.Fatalf("%d bytes more came than are there", total)
		}
	})
}
