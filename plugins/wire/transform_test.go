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

func twoConvolutions(t *testing.T) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder("g")
	x := b.Input("x", graph.F32(1, 2, 8, 8))
	w := b.Param("w", graph.F32(2, 2, 3, 3), nil)
	conv := graph.Conv2D{Stride: [2]int{1, 1}, Padding: graph.Pad(1), Dilation: [2]int{1, 1}, Groups: 1}
	y := b.Node("a", conv, x, w)
	conv.Stride = [2]int{2, 2}
	b.Output(b.Node("b", conv, y, w))
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTransformsRoundTrip(t *testing.T) {
	g := twoConvolutions(t)
	want := map[string]backend.Winograd{"a": {Rows: []float64{0, 1, -1, 2, -2}, Columns: []float64{0, 0.5, -0.5}}}
	data, err := proto.Marshal(&pb.CompileResponse{Transforms: wire.EncodeTransforms(want)})
	if err != nil {
		t.Fatal(err)
	}
	var r pb.CompileResponse
	if err := proto.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	got, err := wire.DecodeTransforms(r.GetTransforms(), g)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestTransformsOfAPluginAreChecked(t *testing.T) {
	good := &pb.Transform{Node: "a", Rows: []float64{0, 1, -1}}
	for _, c := range []struct {
		name string
		list []*pb.Transform
		want string
	}{
		{"unknown", []*pb.Transform{{Node: "c", Rows: []float64{0, 1, -1}}}, `want a node of graph "g" once, got "c"`},
		{"twice", []*pb.Transform{good, good}, `once, got "a"`},
		{"no points", []*pb.Transform{{Node: "a"}}, "points along rows or columns"},
		{"stride", []*pb.Transform{{Node: "b", Rows: []float64{0, 1, -1}}}, "stride 1"},
	} {
		if _, err := wire.DecodeTransforms(c.list, twoConvolutions(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}
