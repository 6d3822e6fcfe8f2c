package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/resnet-run/resnet-run/backend"
	"github.com/resnet-run/resnet-run/graph"
	pb "github.com/resnet-run/resnet-run/plugins/proto/resnet/backend/v1"
	"github.com/resnet-run/resnet-run/plugins/wire"
	"google.golang.org/protobuf/proto"
)

func TestPrecisionsRoundTrip(t *testing.T) {
	want := map[string]backend.Precision{
		"a": {Operands: graph.Float16, Parameters: graph.Float16, Result: graph.Float32, HalfTerms: 32},
		"b": {Operands: graph.Float32, Parameters: graph.Float32, Result: graph.Float32, Truncated: true},
	}
	data, err := proto.Marshal(&pb.CompileResponse{Precisions: wire.EncodePrecisions(want)})
	if err != nil {
		t.Fatal(err)
	}
	var r pb.CompileResponse
	if err := proto.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodePrecisions(r.GetPrecisions(), twoConvolutions(t))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if wired := wire.EncodePrecisions(want)[0].GetOperands(); wired != pb.DType_DTYPE_FLOAT16 {
		t.Errorf("float16: got %v on the wire", wired)
	}
}

func TestPrecisionsOfAPluginAreChecked(t *testing.T) {
	const f32, f16 = pb.DType_DTYPE_FLOAT32, pb.DType_DTYPE_FLOAT16
	good := &pb.Precision{Node: "a", Operands: f16, Parameters: f16, Result: f16}
	for _, c := range []struct {
		name string
		list []*pb.Precision
		want string
	}{
		{"unknown", []*pb.Precision{{Node: "c", Operands: f16, Parameters: f16, Result: f16}}, `want a node of graph "g" once, got "c"`},
		{"twice", []*pb.Precision{good, good}, `once, got "a"`},
		{"missing", []*pb.Precision{{Node: "a", Operands: f16}}, "float32 or float16"},
		{"another type", []*pb.Precision{{Node: "a", Operands: f16, Parameters: pb.DType_DTYPE_INT8, Result: f16}}, "float32 or float16"},
		{"too many terms", []*pb.Precision{{Node: "a", Operands: f16, Parameters: f16, Result: f16, HalfTerms: 129}}, "up to 128"},
		{"so many terms that an int is negative", []*pb.Precision{{Node: "a", Operands: f16, Parameters: f16, Result: f16, HalfTerms: 1 << 31}}, "up to 128"},
		{"terms in float16 of float32", []*pb.Precision{{Node: "a", Operands: f16, Parameters: f32, Result: f16, HalfTerms: 16}}, "operands and parameters of float16"},
		{"nothing narrow", []*pb.Precision{{Node: "a", Operands: f32, Parameters: f32, Result: f32}}, "not float32"},
	} {
		if _, err := wire.DecodePrecisions(c.list, twoConvolutions(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}
